/* SPDX-License-Identifier: MIT
 *
 * fake_broker - a server thread for tests of the load tool: relays messages between exact topics, and
 * on purpose drops, duplicates, reorders, alters them, or breaks the protocol.
 *
 * It trusts its clients: the load tool is what is tested.
 */
#ifndef SHARDMQ_TEST_FAKE_BROKER_H
#define SHARDMQ_TEST_FAKE_BROKER_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/endian.h"
#include "mqtt/decode.h"

#define FAKE_CONNS_MAX 256
#define FAKE_INPUT     (256u * 1024u)
#define FAKE_STALL_MS  300
#define FAKE_OUTPUT    (4u * 1024u * 1024u)

/* What goes wrong, with the message of number `fault_at` (counted over all, from 0). */
enum fake_fault {
    FAULT_NONE,
    FAULT_DROP,
    FAULT_DUPLICATE,
    FAULT_SWAP,          /* delivered after the one that follows it */
    FAULT_ALTER,         /* one byte of the payload */
    FAULT_CLOSE,         /* the connection to the publisher */
    FAULT_GARBAGE,       /* bytes that are not MQTT, to every subscriber */
    FAULT_HUGE,          /* announces 200 MB */
    FAULT_FOREIGN_ACK,   /* acknowledges what was never sent */
    FAULT_REFUSE,        /* CONNACK with return code 5 */
    FAULT_EARLY_PUBLISH, /* PUBLISH instead of CONNACK */
    FAULT_SHORT_SUBACK,  /* SUBACK without codes */
    FAULT_REFUSE_FILTER, /* SUBACK with 0x80 */
    FAULT_SILENCE,       /* never answers CONNECT */
    FAULT_STALL,         /* does nothing for FAKE_STALL_MS */
};

struct fake_conn {
    int fd;
    uint8_t *in, *out;
    uint32_t in_len, out_len, out_at;
    char filter[128];
    uint8_t qos;
    uint16_t next_identifier;
};

struct fake_broker {
    int listener, port;
    pthread_t thread;
    atomic_bool stop;
    enum fake_fault fault;
    uint64_t fault_at;
    _Atomic uint64_t messages;
    _Atomic uint64_t subscriptions;
    struct fake_conn conns[FAKE_CONNS_MAX];
    uint32_t conn_count;
    uint8_t held[2048]; /* FAULT_SWAP */
    uint32_t held_len;
};

static inline void fake_put(struct fake_conn *conn, const void *data, size_t len)
{
    if (conn->out_at > 0 && conn->out_len + len > FAKE_OUTPUT) {
        memmove(conn->out, conn->out + conn->out_at, conn->out_len - conn->out_at);
        conn->out_len -= conn->out_at;
        conn->out_at = 0;
    }
    if (conn->out_len + len > FAKE_OUTPUT) {
        abort();
    }
    memcpy(conn->out + conn->out_len, data, len);
    conn->out_len += (uint32_t)len;
}

static inline void fake_close(struct fake_conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
}

static inline void fake_deliver(struct fake_broker *broker, const struct frame *frame,
                                const uint8_t *topic, uint32_t topic_len)
{
    const uint8_t *start = frame->body + frame->body_len - frame->total_len;

    for (uint32_t i = 0; i < broker->conn_count; i++) {
        struct fake_conn *conn = &broker->conns[i];

        if (conn->fd < 0 || strlen(conn->filter) != topic_len ||
            memcmp(conn->filter, topic, topic_len) != 0) {
            continue;
        }
        fake_put(conn, start, frame->total_len);
        if (frame->flags & 6) {
            uint8_t *identifier = conn->out + conn->out_len - frame->body_len + 2 + topic_len;

            conn->next_identifier = conn->next_identifier == 0 ? 1 : conn->next_identifier;
            put_be16(identifier, conn->next_identifier++);
        }
    }
}

