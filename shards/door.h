/* SPDX-License-Identifier: MIT
 *
 * door - what a listener does with those who connect: limits, and what is spoken below MQTT (nothing, TLS,
 * WebSocket, or both).
 */
#ifndef SHARDMQ_SHARDS_DOOR_H
#define SHARDMQ_SHARDS_DOOR_H

#include "base/check.h"
#include "conf/conf.h"
#include "shards/proxy.h"
#include "transport/tls_context.h"
#include "transport/transport.h"

#include <stdatomic.h>

struct conn_filter;
struct peer_door;
struct shard;

/* What is counted of a listener, whatever its rules were meanwhile. Class: wire, reference counted; each shard writes
 * its own element. */
struct door_counts {
    _Atomic uint32_t references;
    unsigned shards;
    struct door_count {
        _Alignas(CACHE_LINE) _Atomic int32_t open; /* shared: connections now */
        _Atomic uint64_t accepted, refused;        /* shared */
        uint64_t second; /* shard: the one in which `taken` connections came (max_conn_rate) */
        uint32_t taken;  /* shard */
    } shard[];
};

/* The rules of a listener. Class: wire, never changes: a reload makes a new one for the connections to come, and the
 * old one goes with the last connection that came in through it. */
struct door {
    _Atomic uint32_t references;
    const struct conf_listener *conf; /* its own copy */
    bool service;                     /* it is the HTTP API's, which has no limits here */
    bool named_only; /* by the configuration that it was made of, its clients need a user name */
    enum transport_kind kind;
    struct tls_context *tls; /* NULL without TLS */
    struct websocket_settings websocket;
    struct proxy_list proxies;
    struct door_counts *counts;
};

/* Makes a door, reading its certificates. `service`: for the HTTP API. `counts` are those of the door that it takes
 * the place of, NULL for a new listener on `shards` threads. NULL and a sentence in `why` when something is not good. */
struct door *door_create(const struct conf_listener *conf, bool service, unsigned shards,
                         struct door_counts *counts, struct tls_tickets *tickets, char *why,
                         size_t size);
struct door *door_ref(struct door *door);
/* On any thread; NULL is ignored. */
void door_unref(struct door *door);

/* Whether doors can be made of that configuration: what its files hold is good. If not, a sentence is in `why`. */
bool doors_check(const struct conf *conf, char *why, size_t size);

/* Whether an accepted connection may come in: false, told by the audit (shards/refusal.h), when a limit of the door is
 * reached, its peer is no proxy of the door, or there is no memory. Sets *filter to what lies below its protocol, or leaves
 * it NULL. */
bool door_let_in(struct shard *shard, const struct door *door, int fd, struct conn_filter **filter);

/* A connection of that door is on this shard from now on (1), or is not any more (-1). */
void door_count(const struct shard *shard, const struct door *door, int change);

/* What a client came in by; to->port is that of the configuration. */
void door_describe(const struct door *door, struct peer_door *to);

/* Somebody came in, or was turned away. */
void door_count_accepted(const struct shard *shard, const struct door *door);
void door_count_refused(const struct shard *shard, const struct door *door);

/* What is in front of the topics of its clients, with placeholders; empty: nothing. */
struct span door_mount_point(const struct door *door);

/* The largest packet of its clients, UINT32_MAX when it has no limit of its own. */
uint32_t door_packet_size_max(const struct door *door);

#endif
