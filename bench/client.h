/* SPDX-License-Identifier: MIT
 *
 * client - one MQTT connection of the load tool, without a thread and without buffers of its own.
 *
 *   CLOSED -> CONNECTING -> AWAIT_CONNACK -> [AWAIT_SUBACK] -> READY -> [LEAVING] -> CLOSED
 *
 * Bytes are read into a buffer of the worker and parsed in place; only the packet that is split
 * between two reads, and output that the kernel did not take, is kept with the client.
 */
#ifndef SHARDMQ_BENCH_CLIENT_H
#define SHARDMQ_BENCH_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/inflight.h"

struct worker;
struct client;

enum client_state {
    CLIENT_CLOSED,
    CLIENT_CONNECTING,
    CLIENT_AWAIT_CONNACK,
    CLIENT_AWAIT_SUBACK,
    CLIENT_READY,
    CLIENT_LEAVING, /* DISCONNECT was sent, the broker is to close */
};

/* A PUBLISH that came in: views into the read buffer. */
struct incoming {
    const uint8_t *topic, *payload;
    uint32_t topic_len, payload_len;
    uint8_t qos;
    bool retain;
};

/* What the user of a client does when something happens; NULL members are not wanted. boot. */
struct client_events {
    void (*ready)(struct client *client);
    void (*message)(struct client *client, const struct incoming *message);
    /* The connection is gone, `why` is NULL when the client itself left. The client is CLOSED. */
    void (*closed)(struct client *client, const char *why);
};

/* Touched by the thread of its worker only. */
struct client {
    struct worker *worker;
    const struct client_events *events;
    void *owner;                /* of events */
    const char *const *filters; /* subscribed to before READY; borrowed */
    uint8_t *partial;           /* the beginning of a packet whose end has not come yet */
    uint8_t *pending;           /* output that the kernel has not taken yet */
    uint32_t partial_len, pending_len, pending_at;
    int fd;
    uint32_t number;        /* makes its client identifier */
    uint32_t last_output_s; /* for the keep alive */
    uint16_t filter_count;
    uint16_t receive_maximum; /* of the broker */
    uint8_t state;            /* enum client_state */
    bool awaits_pingresp, wants_output;
    uint64_t opened_ns; /* when connecting began */
    struct inflight inflight;
};

/* Begins to connect. On failure events->closed is called, maybe before this returns. */
void client_open(struct client *client);

/* What epoll said about the client's socket. */
void client_on_event(struct client *client, uint32_t events);

/* Sends bytes, keeping what the kernel does not take. False when the connection failed: the client
 * is then CLOSED. */
bool client_write(struct client *client, const uint8_t *data, uint32_t len);

/* True while output waits for the kernel: nothing more should be produced. */
static inline bool client_blocked(const struct client *client)
{
    return client->pending_len > 0;
}

/* The handshake is over: the client is READY. */
void client_ready(struct client *client);

/* Lets the client send QoS 1 and 2 messages, at most `limit` at a time and as many as the broker
 * said it receives. Call when READY. */
void client_allow_inflight(struct client *client, uint32_t limit);

/* Sends DISCONNECT. With `wait` the connection is closed when the broker has closed its side, so
 * that the broker sees an orderly end and no port waits in TIME_WAIT; otherwise at once. */
void client_leave(struct client *client, bool wait);

/* Sends PINGREQ when the keep alive asks for it. False when an earlier one was never answered: the
 * client is then CLOSED. */
bool client_keep_alive(struct client *client, uint32_t now_s);

/* Closes because of an error of the broker or the network, which the text describes. */
void client_fail(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes the client identifier: prefix, run and number. Returns its length. */
uint32_t client_identifier(const struct client *client, char *to, uint32_t room);

/* Parses data[0 .. len), which begins at a packet boundary. Returns how many bytes made whole
 * packets; the client may be CLOSED afterwards. (client_receive.c) */
uint32_t client_parse(struct client *client, const uint8_t *data, uint32_t len);

#endif