static inline void fake_publish(struct fake_broker *broker, struct fake_conn *from,
                                const struct frame *frame)
{
    uint32_t topic_len = get_be16(frame->body);
    const uint8_t *topic = frame->body + 2;
    unsigned qos = (frame->flags >> 1) & 3;
    bool faulty = broker->messages++ == broker->fault_at;
    uint8_t ack[4] = {qos == 1 ? 0x40 : 0x50, 2};

    if (faulty && broker->fault == FAULT_STALL) {
        poll(NULL, 0, FAKE_STALL_MS);
    }
    if (qos > 0) {
        memcpy(ack + 2, topic + topic_len, 2);
        if (faulty && broker->fault == FAULT_FOREIGN_ACK) {
            put_be16(ack + 2, 65535);
        }
        fake_put(from, ack, sizeof(ack));
    }
    if (faulty && broker->fault == FAULT_SWAP) {
        memcpy(broker->held, frame->body + frame->body_len - frame->total_len, frame->total_len);
        broker->held_len = frame->total_len;
        return;
    }
    if (faulty && broker->fault == FAULT_ALTER) {
        ((uint8_t *)(uintptr_t)frame->body)[frame->body_len - 1] ^= 1;
    }
    if (faulty && (broker->fault == FAULT_GARBAGE || broker->fault == FAULT_HUGE)) {
        for (uint32_t i = 0; i < broker->conn_count; i++) {
            if (broker->conns[i].fd >= 0 && broker->conns[i].filter[0] != '\0') {
                fake_put(&broker->conns[i],
                         broker->fault == FAULT_HUGE ? "\x30\x80\x80\x80\x60"
                                                     : "\x00\xff\x00\xff\x00",
                         5);
            }
        }
    }
    if (!(faulty && broker->fault == FAULT_DROP)) {
        fake_deliver(broker, frame, topic, topic_len);
    }
    if (faulty && broker->fault == FAULT_DUPLICATE) {
        fake_deliver(broker, frame, topic, topic_len);
    }
    if (faulty && broker->fault == FAULT_CLOSE) {
        fake_close(from);
    }
    if (broker->held_len > 0) {
        struct frame held = {0};

        frame_find(broker->held, broker->held_len, sizeof(broker->held), &held);
        broker->held_len = 0;
        fake_deliver(broker, &held, topic, topic_len);
    }
}

static inline void fake_connect(struct fake_broker *broker, struct fake_conn *conn)
{
    if (broker->fault == FAULT_EARLY_PUBLISH) {
        fake_put(conn, "\x30\x03\x00\x01t", 5);
    } else if (broker->fault == FAULT_REFUSE) {
        fake_put(conn, "\x20\x02\x00\x05", 4);
    } else if (broker->fault != FAULT_SILENCE) {
        fake_put(conn, "\x20\x02\x00\x00", 4);
    }
}

/* Takes the first filter; a share name is stepped over. */
static inline void fake_subscribe(struct fake_broker *broker, struct fake_conn *conn,
                                  const struct frame *frame)
{
    uint32_t len = get_be16(frame->body + 2);
    uint8_t suback[5] = {0x90, 3};

    memcpy(suback + 2, frame->body, 2);
    suback[4] = conn->qos = frame->body[4 + len];
    memcpy(conn->filter, frame->body + 4, len);
    conn->filter[len] = '\0';
    if (broker->fault == FAULT_SHORT_SUBACK) {
        suback[1] = 2;
        fake_put(conn, suback, 4);
        return;
    }
    if (broker->fault == FAULT_REFUSE_FILTER) {
        suback[4] = 0x80;
    }
    fake_put(conn, suback, sizeof(suback));
    broker->subscriptions++;
}

static inline void fake_packet(struct fake_broker *broker, struct fake_conn *conn,
                               const struct frame *frame)
{
    uint8_t answer[4] = {0, 2, 0, 0};

    switch (frame->type) {
    case MQTT_CONNECT:
        fake_connect(broker, conn);
        break;
    case MQTT_PUBLISH:
        fake_publish(broker, conn, frame);
        break;
    case MQTT_SUBSCRIBE:
        fake_subscribe(broker, conn, frame);
        break;
    case MQTT_PUBREC:
    case MQTT_PUBREL:
        answer[0] = frame->type == MQTT_PUBREC ? 0x62 : 0x70;
        memcpy(answer + 2, frame->body, 2);
        fake_put(conn, answer, sizeof(answer));
        break;
    case MQTT_DISCONNECT:
        fake_close(conn);
        break;
    default:
        break;
    }
}

