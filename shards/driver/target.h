/* SPDX-License-Identifier: MIT
 *
 * target - where clients connect to, from which addresses, and through which transport.
 */
#ifndef SHARDMQ_DRIVER_TARGET_H
#define SHARDMQ_DRIVER_TARGET_H

#include "transport/transport.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define TARGET_ADDRESSES_MAX 8u
#define TARGET_SOURCES_MAX   256u

struct target_address {
    struct sockaddr_storage address;
    socklen_t len;
};

/* boot; shared by all clients that go there. Zeroed is a valid start. */
struct target {
    struct target_address addresses[TARGET_ADDRESSES_MAX]; /* tried in turn until one answers */
    uint32_t address_count;
    struct target_address sources[TARGET_SOURCES_MAX]; /* none: the kernel chooses */
    uint32_t source_count;
    const struct transport_settings *transport; /* NULL: plain */
    uint32_t open_timeout_ms; /* until CONNACK, of one attempt; 0: as long as the kernel tries */
    bool reconnect;           /* after the connection was lost, again and again */
    uint32_t reconnect_least_ms, reconnect_most_ms; /* doubled from one failure to the next */
};

/* Finds the addresses of a host: a name or an address, or with a slash in front the path of a UNIX socket, which has no
 * port. Asks the resolver, so it may take its time: call
 * it before the loop. Addresses of IPv4 come first for "localhost", where brokers often listen on
 * 127.0.0.1 alone. False and a sentence in `error`. */
bool target_resolve(struct target *target, const char *host, uint16_t port, char *error,
                    size_t error_size);

/* Adds source addresses, separated by commas; connections use them in turn, so that more of them fit
 * than one address has ports. Call after target_resolve(): they must be of a family that it found. */
bool target_add_sources(struct target *target, const char *list, char *error, size_t error_size);

/* Writes "127.0.0.1:1883", "[::1]:1883" or the path. */
void target_format(const struct target_address *address, char *to, size_t room);

#endif
