/* SPDX-License-Identifier: MIT
 *
 * conf_dump - the configuration in the form of its file, the commented default file, and the list of options.
 */
#include "conf/conf_priv.h"

#include "base/mem.h"

#include <string.h>

#define HELP_WIDTH 96

/* True when the text would not be read back as it stands. */
static bool needs_quotes(const struct conf_row *row, const char *text)
{
    return row->preset_text != NULL || text[0] == '\0';
}

static void print_quoted(const char *text, FILE *to)
{
    fputc('"', to);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fprintf(to, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(to, "\\u%04x", (unsigned char)*text);
        else
            fputc(*text, to);
    }
    fputc('"', to);
}

static void print_value(const struct conf_row *row, const void *object, FILE *to)
{
    char value[CONF_VALUE_BYTES];

    conf_value_format(row, object, value, sizeof(value));
    if (needs_quotes(row, value))
        print_quoted(value, to);
    else
        fputs(value, to);
}

static void print_option(const struct conf_row *row, const char *name, const void *object,
                         const char *indent, FILE *to)
{
    fprintf(to, "%s%s = ", indent, name);
    print_value(row, object, to);
    fputc('\n', to);
}

/* The rows of one scope (that have all of `kinds`) that differ from `unlike`, or all when it is NULL. */
static void print_rows(enum conf_scope scope, unsigned kinds, const void *object,
                       const void *unlike, const char *indent, FILE *to)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];

        if (row->kind != CONF_KIND_SECTION && row->scope == scope &&
            (row->kinds & kinds) == kinds &&
            (unlike == NULL || !conf_value_equal(row, object, unlike)))
            print_option(row, row->path, object, indent, to);
    }
}

static bool shard_differs(const struct conf *conf, unsigned index)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];

        if (row->scope == CONF_SCOPE_SHARD &&
            !conf_value_equal(row, &conf->shards[index], &conf->shard_default))
            return true;
    }
    return false;
}

static void print_shards(const struct conf *conf, FILE *to)
{
    fputs("    default {\n", to);
    print_rows(CONF_SCOPE_SHARD, 0, &conf->shard_default, NULL, "        ", to);
    fputs("    }\n", to);
    for (unsigned i = 0; i < CONF_SHARDS_MAX; i++) {
        if (!shard_differs(conf, i))
            continue;
        fprintf(to, "    %u {\n", i);
        print_rows(CONF_SCOPE_SHARD, 0, &conf->shards[i], &conf->shard_default, "        ", to);
        fputs("    }\n", to);
    }
}

static void print_listeners(const struct conf *conf, FILE *to)
{
    for (unsigned i = 0; i < conf->listener_count; i++) {
        fprintf(to, "    %s {\n", conf->listeners[i].name);
        print_rows(CONF_SCOPE_LISTENER, 1u << conf->listeners[i].kind, &conf->listeners[i], NULL,
                   "        ", to);
        fputs("    }\n", to);
    }
}

static void print_plugins(const struct conf *conf, FILE *to)
{
    for (unsigned i = 0; i < conf->plugin_count; i++) {
        const struct conf_plugin *plugin = &conf->plugins[i];

        fprintf(to, "    %s {\n        path = ", plugin->name);
        print_quoted(plugin->path, to);
        fputs("\n        config {\n", to);
        for (unsigned p = 0; p < plugin->pair_count; p++) {
            fputs("            ", to);
            print_quoted(plugin->pairs[p].key, to);
            fputs(" = \"" CONF_SECRET_SHOWN "\"\n", to);
        }
        fputs("        }\n    }\n", to);
    }
}

static void print_users(const struct conf *conf, FILE *to)
{
    if (conf->user_count == 0)
        return;
    fputs("    password {\n", to);
    for (unsigned i = 0; i < conf->user_count; i++) {
        fputs("        ", to);
        print_quoted(conf->users[i].name, to);
        fputs(" = \"" CONF_SECRET_SHOWN "\"\n", to);
    }
    fputs("    }\n", to);
}

static void print_section(const struct conf *conf, const struct conf_row *section, FILE *to)
{
    fprintf(to, "%s {\n", section->path);
    for (const struct conf_row *row = section + 1;
         row < conf_rows + conf_row_count && row->kind != CONF_KIND_SECTION; row++) {
        if (row->scope == CONF_SCOPE_BROKER)
            print_option(row, strchr(row->path, '.') + 1, conf, "    ", to);
    }
    if (strcmp(section->path, "auth") == 0) {
        conf_acl_print(conf, to);
        print_users(conf, to);
    }
    if (strcmp(section->path, "shards") == 0)
        print_shards(conf, to);
    if (strcmp(section->path, "listeners") == 0)
        print_listeners(conf, to);
    if (strcmp(section->path, "plugins") == 0)
        print_plugins(conf, to);
    fputs("}\n", to);
}

