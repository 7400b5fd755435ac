/* SPDX-License-Identifier: MIT
 *
 * shardmq_sink - a server that costs as little as possible, to measure the load tool and not a broker.
 *
 *   shardmq_sink [--port N] [--relay] [--spin]
 *
 * It answers CONNECT, SUBSCRIBE, PINGREQ and QoS 1 and 2 publications, and counts. With --relay each message
 * also goes to the client that subscribed to exactly its topic, as it is, so that a receiver has something to
 * check: messages of one topic are copied in runs, without looking at their payloads. One thread, one ring.
 * With --spin it never sleeps, so that waking it is not on the load tool's bill. It trusts its clients; it is no broker. At the end (SIGINT, SIGTERM) it prints what it counted.
 */
#include "base/check.h"
#include "base/endian.h"
#include "base/hash.h"
#include "base/mem.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"
#include "shards/bufring.h"
#include "shards/uring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX   (1u << 18)
#define BUFFERS     64u
#define BUFFER_SIZE (64u * 1024u)
#define TOPICS      (1u << 18) /* slots of the table from topic to subscriber */
#define PACKET_MAX  (1u << 24)
#define WAKE_NS     100000000u
#define BATCH       256u

enum sink_op { OP_ACCEPT = 1, OP_RECEIVE, OP_SEND };

/* Bytes that grow. */
struct bytes {
    uint8_t *data;
    uint32_t len, size;
};

struct conn {
    int fd;
    uint8_t version;
    bool sending, dirty, open;
    struct bytes partial, out, under_way;
    char topic[256]; /* of its last message, and who gets it */
    uint32_t topic_len;
    struct conn *receiver;
    struct conn *next_dirty;
};

static struct uring *ring;
static struct bufring *buffers;
static struct uring_features features;
static struct conn *conns;
static struct conn *dirty;
static struct {
    char topic[256];
    struct conn *conn;
} * topics;
static bool relay, spin;
static volatile sig_atomic_t stop;
static uint64_t connects, published, bytes_in, relayed;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static uint64_t pack(enum sink_op op, const struct conn *conn)
{
    return (uint64_t)op << 56 | (uint64_t)(conn - conns);
}

