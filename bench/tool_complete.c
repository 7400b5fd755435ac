/* SPDX-License-Identifier: MIT
 *
 * tool_complete - what the options of one command line say together, and what cannot be.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "bench/login.h"
#include "bench/secure.h"
#include "bench/tool_options_priv.h"
#include "bench/tool_url.h"

#define STRING_MAX 65535 /* bytes of an MQTT string (1.5.4) */

/* Where the sentence goes. */
struct complaint {
    char *text;
    size_t size;
};

static bool refuse(const struct complaint *complaint, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(const struct complaint *complaint, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(complaint->text, complaint->size, format, arguments);
    va_end(arguments);
    return false;
}

/* --- the address --------------------------------------------------------------------------- */

/* Sets a flag that another option implies, unless it was said to be false. */
static bool imply(struct tool_options *options, const char *name, bool *flag, const char *because,
                  const struct complaint *complaint)
{
    if (tool_given(options, name) && !*flag) {
        return refuse(complaint, "--%s false contradicts %s", name, because);
    }
    *flag = true;
    return true;
}

static bool complete_from_url(struct tool_options *options, const struct complaint *complaint)
{
    static const char *const twice[] = {"host", "port"};
    size_t size = strlen(options->url) + 5;
    struct tool_url url;
    char *space;

    for (size_t i = 0; i < ARRAY_LENGTH(twice); i++) {
        if (tool_given(options, twice[i])) {
            return refuse(complaint, "--url and --%s both say where the broker is", twice[i]);
        }
    }
    space = mem_alloc(size);
    option_list_add(&options->owned, space);
    if (!tool_url_parse(options->url, &url, space, size, complaint->text, complaint->size)) {
        return false;
    }
    options->host = url.host;
    options->port = url.port;
    if ((url.transport == TRANSPORT_TLS || url.transport == TRANSPORT_WSS) &&
        !imply(options, "secure", &options->secure, options->url, complaint)) {
        return false;
    }
    if ((url.transport == TRANSPORT_WS || url.transport == TRANSPORT_WSS) &&
        !imply(options, "ws", &options->ws, options->url, complaint)) {
        return false;
    }
    if (url.username != NULL && options->username == NULL) {
        options->username = url.username;
    }
    if (url.password != NULL && options->password == NULL) {
        options->password = url.password;
    }
    if (url.rest == NULL) {
        return true;
    }
    if (options->ws) {
        options->path = tool_options_keep(options, strchr(strstr(options->url, "://") + 3, '/'),
                                          strlen(strchr(strstr(options->url, "://") + 3, '/')));
    } else if (options->command == TOOL_CONN) {
        return refuse(complaint, "\"%s\" has a topic, which conn has no use for", options->url);
    } else {
        option_list_add(&options->topics, url.rest);
    }
    return true;
}

static bool complete_from_path(struct tool_options *options, const struct complaint *complaint)
{
    if (options->unix_path[0] != '/') {
        return refuse(complaint, "--unix takes a path that begins with a slash, not \"%s\"",
                      options->unix_path);
    }
    if (options->url != NULL || tool_given(options, "host") || tool_given(options, "port")) {
        return refuse(complaint, "--unix and --host, --port or --url both say where the broker is");
    }
    options->host = options->unix_path;
    return true;
}

static bool complete_transport(struct tool_options *options, const struct complaint *complaint)
{
    if ((options->cafile != NULL || options->capath != NULL || options->certfile != NULL) &&
        !imply(options, "secure", &options->secure, "the certificate that is named", complaint)) {
        return false;
    }
    if (options->keyfile != NULL && options->certfile == NULL) {
        return refuse(complaint, "--keyfile needs --certfile: a key alone proves nothing");
    }
    if (options->keypass != NULL && options->certfile == NULL) {
        return refuse(complaint, "--keypass needs --certfile and --keyfile");
    }
    if (!options->secure && (options->insecure || options->servername != NULL ||
                             options->tls_version != NULL || tool_given(options, "tls-alpn"))) {
        return refuse(complaint,
                      "--insecure, --servername, --tls-version and --tls-alpn need --secure");
    }
    if (options->tls_version != NULL && strcasecmp(options->tls_version, "tlsv1.2") != 0 &&
        strcasecmp(options->tls_version, "tlsv1.3") != 0) {
        return refuse(complaint, "--tls-version takes tlsv1.2 or tlsv1.3, not \"%s\"",
                      options->tls_version);
    }
    if (!options->ws && tool_given(options, "path")) {
        return refuse(complaint, "--path needs --ws");
    }
    if (options->path[0] != '/') {
        return refuse(complaint, "--path must begin with /, not \"%s\"", options->path);
    }
    options->transport = secure_kind(options->secure, options->ws);
    if (options->port == 0) {
        options->port = secure_port(options->transport);
    }
    return true;
}

/* --- the version ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum mqtt_version version;
} versions[] = {
    {"3", MQTT_3_1},     {"31", MQTT_3_1},    {"3.1", MQTT_3_1},     {"mqttv31", MQTT_3_1},
    {"4", MQTT_3_1_1},   {"311", MQTT_3_1_1}, {"3.1.1", MQTT_3_1_1}, {"mqttv311", MQTT_3_1_1},
    {"5", MQTT_5},       {"50", MQTT_5},      {"5.0", MQTT_5},       {"mqttv5", MQTT_5},
    {"mqttv50", MQTT_5},
};

static bool complete_version(struct tool_options *options, const struct complaint *complaint)
{
    const char *needs_5 = NULL;

    if (options->version == NULL) {
        options->mqtt_version = tool_needs_5(options, &needs_5) ? MQTT_5 : MQTT_3_1_1;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(versions); i++) {
        if (strcasecmp(versions[i].name, options->version) == 0) {
            options->mqtt_version = versions[i].version;
        }
    }
    if (options->mqtt_version == 0) {
        return refuse(complaint,
                      "--version takes 3, 4 or 5 (mqttv31, mqttv311, mqttv5), not \"%s\"",
                      options->version);
    }
    if (options->mqtt_version != MQTT_5 && tool_needs_5(options, &needs_5)) {
        return refuse(complaint, "--%s needs MQTT 5.0, which --version %s rules out", needs_5,
                      options->version);
    }
    return true;
}

/* --- session, will ---------------------------------------------------------------------------- */

static bool complete_password(struct tool_options *options, const struct complaint *complaint)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len = -1;
    FILE *file;

    if (options->password_file == NULL) {
        return true;
    }
    if (options->password != NULL) {
        return refuse(complaint, "--password and --password_file contradict each other");
    }
    file = fopen(options->password_file, "re");
    if (file != NULL) {
        len = getline(&line, &size, file);
        fclose(file);
    }
    if (len < 0) {
        mem_free_libc(line);
        return refuse(complaint, "cannot read a password from %s: %s", options->password_file,
                      file == NULL ? strerror(errno) : "it is empty");
    }
    len -= len > 0 && line[len - 1] == '\n';
    len -= len > 0 && line[len - 1] == '\r';
    options->password = tool_options_keep(options, line, (size_t)len);
    mem_free_libc(line);
    return true;
}