static inline void fake_read(struct fake_broker *broker, struct fake_conn *conn)
{
    ssize_t got = recv(conn->fd, conn->in + conn->in_len, FAKE_INPUT - conn->in_len, MSG_DONTWAIT);
    uint32_t at = 0;

    if (got <= 0) {
        fake_close(conn);
        return;
    }
    conn->in_len += (uint32_t)got;
    while (conn->fd >= 0) {
        struct frame frame;

        if (frame_find(conn->in + at, conn->in_len - at, FAKE_INPUT, &frame) != FRAME_READY) {
            break;
        }
        at += frame.total_len;
        fake_packet(broker, conn, &frame);
    }
    memmove(conn->in, conn->in + at, conn->in_len - at);
    conn->in_len -= at;
}

static inline void fake_write(struct fake_conn *conn)
{
    ssize_t sent = send(conn->fd, conn->out + conn->out_at, conn->out_len - conn->out_at,
                        MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent > 0) {
        conn->out_at += (uint32_t)sent;
    }
    if (conn->out_at == conn->out_len) {
        conn->out_at = conn->out_len = 0;
    }
}

static inline void fake_accept(struct fake_broker *broker)
{
    int fd = accept(broker->listener, NULL, NULL), on = 1;
    struct fake_conn *conn = &broker->conns[broker->conn_count];

    for (uint32_t i = 0; i < broker->conn_count; i++) {
        if (broker->conns[i].fd < 0) {
            conn = &broker->conns[i];
        }
    }
    if (conn == &broker->conns[broker->conn_count]) {
        broker->conn_count++;
        conn->in = malloc(FAKE_INPUT);
        conn->out = malloc(FAKE_OUTPUT);
    }
    conn->fd = fd;
    conn->in_len = conn->out_len = conn->out_at = 0;
    conn->filter[0] = '\0';
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static inline void *fake_run(void *argument)
{
    struct fake_broker *broker = argument;
    struct pollfd polls[FAKE_CONNS_MAX + 1];

    while (!atomic_load(&broker->stop)) {
        uint32_t count = broker->conn_count;

        polls[0] = (struct pollfd){.fd = broker->listener, .events = POLLIN};
        for (uint32_t i = 0; i < count; i++) {
            struct fake_conn *conn = &broker->conns[i];

            polls[i + 1] = (struct pollfd){
                .fd = conn->fd,
                .events = (short)(POLLIN | (conn->out_len > conn->out_at ? POLLOUT : 0))};
        }
        poll(polls, count + 1, 20);
        for (uint32_t i = 0; i < count; i++) {
            if (polls[i + 1].revents & (POLLIN | POLLHUP | POLLERR)) {
                fake_read(broker, &broker->conns[i]);
            }
        }
        for (uint32_t i = 0; i < count; i++) {
            if (broker->conns[i].fd >= 0 && broker->conns[i].out_len > broker->conns[i].out_at) {
                fake_write(&broker->conns[i]);
            }
        }
        if ((polls[0].revents & POLLIN) && broker->conn_count < FAKE_CONNS_MAX) {
            fake_accept(broker);
        }
    }
    return NULL;
}

/* Starts the server on a port of the kernel's choice on 127.0.0.1. */
static inline struct fake_broker *fake_start(enum fake_fault fault, uint64_t fault_at)
{
    struct fake_broker *broker = calloc(1, sizeof(*broker));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    broker->fault = fault;
    broker->fault_at = fault_at;
    broker->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(broker->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(broker->listener, 128) != 0 ||
        getsockname(broker->listener, (struct sockaddr *)&address, &len) != 0) {
        abort();
    }
    broker->port = ntohs(address.sin_port);
    pthread_create(&broker->thread, NULL, fake_run, broker);
    return broker;
}

static inline void fake_stop(struct fake_broker *broker)
{
    atomic_store(&broker->stop, true);
    pthread_join(broker->thread, NULL);
    close(broker->listener);
    for (uint32_t i = 0; i < broker->conn_count; i++) {
        if (broker->conns[i].fd >= 0) {
            close(broker->conns[i].fd);
        }
        free(broker->conns[i].in);
        free(broker->conns[i].out);
    }
    free(broker);
}

#endif
