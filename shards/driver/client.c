/* SPDX-License-Identifier: MIT
 *
 * client - the life of a connection: opening it, ending it, opening it again, and the time between.
 */
#include "base/mem.h"
#include "shards/driver/client_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BACKOFF_SHIFT_MAX 16u
#define WHY_SIZE          256u

static void on_timer(void *owner, struct timer *timer);

static uint32_t take_slot(struct driver *driver, struct client *client)
{
    uint32_t slot;

    for (slot = driver->slot_free; slot < driver->slot_count; slot++) {
        if (driver->slots[slot] == NULL)
            break;
    }
    ASSERT(slot < DRIVER_SLOT_MAX);
    if (slot == driver->slot_capacity) {
        driver->slot_capacity *= 2;
        driver->slots = mem_realloc(driver->slots, driver->slot_capacity * sizeof(*driver->slots));
    }
    if (slot == driver->slot_count)
        driver->slot_count++;
    driver->slots[slot] = client;
    driver->slot_free = slot + 1;
    driver->slots_used++;
    return slot;
}

void client_init(struct client *client, struct driver *driver, const struct target *target,
                 const struct client_limits *limits, const struct client_events *events,
                 void *owner)
{
    memset(client, 0, sizeof(*client));
    mqtt_client_init(&client->mqtt, limits, &driver->pool);
    client->driver = driver;
    client->target = target;
    client->events = events;
    client->owner = owner;
    client->fd = -1;
    list_init(&client->node);
    list_init(&client->starved_node);
    timer_init(&client->timer, on_timer);
    client->slot = take_slot(driver, client);
    client->generation = (uint32_t)random_next(&driver->random); /* slots are used again */
}

/* Gives the connection back to the kernel. Requests under way are cancelled; what they leave behind
 * is found by its generation, blocks by their tag. */
static void drop_connection(struct client *client)
{
    struct driver *driver = client->driver;

    if (client->fd >= 0) {
        if (client->state == CLIENT_CONNECTING)
            uring_cancel(driver->ring, driver_pack(DRIVER_CONNECT, client));
        if (client->receiving)
            uring_cancel(driver->ring, driver_pack(DRIVER_RECEIVE, client));
        if (client->sending != NULL)
            uring_cancel(driver->ring, driver_pack_block(client->sending));
        uring_close_descriptor(driver->ring, client->fd);
    }
    client->fd = -1;
    client->receiving = false;
    client->paused = false;
    client->sending = NULL; /* the driver's now (D4) */
    client_block_put(&driver->pool, client->wire);
    client->wire = NULL;
    transport_destroy(client->transport);
    client->transport = NULL;
    list_remove(&client->node);
    list_remove(&client->starved_node);
    timer_disarm(&driver->timers, &client->timer);
    mqtt_client_closed(&client->mqtt);
    client->generation++;
}

void client_fini(struct client *client)
{
    struct driver *driver = client->driver;

    drop_connection(client);
    client->state = CLIENT_CLOSED;
    mqtt_client_fini(&client->mqtt);
    ASSERT(driver->slots[client->slot] == client);
    driver->slots[client->slot] = NULL;
    if (client->slot < driver->slot_free)
        driver->slot_free = client->slot;
    driver->slots_used--;
}

/* The pause before the next attempt. */
static uint64_t backoff_ms(struct client *client)
{
    const struct target *target = client->target;
    uint32_t shift = client->attempts < BACKOFF_SHIFT_MAX ? client->attempts : BACKOFF_SHIFT_MAX;
    uint64_t pause = (uint64_t)target->reconnect_least_ms << shift;

    pause = pause < target->reconnect_most_ms ? pause : target->reconnect_most_ms;
    return pause - random_below(&client->driver->random, (uint32_t)pause / 4 + 1);
}

void client_end(struct client *client, const char *why)
{
    if (client->state == CLIENT_CLOSED)
        return;
    if (client->ended_in == CLIENT_CLOSED)
        client->ended_in = client->state;
    if (client->state == CLIENT_LEAVING)
        why = NULL; /* after DISCONNECT any end is a good one */
    if (client->state != CLIENT_WAITING)
        client_last_words(client);
    drop_connection(client);
    client->state = CLIENT_CLOSED;
    if (why != NULL && client->target->reconnect && !client->no_reconnect) {
        client->state = CLIENT_WAITING;
        timer_arm(&client->driver->timers, &client->timer,
                  client->driver->now_ms + backoff_ms(client));
        client->attempts++;
    }
    if (client->events->closed != NULL)
        client->events->closed(client, why);
}

