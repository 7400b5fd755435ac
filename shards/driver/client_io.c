/* SPDX-License-Identifier: MIT
 *
 * client_io - the bytes of a connection: received, taken through the transport and the protocol, and
 * the way back.
 */
#include "base/mem.h"
#include "shards/driver/client_priv.h"

#include "mqtt/tables.h"

#include <errno.h>
#include <string.h>

void client_receive(struct client *client)
{
    client->receiving = true;
    uring_receive(client->driver->ring, client->fd, client->driver->features.receive_multishot,
                  true, driver_pack(DRIVER_RECEIVE, client));
}

bool client_keep_wire(struct client *client)
{
    struct transport_wire *wire = &client->driver->wire;
    struct client_pool *pool = &client->driver->pool;
    struct client_block *block = client->wire;
    uint32_t held = block != NULL ? block->len : 0;

    if (wire->len == 0)
        return true;
    if (block == NULL || block->size - block->len < wire->len) {
        struct client_block *larger = client_block_get(pool, held + (uint32_t)wire->len);

        if (larger == NULL) {
            wire->len = 0;
            return false;
        }
        if (block != NULL)
            memcpy(larger->data, block->data, held);
        larger->len = held;
        client_block_put(pool, block);
        client->wire = block = larger;
    }
    memcpy(block->data + block->len, wire->data, wire->len);
    block->len += (uint32_t)wire->len;
    wire->len = 0; /* its memory is used again */
    return true;
}

/* Takes the protocol's output through the transport. */
static bool wrap_output(struct client *client)
{
    struct client_block *block;
    bool wrapped = true;

    while (wrapped && client->transport != NULL && transport_ready(client->transport) &&
           (block = mqtt_client_take_output(&client->mqtt, client->driver->now_ms)) != NULL) {
        struct iovec piece = {.iov_base = block->data, .iov_len = block->len};

        wrapped = transport_wrap(client->transport, &piece, 1, &client->driver->wire) &&
                  client_keep_wire(client);
        client_block_put(&client->driver->pool, block);
    }
    if (wrapped && client->state == CLIENT_LEAVING) {
        /* behind DISCONNECT: some servers wait for the close frame of a WebSocket */
        transport_close(client->transport, WEBSOCKET_NORMAL, &client->driver->wire);
        wrapped = client_keep_wire(client);
    }
    return wrapped;
}

/* The next block for the socket in *block, NULL when there is none. False when the transport failed
 * or memory is gone. */
static bool next_block(struct client *client, struct client_block **block)
{
    bool wrapped;

    if (client->target->transport == NULL) {
        *block = mqtt_client_take_output(&client->mqtt, client->driver->now_ms);
        return true;
    }
    wrapped = wrap_output(client);
    *block = client->wire;
    client->wire = NULL;
    return wrapped;
}

static void send_block(struct client *client, struct client_block *block)
{
    block->tag = driver_tag(client);
    client->sending = block;
    client->driver->sending++;
    uring_send(client->driver->ring, client->fd, block->data + block->at, block->len - block->at,
               true, driver_pack_block(block));
}

void client_transport_lost(struct client *client)
{
    const char *why = client->transport != NULL ? transport_why(client->transport) : "";

    client_lost(client, "%s", why[0] != '\0' ? why : "no memory is left for the transport");
}

void client_flush(struct client *client)
{
    struct client_block *block;
    bool good;

    if (client->sending != NULL || client->fd < 0 || client->state == CLIENT_CONNECTING) /* D3 */
        return;
    good = next_block(client, &block);
    if (block != NULL)
        send_block(client, block);
    if (!good)
        client_transport_lost(client);
}

