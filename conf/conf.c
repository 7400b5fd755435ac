/* SPDX-License-Identifier: MIT
 *
 * conf - defaults, file, environment and command line, in this order, become one struct conf.
 */
#include "conf/conf.h"

#include "base/mem.h"
#include "conf/conf_priv.h"

#include <stdarg.h>
#include <string.h>

void conf_report_begin(struct conf_report *report, char *to, size_t size)
{
    ASSERT(size > 0);
    *report = (struct conf_report){.to = to, .size = size};
    to[0] = '\0';
}

void conf_report_add(struct conf_report *report, const char *format, ...)
{
    const size_t reserve = 40; /* for the sentence of conf_report_end() */
    char sentence[CONF_SENTENCE_BYTES];
    va_list arguments;
    size_t len;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    len = strlen(sentence);
    report->count++;
    if (report->left_out > 0 || report->used + len + 2 + reserve > report->size) {
        report->left_out++;
        return;
    }
    memcpy(report->to + report->used, sentence, len);
    report->used += len;
    report->to[report->used++] = '\n';
    report->to[report->used] = '\0';
}

void conf_report_end(struct conf_report *report)
{
    if (report->left_out > 0)
        snprintf(report->to + report->used, report->size - report->used, "and %u more errors\n",
                 report->left_out);
}

void conf_warn(struct conf_loader *loader, const char *format, ...)
{
    const size_t most = 16384; /* more of them help nobody */
    char sentence[CONF_SENTENCE_BYTES];
    va_list arguments;
    size_t len;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence) - 1, format, arguments);
    va_end(arguments);
    len = strlen(sentence);
    if (loader->warnings_len + len + 2 > most)
        return;
    sentence[len++] = '\n';
    loader->warnings = mem_realloc(loader->warnings, loader->warnings_len + len + 1);
    memcpy(loader->warnings + loader->warnings_len, sentence, len);
    loader->warnings_len += len;
    loader->warnings[loader->warnings_len] = '\0';
}

struct conf *conf_create(void)
{
    struct conf *conf = mem_zalloc(sizeof(*conf));

    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];

        if (row->kind == CONF_KIND_SECTION || row->scope == CONF_SCOPE_LISTENER)
            continue;
        conf_value_preset(row, row->scope == CONF_SCOPE_SHARD ? (void *)&conf->shard_default
                                                              : (void *)conf);
    }
    return conf;
}

/* There may have been a password in it. */
static void wipe(char *text)
{
    if (text != NULL)
        mem_wipe(text, strlen(text));
}

void conf_free(struct conf *conf)
{
    if (conf == NULL)
        return;
    for (unsigned r = 0; r < conf_row_count; r++) {
        const struct conf_row *row = &conf_rows[r];

        if (row->scope == CONF_SCOPE_BROKER && row->kind != CONF_KIND_SECTION)
            conf_value_free(row, conf);
    }
    conf_listeners_free(conf);
    conf_acl_free(conf);
    conf_plugins_free(conf);
    conf_users_free(conf);
    for (size_t i = 0; i < conf->files.count; i++) {
        mem_free(conf->files.texts[i].path);
        wipe(conf->files.texts[i].text);
        mem_free(conf->files.texts[i].text);
    }
    mem_free((struct conf_text *)(uintptr_t)conf->files.texts);
    mem_free(conf->warnings);
    mem_free(conf->file);
    mem_free(conf);
}

static void add_overrides(struct conf_loader *loader, enum conf_layer layer,
                          const struct conf_override *overrides, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct conf_override *override = &overrides[i];

        conf_entry_add(loader, &(struct conf_entry){.path = (char *)(uintptr_t) override->path,
                                                    .value = (char *)(uintptr_t) override->value,
                                                    .layer = layer,
                                                    .where = override->where});
    }
}

static void collect(struct conf_loader *loader, const struct conf_source *source)
{
    if (source->file != NULL)
        conf_read_entries(loader, source->file, source->form);
    if (source->users_file != NULL)
        conf_users_read(loader, source->users_file);
    if (source->environment != NULL)
        conf_entries_from_environment(loader, source->environment);
    add_overrides(loader, CONF_LAYER_COMMAND_LINE, source->overrides, source->override_count);
    add_overrides(loader, CONF_LAYER_RUN_TIME, source->changes, source->change_count);
}

