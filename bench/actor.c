/* SPDX-License-Identifier: MIT */
#include "bench/actor.h"

#include <stdio.h>
#include <sys/socket.h>

#include "bench/login.h"
#include "bench/worker.h"

#define FILTERS_MAX      16u
#define IDENTIFIER_SIZE  128u
#define SESSION_EXPIRY_S 3600u /* of sessions that --clean false keeps */
#define REFUSED          0x80u
#define LEAVE_MS         3600000u /* the worker decides when it was long enough */

static const struct bench_options *options_of(const struct actor *actor)
{
    return actor->worker->load->options;
}

static void on_connecting(struct client *client)
{
    struct actor *actor = client->owner;
    const struct bench_options *options = options_of(actor);
    char identifier[IDENTIFIER_SIZE];
    struct connect_packet packet = {
        .version = (enum mqtt_version)options->version,
        .clean_start = options->command == RUN || options->clean,
        .has_username = options->username != NULL,
        .has_password = options->password != NULL,
        .keep_alive_s = (uint16_t)options->keep_alive_s,
        .client_identifier =
            span_of(identifier, actor_client_identifier(actor, identifier, sizeof(identifier))),
        .username = span_text(options->username != NULL ? options->username : ""),
        .password = span_text(options->password != NULL ? options->password : ""),
    };

    if (!packet.clean_start && packet.version == MQTT_5) {
        packet.props.present = UINT64_C(1) << MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL;
        packet.props.session_expiry = SESSION_EXPIRY_S;
    }
    if (options->auth_method != NULL) {
        login_begin(&actor->login, options->username, &packet);
    }
    client_connect(client, &packet);
}

static void end_opening(struct actor *actor)
{
    actor->worker->opening -= actor->opening;
    actor->opening = false;
}

static void become_ready(struct actor *actor)
{
    end_opening(actor);
    actor->ready = true;
    tally_add(&actor->worker->tally.ready, 1);
    if (actor->events->ready != NULL) {
        actor->events->ready(actor);
    }
}

static void on_connack(struct actor *actor)
{
    struct filter_view filters[FILTERS_MAX];
    enum client_status status;

    if (actor->filter_count == 0) {
        become_ready(actor);
        return;
    }
    ASSERT(actor->filter_count <= FILTERS_MAX);
    for (uint32_t i = 0; i < actor->filter_count; i++) {
        filters[i].filter = span_text(actor->filters[i]);
        filters[i].options = (uint8_t)options_of(actor)->qos;
    }
    status = mqtt_client_subscribe(&actor->client.mqtt, filters, actor->filter_count, NULL, NULL);
    if (status != CLIENT_OK) {
        client_give_up(&actor->client, MQTT_REASON_UNSPECIFIED_ERROR,
                       "cannot subscribe to \"%s\": %s", actor->filters[0],
                       client_status_text(status));
    }
}

static void on_suback(struct actor *actor, const struct ack_packet *suback)
{
    for (uint32_t i = 0; i < suback->reason_codes.len; i++) {
        uint8_t code = suback->reason_codes.data[i];

        if (code >= REFUSED) {
            client_give_up(&actor->client, MQTT_REASON_SUCCESS,
                           "the server refused the subscription to %s with code 0x%02x",
                           actor->filters[i], code);
            return;
        }
        if (code != options_of(actor)->qos) {
            client_give_up(&actor->client, MQTT_REASON_SUCCESS, "the server granted QoS %u, not %u",
                           code, (unsigned)options_of(actor)->qos);
            return;
        }
    }
    become_ready(actor);
}

