/* SPDX-License-Identifier: MIT
 *
 * tool_connect - what CONNECT says, and through which transport, from the options.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/tool_engine.h"
#include "mqtt/encode_client.h"
#include "mqtt/props.h"

#define PACKET_MAX           268435460u       /* 1.5.5: the largest that the format allows */
#define OUTPUT_MAX           (PACKET_MAX * 2) /* room for one such and what goes with it */
#define RECONNECT_LEAST      250u             /* milliseconds */
#define RECONNECT_MOST       15000u
#define SESSION_WHILE_AWAY_S 3600u

void tool_user_properties(const struct option_list *pairs, struct mqtt_props *props,
                          uint8_t **block)
{
    uint32_t size = 0, len = 0;

    if (pairs->count == 0) {
        return;
    }
    for (unsigned i = 0; i < pairs->count; i++) {
        size += (uint32_t)strlen(pairs->items[i]) + 8;
    }
    *block = mem_alloc(size);
    for (unsigned i = 0; i < pairs->count; i++) {
        const char *equals = strchr(pairs->items[i], '=');
        struct span name = span_of(pairs->items[i], (size_t)(equals - pairs->items[i]));

        len += mqtt_encode_user_property(*block + len, size - len, name, span_text(equals + 1));
    }
    props->raw = span_of(*block, len);
    props->present |= PROP_BIT(MQTT_PROPERTY_USER_PROPERTY);
}

static void set_text(struct mqtt_props *props, enum mqtt_property id, struct span *member,
                     const char *text)
{
    if (text != NULL) {
        *member = span_text(text);
        props->present |= PROP_BIT(id);
    }
}

/* True, and the property is there, when the option was given. */
static bool set(const struct tool_options *options, const char *name, struct mqtt_props *props,
                enum mqtt_property id)
{
    if (!tool_given(options, name)) {
        return false;
    }
    props->present |= PROP_BIT(id);
    return true;
}

static void set_will(struct tool *tool)
{
    const struct tool_options *options = tool->options;
    struct mqtt_props *props = &tool->connect.will_props;

    if (options->will_topic == NULL) {
        return;
    }
    tool->connect.has_will = true;
    tool->connect.will_qos = (uint8_t)options->will_qos;
    tool->connect.will_retain = options->will_retain;
    tool->connect.will_topic = span_text(options->will_topic);
    tool->connect.will_payload =
        span_text(options->will_payload != NULL ? options->will_payload : "");
    if (set(options, "will_delay_interval", props, MQTT_PROPERTY_WILL_DELAY_INTERVAL)) {
        props->will_delay = (uint32_t)options->will_delay;
    }
    if (set(options, "will_payload_format_indicator", props,
            MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR)) {
        props->payload_format = (uint8_t)options->will_payload_format;
    }
    if (set(options, "will_message_expiry_interval", props,
            MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL)) {
        props->message_expiry = (uint32_t)options->will_message_expiry;
    }
    set_text(props, MQTT_PROPERTY_CONTENT_TYPE, &props->content_type, options->will_content_type);
    set_text(props, MQTT_PROPERTY_RESPONSE_TOPIC, &props->response_topic,
             options->will_response_topic);
    set_text(props, MQTT_PROPERTY_CORRELATION_DATA, &props->correlation_data,
             options->will_correlation_data);
    tool_user_properties(&options->will_user_property, props, &tool->blocks[1]);
}

/* A publisher that comes back keeps its session meanwhile, so that nothing arrives twice with QoS 2; it is given up
 * with DISCONNECT. */
static bool keeps_session_while_away(const struct tool_options *options)
{
    return options->command == TOOL_PUB && options->qos > 0 && options->reconnect &&
           options->mqtt_version == MQTT_5 && options->session_expiry == 0 &&
           !tool_given(options, "session_expiry_interval");
}

static void set_connect_properties(struct tool *tool)
{
    const struct tool_options *options = tool->options;
    struct mqtt_props *props = &tool->connect.props;

    if (options->session_expiry > 0 ||
        set(options, "session_expiry_interval", props, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL)) {
        props->present |= PROP_BIT(MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL);
        props->session_expiry = (uint32_t)options->session_expiry;
    } else if (keeps_session_while_away(options)) {
        props->present |= PROP_BIT(MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL);
        props->session_expiry = SESSION_WHILE_AWAY_S;
        tool->disconnect.present |= PROP_BIT(MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL);
        tool->disconnect.session_expiry = 0;
    }
    if (set(options, "disconnect_session_expiry_interval", &tool->disconnect,
            MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL)) {
        tool->disconnect.session_expiry = (uint32_t)options->disconnect_session_expiry;
    }
    if (set(options, "receive_maximum", props, MQTT_PROPERTY_RECEIVE_MAXIMUM)) {
        props->receive_maximum = (uint16_t)options->receive_maximum;
    }
    if (set(options, "maximum_packet_size", props, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE)) {
        props->maximum_packet_size = (uint32_t)options->maximum_packet_size;
    }
    if (set(options, "topic_alias_maximum", props, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM)) {
        props->topic_alias_maximum = (uint16_t)options->topic_alias_maximum;
    }
    if (set(options, "request_problem_information", props,
            MQTT_PROPERTY_REQUEST_PROBLEM_INFORMATION)) {
        props->request_problem_information = options->request_problem;
    }
    if (set(options, "request_response_information", props,
            MQTT_PROPERTY_REQUEST_RESPONSE_INFORMATION)) {
        props->request_response_information = options->request_response;
    }
    tool_user_properties(options->command == TOOL_CONN && options->connect_user_property.count == 0
                             ? &options->user_property
                             : &options->connect_user_property,
                         props, &tool->blocks[0]);
}

