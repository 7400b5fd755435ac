/* SPDX-License-Identifier: MIT
 *
 * options - the rows of options.def for the parser of base/option.h, and what contradicts what.
 */
#include "bench/options.h"

#include <string.h>

#include "base/check.h"
#include "base/utf8.h"
#include "bench/login.h"
#include "bench/payload.h"
#include "bench/secure.h"
#include "topic/topic.h"

#define TOPIC_LEVELS_MAX 65535u /* brokers may allow fewer */

/* The rows twice, because `run` has defaults of its own. */
#define ROW(row_kind, member, long_name, short_name, shown, where, help_text, preset_text,         \
            preset_value, smallest, largest)                                                       \
    {.kind = row_kind,                                                                             \
     .letter = short_name,                                                                         \
     .name = long_name,                                                                            \
     .argument = shown,                                                                            \
     .help = help_text,                                                                            \
     .offset = offsetof(struct bench_options, member),                                             \
     .commands = where,                                                                            \
     .text = preset_text,                                                                          \
     .preset = preset_value,                                                                       \
     .low = smallest,                                                                              \
     .high = largest},
#define TEXT(member, name, letter, value, preset, commands, help)                                  \
    ROW(OPTION_TEXT, member, name, letter, value, commands, help, preset, 0, 0, 0)
#define FLAG(member, name, letter, preset, commands, help)                                         \
    ROW(OPTION_FLAG, member, name, letter, NULL, commands, help, NULL, preset, 0, 1)
#define NUMBER(member, name, letter, value, preset, run_preset, low, high, commands, help)         \
    ROW(OPTION_NUMBER, member, name, letter, value, commands, help, NULL,                          \
        CHOOSE(preset, run_preset), low, high)
#define TIME(member, name, letter, preset, run_preset, low, high, commands, help)                  \
    ROW(OPTION_TIME, member, name, letter, NULL, commands, help, NULL, CHOOSE(preset, run_preset), \
        low, high)

static const struct option_row loop_rows[] = {
#define CHOOSE(preset, run_preset) preset
#include "bench/options.def"
#undef CHOOSE
};

static const struct option_row run_rows[] = {
#define CHOOSE(preset, run_preset) run_preset
#include "bench/options.def"
#undef CHOOSE
};

_Static_assert(ARRAY_LENGTH(loop_rows) == OPTIONS_COUNT, "an index for each row");

const struct option_row *options_rows(enum bench_command command, size_t *count)
{
    *count = OPTIONS_COUNT;
    return command & (RUN | SCENARIO) ? run_rows : loop_rows;
}

/* NanoMQ takes -l for --limit too. */
static const struct option_row *choose(const struct option_parser *parser, char letter,
                                       const char *attached, const char *next)
{
    (void)attached;
    (void)next;
    return letter == 'l' ? &parser->rows[OPTION_INDEX_limit] : NULL;
}

static struct option_parser parser_of(struct bench_options *options, unsigned commands)
{
    struct option_parser parser = {
        .command = commands, .values = options, .given = options->given, .choose = choose};

    parser.rows = options_rows(options->command, &parser.count);
    return parser;
}

void options_preset(struct bench_options *options, enum bench_command command)
{
    struct option_parser parser;

    memset(options, 0, sizeof(*options));
    options->command = command;
    parser = parser_of(options, command);
    option_preset(&parser);
}

int options_parse(struct bench_options *options, unsigned commands, int argc, char **argv,
                  char *error, size_t error_size)
{
    struct option_parser parser = parser_of(options, commands);

    return option_parse(&parser, argc, argv, error, error_size);
}

#define GIVEN(member) OPTIONS_GIVEN(options, member)

/* Where the broker is: a path goes in the host's place (shards/driver/target.h). */
static const char *check_place(struct bench_options *options)
{
    if (options->unix_path == NULL) {
        return NULL;
    }
    if (GIVEN(host) || GIVEN(port)) {
        return "--unix and --host or --port both say where the broker is";
    }
    if (options->unix_path[0] != '/') {
        return "--unix takes a path that begins with a slash";
    }
    options->host = options->unix_path;
    return NULL;
}

void options_place(const struct bench_options *options, char *to, size_t size)
{
    if (options->host[0] == '/') {
        snprintf(to, size, "%s", options->host);
    } else {
        snprintf(to, size, "%s:%u", options->host, (unsigned)options->port);
    }
}

/* Turns TLS on where a certificate is named, and chooses the port. */
static const char *check_transport(struct bench_options *options)
{
    bool named = options->certfile != NULL || options->cafile != NULL;

    if (GIVEN(ssl) && !options->ssl && (named || options->keyfile != NULL)) {
        return "--ssl false contradicts the certificate that is named";
    }
    if ((options->certfile == NULL) != (options->keyfile == NULL)) {
        return options->keyfile == NULL
                   ? "--certfile needs --keyfile, the private key that belongs to it"
                   : "--keyfile needs --certfile, the certificate that belongs to it";
    }
    if (options->keypass != NULL && options->keyfile == NULL) {
        return "--keypass needs --keyfile, which it opens";
    }
    options->ssl = options->ssl || named;
    if (!options->ssl && (options->insecure || options->servername != NULL)) {
        return "--insecure and --servername are about TLS: they need --ssl";
    }
    if (!options->ssl && options->resume) {
        return "--resume is about TLS: it needs --ssl";
    }
    if (!options->ws && GIVEN(path)) {
        return "--path is that of a WebSocket: it needs --ws";
    }
    if (options->path[0] != '/') {
        return "--path must begin with /";
    }
    if (!GIVEN(port)) {
        options->port = secure_port(secure_kind(options->ssl, options->ws));
    }
    return NULL;
}