static bool complete_session(struct tool_options *options, const struct complaint *complaint)
{
    const char *fault;

    if (options->persistent) {
        if (tool_given(options, "clean_session") && options->clean) {
            return refuse(complaint, "--disable-clean-session contradicts --clean_session true");
        }
        options->clean = false;
    }
    if (!options->clean && options->identifier == NULL && options->id_prefix == NULL) {
        return refuse(complaint, "a session that goes on needs a client identifier (--identifier)");
    }
    if (options->identifier != NULL && options->id_prefix != NULL) {
        return refuse(complaint, "--identifier and --id-prefix contradict each other");
    }
    if (options->identifier != NULL && options->identifier[0] == '\0' &&
        (!options->clean || options->count > 1)) {
        return refuse(complaint,
                      "the empty client identifier is for one client with a new session");
    }
    if (options->mqtt_version == MQTT_5 && !options->clean &&
        !tool_given(options, "session_expiry_interval")) {
        options->session_expiry = UINT32_MAX; /* as -c alone means before 5.0 */
    }
    if (!complete_password(options, complaint)) {
        return false;
    }
    fault = login_fault(options->auth_method, options->username, options->password,
                        options->mqtt_version == MQTT_5);
    if (fault != NULL) {
        return refuse(complaint, "%s", fault);
    }
    if (options->password != NULL && options->username == NULL && options->mqtt_version != MQTT_5) {
        return refuse(complaint, "a password without a user name needs --version 5");
    }
    return true;
}

