/* SPDX-License-Identifier: MIT
 *
 * reload - one way for everything that changes the configuration of a running broker:
 *
 *   SIGHUP, `shardmq reload`, POST reload     the files as they are; what was set at run time ends
 *   POST reload with data, PUT log            + options set at run time; they end with the next of the line above
 *   req 12, POST configuration, config_update the files as they will be; what was set at run time stays, but for
 *                                             options that are now in the file
 *
 *   file < environment < command line < set at run time
 *
 * Invariants
 *   I1  a reload that fails changes nothing: not the configuration, not the log, not what is held
 *   I2  what is in force has passed conf_check() as a whole, with the options that wait for a restart as they are
 */
#include "app/reload.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <cjson/cJSON.h>
#include <string.h>

#define AT_RUN_TIME "set at run time"

/* ---- the log ---- */

bool open_log(const struct conf *conf, char *error, size_t size)
{
    struct log_options options = {
        .level = (enum log_level)conf->log_level,
        .json = conf->log_format == CONF_LOG_FORMAT_JSON,
        .rate_limit = conf->log_rate_limit,
        .dir = conf->log_dir,
        .file = conf->log_file,
        .rotation_size = conf->log_rotation_size,
        .rotation_count = conf->log_rotation_count,
    };

    options.to |= conf->log_to & 1u << CONF_LOG_TO_CONSOLE ? LOG_TO_CONSOLE : 0;
    options.to |= conf->log_to & 1u << CONF_LOG_TO_FILE ? LOG_TO_FILE : 0;
    options.to |= conf->log_to & 1u << CONF_LOG_TO_SYSLOG ? LOG_TO_SYSLOG : 0;
    options.to |= conf->log_to & 1u << CONF_LOG_TO_JOURNALD ? LOG_TO_JOURNALD : 0;
    return log_setup(&options, error, size);
}

void log_sentences(const char *sentences)
{
    while (*sentences != '\0') {
        size_t len = strcspn(sentences, "\n");

        LOG_WARN("%.*s", (int)len, sentences);
        sentences += len + (sentences[len] == '\n');
    }
}

/* ---- what was set at run time ---- */

static const struct conf_override *find(const struct conf_override *changes, size_t count,
                                        const char *path)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(changes[i].path, path) == 0)
            return &changes[i];
    }
    return NULL;
}

static void add(struct reloader *list, const char *path, const char *value)
{
    list->held = mem_realloc(list->held, (list->held_count + 1) * sizeof(*list->held));
    list->held[list->held_count++] =
        (struct conf_override){mem_strdup(path), mem_strdup(value), AT_RUN_TIME};
}

void reload_end(struct reloader *reloader)
{
    for (size_t i = 0; i < reloader->held_count; i++) {
        mem_free((char *)(uintptr_t)reloader->held[i].path);
        mem_free((char *)(uintptr_t)reloader->held[i].value);
    }
    mem_free(reloader->held);
    reloader->held = NULL;
    reloader->held_count = 0;
}

/* What is held if the reload succeeds. */
static struct reloader hold(const struct reloader *reloader, const struct machine_reload *what)
{
    struct reloader next = {.cli = reloader->cli};

    for (size_t i = 0; what->keep && i < reloader->held_count; i++) {
        const char *path = reloader->held[i].path;

        if (find(what->changes, what->change_count, path) == NULL &&
            find(what->wanted, what->wanted_count, path) == NULL)
            add(&next, path, reloader->held[i].value);
    }
    for (size_t i = 0; i < what->change_count; i++)
        add(&next, what->changes[i].path, what->changes[i].value);
    return next;
}

/* ---- the report ---- */

static void add_path(void *argument, const char *path, const char *running, const char *wanted)
{
    (void)running;
    (void)wanted;
    cJSON_AddItemToArray(argument, cJSON_CreateString(path));
}

static void write_report(cJSON *report, char *to, size_t size)
{
    if (size > INT32_MAX || !cJSON_PrintPreallocated(report, to, (int)size, false))
        snprintf(to, size, "{\"ok\":%s}",
                 cJSON_IsTrue(cJSON_GetObjectItem(report, "ok")) ? "true" : "false");
    cJSON_Delete(report);
}

static void write_failure(const char *error, char *to, size_t size)
{
    cJSON *report = cJSON_CreateObject();
    char cut[1024]; /* fits the report whatever it needs to be escaped */

    snprintf(cut, sizeof(cut), "%s", error);
    cJSON_AddBoolToObject(report, "ok", false);
    cJSON_AddStringToObject(report, "error", cut);
    write_report(report, to, size);
}

static bool same_value(const struct conf *a, const struct conf *b, const char *path)
{
    char left[2048], right[2048];

    return conf_option_get(a, path, left, sizeof(left)) &&
           conf_option_get(b, path, right, sizeof(right)) && strcmp(left, right) == 0;
}

/* The options that the files were changed for, and that have another value all the same: environment or command line
 * prevail. */
static void report_overridden(const struct reloader *reloader, const struct machine_reload *what,
                              const struct conf *conf, cJSON *report)
{
    struct cli_more more = {what->path, what->files, what->wanted, what->wanted_count};
    char errors[1024];
    struct conf *wanted = cli_load(reloader->cli, &more, errors, sizeof(errors));
    cJSON *overridden = cJSON_AddArrayToObject(report, "overridden");

    for (size_t i = 0; wanted != NULL && i < what->wanted_count; i++) {
        if (!same_value(conf, wanted, what->wanted[i].path))
            cJSON_AddItemToArray(overridden, cJSON_CreateString(what->wanted[i].path));
    }
    conf_free(wanted);
}

/* Compares, and makes of `conf` what will be in force (I2). */
static bool merge(const struct conf *running, struct conf *conf, cJSON *report, char *errors,
                  size_t size)
{
    conf_diff_reload(running, conf, add_path, NULL, cJSON_AddArrayToObject(report, "applied"));
    conf_diff_reload(running, conf, NULL, add_path, cJSON_AddArrayToObject(report, "restart"));
    conf_keep_boot(running, conf);
    return conf_check(conf, errors, size);
}

/* ---- the reload ---- */

struct conf *reload(struct reloader *reloader, const struct machine_reload *what,
                    const struct conf *running, char *report, size_t size)
{
    struct reloader next = hold(reloader, what);
    struct cli_more more = {what->path, what->files, next.held, next.held_count};
    char *errors = mem_zalloc(RELOAD_ERRORS_MAX);
    struct conf *conf = cli_load(reloader->cli, &more, errors, RELOAD_ERRORS_MAX);
    cJSON *json = cJSON_CreateObject();

    cJSON_AddBoolToObject(json, "ok", true);
    if (conf != NULL && what->wanted_count > 0)
        report_overridden(reloader, what, conf, json);
    if (conf != NULL && merge(running, conf, json, errors, RELOAD_ERRORS_MAX) &&
        what->prepare(what->control, conf, errors, RELOAD_ERRORS_MAX) &&
        open_log(conf, errors, RELOAD_ERRORS_MAX)) {
        log_sentences(conf->warnings);
        write_report(json, report, size);
        reload_end(reloader);
        *reloader = next;
    } else {
        conf_free(conf); /* I1 */
        conf = NULL;
        cJSON_Delete(json);
        write_failure(errors, report, size);
        reload_end(&next);
    }
    mem_free(errors);
    return conf;
}