void conf_dump(const struct conf *conf, FILE *to)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        if (conf_rows[i].kind == CONF_KIND_SECTION)
            print_section(conf, &conf_rows[i], to);
    }
}

/* Breaks the help into comment lines. */
static void print_comment(const char *help, const char *indent, FILE *to)
{
    size_t room = HELP_WIDTH - strlen(indent);

    while (*help != '\0') {
        size_t len = strlen(help);

        if (len > room) {
            for (len = room; len > 0 && help[len] != ' '; len--)
                ;
            ASSERT(len > 0); /* no word of the table is that long */
        }
        fprintf(to, "%s# %.*s\n", indent, (int)len, help);
        help += len;
        help += *help == ' ';
    }
}

static void describe_bounds(const struct conf_row *row, char *to, size_t size)
{
    uint64_t scratch = 0; /* holds the field of any number */
    struct conf_row low = *row, high = *row;
    char first[64], last[64];

    to[0] = '\0';
    if (row->kind == CONF_KIND_CHOICE || row->kind == CONF_KIND_CHOICES) {
        const char *const *names = conf_choice_names(row->unit);
        size_t used = (size_t)snprintf(to, size, row->kind == CONF_KIND_CHOICES ? "any of " : "");

        for (int i = 0; names[i] != NULL; i++)
            used += (size_t)snprintf(to + used, size - used, "%s%s", i > 0 ? ", " : "", names[i]);
        return;
    }
    if (row->kind == CONF_KIND_BOOL) {
        snprintf(to, size, "true or false");
        return;
    }
    if (row->preset_text != NULL) {
        snprintf(to, size, "%s", row->unit);
        return;
    }
    low.offset = high.offset = 0;
    low.preset = row->least;
    high.preset = row->most;
    conf_value_preset(&low, &scratch);
    conf_value_format(&low, &scratch, first, sizeof(first));
    conf_value_preset(&high, &scratch);
    conf_value_format(&high, &scratch, last, sizeof(last));
    snprintf(to, size, "%s to %s%s%s", first, last, row->unit != NULL ? " " : "",
             row->unit != NULL ? row->unit : "");
}

/* The default as the file would have it, in a listener of that kind. */
static void print_preset(const struct conf_row *row, enum conf_listener_kind kind, FILE *to)
{
    struct conf_row at_begin = *row;
    union conf_scratch scratch;

    if (row->kind == CONF_KIND_SECRET) { /* what everybody can read here is none */
        print_quoted(row->preset_text, to);
        return;
    }
    memset(&scratch, 0, sizeof(scratch));
    at_begin.offset = 0;
    at_begin.preset_text = conf_listener_preset(row, kind);
    conf_value_preset(&at_begin, &scratch);
    print_value(&at_begin, &scratch, to);
    conf_value_free(&at_begin, &scratch);
}

static void print_documented(const struct conf_row *row, enum conf_listener_kind kind,
                             const char *name, const char *indent, FILE *to)
{
    const char *shipped = conf_shipped(row);
    char bounds[200], line[300];

    describe_bounds(row, bounds, sizeof(bounds));
    print_comment(row->help, indent, to);
    snprintf(line, sizeof(line), "(%s; %s%s)", bounds,
             row->when == CONF_WHEN_RELOAD ? "changes at reload" : "changes at the next start",
             shipped != NULL ? "; this line differs from the default" : "");
    print_comment(line, indent, to);
    fprintf(to, "%s%s%s = ", indent, shipped != NULL ? "" : "#", name);
    if (shipped != NULL)
        fputs(shipped, to);
    else
        print_preset(row, kind, to);
    fputs("\n\n", to);
}

/* Of a kind of listener: what no kind before it has, and what has another default. */
static bool documented_in(const struct conf_row *row, enum conf_scope scope,
                          enum conf_listener_kind kind)
{
    unsigned before = (1u << kind) - 1;

    if (row->scope != scope || scope != CONF_SCOPE_LISTENER)
        return row->scope == scope;
    return (row->kinds & 1u << kind) != 0 &&
           ((row->kinds & before) == 0 || conf_listener_preset(row, kind) != row->preset_text);
}

static void print_documented_scope(const struct conf_row *section, enum conf_scope scope,
                                   enum conf_listener_kind kind, const char *block, FILE *to)
{
    bool any = false;

