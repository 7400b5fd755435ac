/* SPDX-License-Identifier: MIT
 *
 * connection - one MQTT network connection as the broker sees it.
 *
 * Owner: shard. Embedded in the machine's connection, which has the socket. The machine feeds bytes
 * in and takes the outbox; the broker never blocks, never closes a socket, and says what it wants
 * by `closing`.
 *
 *   AWAIT_CONNECT --CONNECT--> ONLINE --error, DISCONNECT, take-over--> CLOSING
 *        |                                                               ^
 *        +--------------- error, timeout, refused -----------------------+
 */
#ifndef SHARDMQ_BROKER_CONNECTION_H
#define SHARDMQ_BROKER_CONNECTION_H

#include "base/timer.h"
#include "mqtt/packet.h"
#include "session/outbox.h"

struct broker;
struct session;
struct alias_table;
struct authn_attempt;
struct identity;

enum connection_state { CONNECTION_AWAIT_CONNECT, CONNECTION_ONLINE, CONNECTION_CLOSING };

enum connection_closing {
    CLOSING_NO,
    CLOSING_AFTER_FLUSH, /* send what is in the outbox (bounded by time), then close */
    CLOSING_NOW          /* discard the outbox */
};

struct connection {
    struct outbox out;             /* first: the machine finds it without knowing the rest */
    struct session *session;       /* ONLINE only */
    struct connection *dirty_next; /* the broker's dirty list */
    struct authn_attempt *attempt; /* its CONNECT is being decided (broker/authn.h) */
    struct identity *identity;     /* what it has gained by that; NULL: nothing */
    struct mount_point *mount;     /* in front of all its topics (broker/mount.h); NULL: nothing */
    struct timer timer;            /* connect timeout, then keep alive */
    uint64_t heard_ms;             /* when the last bytes came */
    struct connection_traffic {    /* since it was accepted; the same events as in base/stats.def */
        uint64_t message_in, message_out, byte_in, byte_out;
    } traffic;
    uint8_t *input; /* a packet that came in pieces; NULL most of the time */
    uint32_t input_len, input_capacity;
    uint64_t
        timed_from_ns; /* deliveries of what came before are not timed: it waited for the client
                                 to connect, or to subscribe */
    uint32_t packet_size_max; /* the client's Maximum Packet Size */
    uint32_t ordinal_sent,
        ordinal_confirmed;   /* QoS 1 and 2 first transmissions: see session/window.h */
    uint32_t serial;         /* tells connections apart that follow each other in the same memory */
    uint32_t subscribes;     /* SUBSCRIBEs that wait for their SUBACK */
    uint32_t retain_queries; /* queries for retained messages that are not complete */
    uint32_t refused_publishes; /* QoS 0 publications refused so far, to log only the first */
    uint32_t authz_wait;        /* answers that its packet waits or waited for (authz.c); 0: none */
    /* what CONNACK announced; a reload changes it for later connections */
    uint32_t packet_size_limit;  /* the server's Maximum Packet Size */
    struct alias_table *aliases; /* both directions, when used */
    uint16_t receive_maximum, topic_alias_max;
    uint8_t qos_max;
    bool retain_available;
    uint16_t keep_alive_s;
    uint8_t version;    /* enum mqtt_version */
    uint8_t state;      /* enum connection_state */
    uint8_t closing;    /* enum connection_closing */
    uint8_t end_reason; /* enum mqtt_reason, for the log and $SYS */
    bool lost : 1;      /* its socket ended by itself */
    bool dirty : 1, adopted : 1, problem_information : 1, has_outbound_alias : 1,
        encodes_alone : 1, /* what it is sent has a form of its own: aliases, a mount point */
        awaits_owner : 1, /* a publication of it is with the owner of its topic: nothing is read meanwhile */
        awaits_answer : 1; /* its packet waits for somebody's answer, and is then run again */
};

/* What the broker asks of the machine after it was fed. */
enum connection_verdict {
    CONNECTION_CONTINUE, /* everything was consumed (or is kept in `input`) */
    CONNECTION_PAUSE,    /* stop reading; *consumed tells how far it came. Go on with
                            connection_receive() on the rest when connection_may_read() says so
                            (ask at the end of every turn) */
    CONNECTION_HANDOFF,  /* the home shard is *home_out: hand over the socket and the bytes received
                            so far, which are connection->input[0 .. input_len), then
                            data[*consumed .. len) */
    CONNECTION_STOP      /* `closing` is set: read no more, flush, close */
};

/* A connection was accepted here, or adopted from the shard that accepted it. The struct is
 * zeroed. */
void connection_open(struct broker *broker, struct connection *connection, bool adopted);

/* Whether there may be a secret in what comes next: before CONNACK, and when the client can authenticate again. */
bool connection_confides(const struct connection *connection);
/* Bytes came. */
enum connection_verdict connection_receive(struct broker *broker, struct connection *connection,
                                           const uint8_t *data, uint32_t len, uint32_t *consumed,
                                           unsigned *home_out);

/* Whether a connection that answered CONNECTION_PAUSE can go on. */
bool connection_may_read(struct broker *broker, const struct connection *connection);

/* One chunk of the outbox was accepted by the kernel as a whole; frees it. */
void connection_sent(struct broker *broker, struct connection *connection,
                     struct outbox_chunk *chunk);

/* The socket is gone (closed by the peer, an error, or after `closing`); called exactly once for
 * each connection_open() that did not end in a hand-off. Chunks that the machine took and did not
 * send as a whole are passed in `unsent` (a chain); `sent` of the first one tells how much of it the
 * kernel has. Frees everything the connection holds; it may be reused
 * after that. */
void connection_closed(struct broker *broker, struct connection *connection,
                       struct outbox_chunk *unsent);

/* Frees what the connection holds without any effect on sessions: after a hand-off. */
void connection_forget(struct broker *broker, struct connection *connection);

#endif
