/* SPDX-License-Identifier: MIT
 *
 * client - the MQTT client: the protocol of 3.1, 3.1.1 and 5.0 from the client's side, as a state
 * machine without socket, thread or clock. Every tool and every bridge of this project uses it.
 *
 *   driver                                        client
 *     transport is open ---- connect ------------> CONNECT in the output
 *     bytes came ----------- feed, then next ----> events, one after the other, until there are none
 *     user wants ----------- publish, ... -------> packets in the output
 *     end of turn ---------- take_output --------> the block of bytes to send
 *     time ----------------- tick ---------------> PINGREQ, or an event when the server is silent
 *     connection is gone --- closed -------------> what is unacknowledged waits for the next connect
 *
 *   IDLE -> AWAIT_CONNACK -> ONLINE -> LEAVING -> IDLE
 *                 \_____________\__________\____> FAILED -> IDLE
 *
 * The server is not trusted. Whatever it sends is an event, or ends in MQTT_FAILED with a sentence
 * about what it did and, in 5.0, a DISCONNECT with the right reason code in the output (4.13);
 * nothing is parsed after that. Memory is bounded: packets by limits.packet_size_max, output by
 * limits.output_max, identifiers by what we announced.
 *
 * Packets are parsed where they are; only one that is split between two feeds is copied.
 * Acknowledgements (PUBACK, PUBREC, PUBREL, PUBCOMP) are written by the client itself. A QoS 2
 * message is handed out once (4.3.3).
 *
 * With limits.keep every QoS 1 and 2 message is kept until it is acknowledged. After a reconnect
 * they are sent again in their order: with DUP when the server has the session still, otherwise as
 * new ones, so that none is lost when a server forgets (then one may arrive twice).
 *
 * Invariants
 *   C1  at most min(limits.inflight_max, the server's Receive Maximum) messages are on the way
 *       [MQTT-3.3.4-7]; what is sent again counts
 *   C2  spans of an event are valid until the next call of next() or feed()
 *   C3  nothing is written behind a DISCONNECT [MQTT-3.14.4-2]
 *   C4  while something is still to be sent again, nothing new is (order, 4.6)
 */
#ifndef SHARDMQ_CLIENT_CLIENT_H
#define SHARDMQ_CLIENT_CLIENT_H

#include "client/output.h"
#include "client/window.h"
#include "mqtt/packet.h"
#include "session/inbound.h"

struct alias_table;
struct client_request;

enum mqtt_phase {
    MQTT_IDLE,          /* no connection */
    MQTT_AWAIT_CONNACK, /* CONNECT was written */
    MQTT_ONLINE,
    MQTT_LEAVING, /* DISCONNECT was written by us */
    MQTT_FAILED,  /* the server broke the protocol, refused us or said goodbye: close */
};

/* boot; may be shared by many clients. */
struct client_limits {
    uint32_t packet_size_max; /* larger packets of the server are refused */
    uint32_t output_max;    /* bytes that may wait in the output, CLIENT_BLOCK_SIZE or more; above,
                                 requests are refused */
    uint16_t inflight_max;  /* QoS 1 and 2 messages on the way, 1 .. CLIENT_INFLIGHT_MAX */
    uint16_t topic_aliases; /* so many aliases are used of our own accord, if the server allows */
    bool keep;              /* keep messages until they are acknowledged, see above */
};

#define CLIENT_LIMITS_DEFAULT                                                                      \
    ((struct client_limits){                                                                       \
        .packet_size_max = 1u << 28, .output_max = 64u << 20, .inflight_max = 20, .keep = true})

/* What a request came to. */
enum client_status {
    CLIENT_OK,
    CLIENT_BUSY,        /* the window is full, or too much output waits: try again later */
    CLIENT_OFFLINE,     /* not ONLINE */
    CLIENT_TOO_LARGE,   /* larger than the format or the server allows */
    CLIENT_NOT_ALLOWED, /* the server's CONNACK excludes that QoS, retained messages, ... */
    CLIENT_INVALID,     /* the topic or something else in the request is not valid MQTT */
    CLIENT_NO_MEMORY,
};