void client_last_words(struct client *client)
{
    struct client_block *block;

    if (client->fd < 0 || client->sending != NULL || client->state == CLIENT_CONNECTING)
        return;
    if (client->transport != NULL) {
        wrap_output(client);
        transport_close(client->transport, WEBSOCKET_NORMAL, &client->driver->wire);
        client_keep_wire(client);
    }
    next_block(client, &block);
    if (block != NULL)
        send(client->fd, block->data, block->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    client_block_put(&client->driver->pool, block);
}

void client_sent(struct client *client, struct client_block *block, int result)
{
    ASSERT(client->sending == block);
    if (result > 0 && (uint32_t)result < block->len - block->at) {
        block->at += (uint32_t)result;
        send_block(client, block);
        return;
    }
    client->sending = NULL;
    client_block_put(&client->driver->pool, block);
    if (result < 0) {
        if (result == -ECONNRESET || result == -EPIPE)
            client_lost(client, "the server closed the connection");
        else
            client_lost(client, "the connection failed: %s", strerror(-result));
        return;
    }
    if (client->wire != NULL || mqtt_client_has_output(&client->mqtt))
        client_wrote(client);
    else if (client->events->writable != NULL && client->state == CLIENT_ONLINE)
        client->events->writable(client);
}

static void on_connack(struct client *client, const struct client_event *event)
{
    if (event->ack.reason >= 0x80) {
        client->reason = event->ack.reason;
        client->refused = true;
    } else {
        client->state = CLIENT_ONLINE;
        client->attempts = 0;
        client_set_timer(client);
    }
}

/* Ends a connection after the event that ended the protocol. */
static void on_end(struct client *client, const struct client_event *event)
{
    client->reason = event->ack.reason;
    client->dismissed = event->kind == CLIENT_DISCONNECTED;
    if (event->kind == CLIENT_BROKEN)
        client_lost(client, "%s", event->why);
    else if (event->kind == CLIENT_CONNACK)
        client_lost(client, "the server refused the connection: %s (0x%02x)",
                    reason_text(event->ack.reason), event->ack.reason);
    else
        client_lost(client, "the server disconnected: %s (0x%02x)", reason_text(event->ack.reason),
                    event->ack.reason);
}

/* Takes plain bytes to the protocol and its events to the user. False when the connection ended. */
static bool take_plain(struct client *client, const uint8_t *data, uint32_t len)
{
    uint32_t generation = client->generation;
    struct client_event event;

    mqtt_client_feed(&client->mqtt, data, len);
    while (mqtt_client_next(&client->mqtt, &event)) {
        if (event.kind == CLIENT_BROKEN || event.kind == CLIENT_DISCONNECTED) {
            on_end(client, &event);
            return false;
        }
        if (event.kind == CLIENT_CONNACK)
            on_connack(client, &event);
        client->events->event(client, &event);
        if (client->generation != generation)
            return false; /* the user closed it */
        if (client->refused) {
            on_end(client, &event);
            return false;
        }
    }
    if (mqtt_client_has_output(&client->mqtt))
        client_wrote(client);
    return true;
}

/* Takes bytes of the wire. False when the connection ended. */
static bool take_bytes(struct client *client, struct span input)
{
    enum transport_status status;
    struct span plain;

    if (client->transport == NULL)
        return take_plain(client, input.data, input.len);
    do {
        uint32_t generation = client->generation;

        status = transport_unwrap(client->transport, &input, &plain, &client->driver->wire);
        if (client->driver->wire.len > 0) {
            if (!client_keep_wire(client)) {
                client_transport_lost(client);
                return false;
            }
            client_wrote(client);
        }
        if (client->state == CLIENT_HANDSHAKE && transport_ready(client->transport))
            client_transport_ready(client);
        if (client->generation != generation)
            return false;
        if (status == TRANSPORT_MORE && !take_plain(client, plain.data, plain.len))
            return false;
    } while (status == TRANSPORT_MORE);
    if (status == TRANSPORT_FAILED)
        client_transport_lost(client);
    else if (status == TRANSPORT_END)
        client_lost(client, "the server closed the connection");
    return status == TRANSPORT_NEED_INPUT;
}

/* The server has closed its side. */
static void on_closed(struct client *client)
{
    if (client->state == CLIENT_LEAVING) {
        struct linger at_once = {.l_onoff = 1}; /* no port waits, here or there */

        setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        client_end(client, NULL);
        return;
    }
    client_lost(client, "the server closed the connection%s",
                client->state == CLIENT_AWAIT_CONNACK ? " before it answered CONNECT"
                : client->state == CLIENT_HANDSHAKE
                    ? " in the handshake of TLS or WebSocket: does it speak that on this port?"
                    : "");
}

void client_received(struct client *client, const struct completion *completion)
{
    uint32_t left = completion->res > 0 ? (uint32_t)completion->res : 0;
    uint16_t buffer = completion_buffer(completion);
    int result = completion->res;

    client->receiving = (completion->flags & COMPLETION_MORE) != 0;
    if (result ==
        -ECANCELED) { /* by client_stop_reading(); an end of the connection has its own generation */
        if (!client->paused)
            client_receive(client);
        return;
    }
    if (result == -ENOBUFS || result == -EINTR || result == -EAGAIN) {
        list_append(&client->driver->starved, &client->starved_node);
        return;
    }
    if (result == 0) {
        on_closed(client);
        return;
    }
    if (result < 0) {
        if (result == -ECONNRESET || result == -EPIPE)
            on_closed(client);
        else
            client_lost(client, "the connection failed: %s", strerror(-result));
        return;
    }
    while (left > 0) {
        if (!take_bytes(client, bufring_piece(client->driver->buffers, &buffer, &left)))
            return;
    }
    if (!client->receiving && !client->paused)
        client_receive(client);
}

void client_stop_reading(struct client *client)
{
    if (client->paused || client->fd < 0)
        return;
    client->paused = true;
    if (client->receiving)
        uring_cancel(client->driver->ring, driver_pack(DRIVER_RECEIVE, client));
}

void client_read_again(struct client *client)
{
    if (!client->paused)
        return;
    client->paused = false;
    if (client->fd >= 0 && client->state != CLIENT_CONNECTING && !client->receiving &&
        list_empty(&client->starved_node))
        client_receive(client);
}
