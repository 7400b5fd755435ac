/* SPDX-License-Identifier: MIT
 *
 * tool_sub - `shardmq sub`: subscribes and prints what comes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "bench/tool_engine.h"
#include "bench/tool_format.h"
#include "mqtt/props.h"
#include "mqtt/tables.h"
#include "topic/topic.h"

#define RANDOM_RANGE 1000000u

/* Touched by one thread only. */
struct sub {
    struct filter_view *filters;
    struct mqtt_props props; /* of SUBSCRIBE */
    uint8_t *user_properties;
    const char *format; /* NULL: the payload, with the topic before it if options->verbose */
    uint64_t taken; /* messages that were to be printed, and those that %J could not print too */
    struct random random;
    bool ending;
};

static struct sub *sub_of(const struct tool *tool)
{
    return tool->state;
}

/* Every client is to end, once what was removed is acknowledged (sub_turn). */
static void end(struct tool *tool)
{
    sub_of(tool)->ending = true;
}

static uint64_t sub_turn(struct tool *tool)
{
    if (!sub_of(tool)->ending) {
        return UINT64_MAX;
    }
    for (uint64_t i = 0; i < tool->client_count; i++) {
        struct tool_client *client = &tool->clients[i];

        if (client->client.state != CLIENT_ONLINE ||
            mqtt_client_unacknowledged(&client->client.mqtt) == 0) {
            tool_leave(tool, client);
        }
    }
    return UINT64_MAX;
}

/* --- subscribing ------------------------------------------------------------------------------ */

static bool requested(struct tool *tool, struct tool_client *client, enum client_status status,
                      const char *what)
{
    if (status == CLIENT_OK) {
        client_wrote(&client->client);
        return true;
    }
    tool_complain(tool, "%s: %s", what, client_status_text(status));
    tool_decide(tool, status == CLIENT_TOO_LARGE ? (unsigned)MQTT_REASON_PACKET_TOO_LARGE
                                                 : (unsigned)TOOL_FAILED);
    tool_leave(tool, client);
    return false;
}

static void unsubscribe(struct tool *tool, struct tool_client *client)
{
    const struct option_list *list = &tool->options->unsubscribe;
    struct filter_view *filters = mem_zalloc(list->count * sizeof(*filters));

    for (unsigned i = 0; i < list->count; i++) {
        filters[i].filter = span_text(list->items[i]);
    }
    requested(tool, client,
              mqtt_client_unsubscribe(&client->client.mqtt, filters, list->count, NULL,
                                      &client->unsubscribe),
              "UNSUBSCRIBE");
    mem_free(filters);
}

static void sub_online(struct tool *tool, struct tool_client *client, bool first,
                       bool session_present)
{
    const struct tool_options *options = tool->options;
    struct sub *sub = sub_of(tool);

    bool unanswered = client->subscribe != 0 || client->unsubscribe != 0;

    client->subscribe = client->unsubscribe = 0;
    if (!first && session_present && !unanswered) {
        return; /* the broker has the subscriptions still */
    }
    if (options->topics.count > 0 &&
        !requested(tool, client,
                   mqtt_client_subscribe(&client->client.mqtt, sub->filters, options->topics.count,
                                         &sub->props, &client->subscribe),
                   "SUBSCRIBE")) {
        return;
    }
    if (options->unsubscribe.count > 0) {
        unsubscribe(tool, client);
    }
}

/* Ends when the options want no more than the broker's answer. */
static void answered(struct tool *tool)
{
    bool wants_messages = tool->options->topics.count > 0 && !tool->options->exit_after_suback;

    for (uint64_t i = 0; i < tool->client_count; i++) {
        if (!tool->clients[i].was_online || tool->clients[i].subscribe != 0 ||
            tool->clients[i].unsubscribe != 0) {
            return;
        }
    }
    if (!wants_messages) {
        end(tool);
    }
}

/* SUBACK: says which filters were refused; ends when none is left. */
static void on_suback(struct tool *tool, struct tool_client *client, const struct ack_packet *ack)
{
    const struct option_list *topics = &tool->options->topics;
    uint32_t refused = 0;

    for (uint32_t i = 0; i < ack->reason_codes.len && i < topics->count; i++) {
        enum mqtt_reason reason = ack->reason_codes.data[i];

        tool_debug(tool, "subscription to \"%s\": %s (0x%02x)", topics->items[i],
                   reason_text(reason), reason);
        if (reason >= 0x80) {
            refused++;
            tool_complain(tool, "the broker refused the subscription to \"%s\": %s (0x%02x)",
                          topics->items[i], reason_text(reason), reason);
            tool_decide(tool, reason);
        } else if (reason < tool->options->qos && tool->options->verbose) {
            tool_complain(tool, "the subscription to \"%s\" has QoS %u only", topics->items[i],
                          reason);
        }
    }
    client->subscribe = 0;
    if (refused == topics->count) {
        tool_leave(tool, client);
        return;
    }
    answered(tool);
}

static void on_unsuback(struct tool *tool, struct tool_client *client, const struct ack_packet *ack)
{
    for (uint32_t i = 0; i < ack->reason_codes.len && i < tool->options->unsubscribe.count; i++) {
        enum mqtt_reason reason = ack->reason_codes.data[i];

        if (reason >= 0x80) {
            tool_complain(tool, "the broker refused to unsubscribe \"%s\": %s (0x%02x)",
                          tool->options->unsubscribe.items[i], reason_text(reason), reason);
            tool_decide(tool, reason);
        }
    }
    client->unsubscribe = 0;
    answered(tool);
}

