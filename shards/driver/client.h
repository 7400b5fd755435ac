/* SPDX-License-Identifier: MIT
 *
 * client - an MQTT client with its connection: the protocol of client/client.h over a socket of a
 * driver.
 *
 *   CLOSED -> CONNECTING -> [HANDSHAKE] -> AWAIT_CONNACK -> ONLINE -> [LEAVING] -> CLOSED
 *     ^            \             \               \            |
 *     |             \_____________\_______________\___________|
 *     |                                                       v
 *     +---------------- target->reconnect is off ---------- lost --- is on --> WAITING -> CONNECTING
 *
 * Whoever uses a client gives it a table of functions, and calls the protocol's requests on
 * client->mqtt, then client_wrote(): what they wrote goes out at the end of the turn.
 *
 * Reconnecting: after each failure the pause doubles, from reconnect_least_ms to reconnect_most_ms, less
 * a random part of up to a quarter, so that a thousand clients do not come back at the same
 * moment. What was not acknowledged is sent again by the protocol (client/client.h); subscriptions are made
 * again by the user when CONNACK says that the session is gone.
 */
#ifndef SHARDMQ_DRIVER_CLIENT_H
#define SHARDMQ_DRIVER_CLIENT_H

#include "base/list.h"
#include "base/timer.h"
#include "client/client.h"
#include "shards/driver/driver.h"
#include "shards/driver/target.h"

struct client;

enum client_state {
    CLIENT_CLOSED,
    CLIENT_WAITING,    /* for the time to connect again */
    CLIENT_CONNECTING, /* TCP */
    CLIENT_HANDSHAKE,  /* TLS, WebSocket */
    CLIENT_AWAIT_CONNACK,
    CLIENT_ONLINE,
    CLIENT_LEAVING, /* DISCONNECT was sent, the server is to close */
};

/* What the user of a client does when something happens. boot. Each function may call any function
 * of the client, client_close() included. */
struct client_events {
    /* The transport is open: has to call client_connect() with what CONNECT is to say. */
    void (*connecting)(struct client *client);
    /* Something came from the server: CONNACK included, CLIENT_BROKEN and CLIENT_DISCONNECTED not (they
     * come as `closed`). After a CONNACK that refuses, `closed` follows. */
    void (*event)(struct client *client, const struct client_event *event);
    /* The connection is gone or never came about; `why` is NULL when the client itself left. The client
     * is CLOSED, or WAITING to connect again. NULL: not wanted. */
    void (*closed)(struct client *client, const char *why);
    /* Output has gone: more may be produced. NULL: not wanted. */
    void (*writable)(struct client *client);
};

/* Owner: shard. Moves nowhere between client_init() and client_fini(). */
struct client {
    struct mqtt_client mqtt;
    struct driver *driver;
    const struct target *target;
    const struct client_events *events;
    void *owner;        /* of events */
    uint32_t number;    /* the user's; also chooses the source address */
    uint8_t state;      /* enum client_state */
    uint8_t address_at; /* of the target's addresses */
    bool receiving;     /* a receive is armed */
    bool paused;        /* none is armed again until client_read_again() */
    bool refused;       /* CONNACK said no */
    bool dismissed;     /* the server sent DISCONNECT */
    uint8_t
        ended_in; /* enum client_state that the connection ended in; CLIENT_CLOSED: it has not */
    bool no_reconnect; /* the user closed it, or it cannot get better */
    int fd;
    uint32_t slot, generation;
    uint32_t attempts; /* failures since the last CONNACK */
    struct list node;  /* driver->dirty, or in itself */
    struct list starved_node;
    struct timer timer; /* open timeout, keep alive, reconnection */
    struct client_block *sending;
    struct client_block *wire; /* bytes of the transport that wait behind `sending` */
    struct transport *transport;
    uint64_t opened_ns;      /* when the present attempt began */
    enum mqtt_reason reason; /* of the server's refusal or DISCONNECT, or of what we found wrong */
};

/* Begins CLOSED. Everything is borrowed for the client's life. */
void client_init(struct client *client, struct driver *driver, const struct target *target,
                 const struct client_limits *limits, const struct client_events *events,
                 void *owner);
/* Closes without a word and without `closed`; forgets everything. */
void client_fini(struct client *client);

/* Begins to connect; needs CLOSED or WAITING. On failure `closed` is called, maybe before this
 * returns. */
void client_open(struct client *client);

/* Writes CONNECT; for events->connecting. The packet is needed only until this returns. */
void client_connect(struct client *client, const struct connect_packet *packet);

/* Requests were written to client->mqtt. */
void client_wrote(struct client *client);

/* True while output waits for the kernel: a producer should wait for `writable`. */
static inline bool client_blocked(const struct client *client)
{
    return client->sending != NULL || client->wire != NULL;
}

/* Sends DISCONNECT with this reason and `props` (may be NULL), and waits for the server to close, so that it has
 * taken everything and no port waits in TIME_WAIT here; `closed` with NULL follows, after wait_ms at the
 * latest. A client that is not ONLINE is closed at once. No reconnection. */
void client_leave(struct client *client, enum mqtt_reason reason, const struct mqtt_props *props,
                  uint32_t wait_ms);

/* Closes at once and for good; `closed` with NULL is called before this returns. Harmless when
 * CLOSED. */
void client_close(struct client *client);

/* Stops reading, so that the server's output to this client has to wait; what is under way already
 * still comes. client_read_again() goes on. For those who play slow clients. Both are harmless at any
 * time; a new connection begins without a pause. */
void client_stop_reading(struct client *client);
void client_read_again(struct client *client);

/* Gives the connection up because of what the user of the client found wrong, as if the server had
 * broken the protocol: in 5.0 DISCONNECT with `reason` is sent. `closed` with the sentence follows,
 * before this returns; then a reconnection, if the target wants it. */
void client_give_up(struct client *client, enum mqtt_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
