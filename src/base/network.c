/* SPDX-License-Identifier: MIT */
#include "base/network.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static void map_ipv4(const void *address, uint8_t mapped[16])
{
    memset(mapped, 0, 10);
    memset(mapped + 10, 0xff, 2);
    memcpy(mapped + 12, address, 4);
}

bool network_parse(const char *text, struct network *network)
{
    const char *slash = strchr(text, '/');
    size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
    char address[INET6_ADDRSTRLEN], *end = NULL;
    uint8_t bytes[4];
    unsigned most = 128;
    unsigned long bits;

    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (inet_pton(AF_INET, address, bytes) == 1) {
        map_ipv4(bytes, network->address);
        most = 32;
    } else if (inet_pton(AF_INET6, address, network->address) != 1) {
        return false;
    }
    bits = slash == NULL ? most : strtoul(slash + 1, &end, 10);
    if (slash != NULL && (end == slash + 1 || *end != '\0' || slash[1] < '0' || slash[1] > '9'))
        return false;
    if (bits > most)
        return false;
    network->bits = (uint8_t)(128 - most + bits);
    return true;
}

bool network_map(int family, const void *address, uint8_t mapped[16])
{
    if (family == AF_INET)
        map_ipv4(address, mapped);
    else if (family == AF_INET6)
        memcpy(mapped, address, 16);
    else
        return false;
    return true;
}

bool network_has(const struct network *network, const uint8_t mapped[16])
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;

    return memcmp(network->address, mapped, whole) == 0 &&
           (rest == 0 || ((network->address[whole] ^ mapped[whole]) >> (8 - rest)) == 0);
}
