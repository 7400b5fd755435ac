/* SPDX-License-Identifier: MIT
 *
 * client - life, output and time of the client. What comes in is in receive.c, what the user asks
 * for in request.c, what is sent again in resume.c.
 */
#include "client/client_priv.h"

#include "base/endian.h"
#include "base/mem.h"
#include "mqtt/encode.h"
#include "mqtt/encode_client.h"
#include "session/alias.h"

#define ACK_SIZE_MAX 16u

const char *client_status_text(enum client_status status)
{
    static const char *const texts[] = {
        [CLIENT_OK] = "done",
        [CLIENT_BUSY] = "too much is on the way to the server",
        [CLIENT_OFFLINE] = "not connected",
        [CLIENT_TOO_LARGE] = "larger than the server or MQTT allows",
        [CLIENT_NOT_ALLOWED] = "the server does not allow it",
        [CLIENT_INVALID] = "not valid in MQTT",
        [CLIENT_NO_MEMORY] = "no memory left",
    };

    return texts[status];
}

void mqtt_client_init(struct mqtt_client *client, const struct client_limits *limits,
                      struct client_pool *pool)
{
    ASSERT(limits->inflight_max >= 1 && limits->inflight_max <= CLIENT_INFLIGHT_MAX);
    ASSERT(limits->output_max >= CLIENT_BLOCK_SIZE);
    *client = (struct mqtt_client){.limits = limits, .pool = pool, .phase = MQTT_IDLE};
}

static void free_requests(struct mqtt_client *client)
{
    while (client->requests != NULL) {
        struct client_request *request = client->requests;

        client->requests = request->next;
        mem_free(request);
    }
    client->request_count = 0;
}

void mqtt_client_closed(struct mqtt_client *client)
{
    client_block_put(client->pool, client->output);
    mem_free(client->partial);
    free_requests(client);          /* what was not answered is asked again by whoever wants it */
    alias_destroy(client->aliases); /* [MQTT-3.3.2-7] */
    if (!client->limits->keep)
        client_window_fini(&client->window); /* nothing could be sent again */
    client->output = NULL;
    client->partial = NULL;
    client->aliases = NULL;
    client->input = NULL;
    client->input_len = client->partial_len = client->partial_size = 0;
    client->partial_done = client->awaits_pingresp = client->resuming = false;
    client->phase = MQTT_IDLE;
}

void mqtt_client_forget(struct mqtt_client *client)
{
    ASSERT(client->phase == MQTT_IDLE);
    client_window_fini(&client->window);
    inbound_clear(&client->inbound);
}

void mqtt_client_fini(struct mqtt_client *client)
{
    mqtt_client_closed(client);
    mqtt_client_forget(client);
}

/* Moves what is in a full block to a larger one. */
static bool grow(struct mqtt_client *client, uint64_t needed)
{
    struct client_block *old = client->output, *block;
    uint64_t size = 2ull * old->size, most = client->limits->output_max;

    if (needed > most)
        return false;
    size = size > most ? most : size;
    size = size < needed ? needed : size;
    block = client_block_get(client->pool, (uint32_t)size);
    if (block == NULL)
        return false;
    memcpy(block->data, old->data, old->len);
    block->len = old->len;
    client->output = block;
    client_block_put(client->pool, old);
    return true;
}

uint8_t *client_output_reserve(struct mqtt_client *client, uint32_t size)
{
    struct client_block *block = client->output;

    if (UNLIKELY(block == NULL)) {
        if (size > client->limits->output_max)
            return NULL;
        block = client->output = client_block_get(client->pool, size);
        if (block == NULL)
            return NULL;
    } else if (UNLIKELY(block->size - block->len < size)) {
        if (!grow(client, (uint64_t)block->len + size))
            return NULL;
        block = client->output;
    }
    return block->data + block->len;
}

uint8_t *mqtt_client_reserve(struct mqtt_client *client, uint32_t size)
{
    if (client->phase != MQTT_ONLINE || client->window.unsent != 0) /* C3 C4 */
        return NULL;
    return client_output_reserve(client, size);
}

void mqtt_client_commit(struct mqtt_client *client, uint32_t len)
{
    ASSERT(client->output != NULL && len <= client->output->size - client->output->len);
    client->output->len += len;
}

bool client_output_ack(struct mqtt_client *client, enum mqtt_packet_type type, uint16_t identifier,
                       enum mqtt_reason reason)
{
    uint8_t *to;

    if (UNLIKELY(client->phase == MQTT_LEAVING))
        return true; /* C3 */
    to = client_output_reserve(client, ACK_SIZE_MAX);
    if (UNLIKELY(to == NULL))
        return false;
    if (LIKELY(reason == MQTT_REASON_SUCCESS)) {
        to[0] = (uint8_t)((unsigned)type << 4 | (type == MQTT_PUBREL ? 2u : 0u));
        to[1] = 2;
        put_be16(to + 2, identifier);
        client->output->len += 4;
        return true;
    }
    client->output->len += mqtt_encode_ack(to, ACK_SIZE_MAX, (enum mqtt_version)client->version,
                                           type, identifier, reason, (struct span){0}, 0);
    return true;
}

void client_fail(struct mqtt_client *client, enum mqtt_reason reason)
{
    uint8_t *to;

    /* Before 5.0 the connection is closed without a word, so that the will is published. */
    if (client->version == MQTT_5 &&
        (client->phase == MQTT_AWAIT_CONNACK || client->phase == MQTT_ONLINE)) {
        to = client_output_reserve(client, ACK_SIZE_MAX);
        if (to != NULL)
            client->output->len +=
                mqtt_encode_client_disconnect(to, ACK_SIZE_MAX, MQTT_5, reason, NULL);
    }
    client->phase = MQTT_FAILED;
}

struct client_block *mqtt_client_take_output(struct mqtt_client *client, uint64_t now_ms)
{
    struct client_block *block;

    if (client->window.unsent != 0 && client->phase == MQTT_ONLINE && !client->resuming)
        client_resend(client);
    block = client->output;
    client->output = NULL;
    if (block == NULL || block->len == 0) {
        client_block_put(client->pool, block);
        return NULL;
    }
    client->output_ms = now_ms;
    return block;
}

/* 3.1.2.10: the server waits for one and a half keep alives; PINGREQ goes out after three quarters
 * of one without any other packet. */
uint64_t mqtt_client_tick(struct mqtt_client *client, uint64_t now_ms, bool *alive)
{
    uint64_t keep_alive_ms = (uint64_t)client->server.keep_alive_s * 1000u, due_ms;

    *alive = true;
    if (client->phase != MQTT_ONLINE || keep_alive_ms == 0)
        return UINT64_MAX;
    if (client->awaits_pingresp) {
        if (now_ms < client->ping_ms + keep_alive_ms)
            return client->ping_ms + keep_alive_ms;
        client_fail(client, MQTT_REASON_UNSPECIFIED_ERROR);
        *alive = false;
        return UINT64_MAX;
    }
    due_ms = client->output_ms + keep_alive_ms * 3 / 4;
    if (now_ms < due_ms)
        return due_ms;
    if (mqtt_client_ping(client) == CLIENT_OK)
        client->ping_ms = now_ms;
    return now_ms + keep_alive_ms;
}
