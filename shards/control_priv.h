/* SPDX-License-Identifier: MIT
 *
 * control_priv - the state of the control shard, for control.c, control_socket.c and sys.c.
 */
#ifndef SHARDMQ_SHARDS_CONTROL_PRIV_H
#define SHARDMQ_SHARDS_CONTROL_PRIV_H

#include "shards/bans.h"
#include "shards/control.h"
#include "shards/machine_priv.h"
#include "shards/snapshot.h"

#include <sys/signalfd.h>

#define CONTROL_CLIENTS 8
#define CONTROL_LINE    4352 /* a command and a path or a client identifier */

/* A client of the control socket. */
struct control_client {
    int fd; /* -1: free */
    char line[CONTROL_LINE];
    size_t line_len;
    char *answer; /* being sent */
    size_t answer_len, answer_sent;
};

struct sys;

/* Owner: shard (the control shard). */
struct control {
    struct shard shard;          /* first: the handlers get it */
    const struct conf *conf;     /* in force */
    const struct policy *policy; /* likewise; its reference */
    struct snapshots snapshots;
    struct bans *bans; /* the machine's */
    int signal_fd;
    struct signalfd_siginfo signal;
    int socket_fd;
    char socket_path[108];
    struct control_client clients[CONTROL_CLIENTS];
    unsigned stopping_step;  /* 0: serving */
    bool restart;            /* start again when it is over */
    uint64_t stopped_shards; /* bit per shard that reported the step */
    struct timer stop_timer;
    struct timer watchdog_timer;
    struct timer rotation; /* of the keys of session tickets */
    /* what a reload that is under way has opened, NULL otherwise */
    struct listener_set *prepared, *prepared_service;
    struct policy *prepared_policy;
    unsigned sets_delayed; /* sets of listeners that wait until every shard is configured */
    struct auth_http_set *prepared_auth_http;
    uint64_t watchdog_ms; /* 0: nobody watches */
    struct sys *sys;
    void *service;       /* of machine_options.service; NULL: it is not served */
    bool shards_stopped; /* the shutdown is complete but for the service's connections */
};

static inline struct control *control_of(struct shard *shard)
{
    return (struct control *)(void *)shard;
}

/* ---- control_socket.c ---- */
int control_socket_open(struct control *control, char *why, size_t size);
void control_socket_start(struct control *control);
void control_socket_close(struct control *control);

/* ---- sys.c ---- */
struct sys *sys_create(struct control *control);
void sys_destroy(struct sys *sys);
/* Looks whether anybody subscribes to $SYS; call at the end of every turn. */
void sys_check(struct sys *sys);

#endif