static const char *check_clients(const struct bench_options *options)
{
    const char *fault = login_fault(options->auth_method, options->username, options->password,
                                    options->version == 5);

    if (fault != NULL) {
        return fault;
    }
    if (options->password != NULL && options->username == NULL && options->version < 5) {
        return "a password without a user name needs --version 5";
    }
    if (GIVEN(interval_ms) && options->connect_rate > 0) {
        return "--connrate contradicts --interval: both say when clients start";
    }
    if (options->shared != NULL && strpbrk(options->shared, "/+#") != NULL) {
        return "--shared: the name of a group has no /, + or #";
    }
    if (options->command == SUB && options->threads > 1 &&
        (options->shared != NULL ||
         (options->topic != NULL && strncmp(options->topic, "$share/", 7) == 0))) {
        return "--threads: a group is checked by one thread";
    }
    if (options->command != RUN && options->start_number + options->count > UINT32_MAX) {
        return "--startnumber and --count together go beyond 4294967295";
    }
    return NULL;
}

static bool is_utf8(const char *text)
{
    return text == NULL || utf8_valid((const uint8_t *)text, strlen(text));
}

static const char *check_texts(const struct bench_options *options)
{
    if (!is_utf8(options->topic) || !is_utf8(options->shared) || !is_utf8(options->prefix)) {
        return "--topic, --shared and --prefix must be UTF-8";
    }
    return is_utf8(options->username) ? NULL : "--username must be UTF-8";
}

static const char *check_topic(const struct bench_options *options)
{
    if (!(options->command & (PUB | SUB))) {
        return NULL;
    }
    if (options->topic == NULL) {
        return "--topic is required";
    }
    if (options->command == PUB && strpbrk(options->topic, "+#") != NULL) {
        return "--topic: messages cannot be published to a topic with + or #";
    }
    if (options->command == PUB && strncmp(options->topic, "$share/", 7) == 0) {
        return "--topic: messages cannot be published to $share/, only subscriptions begin so";
    }
    if (filter_parse(span_text(options->topic), TOPIC_LEVELS_MAX).form == FILTER_INVALID) {
        return "--topic: + stands for a whole level, # for all the last ones, and behind $share/ "
               "come a name and a filter";
    }
    if (options->shared != NULL && strncmp(options->topic, "$share/", 7) == 0) {
        return "--shared contradicts --topic, which names a group already";
    }
    return NULL;
}

static const char *check_messages(const struct bench_options *options)
{
    if (options->command == RUN && options->size < PAYLOAD_COMPACT_SIZE) {
        return "--size must be 16 or more, or nothing could be checked";
    }
    if (options->payload != NULL && GIVEN(size)) {
        return "--size contradicts --payload, which has a size of its own";
    }
    if (GIVEN(message_interval_ms) && options->rate > 0) {
        return "--rate contradicts --interval_of_msg: both say when messages are due";
    }
    if (GIVEN(inflight) && options->qos == 0 &&
        (options->command == PUB || strcmp(options->kind, "traffic") == 0)) {
        return "--inflight needs --qos 1 or 2: nobody acknowledges QoS 0";
    }
    if (options->unbounded && GIVEN(window)) {
        return "--unbounded contradicts --window";
    }
    if (options->rate > 0 && (options->unbounded || GIVEN(window))) {
        return "--rate sends on time whatever the receivers lack: it contradicts --window and "
               "--unbounded";
    }
    return NULL;
}

static const char *check_outputs(const struct bench_options *options)
{
    const char *const files[] = {options->json, options->csv, options->report};

    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        for (size_t j = 0; j < i; j++) {
            if (files[i] != NULL && files[j] != NULL && strcmp(files[i], files[j]) == 0) {
                return "--json, --csv and --report need files of their own";
            }
        }
    }
    if (options->command == RUN && options->duration_s <= 0) {
        return "--duration must be above 0: every run ends by itself";
    }
    return NULL;
}

bool options_check(struct bench_options *options, char *error, size_t error_size)
{
    const char *problem = check_place(options);

    problem = problem != NULL ? problem : check_transport(options);
    problem = problem != NULL ? problem : check_clients(options);
    problem = problem != NULL ? problem : check_texts(options);
    problem = problem != NULL ? problem : check_topic(options);
    problem = problem != NULL ? problem : check_messages(options);
    problem = problem != NULL ? problem : check_outputs(options);
    if (problem != NULL) {
        snprintf(error, error_size, "%s", problem);
        return false;
    }
    return true;
}

void options_help(FILE *to, enum bench_command command)
{
    size_t count;
    const struct option_row *rows = options_rows(command, &count);

    option_help(to, rows, count, command);
}
