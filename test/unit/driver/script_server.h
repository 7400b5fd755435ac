/* SPDX-License-Identifier: MIT
 *
 * script_server - the other end of a connection, for tests of the driver: a thread that runs a function of
 * the test for every connection, one after the other, on blocking sockets with a time limit.
 */
#ifndef SHARDMQ_TEST_SCRIPT_SERVER_H
#define SHARDMQ_TEST_SCRIPT_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mqtt/decode.h"
#include "mqtt/encode.h"

#define SCRIPT_INPUT_MAX (8u << 20)
#define SCRIPT_WAIT_MS   10000

struct script_server {
    int listener;
    uint16_t port;
    pthread_t thread;
    /* Called with each connection; closes nothing. `number` counts from 0. */
    void (*serve)(struct script_server *server, int fd, unsigned number);
    const void *argument; /* of serve */
    unsigned connections; /* that are served, then the listener is closed */
    uint8_t *input;
    uint32_t input_len, input_at;
    /* what serve() found, to be looked at after script_join() */
    struct frame last;
    uint8_t last_body[256];
    unsigned frames;
    atomic_uint served;
};

/* Waits for bytes. False when the client has closed or says nothing. */
static inline bool script_read(struct script_server *server, int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    ssize_t got;

    if (poll(&wait, 1, SCRIPT_WAIT_MS) <= 0)
        return false;
    got = recv(fd, server->input + server->input_len, SCRIPT_INPUT_MAX - server->input_len, 0);
    if (got <= 0)
        return false;
    server->input_len += (uint32_t)got;
    return true;
}

/* The next packet of the client; false when it has closed. It is also kept in server->last. */
static inline bool script_packet(struct script_server *server, int fd, struct frame *frame)
{
    while (frame_find(server->input + server->input_at, server->input_len - server->input_at,
                      MQTT_PACKET_SIZE_MAX, frame) != FRAME_READY) {
        if (server->input_at > 0) {
            memmove(server->input, server->input + server->input_at,
                    server->input_len - server->input_at);
            server->input_len -= server->input_at;
            server->input_at = 0;
        }
        if (!script_read(server, fd))
            return false;
    }
    server->input_at += frame->total_len;
    server->frames++;
    server->last = *frame;
    memcpy(server->last_body, frame->body,
           frame->body_len < sizeof(server->last_body) ? frame->body_len
                                                       : sizeof(server->last_body));
    server->last.body = server->last_body;
    return true;
}

static inline void script_send(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        at += sent;
        len -= (size_t)sent;
    }
}

/* Reads CONNECT, answers with success. */
static inline bool script_accept_client(struct script_server *server, int fd,
                                        enum mqtt_version version, bool session_present)
{
    struct connack_fields fields = {.session_present = session_present};
    struct frame frame;
    uint8_t packet[64];

    if (!script_packet(server, fd, &frame) || frame.type != MQTT_CONNECT)
        return false;
    script_send(fd, packet, mqtt_encode_connack(packet, sizeof(packet), version, &fields));
    return true;
}

static inline void script_ack(int fd, enum mqtt_version version, enum mqtt_packet_type type,
                              uint16_t identifier)
{
    uint8_t packet[16];

    script_send(
        fd, packet,
        mqtt_encode_ack(packet, sizeof(packet), version, type, identifier, 0, (struct span){0}, 0));
}

static inline void *script_run(void *argument)
{
    struct script_server *server = argument;

    for (unsigned i = 0; i < server->connections; i++) {
        struct pollfd wait = {.fd = server->listener, .events = POLLIN};
        int fd;

        if (poll(&wait, 1, SCRIPT_WAIT_MS) <= 0)
            break;
        fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            break;
        server->input_len = server->input_at = 0;
        server->serve(server, fd, i);
        close(fd);
        atomic_fetch_add(&server->served, 1);
    }
    return NULL;
}

static inline uint16_t script_listen(int *fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    *fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(*fd, (struct sockaddr *)&address, len) != 0 || listen(*fd, 64) != 0 ||
        getsockname(*fd, (struct sockaddr *)&address, &len) != 0)
        abort();
    return ntohs(address.sin_port);
}

static inline void script_start(struct script_server *server,
                                void (*serve)(struct script_server *, int, unsigned),
                                unsigned connections, const void *argument)
{
    memset(server, 0, sizeof(*server));
    server->serve = serve;
    server->connections = connections;
    server->argument = argument;
    server->input = malloc(SCRIPT_INPUT_MAX);
    server->port = script_listen(&server->listener);
    if (pthread_create(&server->thread, NULL, script_run, server) != 0)
        abort();
}

static inline void script_join(struct script_server *server)
{
    pthread_join(server->thread, NULL);
    close(server->listener);
    free(server->input);
}

#endif
