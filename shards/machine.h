/* SPDX-License-Identifier: MIT
 *
 * machine - the whole of the threads, rings and sockets behind one call, for src/app.
 *
 * The calling thread becomes the control shard: it takes SIGTERM, SIGINT and SIGHUP, serves the
 * control socket, reloads, publishes $SYS and orders the shutdown. Data shards are threads of their
 * own.
 */
#ifndef SHARDMQ_SHARDS_MACHINE_H
#define SHARDMQ_SHARDS_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct conf;
struct conf_files;
struct conf_override;
struct conn_protocol;
struct control;

/* What the control shard serves on a port of its own (http_server.*), from above this floor. Class:
 * boot. All functions run on the control shard. */
struct machine_service {
    const struct conn_protocol *protocol;
    /* The machine is up, and serves from now on; returns what control_service() then gives. */
    void *(*start)(struct control *control);
    /* The shutdown began: connections end as soon as they have had their answer. */
    void (*stopping)(void *service);
    /* No connection is left. */
    void (*stop)(void *service);
};

/* What a reload is to read, and to keep. All members 0: the files as they are, as for SIGHUP. */
struct machine_reload {
    const char *path;               /* this file, not the one of the start; NULL: that one */
    const struct conf_files *files; /* what the files hold, instead of the disk; NULL */
    /* Options that were changed in `files`: the report says which of them have no effect. */
    const struct conf_override *wanted;
    size_t wanted_count;
    /* Options to be set at run time: above the files, the environment and the command line. */
    const struct conf_override *changes;
    size_t change_count;
    bool keep; /* what was set at run time before stays; otherwise it ends now */
    /* Set by the machine: opens what that configuration needs, for when reload() returns it. False with a sentence when
     * something cannot be had: then reload() returns NULL. */
    bool (*prepare)(struct control *control, const struct conf *conf, char *why, size_t size);
    struct control *control; /* its argument */
};

/* What machine_run() returns when the broker is to start again; no exit status. */
#define MACHINE_RESTART 256

struct machine_options {
    /* Stays the caller's, and valid until machine_run() returns. */
    const struct conf *conf;
    void *argument; /* for the functions below; each of them may be NULL */

    /* Used when http_server.enable says so; NULL: there is none. */
    const struct machine_service *service;

    /* Reads and checks the configuration again, and has what->prepare() open what it needs. Returns the new one, which the machine gives to
     * release() when nobody uses it any more, or NULL when it is not good: then nothing has changed.
     * Either way writes one line of JSON without a line end to `report`:
     * {"ok":true,"applied":[...],"restart":[...]} or {"ok":false,"error":"..."}, with "overridden"
     * when something was wanted. Runs on the control shard and may block for as long as reading files
     * takes. */
    struct conf *(*reload)(void *argument, const struct machine_reload *what,
                           const struct conf *running, char *report, size_t size);
    /* Whether the broker would start again if it ended now; if not, why. NULL: never. */
    bool (*may_restart)(void *argument, char *why, size_t size);
    /* Frees what reload() returned. Never called for the configuration in these options. */
    void (*release)(void *argument, struct conf *conf);

    /* All listeners are bound, no thread has started: the place to drop privileges and to write the
     * process identifier to a file. 0, or the exit status with which to give up. */
    int (*bound)(void *argument);
    /* Every shard runs; "ShardMQ is started successfully" was printed. */
    void (*started)(void *argument);
};

/* Binds the listeners, starts the shards and serves until SIGTERM, SIGINT or the command `shutdown`
 * of the control socket. Prints "listening on tcp://<address>:<port>" for each listener,
 * "listening on http://<address>:<port>" for the service, and "ShardMQ is started successfully" to stdout. What stops it from starting is printed to stderr in
 * full sentences.
 *
 * Returns the exit status of the process: 0 after an orderly shutdown; or MACHINE_RESTART. A second signal during the
 * shutdown does not return but ends the process at once. */
int machine_run(const struct machine_options *options);

/* Whether a machine could serve with that configuration, as far as files decide it: reads every certificate. If not, a
 * sentence is in `why`; if so, what should be changed in the files is written to `warnings`, NULL: nowhere. */
bool machine_check(const struct conf *conf, FILE *warnings, char *why, size_t size);

/* Whether the plug-ins of that configuration can be loaded by a broker that runs as that user; none of them begins. If not,
 * a sentence is in `why`. */
bool machine_check_plugins(const struct conf *conf, uid_t user, char *why, size_t size);

/* Writes the sizes derived from the configuration, shard by shard, and the memory budget: what
 * --dump-config and the debug log show. */
void machine_print_limits(const struct conf *conf, FILE *to);

#endif
