/* SPDX-License-Identifier: MIT */
#include "http/destination.h"

#include "base/check.h"

#include <netinet/in.h>
#include <string.h>

/* IPv4 is compared as ::ffff:a.b.c.d: its bits are 96 more. */
static const struct {
    struct network network;
    const char *what;
} refused[] = {
#define V4(a, b, c, d, bits)                                                                       \
    {                                                                                              \
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, 96 + (bits)                        \
    }
    {V4(0, 0, 0, 0, 8), "an address of this machine"},
    {V4(127, 0, 0, 0, 8), "a loopback address"},
    {V4(169, 254, 0, 0, 16), "a link-local address, where clouds have their metadata"},
    {V4(100, 100, 100, 200, 32), "an address of a cloud's metadata"},
    {V4(192, 0, 0, 0, 24), "an address of a cloud's metadata or of a protocol"},
    {V4(224, 0, 0, 0, 4), "a multicast address"},
    {V4(240, 0, 0, 0, 4), "a reserved address"},
    {{{0}, 96}, "a loopback address"}, /* ::, ::1, and IPv4 as it was written once */
    {{{0xfe, 0x80}, 10}, "a link-local address"},
    {{{0xff}, 8}, "a multicast address"},
    {{{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128},
     "an address of a cloud's metadata"},
    {{{0xfd, 0x20, 0x00, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128},
     "an address of a cloud's metadata"},
#undef V4
};

/* 64:ff9b::/96 (RFC 6052) and 2002::/16 (RFC 3056) lead to the IPv4 address that is in them. */
static void unwrap_ipv4(uint8_t address[16])
{
    static const uint8_t translated[12] = {0x00, 0x64, 0xff, 0x9b};
    uint8_t inner[4];

    if (memcmp(address, translated, sizeof(translated)) == 0)
        memcpy(inner, address + 12, sizeof(inner));
    else if (address[0] == 0x20 && address[1] == 0x02)
        memcpy(inner, address + 2, sizeof(inner));
    else
        return;
    network_map(AF_INET, inner, address);
}

const char *destination_refused(const struct destination_policy *policy,
                                const struct sockaddr *address)
{
    const void *bytes =
        address->sa_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
    uint8_t mapped[16];

    if (!network_map(address->sa_family, bytes, mapped))
        return "no IP address";
    for (unsigned i = 0; i < policy->count; i++)
        if (network_has(&policy->allowed[i], mapped))
            return NULL;
    unwrap_ipv4(mapped);
    for (unsigned i = 0; i < ARRAY_LENGTH(refused); i++)
        if (network_has(&refused[i].network, mapped))
            return refused[i].what;
    return NULL;
}