/* What is allowed but hardly meant. */
static void warn_of_doubtful(struct conf_loader *loader)
{
    const struct conf *conf = loader->conf;

    if (conf->mqtt_max_mqueue_size < conf->mqtt_max_packet_size)
        conf_warn(loader, "mqtt.max_mqueue_size is smaller than mqtt.max_packet_size: a message of "
                          "the largest size cannot wait for anybody");
    for (unsigned i = conf->shards_count; conf->shards_count > 0 && i < CONF_SHARDS_MAX; i++) {
        bool any = false;

        for (size_t r = 0; r < ARRAY_LENGTH(loader->shard_set[i]); r++)
            any = any || loader->shard_set[i][r];
        if (any)
            conf_warn(loader, "shards.%u is configured, but shards.count is %u", i,
                      conf->shards_count);
    }
}

struct conf_loader *conf_loader_create(const struct conf_files *given)
{
    struct conf_loader *loader = mem_zalloc(sizeof(*loader));

    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = mem_try_alloc, .free_fn = mem_free});
    loader->given = given;
    return loader;
}

void conf_loader_free(struct conf_loader *loader)
{
    for (size_t i = 0; i < loader->entry_count; i++) {
        mem_free(loader->entries[i].path);
        wipe(loader->entries[i].value);
        mem_free(loader->entries[i].value);
        mem_free((char *)(uintptr_t)loader->entries[i].where);
    }
    mem_free(loader->entries);
    for (unsigned i = 0; i < loader->file_count; i++) {
        mem_free(loader->files[i].path);
        wipe(loader->files[i].text);
        mem_free(loader->files[i].text);
    }
    for (unsigned i = 0; i < loader->place_count; i++)
        mem_free(loader->places[i].path);
    mem_free(loader->places);
    mem_free(loader->warnings);
    mem_free(loader);
}

/* What was read is what a change at run time starts from. */
static void keep_texts(struct conf *conf, struct conf_loader *loader)
{
    size_t size = loader->file_count * sizeof(struct conf_text);
    struct conf_text *texts = mem_alloc(size + 1);

    memcpy(texts, loader->files, size);
    conf->files = (struct conf_files){texts, loader->file_count};
    loader->file_count = 0;
}

struct conf *conf_load(const struct conf_source *source, char *errors, size_t size)
{
    struct conf_loader *loader = conf_loader_create(source->files);
    struct conf *conf;

    conf_report_begin(&loader->errors, errors, size);
    loader->conf = conf = conf_create();
    collect(loader, source);
    conf_bind(loader);
    if (loader->errors.count == 0) {
        char broken[CONF_SENTENCE_BYTES * 2];

        if (!conf_check(conf, broken, sizeof(broken)))
            conf_report_add(&loader->errors, "%.*s", (int)strcspn(broken, "\n"), broken);
    }
    conf_report_end(&loader->errors);
    if (loader->errors.count > 0) {
        conf_free(conf);
        conf_loader_free(loader);
        return NULL;
    }
    warn_of_doubtful(loader);
    conf->warnings = loader->warnings != NULL ? loader->warnings : mem_strdup("");
    loader->warnings = NULL;
    conf->file = source->file != NULL ? mem_strdup(source->file) : NULL;
    conf->form = source->form;
    keep_texts(conf, loader);
    conf_loader_free(loader);
    return conf;
}

const struct conf_shard *conf_shard(const struct conf *conf, unsigned index)
{
    ASSERT(index < CONF_SHARDS_MAX);
    return &conf->shards[index];
}

/* `configured`, or the name beside the pid file. */
static void beside_pid_file(const struct conf *conf, const char *configured, const char *name,
                            char *to, size_t size)
{
    const char *slash = strrchr(conf->system_pid_file, '/');

    if (configured[0] != '\0')
        snprintf(to, size, "%s", configured);
    else
        snprintf(to, size, "%.*s%s", slash != NULL ? (int)(slash - conf->system_pid_file) + 1 : 0,
                 conf->system_pid_file, name);
}

void conf_control_socket(const struct conf *conf, char *to, size_t size)
{
    beside_pid_file(conf, conf->control_socket, "control.sock", to, size);
}

void conf_banned_file(const struct conf *conf, char *to, size_t size)
{
    beside_pid_file(conf, conf->banned_file, "banned.json", to, size);
}
