/* SPDX-License-Identifier: MIT
 *
 * tool_pub - `shardmq pub`: publishes a payload once or several times, or each line of standard input.
 *
 * Lines are taken from standard input no faster than the broker takes messages: when the window of unacknowledged
 * messages is full, or the kernel takes no more, reading stops. A message counts as published when the broker has
 * acknowledged it (QoS 1 and 2), or has closed the connection after DISCONNECT (QoS 0); what a lost connection left
 * unacknowledged is sent again by the client (client/client.h), so no line is lost.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench/tool_engine.h"
#include "bench/tool_input.h"
#include "mqtt/props.h"
#include "mqtt/tables.h"

#define OUTPUT_ENOUGH                                                                              \
    (256u * 1024u) /* bytes that are prepared while the kernel is still busy with others */

/* Touched by one thread only. */
struct pub {
    const char *payload; /* unless by lines */
    char *file;          /* owned: where payload lies */
    size_t payload_len;
    struct tool_lines lines; /* with options->stdin_lines */
    struct publish_packet packet;
    uint8_t *user_properties;
    uint64_t accepted; /* messages that the client has taken */
    uint64_t interval_ns;
    bool stop; /* nothing new is published */
};

static struct pub *pub_of(const struct tool *tool)
{
    return tool->state;
}

/* How many messages a client is to publish in all: its payloads times its topics. */
static bool is_finished(const struct tool *tool, const struct tool_client *client)
{
    const struct tool_options *options = tool->options;
    uint64_t rounds = client->next / options->topics.count;

    if (pub_of(tool)->stop) {
        return true;
    }
    if (options->limit > 0 && rounds >= options->limit) {
        return true;
    }
    return options->stdin_lines && client->next % options->topics.count == 0 &&
           tool_lines_done(&pub_of(tool)->lines);
}

/* True when standard input can be read without waiting; otherwise the loop is to look after it. */
static bool input_ready(struct tool *tool)
{
    struct pollfd look = {.fd = pub_of(tool)->lines.fd, .events = POLLIN};
    bool ready = poll(&look, 1, 0) > 0;

    tool_watch(tool, ready ? -1 : look.fd);
    return ready;
}

/* The payload of the next message. False when there is none yet. */
static bool next_payload(struct tool *tool, struct span *payload)
{
    struct pub *pub = pub_of(tool);

    if (!tool->options->stdin_lines) {
        *payload = span_of(pub->payload, pub->payload_len);
        return true;
    }
    while (!tool_lines_next(&pub->lines, payload)) {
        if (pub->lines.ended || !input_ready(tool)) {
            return false;
        }
        if (!tool_lines_read(&pub->lines) && pub->lines.error != 0) {
            tool_complain(tool, "cannot read standard input: %s", strerror(pub->lines.error));
            tool_decide(tool, TOOL_FAILED);
        } else if (pub->lines.too_long) {
            tool_complain(tool, "a line is longer than the 268435455 bytes of an MQTT message");
            tool_decide(tool, TOOL_FAILED);
        }
    }
    return true;
}

/* The broker's CONNACK, or MQTT itself, excludes the message: says so. Returns the reason code. */
static enum mqtt_reason refused_by_rule(struct tool *tool, const struct tool_client *client,
                                        enum client_status status)
{
    const struct client_server *server = &client->client.mqtt.server;

    switch (status) {
    case CLIENT_TOO_LARGE:
        tool_complain(tool, "a message is larger than the broker takes (%" PRIu32 " bytes)",
                      server->packet_size_max);
        return MQTT_REASON_PACKET_TOO_LARGE;
    case CLIENT_NOT_ALLOWED:
        if (pub_of(tool)->packet.qos > server->maximum_qos) {
            tool_complain(tool, "the broker takes messages up to QoS %u only", server->maximum_qos);
            return MQTT_REASON_QOS_NOT_SUPPORTED;
        }
        tool_complain(tool, "the broker does not keep retained messages");
        return MQTT_REASON_RETAIN_NOT_SUPPORTED;
    default:
        tool_complain(tool, "%s", client_status_text(status));
        return MQTT_REASON_TOPIC_NAME_INVALID;
    }
}

