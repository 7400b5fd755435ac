/* SPDX-License-Identifier: MIT
 *
 * network - IP addresses and networks, as people write them: 10.0.0.1, 10.0.0.0/8, ::1, fd00::/8.
 *
 * Everything is compared as an IPv6 address: an IPv4 address is its ::ffff:a.b.c.d, so a network of IPv4 has
 * the addresses that were written either way.
 */
#ifndef SHARDMQ_BASE_NETWORK_H
#define SHARDMQ_BASE_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

struct network {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t bits;        /* of 128 that count */
};

/* Reads an address or a network. False when it is neither; `network` is then undefined. Bits behind the
 * prefix are not looked at. */
bool network_parse(const char *text, struct network *network);

/* Writes the address of that family, AF_INET or AF_INET6 in network byte order, as one of IPv6. False for other
 * families. */
bool network_map(int family, const void *address, uint8_t mapped[16]);

/* Whether a mapped address is in the network. */
bool network_has(const struct network *network, const uint8_t mapped[16]);

#endif