static void append(struct bytes *bytes, const void *data, uint32_t len)
{
    if (bytes->size - bytes->len < len) {
        bytes->size = 2 * (bytes->len + len);
        bytes->data = mem_realloc(bytes->data, bytes->size);
    }
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

static void say(struct conn *conn, const void *data, uint32_t len)
{
    append(&conn->out, data, len);
    if (!conn->dirty) {
        conn->dirty = true;
        conn->next_dirty = dirty;
        dirty = conn;
    }
}

static void flush(void)
{
    while (dirty != NULL) {
        struct conn *conn = dirty;
        struct bytes out = conn->out;

        dirty = conn->next_dirty;
        conn->dirty = false;
        if (!conn->open || conn->sending)
            continue;
        conn->out = conn->under_way;
        conn->out.len = 0;
        conn->under_way = out;
        conn->sending = true;
        uring_send(ring, conn->fd, out.data, out.len, true, pack(OP_SEND, conn));
    }
}

static uint32_t find_topic(const char *topic, uint32_t len)
{
    uint32_t at = (uint32_t)hash64(topic, len) & (TOPICS - 1);

    while (topics[at].conn != NULL &&
           (strlen(topics[at].topic) != len || memcmp(topics[at].topic, topic, len) != 0))
        at = (at + 1) & (TOPICS - 1);
    return at;
}

static void on_connect(struct conn *conn, const struct frame *frame)
{
    struct connect_packet connect;
    struct connack_fields fields = {.reason = MQTT_REASON_SUCCESS};
    uint8_t packet[64];

    if (mqtt_decode_connect(frame, &connect) != MQTT_REASON_SUCCESS)
        return;
    connects++;
    conn->version = (uint8_t)connect.version;
    say(conn, packet, mqtt_encode_connack(packet, sizeof(packet), connect.version, &fields));
}

static void on_subscribe(struct conn *conn, const struct frame *frame)
{
    struct subscribe_packet subscribe;
    struct filter_view filter;
    uint8_t packet[512], codes[256];
    uint32_t count = 0;

    if (mqtt_decode_subscribe(frame, (enum mqtt_version)conn->version, &subscribe) !=
        MQTT_REASON_SUCCESS)
        return;
    while (filters_next(&subscribe, &filter) && count < sizeof(codes)) {
        codes[count++] = filter.options & 3;
        if (filter.filter.len < sizeof(topics->topic)) {
            uint32_t at = find_topic((const char *)filter.filter.data, filter.filter.len);

            memcpy(topics[at].topic, filter.filter.data, filter.filter.len);
            topics[at].topic[filter.filter.len] = '\0';
            topics[at].conn = conn;
        }
    }
    say(conn, packet,
        mqtt_encode_suback(packet, sizeof(packet), (enum mqtt_version)conn->version, MQTT_SUBACK,
                           subscribe.packet_identifier, codes, count));
}

static void on_publish(struct conn *conn, const struct frame *frame)
{
    uint32_t topic_len = get_be16(frame->body), qos = (frame->flags >> 1) & 3;
    const uint8_t *topic = frame->body + 2;

    published++;
    if (qos > 0) {
        uint8_t ack[4] = {qos == 1 ? 0x40 : 0x50, 2, topic[topic_len], topic[topic_len + 1]};

        say(conn, ack, sizeof(ack));
    }
    if (!relay)
        return;
    if (topic_len != conn->topic_len || memcmp(topic, conn->topic, topic_len) != 0) {
        if (topic_len >= sizeof(conn->topic))
            return;
        memcpy(conn->topic, topic, topic_len);
        conn->topic_len = topic_len;
        conn->receiver = topics[find_topic((const char *)topic, topic_len)].conn;
    }
}

static void close_conn(struct conn *conn)
{
    shutdown(conn->fd, SHUT_RDWR); /* the armed receive holds the descriptor a little longer */
    close(conn->fd);
    conn->open = false;
    for (uint32_t i = 0; i < TOPICS && relay; i++) {
        if (topics[i].conn == conn)
            topics[i].topic[0] = '\0'; /* the slot stays taken, its name is gone */
    }
}

static void on_packet(struct conn *conn, const struct frame *frame)
{
    uint8_t answer[4] = {0, 2, 0, 0};

    switch (frame->type) {
    case MQTT_CONNECT:
        on_connect(conn, frame);
        break;
    case MQTT_SUBSCRIBE:
        on_subscribe(conn, frame);
        break;
    case MQTT_PUBREC:
    case MQTT_PUBREL:
        answer[0] = frame->type == MQTT_PUBREC ? 0x62 : 0x70;
        memcpy(answer + 2, frame->body, 2);
        say(conn, answer, 4);
        break;
    case MQTT_PINGREQ:
        say(conn, "\xd0\0", 2);
        break;
    case MQTT_DISCONNECT:
        close_conn(conn);
        break;
    default:
        break;
    }
}

/* Hands a run of messages on. */
static void relay_run(struct conn *receiver, const uint8_t *from, const uint8_t *to)
{
    if (receiver != NULL && receiver->open && to > from)
        say(receiver, from, (uint32_t)(to - from));
}

/* Looks at whole packets; returns the bytes they take. */
static uint32_t parse(struct conn *conn, const uint8_t *data, uint32_t len)
{
    const uint8_t *run = data;
    struct conn *receiver = NULL;
    uint32_t at = 0;

    while (at < len && conn->open) {
        struct frame frame;

        if (frame_find(data + at, len - at, PACKET_MAX, &frame) != FRAME_READY)
            break;
        if (frame.type == MQTT_PUBLISH) {
            on_publish(conn, &frame);
            relayed += relay && conn->receiver != NULL;
        } else {
            on_packet(conn, &frame);
        }
        if (relay && (frame.type != MQTT_PUBLISH || conn->receiver != receiver)) {
            relay_run(receiver, run, data + at);
            receiver = frame.type == MQTT_PUBLISH ? conn->receiver : NULL;
            run = data + at;
        }
        at += frame.total_len;
    }
    relay_run(receiver, run, data + at);
    return at;
}

static void on_bytes(struct conn *conn, const uint8_t *data, uint32_t len)
{
    uint32_t used;

    bytes_in += len;
    if (conn->partial.len >
        0) { /* the packet that was split, and no more of the rest than it needs */
        struct frame frame;
        uint32_t missing = len;

        while (conn->open && len > 0 && conn->partial.len > 0) {
            enum frame_status status =
                frame_find(conn->partial.data, conn->partial.len, PACKET_MAX, &frame);

            missing = status == FRAME_INCOMPLETE && frame.total_len > 0
                          ? frame.total_len - conn->partial.len
                          : 1;
            missing = missing < len ? missing : len;
            append(&conn->partial, data, missing);
            data += missing;
            len -= missing;
            if (parse(conn, conn->partial.data, conn->partial.len) > 0)
                conn->partial.len = 0;
        }
    }
    used = parse(conn, data, len);
    if (conn->open && used < len)
        append(&conn->partial, data + used, len - used);
}

static void receive(struct conn *conn)
{
    uring_receive(ring, conn->fd, features.receive_multishot, true, pack(OP_RECEIVE, conn));
}

static void on_accepted(int listener, const struct completion *completion)
{
    static uint32_t next;
    struct conn *conn;

    if (!(completion->flags & COMPLETION_MORE))
        uring_accept(ring, listener, (uint64_t)OP_ACCEPT << 56);
    if (completion->res < 0)
        return;
    for (uint32_t i = 0; i < CONNS_MAX && conns[next].fd >= 0; i++)
        next = (next + 1) % CONNS_MAX;
    conn = &conns[next];
    conn->fd = completion->res;
    conn->open = true;
    conn->partial.len = conn->out.len = conn->topic_len = 0;
    conn->receiver = NULL;
    receive(conn);
}

static void on_received(struct conn *conn, const struct completion *completion)
{
    uint32_t left = completion->res > 0 ? (uint32_t)completion->res : 0;
    uint16_t buffer = completion_buffer(completion);
    bool more = completion->flags & COMPLETION_MORE;

    while (left > 0) {
        struct span piece = bufring_piece(buffers, &buffer, &left);

        if (conn->open)
            on_bytes(conn, piece.data, piece.len);
    }
    if (completion->flags & COMPLETION_BUFFER)
        bufring_recycle(buffers, completion_buffer(completion),
                        completion->res > 0 ? (uint32_t)completion->res : 0);
    if (!more && conn->open && (completion->res > 0 || completion->res == -ENOBUFS)) {
        bufring_publish(buffers);
        receive(conn);
    } else if (!more) {
        if (conn->open)
            close_conn(conn);
        conn->fd = -1; /* no request of it is left */
    }
}

static void on_sent(struct conn *conn, const struct completion *completion)
{
    conn->sending = false;
    if (completion->res < 0 && conn->open)
        close_conn(conn);
    if (conn->out.len > 0 && conn->open)
        say(conn, "", 0);
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        perror("shardmq_sink");
        exit(1);
    }
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void setup(void)
{
    struct rlimit descriptors;
    char why[512];

    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    conns = mem_zalloc(CONNS_MAX * sizeof(*conns));
    topics = mem_zalloc(TOPICS * sizeof(*topics));
    for (uint32_t i = 0; i < CONNS_MAX; i++)
        conns[i].fd = -1;
    if (uring_probe(&features, why, sizeof(why)) != 0 ||
        (ring = uring_open(&features, 4096, 16384, why, sizeof(why))) == NULL ||
        (buffers = bufring_open(ring, BUFFERS, BUFFER_SIZE, why, sizeof(why))) == NULL) {
        fprintf(stderr, "shardmq_sink: %s\n", why);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct completion batch[BATCH];
    uint16_t port = 0;
    struct timespec cpu;
    int listener;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--relay") == 0) {
            relay = true;
        } else if (strcmp(argv[i], "--spin") == 0) {
            spin = true;
        } else if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
            port = (uint16_t)strtol(argv[++i], NULL, 10);
        } else {
            fprintf(stderr, "usage: shardmq_sink [--port N] [--relay] [--spin]\n");
            return 2;
        }
    }
    setup();
    listener = listen_on(port);
    uring_accept(ring, listener, (uint64_t)OP_ACCEPT << 56);
    while (!stop) {
        uint32_t count;

        flush();
        bufring_publish(buffers);
        uring_enter(ring, !spin && !uring_ready(ring), WAKE_NS, 0);
        while ((count = uring_reap(ring, batch, BATCH)) != 0) {
            for (uint32_t i = 0; i < count; i++) {
                struct conn *conn = &conns[batch[i].user_data & (CONNS_MAX - 1)];
                enum sink_op op = (enum sink_op)(batch[i].user_data >> 56);

                if (op == OP_ACCEPT)
                    on_accepted(listener, &batch[i]);
                else if (op == OP_RECEIVE)
                    on_received(conn, &batch[i]);
                else if (op == OP_SEND)
                    on_sent(conn, &batch[i]);
            }
        }
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    printf("connections=%" PRIu64 " messages=%" PRIu64 " relayed=%" PRIu64 " bytes=%" PRIu64
           " cpu=%.2fs\n",
           connects, published, relayed, bytes_in, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
    return 0;
}