    for (const struct conf_row *row = section + 1;
         row < conf_rows + conf_row_count && row->kind != CONF_KIND_SECTION; row++) {
        if (!documented_in(row, scope, kind))
            continue;
        if (!any && block != NULL)
            fprintf(to, "    %s {\n", block);
        any = true;
        print_documented(row, kind,
                         scope == CONF_SCOPE_BROKER ? strchr(row->path, '.') + 1 : row->path,
                         block != NULL ? "        " : "    ", to);
    }
    if (any && kind != CONF_LISTENER_TCP)
        fprintf(to, "        # ... and the options of tcp%s\n",
                kind == CONF_LISTENER_WSS    ? ", ssl and ws"
                : kind == CONF_LISTENER_UNIX ? " that are not about the network"
                                             : "");
    if (any && block != NULL)
        fputs("    }\n", to);
}

void conf_dump_defaults(FILE *to)
{
    fputs("# The configuration of ShardMQ: every option with its default, commented out. A line "
          "takes effect\n"
          "# when its # goes away.\n"
          "#\n"
          "# Blocks and dotted keys mean the same: mqtt { max_qos = 1 } is mqtt.max_qos = 1. Sizes "
          "have the units B,\n"
          "# KB, MB, GB and TB, times ms, s, m, h and d. Another file is read with: include "
          "\"file\"\n"
          "# The environment prevails over the file (SHARDMQ_MQTT_MAX_QOS=1), the command line "
          "over both.\n"
          "#\n"
          "# This file is made by: shardmq start --dump-config --defaults\n",
          to);
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *section = &conf_rows[i];

        if (section->kind != CONF_KIND_SECTION)
            continue;
        fputc('\n', to);
        print_comment(section->help, "", to);
        fprintf(to, "%s {\n", section->path);
        print_documented_scope(section, CONF_SCOPE_BROKER, CONF_LISTENER_TCP, NULL, to);
        print_documented_scope(section, CONF_SCOPE_SHARD, CONF_LISTENER_TCP, "default", to);
        for (unsigned kind = 0; kind < CONF_LISTENER_KINDS; kind++)
            print_documented_scope(section, CONF_SCOPE_LISTENER, (enum conf_listener_kind)kind,
                                   conf_listener_kind_name((enum conf_listener_kind)kind), to);
        fputs("}\n", to);
    }
}

/* "listeners.ssl.<name>.": where an option of listeners is for the first time. */
static const char *list_prefix(const struct conf_row *row)
{
    static const char *const listeners[CONF_LISTENER_KINDS] = {
        [CONF_LISTENER_TCP] = "listeners.<tcp|ssl|ws|wss>.<name>.",
        [CONF_LISTENER_SSL] = "listeners.<ssl|wss>.<name>.",
        [CONF_LISTENER_WS] = "listeners.<ws|wss>.<name>.",
        [CONF_LISTENER_UNIX] = "listeners.unix.<name>."};
    unsigned kind = 0;

    if (row->scope == CONF_SCOPE_BROKER)
        return "";
    if (row->scope == CONF_SCOPE_SHARD)
        return "shards.<n>.";
    if ((row->kinds >> CONF_LISTENER_TCP & row->kinds >> CONF_LISTENER_UNIX & 1) != 0)
        return "listeners.<tcp|ssl|ws|wss|unix>.<name>.";
    while ((row->kinds >> kind & 1) == 0)
        kind++;
    return listeners[kind];
}

void conf_describe(void (*take)(const struct conf_description *description, void *argument),
                   void *argument)
{
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];
        struct conf_description description = {row->path, row->help, NULL, NULL,
                                               row->when == CONF_WHEN_RELOAD};
        char path[CONF_PATH_BYTES], bounds[200], *preset = NULL;
        size_t len;
        FILE *to;

        if (row->kind != CONF_KIND_SECTION) {
            to = open_memstream(&preset, &len);
            ASSERT(to != NULL);
            print_preset(row, CONF_LISTENER_TCP, to);
            fclose(to);
            describe_bounds(row, bounds, sizeof(bounds));
            snprintf(path, sizeof(path), "%s%s", list_prefix(row), row->path);
            description.path = path;
            description.preset = preset;
            description.bounds = bounds;
        }
        take(&description, argument);
        mem_free_libc(preset);
    }
}

static void list_option(const struct conf_description *option, void *argument)
{
    FILE *to = argument;

    if (option->preset == NULL)
        return;
    fprintf(to, "%s = %s  (%s; %s)\n", option->path, option->preset, option->bounds,
            option->reload ? "reload" : "start");
    print_comment(option->help, "    ", to);
}

void conf_list_options(FILE *to)
{
    conf_describe(list_option, to);
}
