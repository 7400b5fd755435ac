/* SPDX-License-Identifier: MIT
 *
 * client - connecting, output and the end of one connection.
 */
#include "bench/client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench/handshake.h"
#include "bench/payload.h"
#include "bench/worker.h"

/* Output that a broker does not read: more than this and it is given up. */
#define PENDING_MAX (64u * 1024u * 1024u)

static void set_epoll(struct client *client, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = client};

    client->wants_output = client->state == CLIENT_CONNECTING || client_blocked(client);
    if (client->wants_output) {
        event.events |= EPOLLOUT;
    }
    epoll_ctl(client->worker->epoll_fd, operation, client->fd, &event);
}

static bool is_opening(const struct client *client)
{
    return client->state == CLIENT_CONNECTING || client->state == CLIENT_AWAIT_CONNACK ||
           client->state == CLIENT_AWAIT_SUBACK;
}

/* Closes the socket and tells the owner; `why` is NULL when nothing is wrong. */
static void finish(struct client *client, const char *why)
{
    if (client->state == CLIENT_CLOSED) {
        return;
    }
    if (is_opening(client)) {
        client->worker->opening--;
    }
    if (client->state == CLIENT_LEAVING) {
        why = NULL; /* after DISCONNECT any end is a good one */
    }
    if (client->state == CLIENT_READY || client->state == CLIENT_LEAVING) {
        tally_add(&client->worker->tally.ended, 1);
        tally_add(&client->worker->tally.disconnects, why != NULL);
    }
    if (client->fd >= 0) {
        close(client->fd);
    }
    mem_free(client->partial);
    mem_free(client->pending);
    client->partial = client->pending = NULL;
    client->partial_len = client->pending_len = client->pending_at = 0;
    mem_free(client->inflight.states);
    memset(&client->inflight, 0, sizeof(client->inflight));
    client->fd = -1;
    client->state = CLIENT_CLOSED;
    tally_add(&client->worker->tally.closed, 1);
    if (client->events->closed != NULL) {
        client->events->closed(client, why);
    }
}

void client_fail(struct client *client, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    finish(client, text);
}

static bool bind_source(struct client *client)
{
    const struct load *load = client->worker->load;
    const struct sockaddr_storage *source;
    int on = 1;

    if (load->source_count == 0) {
        return true;
    }
    source = &load->sources[client->number % load->source_count];
    /* The port is then chosen at connect, by the whole address pair. */
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(client->fd, (const struct sockaddr *)source,
                source->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                             : sizeof(struct sockaddr_in6)) == 0;
}

static void send_connect(struct client *client)
{
    uint8_t packet[HANDSHAKE_SIZE_MAX];
    uint32_t len = handshake_connect(client, packet, sizeof(packet));

    client->state = CLIENT_AWAIT_CONNACK;
    client_write(client, packet, len);
}

void client_open(struct client *client)
{
    const struct load *load = client->worker->load;
    int on = 1, status;

    client->state = CLIENT_CONNECTING;
    client->awaits_pingresp = false;
    client->opened_ns = client->worker->now_ns;
    client->worker->opening++;
    client->fd = socket(load->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        client_fail(client, "cannot open a socket: %s", strerror(errno));
        return;
    }
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!bind_source(client)) {
        client_fail(client, "cannot use the source address: %s", strerror(errno));
        return;
    }
    status = connect(client->fd, (const struct sockaddr *)&load->address, load->address_len);
    if (status < 0 && errno != EINPROGRESS) {
        client_fail(client, "cannot connect: %s", strerror(errno));
        return;
    }
    if (status == 0) {
        client->state = CLIENT_AWAIT_CONNACK;
    }
    set_epoll(client, EPOLL_CTL_ADD);
    if (status == 0) {
        send_connect(client);
    }
}

/* The kernel has finished connecting, one way or the other. */
static void connected(struct client *client)
{
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        client_fail(client, "cannot connect: %s", strerror(error));
        return;
    }
    client->state = CLIENT_AWAIT_CONNACK;
    set_epoll(client, EPOLL_CTL_MOD);
    send_connect(client);
}

static void fail_with_errno(struct client *client)
{
    if (errno == ECONNRESET || errno == EPIPE) {
        client_fail(client, "the broker closed the connection");
    } else {
        client_fail(client, "the connection failed: %s", strerror(errno));
    }
}

/* Keeps data behind what is pending already. */
static bool keep_pending(struct client *client, const uint8_t *data, uint32_t len)
{
    uint32_t unsent = client->pending_len - client->pending_at;

    if ((uint64_t)unsent + len > PENDING_MAX) {
        client_fail(client, "the broker does not read: %u MiB wait for it", PENDING_MAX >> 20);
        return false;
    }
    if (client->pending_at > 0) {
        memmove(client->pending, client->pending + client->pending_at, unsent);
        client->pending_at = 0;
    }
    client->pending = mem_realloc(client->pending, unsent + len);
    memcpy(client->pending + unsent, data, len);
    client->pending_len = unsent + len;
    if (!client->wants_output) {
        set_epoll(client, EPOLL_CTL_MOD);
    }
    return true;
}