static bool check_will(const struct tool_options *options, const struct complaint *complaint)
{
    static const char *const parts[] = {"will-msg",
                                        "will-qos",
                                        "will-retain",
                                        "will_delay_interval",
                                        "will_payload_format_indicator",
                                        "will_message_expiry_interval",
                                        "will_content_type",
                                        "will_response_topic",
                                        "will_correlation_data",
                                        "will_user_property"};

    for (size_t i = 0; i < ARRAY_LENGTH(parts) && options->will_topic == NULL; i++) {
        if (tool_given(options, parts[i])) {
            return refuse(complaint, "--%s needs --will-topic", parts[i]);
        }
    }
    return true;
}

/* --- strings ------------------------------------------------------------------------------------ */

static bool check_string(const char *name, const char *text, const struct complaint *complaint)
{
    if (text == NULL) {
        return true;
    }
    if (strlen(text) > STRING_MAX) {
        return refuse(complaint, "--%s is longer than the 65535 bytes that MQTT allows", name);
    }
    if (!utf8_valid((const uint8_t *)text, strlen(text))) {
        return refuse(complaint, "--%s is not UTF-8", name);
    }
    return true;
}

static bool check_topic(const char *name, const char *topic, const struct complaint *complaint)
{
    if (topic == NULL) {
        return true;
    }
    if (topic[0] == '\0') {
        return refuse(complaint, "--%s must not be empty", name);
    }
    if (strpbrk(topic, "+#") != NULL) {
        return refuse(complaint, "--%s \"%s\": a topic has no + and no #", name, topic);
    }
    return check_string(name, topic, complaint);
}

/* A wildcard is a whole level, and # the last one (4.7.1). */
static bool filter_is_valid(const char *filter)
{
    for (const char *at = filter; *at != '\0'; at++) {
        bool first = at == filter || at[-1] == '/', last = at[1] == '\0' || at[1] == '/';

        if ((*at == '+' && (!first || !last)) || (*at == '#' && (!first || at[1] != '\0'))) {
            return false;
        }
    }
    return filter[0] != '\0';
}

static bool check_filters(const char *name, const struct option_list *filters,
                          const struct complaint *complaint)
{
    for (unsigned i = 0; i < filters->count; i++) {
        if (!filter_is_valid(filters->items[i])) {
            return refuse(
                complaint,
                "--%s \"%s\" is not a topic filter: + stands for a level, # for the last ones",
                name, filters->items[i]);
        }
        if (!check_string(name, filters->items[i], complaint)) {
            return false;
        }
    }
    return true;
}

static bool check_pairs(const char *name, const struct option_list *pairs,
                        const struct complaint *complaint)
{
    for (unsigned i = 0; i < pairs->count; i++) {
        if (strchr(pairs->items[i], '=') == NULL) {
            return refuse(complaint, "--%s takes NAME=VALUE, not \"%s\"", name, pairs->items[i]);
        }
        if (!check_string(name, pairs->items[i], complaint)) {
            return false;
        }
    }
    return true;
}

static bool check_length(const char *name, const char *bytes, const struct complaint *complaint)
{
    return bytes == NULL || strlen(bytes) <= STRING_MAX ||
           refuse(complaint, "--%s is longer than the 65535 bytes that MQTT allows", name);
}

static bool check_texts(const struct tool_options *options, const struct complaint *complaint)
{
    return check_string("identifier", options->identifier, complaint) &&
           check_string("id-prefix", options->id_prefix, complaint) &&
           check_string("username", options->username, complaint) &&
           check_length("password", options->password, complaint) &&
           check_string("content_type", options->content_type, complaint) &&
           check_topic("response_topic", options->response_topic, complaint) &&
           check_length("correlation_data", options->correlation_data, complaint) &&
           check_topic("will-topic", options->will_topic, complaint) &&
           check_length("will-msg", options->will_payload, complaint) &&
           check_string("will_content_type", options->will_content_type, complaint) &&
           check_topic("will_response_topic", options->will_response_topic, complaint) &&
           check_length("will_correlation_data", options->will_correlation_data, complaint) &&
           check_pairs("user_property", &options->user_property, complaint) &&
           check_pairs("connect_user_property", &options->connect_user_property, complaint) &&
           check_pairs("will_user_property", &options->will_user_property, complaint);
}

