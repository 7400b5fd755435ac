/* SPDX-License-Identifier: MIT
 *
 * tool_engine - what pub, sub and conn have in common: from the options to connected clients, the loop, the end.
 *
 *   tool_run: options -> driver, addresses, transport, clients -> loop -> status
 *
 *   loop      role->turn      the role may publish
 *             driver_turn     bytes go and come; events of clients call the role
 *             output          flushed when nothing came; then the loop waits
 *
 * A client that never was online ends the tool when it cannot connect. One that was is connected again when
 * options->reconnect says so, unless the broker's reason says that this would change nothing.
 *
 * Invariants
 *   E1  the first failure decides the status; later ones, which may be its consequences, do not change it
 *   E2  `left` counts the clients that are not CLOSED for good; the loop ends when it is 0
 */
#ifndef SHARDMQ_BENCH_TOOL_ENGINE_H
#define SHARDMQ_BENCH_TOOL_ENGINE_H

#include "bench/secure.h"
#include "bench/tool.h"
#include "bench/tool_options.h"
#include "bench/tool_output.h"
#include "shards/driver/client.h"

struct tool;

/* One connection. Touched by one thread only. */
struct tool_client {
    struct client client; /* its owner is the tool */
    bool was_online, leaving;
    uint64_t next;                   /* pub: the number of its next message */
    uint64_t due_ns;                 /* pub: when that may go */
    uint16_t subscribe, unsubscribe; /* sub: packet identifiers that are not answered yet */
    char *identifier;                /* owned */
    struct login *login;             /* owned; NULL: by user name and password, or not at all */
};

/* What a command does. boot. NULL members are not wanted. */
struct tool_role {
    /* CONNACK was good: first is false after a reconnection. */
    void (*online)(struct tool *tool, struct tool_client *client, bool first, bool session_present);
    void (*event)(struct tool *tool, struct tool_client *client, const struct client_event *event);
    /* Before each turn. Returns when to be called again at the latest, on the driver's clock. */
    uint64_t (*turn)(struct tool *tool);
    /* A signal asks for the end; NULL: all clients leave at once. */
    void (*interrupted)(struct tool *tool);
};

/* Touched by one thread only. */
struct tool {
    struct tool_options *options;
    const struct tool_role *role;
    struct driver driver;
    struct target target;
    struct secure secure;
    struct client_limits limits;
    struct connect_packet connect; /* but for the client identifier */
    struct mqtt_props disconnect;
    uint8_t *blocks[4]; /* of user properties: CONNECT, will, and the role's */
    struct tool_client *clients;
    uint64_t client_count, left; /* E2 */
    struct tool_output output;
    int signal_fd, watched_fd; /* -1: none */
    bool signal_armed, watched_armed;
    uint64_t deadline_ns; /* UINT64_MAX: none */
    bool timeout_is_good; /* the role has done what it was to do: --timeout ends it well */
    bool
        happened; /* something since the role's last turn: it is asked again before the loop waits */
    unsigned signals;
    unsigned status; /* E1 */
    bool decided;
    void *state; /* of the role */
};

/* Parses the command line; argv[0] is the name of the command. Returns -1 to go on, else the status to end with: help
 * or a sentence was printed. In either case tool_options_release() is to be called. (tool.c) */
int tool_begin(struct tool_options *options, enum tool_command command, int argc, char **argv);

/* Runs the tool with checked options. Returns its exit status. */
int tool_run(struct tool_options *options, const struct tool_role *role, void *state);

/* Prints "shardmq pub: ..." on standard error, unless --quiet. */
void tool_complain(const struct tool *tool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same with --debug only. */
void tool_debug(const struct tool *tool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Decides the status, if nothing has yet (E1). */
void tool_decide(struct tool *tool, unsigned status);

/* Sends DISCONNECT and closes. */
void tool_leave(struct tool *tool, struct tool_client *client);

/* Wakes the loop when `fd` can be read; -1: no more. */
void tool_watch(struct tool *tool, int fd);

/* Fills tool->connect, disconnect, target and the transport in. False with a sentence; *status says what to end with.
 * (tool_connect.c) */
bool tool_prepare(struct tool *tool, int *status, char *error, size_t error_size);
void tool_prepared_release(struct tool *tool);
/* Writes the identifier of client `number` (tool_connect.c). */
void tool_identify(struct tool *tool, struct tool_client *client, uint64_t number);
/* User properties name=value as a property block, put into `props`; *block is to be freed (tool_connect.c). */
void tool_user_properties(const struct option_list *pairs, struct mqtt_props *props,
                          uint8_t **block);

#endif
