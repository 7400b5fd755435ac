/* SPDX-License-Identifier: MIT
 *
 * ports - the effects that the broker has on the world, implemented by the machine (shards/port.c),
 * and by a fake in tests and simulation. All are called on the broker's own thread and none may
 * call back into it.
 *
 * Output and closing are not here: a connection with something to send, or that is to be closed,
 * is on the broker's dirty list, which the machine takes at the end of each turn
 * (broker_take_dirty()).
 */
#ifndef SHARDMQ_BROKER_PORTS_H
#define SHARDMQ_BROKER_PORTS_H

#include "auth/http_question.h"
#include "base/address.h"
#include "broker/connection.h"
#include "broker/mesh.h"
#include "broker/work.h"

/* Posts to the ring to shard `to` (never the caller's own). Never fails: what does not fit waits in
 * the bounded-by-back-pressure spill list of that pair, in order. */
void port_post(struct broker *broker, unsigned to, struct mesh_entry entry);

/* True while the spill list to that shard is past its mark: a publisher that feeds it is to be
 * paused. */
bool port_congested(struct broker *broker, unsigned to);
/* True while the spill list is past its hard limit: QoS 0 publications are dropped. */
bool port_full(struct broker *broker, unsigned to);

/* Writes the peer's address for logs, "127.0.0.1:50123" (or a path); always terminated. */
void port_peer_name(const struct connection *connection, char *to, size_t size);

/* Whether a client's user name is what its verified certificate calls it. */
enum port_username {
    PORT_USERNAME_OWN,      /* it is what CONNECT says */
    PORT_USERNAME_VERIFIED, /* it is what was written, terminated UTF-8 without control characters */
    PORT_USERNAME_MISSING /* it should be, but the certificate has no such name: not to be let in */
};
enum port_username port_peer_username(const struct connection *connection, char *to, size_t size);

/* The largest packet that clients of the connection's listener may send; UINT32_MAX: no limit of its own. */
uint32_t port_packet_size_max(const struct connection *connection);

/* The mount point of the connection's listener as it is configured, with placeholders; empty: none. */
struct span port_mount_point(const struct connection *connection);

/* The peer's address as it is. */
void port_peer_address(const struct connection *connection, struct peer_address *to);

/* By which listener a client came in. */
struct peer_door {
    const char *listener; /* its name in the configuration, "tcp.default"; stays valid */
    const char *protocol; /* "mqtt", "mqtts", "ws", "wss", "unix" */
    uint16_t port;        /* of this server; 0: a UNIX socket, or not known */
    const char *path;     /* of a UNIX socket; else NULL; stays valid */
    bool certified;       /* its certificate was demanded and verified */
    bool named_only;      /* port_named_only() */
};
void port_peer_door(const struct connection *connection, struct peer_door *to);
/* It came in when its listener let nobody in without a user name. What a reload says since is for those who come then. */
bool port_named_only(const struct connection *connection);

/* What the client's verified certificate says; false: it has none, or no such name. Terminated UTF-8 without control
 * characters. */
enum port_certificate { PORT_CERTIFICATE_COMMON_NAME, PORT_CERTIFICATE_SUBJECT };
bool port_peer_certificate(const struct connection *connection, enum port_certificate what,
                           char *to, size_t size);

/* Has a worker make a blocking call; work->done() is called on this thread, later. False, and counted: too many wait, the
 * work is still the caller's, and what needed it is to be refused. */
bool port_work(struct broker *broker, struct work *work);

/* From ANY thread: has item->run() called on the broker's own. The broker must still be there: whoever has other threads
 * ends them before the shards end. */
void port_hand_in(struct broker *broker, struct inbox_item *item);
/* The monotonic clock at this moment, in nanoseconds, for measuring within a turn: what time it is for the broker is an
 * input (broker_set_clock()). */
uint64_t port_clock_ns(void);

/* A question for a backend over HTTP that is under way. `answered` is called once, on the broker's thread, in a later turn or
 * at least not from inside port_http_ask(); with NULL nobody is told. slot, generation and asker are the asker's. */
struct http_reply {
    void (*answered)(struct broker *broker, const struct http_reply *reply,
                     const struct http_decision *decision);
    uint32_t slot, generation;
    void *asker;
};
/* Asks (auth.http_auth). What the connection says itself is added to the facts: address, port, protocol, certificate; the
 * caller has done that when there is none (NULL).
 * NULL: it is decided at once, remembered or denied because it cannot be asked. Otherwise the reply is to be filled in
 * before the caller returns to the loop. */
struct http_reply *port_http_ask(struct broker *broker, enum http_question_kind kind,
                                 const struct connection *connection, struct http_facts *facts,
                                 struct http_decision *decision);

/* Fills with random bytes fit for identifiers that must not be guessed. */
void port_random_bytes(struct broker *broker, void *to, size_t size);

#endif
