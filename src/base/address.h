/* SPDX-License-Identifier: MIT
 *
 * address - where a client's connection comes from, as it is, for copies that cross threads.
 */
#ifndef SHARDMQ_BASE_ADDRESS_H
#define SHARDMQ_BASE_ADDRESS_H

#include <stdint.h>

struct peer_address {
    uint16_t family; /* AF_INET, AF_INET6; AF_UNIX; AF_UNSPEC: none of them */
    uint16_t port;
    uint8_t bytes[16]; /* of a UNIX socket: struct ucred */
};

/* Room for the name of a peer in the log: "127.0.0.1:50123", "[::1]:50123", "unix:/run/mqtt.sock:pid=12:uid=1000". */
#define PEER_NAME_MAX 160

#endif
