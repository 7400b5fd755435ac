/* SPDX-License-Identifier: MIT
 *
 * door - what is spoken on the connections of each listener below MQTT: nothing, TLS, WebSocket, or both.
 */
#ifndef SHARDMQ_SHARDS_DOOR_H
#define SHARDMQ_SHARDS_DOOR_H

#include "transport/tls_context.h"
#include "transport/transport.h"

struct conf;
struct conf_listener;
struct conn_filter;
struct peer_door;
struct shard;

/* One for each listener that is open, in their order. Class: boot. */
struct doors;

/* The TLS contexts of a configuration, one for each door and one for what the control shard serves; NULL where there
 * is no TLS. */
struct door_keys {
    struct tls_context *service; /* of the control shard */
    unsigned count;
    struct tls_context *contexts[];
};

/* Reads every certificate. NULL and a sentence in `why` when one is not good. */
struct doors *doors_create(const struct conf *conf, char *why, size_t size);
void doors_destroy(struct doors *doors);

/* The same for a newer configuration of the same listeners, to be given to every shard. */
struct door_keys *door_keys_create(const struct doors *doors, const struct conf *conf, char *why,
                                   size_t size);
void door_keys_destroy(struct door_keys *keys);
/* On the control shard: gives them out; they are destroyed. */
void door_keys_post(struct shard *control, struct door_keys *keys);

/* On the control shard: from now on the keys of session tickets change every hour. */
void doors_start(struct shard *control, struct doors *doors);

/* On a shard: takes the contexts that the doors begin with, puts another one into a door (and takes
 * over its reference), lets them go. */
void door_take_keys(struct shard *shard);
void door_change_key(struct shard *shard, unsigned index, struct tls_context *context);
void door_drop_keys(struct shard *shard);

/* Whether an accepted connection may come in: false, with a line in the log, when a limit of the door is
 * reached, its peer is no proxy of the door, or there is no memory. Sets *filter to what lies below its protocol, or leaves
 * it NULL. */
bool door_open(struct shard *shard, unsigned index, int fd, struct conn_filter **filter);

/* A connection of that door is on this shard from now on (1), or is not any more (-1). */
void door_count(struct shard *shard, unsigned index, int change);

/* What a client came in by; to->port is that of the configuration. */
void door_describe(const struct shard *shard, unsigned index, struct peer_door *to);

/* The largest packet of a connection's client, UINT32_MAX when the door has no limit of its own. */
uint32_t door_packet_size_max(const struct shard *shard, unsigned index);

/* Writes what the configuration calls the door, "tcp" or "ssl.<name>"; always terminated. */
void door_name(const struct shard *shard, unsigned index, char *to, size_t size);

#endif