/* Publishes the next message of a client. False when that is not possible now. */
static bool publish_next(struct tool *tool, struct tool_client *client)
{
    struct pub *pub = pub_of(tool);
    const struct option_list *topics = &tool->options->topics;
    uint64_t topic = client->next % topics->count;
    enum client_status status;

    if (!next_payload(tool, &pub->packet.payload)) {
        return false;
    }
    pub->packet.topic = span_text(topics->items[topic]);
    status = mqtt_client_publish(&client->client.mqtt, &pub->packet, client->next, NULL);
    if (status == CLIENT_BUSY || status == CLIENT_OFFLINE || status == CLIENT_NO_MEMORY) {
        if (tool->options->stdin_lines) {
            tool_lines_unread(&pub->lines, pub->packet.payload);
        }
        return false;
    }
    client->next++;
    if (topic + 1 < topics->count && tool->options->stdin_lines) {
        tool_lines_unread(&pub->lines, pub->packet.payload); /* for the next topic */
    }
    if (status != CLIENT_OK) {
        tool_decide(tool, refused_by_rule(tool, client, status));
        return true;
    }
    pub->accepted++;
    client_wrote(&client->client);
    return true;
}

static uint32_t output_len(const struct tool_client *client)
{
    return client->client.mqtt.output != NULL ? client->client.mqtt.output->len : 0;
}

/* Publishes what may go now. Returns when to come again: 0 at once, UINT64_MAX when something happens. */
static uint64_t produce(struct tool *tool, struct tool_client *client)
{
    struct pub *pub = pub_of(tool);

    while (!is_finished(tool, client)) {
        if (pub->interval_ns > 0 && client->next % tool->options->topics.count == 0 &&
            tool->driver.now_ns < client->due_ns) {
            return client->due_ns;
        }
        if (output_len(client) >= OUTPUT_ENOUGH) {
            return client_blocked(&client->client) ? UINT64_MAX : 0;
        }
        if (!publish_next(tool, client)) {
            return is_finished(tool, client) ? 0 : UINT64_MAX;
        }
        if (pub->interval_ns > 0 && client->next % tool->options->topics.count == 0) {
            uint64_t next_ns = client->due_ns + pub->interval_ns;

            client->due_ns = next_ns > tool->driver.now_ns ? next_ns : tool->driver.now_ns;
        }
    }
    if (mqtt_client_unacknowledged(&client->client.mqtt) == 0 && output_len(client) == 0 &&
        !client_blocked(&client->client)) {
        tool_leave(tool, client);
    }
    return UINT64_MAX;
}

static uint64_t pub_turn(struct tool *tool)
{
    uint64_t wake_ns = UINT64_MAX;

    for (uint64_t i = 0; i < tool->client_count; i++) {
        struct tool_client *client = &tool->clients[i];

        if (client->client.state == CLIENT_ONLINE && !client->leaving) {
            uint64_t next_ns = produce(tool, client);

            wake_ns = next_ns < wake_ns ? next_ns : wake_ns;
        } else if (client->client.state == CLIENT_WAITING && is_finished(tool, client) &&
                   mqtt_client_unacknowledged(&client->client.mqtt) == 0) {
            if (tool->options->qos == 0 && pub_of(tool)->accepted > 0) {
                tool_decide(tool, TOOL_LOST); /* nobody knows how much of it arrived */
            }
            tool_leave(tool, client);
        }
    }
    return wake_ns;
}

static void pub_online(struct tool *tool, struct tool_client *client, bool first,
                       bool session_present)
{
    const struct publish_packet *packet = &pub_of(tool)->packet;

    (void)session_present;
    if (first) {
        client->due_ns = tool->driver.now_ns;
    }
    if (props_has(&packet->props, MQTT_PROPERTY_TOPIC_ALIAS) &&
        packet->props.topic_alias > client->client.mqtt.server.topic_alias_maximum) {
        tool_complain(tool, "the broker takes topic aliases up to %u only",
                      client->client.mqtt.server.topic_alias_maximum);
        tool_decide(tool, MQTT_REASON_TOPIC_ALIAS_INVALID);
        tool_leave(tool, client);
    }
}