/* A sentence for people, without a full stop. */
const char *client_status_text(enum client_status status);

enum client_event_kind {
    CLIENT_NOTHING,      /* all bytes were looked at */
    CLIENT_CONNACK,      /* ack; a reason of 0x80 or more: refused, the client has FAILED */
    CLIENT_MESSAGE,      /* publish; its topic is filled in where an alias stood for it */
    CLIENT_ACKNOWLEDGED, /* ack: PUBACK, PUBCOMP, or a PUBREC that refuses; tag is the message's */
    CLIENT_SUBACK,       /* ack: as many reason codes as filters were in the SUBSCRIBE */
    CLIENT_UNSUBACK,     /* likewise; before 5.0 without reason codes */
    CLIENT_AUTH,         /* ack: the server goes on with the authentication */
    CLIENT_PINGRESP,
    CLIENT_DISCONNECTED, /* ack: the server's DISCONNECT (5.0); the client has FAILED */
    CLIENT_BROKEN,       /* why, ack.reason: the server broke the protocol; the client has FAILED */
};

/* Reused from event to event; only the members that the kind names are set. */
struct client_event {
    enum client_event_kind kind;
    uint64_t tag;                  /* ACKNOWLEDGED */
    struct publish_packet publish; /* MESSAGE */
    struct ack_packet ack;
    char why[192]; /* BROKEN */
};

/* What the server said in its CONNACK; before 5.0 the values that stand for no limit. */
struct client_server {
    uint32_t packet_size_max;
    uint16_t receive_maximum, topic_alias_maximum, keep_alive_s;
    uint8_t maximum_qos;
    bool retain_available;
};

/* Owner: shard. About 300 bytes; more only while something is on the way. */
struct mqtt_client {
    const struct client_limits *limits;
    struct client_pool *pool;
    struct client_block *output; /* NULL when there is nothing to send */
    const uint8_t *input;        /* borrowed between feed() and the end of next() */
    uint8_t *partial;            /* a packet whose end has not come yet */
    uint32_t input_len, partial_len, partial_size;
    uint8_t phase, version;
    bool partial_done; /* partial is the packet of the last event */
    bool clean_start;  /* in our CONNECT */
    bool has_auth;     /* our CONNECT named an authentication method */
    bool awaits_pingresp, resuming, session_present;
    uint16_t receive_maximum;     /* of ours, as announced */
    uint16_t topic_alias_maximum; /* likewise */
    uint32_t packet_size_max;     /* likewise, or of the limits */
    struct client_server server;
    struct client_window window;
    struct client_request *requests; /* SUBSCRIBE and UNSUBSCRIBE that are not answered yet */
    uint32_t request_count;
    uint16_t request_turn;
    uint32_t resume_at;          /* walk over the window after a CONNACK */
    struct alias_table *aliases; /* NULL until one is used */
    struct inbound inbound;      /* QoS 2 messages that are not released yet */
    uint64_t resent;             /* messages that were sent again, in all */
    uint64_t output_ms;          /* when output was taken last, for the keep alive */
    uint64_t ping_ms;            /* when PINGREQ was taken */
};

/* Begins IDLE. `limits` and `pool` are borrowed for the client's life. */
void mqtt_client_init(struct mqtt_client *client, const struct client_limits *limits,
                      struct client_pool *pool);
/* Forgets everything. */
void mqtt_client_fini(struct mqtt_client *client);

/* The transport is open: writes CONNECT, whose members all count (3.1). The client remembers what it
 * announces in it. Needs IDLE. For a session that goes on: the same client identifier,
 * clean_start false and, in 5.0, a Session Expiry Interval. */
enum client_status mqtt_client_connect(struct mqtt_client *client,
                                       const struct connect_packet *connect, uint64_t now_ms);

