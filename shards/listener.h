/* SPDX-License-Identifier: MIT
 *
 * listener - the sockets that clients connect to: one per address and shard, joined by
 * SO_REUSEPORT.
 */
#ifndef SHARDMQ_SHARDS_LISTENER_H
#define SHARDMQ_SHARDS_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct completion;
struct tls_context;
struct conf;
struct shard;

/* One address. Class: boot. */
struct listener_set;

/* A shard's socket of one of them. Owner: shard. */
struct listener {
    int fd;
    bool armed;
    struct tls_context *tls; /* for connections from now on; NULL without TLS */
    uint64_t second;         /* the one in which `taken` connections came: max_conn_rate */
    uint32_t taken;
};

/* Binds every enabled listener of the configuration, a socket for each of `shards` shards. NULL and
 * the reason in `why` when one cannot be bound. */
struct listener_set *listeners_bind(const struct conf *conf, unsigned shards, char *why,
                                    size_t size);
/* Binds http_server.ip_addr, for the control shard alone. */
struct listener_set *listeners_bind_service(const struct conf *conf, unsigned control, char *why,
                                            size_t size);
/* Before a restart, when the shards have ended: leaves the sockets open for the program that is executed next. */
void listeners_pass(struct listener_set *set);
/* All listeners are bound: closes what was left by the program that ran before in this process and is not wanted. */
void listeners_bound(void);
/* Closes the sockets that no shard has taken over. */
void listeners_unbind(struct listener_set *set);
/* "listening on tcp://127.0.0.1:1883", "listening on ws://127.0.0.1:8083/mqtt", a line each; http:// for the
 * service. */
void listeners_print(const struct listener_set *set, FILE *to);

/* On the shard's thread: takes its sockets and begins to accept; stops and closes them. */
void listener_start(struct shard *shard, struct listener_set *set);
void listener_stop(struct shard *shard);

/* Handlers of ops.def. */
void listener_accepted(struct shard *shard, const struct completion *completion);
void listener_accept_failed(struct shard *shard, const struct completion *completion);
void listener_waiting(struct shard *shard, const struct completion *completion);

#endif