/* --- the commands ------------------------------------------------------------------------------- */

static bool complete_pub(struct tool_options *options, const struct complaint *complaint)
{
    const struct {
        bool given;
        const char *name;
    } payloads[] = {{options->message != NULL, "msg"},
                    {options->file != NULL, "file"},
                    {options->stdin_lines, "stdin-line"},
                    {options->stdin_file, "stdin-file"},
                    {options->null_message, "null-message"}};
    const char *payload = NULL;

    for (size_t i = 0; i < ARRAY_LENGTH(payloads); i++) {
        if (payloads[i].given && payload != NULL) {
            return refuse(complaint, "--%s contradicts --%s: there is one payload",
                          payloads[i].name, payload);
        }
        payload = payloads[i].given ? payloads[i].name : payload;
    }
    if (payload == NULL) {
        return refuse(complaint,
                      "there is nothing to publish: --msg, --file, --stdin-line, --stdin-file or "
                      "--null-message is required");
    }
    for (unsigned i = 0; i < options->topics.count; i++) {
        if (!check_topic("topic", options->topics.items[i], complaint)) {
            return false;
        }
    }
    if (options->stdin_lines && options->count > 1) {
        return refuse(complaint, "--stdin-line needs --count 1: the lines are there once");
    }
    if (tool_given(options, "interval") && tool_given(options, "repeat-delay")) {
        return refuse(complaint, "--interval and --repeat-delay both say how long to wait");
    }
    if (tool_given(options, "repeat-delay")) {
        options->interval_ms = (uint64_t)(options->repeat_delay_s * 1000 + 0.5);
    } else if (options->stdin_lines && !tool_given(options, "interval")) {
        options->interval_ms = 0;
    }
    if (options->stdin_lines && !tool_given(options, "limit")) {
        options->limit = 0;
    }
    if (tool_given(options, "topic_alias") && options->topics.count > 1) {
        return refuse(complaint, "--topic_alias needs one topic, it is a number for it");
    }
    if (!tool_given(options, "reconnect")) {
        options->reconnect = options->stdin_lines;
    }
    return true;
}

static bool complete_sub(struct tool_options *options, const struct complaint *complaint)
{
    if (!check_filters("topic", &options->topics, complaint) ||
        !check_filters("filter-out", &options->filter_out, complaint) ||
        !check_filters("unsubscribe", &options->unsubscribe, complaint)) {
        return false;
    }
    if (options->retained_only && options->no_retained) {
        return refuse(complaint, "--retained-only and --no-retained leave nothing");
    }
    if (options->format != NULL && options->json) {
        return refuse(complaint, "--format and --json contradict each other");
    }
    if (options->no_local && options->topics.count > 0) {
        for (unsigned i = 0; i < options->topics.count; i++) {
            if (strncmp(options->topics.items[i], "$share/", 7) == 0) {
                return refuse(complaint, "--no_local is not allowed for a shared subscription");
            }
        }
    }
    if (!tool_given(options, "qos") && !options->start) {
        options->qos = 2;
    }
    if (!tool_given(options, "reconnect")) {
        options->reconnect = true;
    }
    return true;
}

bool tool_complete(struct tool_options *options, char *error, size_t error_size)
{
    struct complaint complaint = {error, error_size};

    if (options->unix_path != NULL && !complete_from_path(options, &complaint)) {
        return false;
    }
    if (options->url != NULL && !complete_from_url(options, &complaint)) {
        return false;
    }
    if (!complete_transport(options, &complaint) || !complete_version(options, &complaint) ||
        !complete_session(options, &complaint) || !check_will(options, &complaint) ||
        !check_texts(options, &complaint)) {
        return false;
    }
    if (options->command == TOOL_CONN) {
        if (!tool_given(options, "reconnect")) {
            options->reconnect = true;
        }
        return true;
    }
    if (options->topics.count == 0 &&
        (options->command == TOOL_PUB || options->unsubscribe.count == 0)) {
        return refuse(&complaint, "--topic is required");
    }
    return options->command == TOOL_PUB ? complete_pub(options, &complaint)
                                        : complete_sub(options, &complaint);
}