/* Bytes have come; they stay valid until mqtt_client_next() has returned false. */
void mqtt_client_feed(struct mqtt_client *client, const uint8_t *data, uint32_t len);
/* The next event. False when there is none; then the bytes of feed() are no longer needed. Requests
 * may be made between two events. */
bool mqtt_client_next(struct mqtt_client *client, struct client_event *event);

/* The connection is gone, whoever ended it: IDLE. The session is kept. */
void mqtt_client_closed(struct mqtt_client *client);
/* Forgets the session: messages in flight, identifiers received. Needs IDLE. */
void mqtt_client_forget(struct mqtt_client *client);

/* Publishes. packet->packet_identifier and dup are not looked at; the identifier that was given is
 * stored in *identifier (0 with QoS 0; may be NULL). `tag` comes back with CLIENT_ACKNOWLEDGED, if
 * limits.keep is set. A Topic Alias in the properties is sent as it is, if the server allows it; with
 * limits.topic_aliases the client chooses. */
enum client_status mqtt_client_publish(struct mqtt_client *client,
                                       const struct publish_packet *packet, uint64_t tag,
                                       uint16_t *identifier);
/* SUBSCRIBE and UNSUBSCRIBE; `props` may be NULL. The answer has the identifier in *identifier. */
enum client_status mqtt_client_subscribe(struct mqtt_client *client,
                                         const struct filter_view *filters, uint32_t count,
                                         const struct mqtt_props *props, uint16_t *identifier);
enum client_status mqtt_client_unsubscribe(struct mqtt_client *client,
                                           const struct filter_view *filters, uint32_t count,
                                           const struct mqtt_props *props, uint16_t *identifier);
enum client_status mqtt_client_ping(struct mqtt_client *client);
/* AUTH with a reason of CONTINUE_AUTHENTICATION or REAUTHENTICATE (3.15). */
enum client_status mqtt_client_auth(struct mqtt_client *client, enum mqtt_reason reason,
                                    struct span method, struct span data);
/* DISCONNECT; `props` may be NULL. LEAVING afterwards. */
enum client_status mqtt_client_disconnect(struct mqtt_client *client, enum mqtt_reason reason,
                                          const struct mqtt_props *props);

/* How many QoS 1 and 2 messages may be published now. */
uint32_t mqtt_client_room(struct mqtt_client *client);
/* How many are not acknowledged yet. */
static inline uint32_t mqtt_client_unacknowledged(const struct mqtt_client *client)
{
    return client->window.count;
}

/* For generators of load, who write encoded PUBLISH packets themselves. Room for `size` bytes at the
 * end of the output, or NULL: not ONLINE, memory gone, output_max reached. */
uint8_t *mqtt_client_reserve(struct mqtt_client *client, uint32_t size);
/* `len` bytes were written there, whole packets. */
void mqtt_client_commit(struct mqtt_client *client, uint32_t len);
/* An identifier for such a packet with that QoS (1 or 2), 0 when the window is full. */
uint16_t mqtt_client_identifier(struct mqtt_client *client, uint8_t qos);
/* Keeps such a packet for sending it again; false when memory is gone. Does nothing without
 * limits.keep. */
bool mqtt_client_keep(struct mqtt_client *client, uint16_t identifier, const uint8_t *packet,
                      uint32_t len, uint64_t tag);

/* The bytes to be sent, or NULL; the caller gives the block back to the pool. */
struct client_block *mqtt_client_take_output(struct mqtt_client *client, uint64_t now_ms);
/* True when take_output() would find something. */
static inline bool mqtt_client_has_output(const struct mqtt_client *client)
{
    return client->output != NULL ||
           (client->window.unsent != 0 && client->phase == MQTT_ONLINE && !client->resuming &&
            client->window.count - client->window.unsent < client->window.limit);
}

/* Keep alive: writes PINGREQ when it is time (3.1.2.10). Returns when to call again, UINT64_MAX for
 * never; false in *alive and the client FAILED when a PINGREQ was not answered for as long as the
 * keep alive. */
uint64_t mqtt_client_tick(struct mqtt_client *client, uint64_t now_ms, bool *alive);

#endif