/* --- messages ----------------------------------------------------------------------------------- */

static bool is_wanted(struct tool *tool, const struct publish_packet *publish)
{
    const struct tool_options *options = tool->options;

    if (publish->retain && options->no_retained) {
        return false;
    }
    for (unsigned i = 0; i < options->filter_out.count; i++) {
        if (filter_matches(span_text(options->filter_out.items[i]), publish->topic)) {
            return false;
        }
    }
    return options->random_filter >= 100 ||
           random_below(&sub_of(tool)->random, RANDOM_RANGE) <
               (uint32_t)(options->random_filter / 100 * RANDOM_RANGE);
}

static void print_message(struct tool *tool, const struct publish_packet *publish)
{
    const struct tool_options *options = tool->options;
    struct tool_output *output = &tool->output;
    struct sub *sub = sub_of(tool);

    if (sub->format != NULL) {
        struct tool_message message = {.publish = publish};
        char error[256];

        if (!tool_format_print(sub->format, options->pretty, &message, output, error,
                               sizeof(error))) {
            tool_complain(tool, "%s", error);
            return;
        }
    } else {
        if (options->verbose || options->start) {
            tool_output_span(output, publish->topic);
            tool_output_text(output, ": ");
        }
        tool_output_span(output, publish->payload);
    }
    if (!options->no_eol) {
        tool_output_char(output, '\n');
    }
}

/* An empty retained message takes the broker's away (3.3.1.3). */
static void remove_retained(struct tool *tool, struct tool_client *client, struct span topic)
{
    struct publish_packet empty = {.qos = 1, .retain = true, .topic = topic};
    enum client_status status = mqtt_client_publish(&client->client.mqtt, &empty, 0, NULL);

    if (status == CLIENT_BUSY) { /* the window is full: without asking for an answer then */
        empty.qos = 0;
        status = mqtt_client_publish(&client->client.mqtt, &empty, 0, NULL);
    }
    if (status != CLIENT_OK) {
        tool_complain(tool, "cannot remove a retained message: %s", client_status_text(status));
        tool_decide(tool, TOOL_FAILED);
        return;
    }
    client_wrote(&client->client);
}

static void on_message(struct tool *tool, struct tool_client *client,
                       const struct publish_packet *publish)
{
    const struct tool_options *options = tool->options;
    struct sub *sub = sub_of(tool);

    if (sub->ending || client->leaving) {
        return;
    }
    if (options->retained_only && !publish->retain) {
        end(tool);
        return;
    }
    if (!is_wanted(tool, publish)) {
        return;
    }
    if (options->remove_retained && publish->retain) {
        remove_retained(tool, client, publish->topic);
    }
    print_message(tool, publish);
    sub->taken++;
    if (options->message_count > 0 && sub->taken >= options->message_count) {
        end(tool);
    }
    if (tool->output.error != 0) {
        end(tool);
    }
}

static void sub_event(struct tool *tool, struct tool_client *client,
                      const struct client_event *event)
{
    switch (event->kind) {
    case CLIENT_MESSAGE:
        on_message(tool, client, &event->publish);
        break;
    case CLIENT_SUBACK:
        on_suback(tool, client, &event->ack);
        break;
    case CLIENT_UNSUBACK:
        on_unsuback(tool, client, &event->ack);
        break;
    case CLIENT_ACKNOWLEDGED:
        if (event->ack.reason >= 0x80) {
            tool_complain(tool, "the broker refused to remove a retained message: %s (0x%02x)",
                          reason_text(event->ack.reason), event->ack.reason);
            tool_decide(tool, event->ack.reason);
        }
        break;
    default:
        break;
    }
}

static const struct tool_role role = {.online = sub_online, .event = sub_event, .turn = sub_turn};

static void set_subscription(struct sub *sub, const struct tool_options *options)
{
    unsigned flags = (unsigned)options->qos;

    if (options->mqtt_version == MQTT_5) {
        flags |= (unsigned)options->no_local << 2 | (unsigned)options->retain_as_published << 3 |
                 (unsigned)options->retain_handling << 4;
    }
    sub->filters = mem_zalloc((options->topics.count + 1) * sizeof(*sub->filters));
    for (unsigned i = 0; i < options->topics.count; i++) {
        sub->filters[i].filter = span_text(options->topics.items[i]);
        sub->filters[i].options = (uint8_t)flags;
    }
    if (tool_given(options, "subscription_identifier")) {
        sub->props.present |= PROP_BIT(MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER);
        sub->props.subscription_identifier = (uint32_t)options->subscription_identifier;
    }
    tool_user_properties(&options->user_property, &sub->props, &sub->user_properties);
}

int tool_sub_main(int argc, char **argv)
{
    struct tool_options options;
    struct sub sub = {.taken = 0};
    char error[256];
    int status = tool_begin(&options, TOOL_SUB, argc, argv);

    if (status < 0) {
        sub.format =
            options.json || (options.pretty && options.format == NULL) ? "%j" : options.format;
        sub.random.state = driver_clock_ns();
        if (sub.format != NULL && !tool_format_check(sub.format, error, sizeof(error))) {
            fprintf(stderr, "shardmq sub: %s\n", error);
            status = TOOL_USAGE;
        } else {
            set_subscription(&sub, &options);
            status = tool_run(&options, &role, &sub);
        }
        mem_free(sub.filters);
        mem_free(sub.user_properties);
    }
    tool_options_release(&options);
    return status;
}