bool client_write(struct client *client, const uint8_t *data, uint32_t len)
{
    ssize_t sent = 0;

    client->last_output_s = (uint32_t)(client->worker->now_ns / NANOSECONDS);
    if (!client_blocked(client)) {
        sent = send(client->fd, data, len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            fail_with_errno(client);
            return false;
        }
        sent = sent < 0 ? 0 : sent;
    }
    return (uint32_t)sent == len || keep_pending(client, data + sent, len - (uint32_t)sent);
}

static void write_pending(struct client *client)
{
    ssize_t sent = send(client->fd, client->pending + client->pending_at,
                        client->pending_len - client->pending_at, MSG_NOSIGNAL);

    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            fail_with_errno(client);
        }
        return;
    }
    client->pending_at += (uint32_t)sent;
    if (client->pending_at == client->pending_len) {
        mem_free(client->pending);
        client->pending = NULL;
        client->pending_at = client->pending_len = 0;
        set_epoll(client, EPOLL_CTL_MOD);
    }
}

/* Keeps the beginning of a packet that is at the end of what was read. */
static void keep_partial(struct client *client, const uint8_t *data, uint32_t len)
{
    if (len > 0) {
        client->partial = mem_realloc(client->partial, len);
        memcpy(client->partial, data, len);
    } else if (client->partial != NULL) {
        mem_free(client->partial);
        client->partial = NULL;
    }
    client->partial_len = len;
}

static void read_input(struct client *client)
{
    struct worker *worker = client->worker;
    uint32_t held = client->partial_len, used;
    ssize_t got;

    if (held > 0) {
        memcpy(worker->read_buffer, client->partial, held);
    }
    got = recv(client->fd, worker->read_buffer + held, worker->read_size - held, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0 && client->state == CLIENT_LEAVING) {
        struct linger at_once = {.l_onoff = 1};

        setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        finish(client, NULL);
        return;
    }
    if (got == 0) {
        client_fail(client, "the broker closed the connection");
        return;
    }
    if (got < 0) {
        fail_with_errno(client);
        return;
    }
    worker->now_ns = now_ns();
    tally_add(&worker->tally.received_bytes, (uint64_t)got);
    used = client_parse(client, worker->read_buffer, held + (uint32_t)got);
    if (client->state == CLIENT_CLOSED) {
        worker->acks_len = 0;
        return;
    }
    keep_partial(client, worker->read_buffer + used, held + (uint32_t)got - used);
    if (worker->acks_len > 0) {
        uint32_t acks_len = worker->acks_len;

        worker->acks_len = 0;
        client_write(client, worker->acks, acks_len);
    }
}

void client_on_event(struct client *client, uint32_t events)
{
    if (client->state == CLIENT_CONNECTING) {
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
            connected(client);
        }
        return;
    }
    if (client->state != CLIENT_CLOSED && (events & EPOLLOUT) && client_blocked(client)) {
        write_pending(client);
    }
    if (client->state != CLIENT_CLOSED && (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))) {
        read_input(client);
    }
}

void client_ready(struct client *client)
{
    client->state = CLIENT_READY;
    client->worker->opening--;
    if (client->events->ready != NULL) {
        client->events->ready(client);
    }
}

void client_allow_inflight(struct client *client, uint32_t limit)
{
    uint32_t capacity = 2;

    limit = limit < client->receive_maximum ? limit : client->receive_maximum; /* 5.0, 4.9 */
    while (capacity < 2 * limit) {
        capacity *= 2;
    }
    client->inflight =
        (struct inflight){.states = mem_zalloc(capacity), .capacity = capacity, .limit = limit};
}

void client_leave(struct client *client, bool wait)
{
    uint8_t packet[HANDSHAKE_SIZE_MAX];

    if (client->state != CLIENT_READY) {
        finish(client, NULL);
        return;
    }
    client->state = CLIENT_LEAVING;
    if (client_write(client, packet, handshake_disconnect(client, packet, sizeof(packet))) &&
        !wait) {
        finish(client, NULL);
    }
}

bool client_keep_alive(struct client *client, uint32_t now_s)
{
    static const uint8_t pingreq[2] = {0xC0, 0};
    uint64_t keep_alive_s = client->worker->load->options->keep_alive_s;

    if (client->state != CLIENT_READY || keep_alive_s == 0 ||
        now_s - client->last_output_s < keep_alive_s * 3 / 4) {
        return true;
    }
    if (client->awaits_pingresp) {
        client_fail(client, "the broker has not answered a PINGREQ for %u s",
                    now_s - client->last_output_s);
        return false;
    }
    client->awaits_pingresp = true;
    return client_write(client, pingreq, sizeof(pingreq));
}

uint32_t client_identifier(const struct client *client, char *to, uint32_t room)
{
    const struct load *load = client->worker->load;
    const struct bench_options *options = load->options;
    int len;

    if (options->command != RUN && !options->clean) {
        /* the session of an earlier run is found again */
        len = snprintf(to, room, "%s-%s-%u", options->prefix,
                       options->command == PUB   ? "pub"
                       : options->command == SUB ? "sub"
                                                 : "conn",
                       client->number);
    } else {
        len = snprintf(to, room, "%s-%08x-%u", options->prefix, load->mark, client->number);
    }

    return (uint32_t)len < room ? (uint32_t)len : room - 1;
}