static void on_event(struct client *client, const struct client_event *event)
{
    struct actor *actor = client->owner;

    actor->worker->now_ns = client->driver->now_ns; /* when these bytes were taken */
    if (LIKELY(event->kind == CLIENT_MESSAGE)) {
        if (actor->events->message != NULL) {
            actor->events->message(actor, &event->publish);
        }
    } else if (event->kind == CLIENT_ACKNOWLEDGED) {
        if (UNLIKELY(event->ack.reason >= REFUSED)) {
            client_give_up(client, MQTT_REASON_SUCCESS,
                           "the server refused a message with reason code 0x%02x",
                           event->ack.reason);
        } else if (actor->events->acknowledged != NULL) {
            actor->events->acknowledged(actor, event->ack.packet_identifier);
        }
    } else if (UNLIKELY(!login_event(actor->login, client, options_of(actor)->password, event))) {
        return;
    } else if (event->kind == CLIENT_CONNACK && event->ack.reason < REFUSED) {
        on_connack(actor);
    } else if (event->kind == CLIENT_SUBACK) {
        on_suback(actor, &event->ack);
    }
}

static void on_closed(struct client *client, const char *why)
{
    struct actor *actor = client->owner;
    struct tally *tally = &actor->worker->tally;

    end_opening(actor);
    if (actor->ready) {
        tally_add(&tally->ended, 1);
        tally_add(&tally->disconnects, why != NULL);
    }
    actor->ready = false;
    tally_add(&tally->closed, 1);
    if (actor->events->closed != NULL) {
        actor->events->closed(actor, why);
    }
}

static const struct client_events events = {
    .connecting = on_connecting, .event = on_event, .closed = on_closed};

void actor_init(struct actor *actor, struct worker *worker)
{
    client_init(&actor->client, &worker->driver, &worker->load->target, &worker->limits, &events,
                actor);
    actor->worker = worker;
}

void actor_fini(struct actor *actor)
{
    client_fini(&actor->client);
    login_end(actor->login);
}

void actor_open(struct actor *actor)
{
    actor->worker->opening++;
    actor->opening = true;
    actor->client.number = actor->number;
    client_open(&actor->client);
}

uint8_t *actor_reserve(struct actor *actor, uint32_t size, const uint8_t **end)
{
    const struct client_block *block = actor->client.mqtt.output;
    uint32_t written = block != NULL ? block->len : 0;
    uint32_t left = written < CLIENT_BLOCK_ROOM ? CLIENT_BLOCK_ROOM - written : 0;
    uint8_t *at;

    if (!actor->ready || (written > 0 && size > left)) {
        return NULL;
    }
    at = mqtt_client_reserve(&actor->client.mqtt, size > left ? size : left);
    block = actor->client.mqtt.output;
    *end = at != NULL ? block->data + block->size : NULL;
    return at;
}

void actor_commit(struct actor *actor, uint32_t len)
{
    mqtt_client_commit(&actor->client.mqtt, len);
    client_wrote(&actor->client);
}

void actor_keep(struct actor *actor, uint16_t identifier, const uint8_t *packet, uint32_t len)
{
    if (!mqtt_client_keep(&actor->client.mqtt, identifier, packet, len, 0)) {
        load_fail(actor->worker->load, "no memory is left for messages");
    }
}

void actor_leave(struct actor *actor, bool wait)
{
    if (wait) {
        client_leave(&actor->client, MQTT_REASON_SUCCESS, NULL, LEAVE_MS);
    } else {
        if (actor->client.state == CLIENT_ONLINE) {
            mqtt_client_disconnect(&actor->client.mqtt, MQTT_REASON_SUCCESS, NULL);
        }
        client_close(&actor->client);
    }
}

void actor_cut(struct actor *actor)
{
    struct linger at_once = {.l_onoff = 1};

    if (actor->client.fd >= 0) {
        setsockopt(actor->client.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    client_close(&actor->client);
}

uint32_t actor_client_identifier(const struct actor *actor, char *to, uint32_t room)
{
    const struct load *load = actor->worker->load;
    const struct bench_options *options = load->options;
    int len;

    if (options->command != RUN && !options->clean) {
        /* the session of an earlier run is found again */
        len = snprintf(to, room, "%s-%s-%u", options->prefix,
                       options->command == PUB   ? "pub"
                       : options->command == SUB ? "sub"
                                                 : "conn",
                       actor->number);
    } else {
        len = snprintf(to, room, "%s-%08x-%u", options->prefix, load->mark, actor->number);
    }
    return (uint32_t)len < room ? (uint32_t)len : room - 1;
}