void client_lost(struct client *client, const char *format, ...)
{
    char why[WHY_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    client_end(client, why);
}

void client_give_up(struct client *client, enum mqtt_reason reason, const char *format, ...)
{
    char why[WHY_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    client->reason = reason;
    if (client->mqtt.version == MQTT_5 && client->state == CLIENT_ONLINE)
        mqtt_client_disconnect(&client->mqtt, reason, NULL);
    client_end(client, why);
}

void client_close(struct client *client)
{
    client->no_reconnect = true;
    client_end(client, NULL);
}

static bool bind_source(struct client *client)
{
    const struct target *target = client->target;
    const struct target_address *source;
    int on = 1;

    if (target->source_count == 0)
        return true;
    source = &target->sources[client->number % target->source_count];
    /* The port is then chosen at connect, by the whole address pair. */
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(client->fd, (const struct sockaddr *)&source->address, source->len) == 0;
}

/* Begins to connect to the address at address_at. */
static void attempt(struct client *client)
{
    const struct target_address *to = &client->target->addresses[client->address_at];
    int on = 1;

    client->state = CLIENT_CONNECTING;
    client->fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        client_lost(client, "cannot open a socket: %s", strerror(errno));
        return;
    }
    if (to->address.ss_family != AF_UNIX)
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!bind_source(client)) {
        client_lost(client, "cannot use the source address: %s", strerror(errno));
        return;
    }
    uring_connect(client->driver->ring, client->fd, (const struct sockaddr *)&to->address, to->len,
                  driver_pack(DRIVER_CONNECT, client));
}

void client_open(struct client *client)
{
    const struct target *target = client->target;

    ASSERT(client->state == CLIENT_CLOSED || client->state == CLIENT_WAITING);
    ASSERT(target->address_count > 0);
    timer_disarm(&client->driver->timers, &client->timer);
    client->opened_ns = client->driver->now_ns;
    client->no_reconnect = client->refused = client->dismissed = false;
    client->ended_in = CLIENT_CLOSED;
    client->reason = MQTT_REASON_SUCCESS;
    client->address_at = 0;
    if (target->open_timeout_ms > 0)
        timer_arm(&client->driver->timers, &client->timer,
                  client->driver->now_ms + target->open_timeout_ms);
    attempt(client);
}

static void try_next_address(struct client *client, int error)
{
    char text[64];

    if (client->address_at + 1u < client->target->address_count) {
        uring_close_descriptor(client->driver->ring, client->fd);
        client->generation++;
        client->address_at++;
        attempt(client);
        return;
    }
    target_format(&client->target->addresses[client->address_at], text, sizeof(text));
    client->ended_in = CLIENT_CONNECTING;
    client->state = CLIENT_HANDSHAKE; /* nothing is left to cancel */
    client_lost(client, "cannot connect to %s: %s", text, strerror(error));
}

void client_connected(struct client *client, int result)
{
    if (result < 0) {
        try_next_address(client, -result);
        return;
    }
    client->state = CLIENT_HANDSHAKE;
    client_receive(client);
    if (client->target->transport == NULL) {
        client_transport_ready(client);
        return;
    }
    client->transport = transport_create(client->target->transport);
    if (client->transport == NULL || !transport_start(client->transport, &client->driver->wire) ||
        !client_keep_wire(client)) {
        client_transport_lost(client);
        return;
    }
    client_wrote(client);
    if (transport_ready(client->transport))
        client_transport_ready(client);
}

void client_transport_ready(struct client *client)
{
    client->state = CLIENT_AWAIT_CONNACK;
    client->events->connecting(client);
    if (client->state == CLIENT_AWAIT_CONNACK && client->mqtt.phase == MQTT_IDLE)
        client_lost(client, "CONNECT could not be written");
}

void client_connect(struct client *client, const struct connect_packet *packet)
{
    enum client_status status = mqtt_client_connect(&client->mqtt, packet, client->driver->now_ms);

    if (status != CLIENT_OK) {
        client->no_reconnect = true;
        client_lost(client, "CONNECT: %s", client_status_text(status));
        return;
    }
    client_wrote(client);
}

void client_wrote(struct client *client)
{
    if (list_empty(&client->node)) /* D2 */
        list_append(&client->driver->dirty, &client->node);
}

void client_leave(struct client *client, enum mqtt_reason reason, const struct mqtt_props *props,
                  uint32_t wait_ms)
{
    client->no_reconnect = true;
    if (client->state != CLIENT_ONLINE ||
        mqtt_client_disconnect(&client->mqtt, reason, props) != CLIENT_OK) {
        client_end(client, NULL);
        return;
    }
    client->state = CLIENT_LEAVING;
    client_wrote(client);
    timer_arm(&client->driver->timers, &client->timer, client->driver->now_ms + wait_ms);
}

void client_set_timer(struct client *client)
{
    uint64_t due_ms;
    bool alive;

    if (client->state != CLIENT_ONLINE)
        return;
    due_ms = mqtt_client_tick(&client->mqtt, client->driver->now_ms, &alive);
    if (!alive) {
        client->reason = MQTT_REASON_UNSPECIFIED_ERROR;
        client_lost(client, "the server has not answered a PINGREQ for %u s",
                    client->mqtt.server.keep_alive_s);
        return;
    }
    if (mqtt_client_has_output(&client->mqtt))
        client_wrote(client);
    if (due_ms != UINT64_MAX)
        timer_arm(&client->driver->timers, &client->timer, due_ms);
    else
        timer_disarm(&client->driver->timers, &client->timer);
}

static void on_timer(void *owner, struct timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, timer);

    (void)owner;
    switch ((enum client_state)client->state) {
    case CLIENT_WAITING:
        client_open(client);
        break;
    case CLIENT_ONLINE:
        client_set_timer(client);
        break;
    case CLIENT_CLOSED:
        break;
    case CLIENT_LEAVING:
        client_end(client, NULL);
        break;
    default:
        client_lost(client, "the server did not answer within %u ms",
                    client->target->open_timeout_ms);
    }
}