static void set_connect(struct tool *tool)
{
    const struct tool_options *options = tool->options;
    struct connect_packet *connect = &tool->connect;

    connect->version = options->mqtt_version;
    connect->clean_start = options->clean;
    connect->keep_alive_s = (uint16_t)options->keep_alive_s;
    connect->has_username = options->username != NULL;
    connect->has_password = options->password != NULL;
    connect->username = span_text(connect->has_username ? options->username : "");
    connect->password = span_text(connect->has_password ? options->password : "");
    set_will(tool);
    if (connect->version == MQTT_5) {
        set_connect_properties(tool);
    }
}

void tool_identify(struct tool *tool, struct tool_client *client, uint64_t number)
{
    const struct tool_options *options = tool->options;
    const char *given = options->identifier;
    size_t size = strlen(given != NULL                ? given
                         : options->id_prefix != NULL ? options->id_prefix
                                                      : "") +
                  48;
    char *to = client->identifier = mem_alloc(size);
    uint64_t random;

    if (given != NULL && options->count > 1) {
        snprintf(to, size, "%s-%llu", given, (unsigned long long)number);
    } else if (given != NULL) {
        snprintf(to, size, "%s", given);
    } else if (options->id_prefix != NULL) {
        snprintf(to, size, options->count > 1 ? "%s%d-%llu" : "%s%d", options->id_prefix,
                 (int)getpid(), (unsigned long long)number);
    } else {
        if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
            random = driver_clock_ns() ^ (uint64_t)getpid() << 32;
        }
        /* at most 23 characters, which 3.1 and some brokers insist on */
        snprintf(to, size, "shardmq-%012llx",
                 (unsigned long long)(random + number) & 0xFFFFFFFFFFFF);
    }
}

static bool prepare_transport(struct tool *tool, char *error, size_t error_size)
{
    const struct tool_options *options = tool->options;
    const char *tls_version = options->tls_version;
    struct secure_options secure = {
        .kind = options->transport,
        .host = options->host,
        .port = (uint16_t)options->port,
        .version = options->mqtt_version,
        .cafile = options->cafile,
        .capath = options->capath,
        .certfile = options->certfile,
        .keyfile = options->keyfile,
        .keypass = options->keypass,
        .insecure = options->insecure,
        .server_name = options->servername,
        .alpn = options->tls_alpn,
        .only_tls_1_3 = tls_version != NULL && strcasecmp(tls_version, "tlsv1.3") == 0,
        .path = options->path,
    };

    if (options->transport == TRANSPORT_PLAIN) {
        return true;
    }
    tool->target.transport = &tool->secure.transport;
    return secure_open(&tool->secure, &secure, error, error_size);
}

bool tool_prepare(struct tool *tool, int *status, char *error, size_t error_size)
{
    const struct tool_options *options = tool->options;

    *status = TOOL_USAGE;
    if (!prepare_transport(tool, error, error_size)) {
        return false;
    }
    *status = TOOL_NO_CONNECTION;
    if (!target_resolve(&tool->target, options->host, (uint16_t)options->port, error, error_size)) {
        return false;
    }
    *status = TOOL_USAGE;
    if (options->bind != NULL &&
        !target_add_sources(&tool->target, options->bind, error, error_size)) {
        return false;
    }
    tool->target.open_timeout_ms = (uint32_t)(options->connect_timeout_s * 1000);
    tool->target.reconnect = options->reconnect;
    tool->target.reconnect_least_ms = RECONNECT_LEAST;
    tool->target.reconnect_most_ms = RECONNECT_MOST;
    tool->limits = (struct client_limits){
        .packet_size_max = PACKET_MAX,
        .output_max = OUTPUT_MAX,
        .inflight_max = options->command == TOOL_PUB ? (uint16_t)options->inflight : 20,
        .keep = true,
    };
    set_connect(tool);
    *status = TOOL_FAILED;
    return driver_open(&tool->driver, (uint32_t)options->count, error, error_size);
}

void tool_prepared_release(struct tool *tool)
{
    secure_close(&tool->secure);
    for (size_t i = 0; i < ARRAY_LENGTH(tool->blocks); i++) {
        mem_free(tool->blocks[i]);
    }
}
