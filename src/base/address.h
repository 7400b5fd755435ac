/* SPDX-License-Identifier: MIT
 *
 * address - where a client's connection comes from, as it is, for copies that cross threads.
 */
#ifndef SHARDMQ_BASE_ADDRESS_H
#define SHARDMQ_BASE_ADDRESS_H

#include <stdint.h>

struct peer_address {
    uint16_t family; /* AF_INET, AF_INET6; AF_UNSPEC: none of them */
    uint16_t port;
    uint8_t bytes[16];
};

#endif