static void pub_event(struct tool *tool, struct tool_client *client,
                      const struct client_event *event)
{
    (void)client;
    if (event->kind != CLIENT_ACKNOWLEDGED) {
        return;
    }
    tool_debug(tool, "message %" PRIu64 " is acknowledged: %s (0x%02x)", event->tag,
               reason_text(event->ack.reason), event->ack.reason);
    if (event->ack.reason >= 0x80) {
        const struct option_list *topics = &tool->options->topics;

        tool_complain(tool, "the broker refused a message to \"%s\": %s (0x%02x)",
                      topics->items[event->tag % topics->count], reason_text(event->ack.reason),
                      event->ack.reason);
        tool_decide(tool, event->ack.reason);
    }
}

/* The first signal: nothing new, but what was sent is waited for. */
static void pub_interrupted(struct tool *tool)
{
    struct pub *pub = pub_of(tool);
    bool endless = tool->options->limit == 0 && !tool->options->stdin_lines;

    pub->stop = true;
    if (!endless) {
        tool_complain(tool, "interrupted after %" PRIu64 " messages", pub->accepted);
        tool_decide(tool, TOOL_FAILED);
    }
    for (uint64_t i = 0; i < tool->client_count; i++) {
        if (tool->clients[i].client.state != CLIENT_ONLINE) {
            tool_leave(tool, &tool->clients[i]);
        }
    }
}

static const struct tool_role role = {
    .online = pub_online, .event = pub_event, .turn = pub_turn, .interrupted = pub_interrupted};

static void set_packet(struct pub *pub, const struct tool_options *options)
{
    struct mqtt_props *props = &pub->packet.props;
    const struct {
        const char *option;
        enum mqtt_property id;
    } given[] = {{"payload_format_indicator", MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR},
                 {"message_expiry_interval", MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL},
                 {"content_type", MQTT_PROPERTY_CONTENT_TYPE},
                 {"response_topic", MQTT_PROPERTY_RESPONSE_TOPIC},
                 {"correlation_data", MQTT_PROPERTY_CORRELATION_DATA},
                 {"topic_alias", MQTT_PROPERTY_TOPIC_ALIAS}};

    pub->packet.qos = (uint8_t)options->qos;
    pub->packet.retain = options->retain;
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        props->present |= tool_given(options, given[i].option) ? PROP_BIT(given[i].id) : 0;
    }
    props->payload_format = (uint8_t)options->payload_format;
    props->message_expiry = (uint32_t)options->message_expiry;
    props->content_type = span_text(options->content_type != NULL ? options->content_type : "");
    props->response_topic =
        span_text(options->response_topic != NULL ? options->response_topic : "");
    props->correlation_data =
        span_text(options->correlation_data != NULL ? options->correlation_data : "");
    props->topic_alias = (uint16_t)options->topic_alias;
    tool_user_properties(&options->user_property, props, &pub->user_properties);
}

/* Fetches the payload, or begins to read lines. */
static bool open_payload(struct pub *pub, const struct tool_options *options)
{
    const char *file = options->stdin_file ? "-" : options->file;
    char error[512];

    if (options->stdin_lines) {
        tool_lines_init(&pub->lines, STDIN_FILENO);
        return true;
    }
    if (file == NULL) {
        pub->payload = options->message != NULL ? options->message : "";
        pub->payload_len = strlen(pub->payload);
        return true;
    }
    pub->file = tool_read_file(file, &pub->payload_len, error, sizeof(error));
    pub->payload = pub->file;
    if (pub->file == NULL && !options->quiet) {
        fprintf(stderr, "shardmq pub: %s\n", error);
    }
    return pub->file != NULL;
}

int tool_pub_main(int argc, char **argv)
{
    struct tool_options options;
    struct pub pub = {.file = NULL};
    int status = tool_begin(&options, TOOL_PUB, argc, argv);

    if (status < 0) {
        set_packet(&pub, &options);
        pub.interval_ns = options.interval_ms * 1000000;
        status = open_payload(&pub, &options) ? tool_run(&options, &role, &pub) : TOOL_FAILED;
        tool_lines_fini(&pub.lines);
        mem_free(pub.file);
        mem_free(pub.user_properties);
    }
    tool_options_release(&options);
    return status;
}
