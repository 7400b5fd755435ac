/* SPDX-License-Identifier: MIT
 *
 * configuration - showing and changing the configuration of the running broker, its end and its restart.
 *
 * What a client wants goes through the same way as a reload by signal (src/app/reload.c), and is all or nothing:
 *
 *   members --settings_read()--> options, each checked by the table       108 with the member's name
 *           --conf_edit_set()--> the files as they will be, in memory     108
 *           --conf_edit_stage()--> on the disk under another name         118
 *           --control_reload()--> in force, or not a good whole           108
 *           --conf_edit_commit()--> the files                             118, and the reload is taken back
 *
 * POST reload and PUT log change no file: what they set ends when the files are read again for their own sake.
 */
#include "api/api_priv.h"

#include "api/handlers.h"
#include "api/settings.h"
#include "base/log.h"
#include "conf/conf_edit.h"
#include "shards/machine.h"
#include "shards/observe.h"

#define REPORT_MAX 65536

/* ---- showing ---- */

static unsigned shard_count(const struct api_request *request)
{
    return machine_shard_count(api_shard(api_of(request))->machine);
}

static cJSON *show(const struct api_request *request, enum settings_document document,
                   const char *section)
{
    return settings_show(document, api_conf(api_of(request)), shard_count(request), section);
}

void api_get_configuration(struct api_request *request)
{
    api_reply_data(request, show(request, SETTINGS_REST, NULL));
}

/* The section that the path names; false when it was answered that there is none. */
static bool read_section(struct api_request *request, char *to, size_t size)
{
    struct span name = api_path_parameter(request, 0);
    cJSON *shown = NULL;

    snprintf(to, size, "%.*s", (int)name.len, (const char *)name.data);
    if (name.len < size)
        shown = show(request, SETTINGS_REST, to);
    if (shown == NULL)
        api_reply_error(request, 404, API_RPC_ERROR, "there is no such section");
    cJSON_Delete(shown);
    return shown != NULL;
}

void api_get_configuration_section(struct api_request *request)
{
    char section[64];

    if (read_section(request, section, sizeof(section)))
        api_reply_data(request, show(request, SETTINGS_REST, section));
}

void api_get_hot_settings(struct api_request *request)
{
    api_reply_data(request, show(request, SETTINGS_HOT, NULL));
}

void api_code_get_configuration(struct api_request *request)
{
    api_reply_code(request, show(request, SETTINGS_CODE, NULL));
}

/* ---- the answer to a change ---- */

static bool lists(const cJSON *report, const char *array, const char *path)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(report, array))
    {
        if (strcmp(item->valuestring, path) == 0)
            return true;
    }
    return false;
}

/* What became of each member, by the report of the reload. One that waits for a restart and would then have the
 * value that it has now waits for nothing. */
static cJSON *sort_members(const struct settings_wish *wish, const cJSON *report)
{
    cJSON *data = cJSON_CreateObject();
    cJSON *applied = cJSON_AddArrayToObject(data, "applied");
    cJSON *restart = cJSON_AddArrayToObject(data, "restart");
    cJSON *overridden = cJSON_AddArrayToObject(data, "overridden");
    cJSON *without_effect = cJSON_AddArrayToObject(data, "without_effect");

    for (unsigned i = 0; i < wish->count; i++) {
        const struct settings_change *change = &wish->changes[i];
        cJSON *to = lists(report, "overridden", change->path) ? overridden
                    : lists(report, "restart", change->path)  ? restart
                                                              : applied;

        cJSON_AddItemToArray(to, cJSON_CreateString(change->member));
    }
    for (unsigned i = 0; i < wish->without_effect_count; i++)
        cJSON_AddItemToArray(without_effect, cJSON_CreateString(wish->without_effect[i]));
    return data;
}

/* The report of a whole reload, by the options' own paths. */
static cJSON *report_data(const cJSON *report)
{
    cJSON *data = cJSON_CreateObject();
    static const char *const arrays[] = {"applied", "restart"};

    for (size_t i = 0; i < ARRAY_LENGTH(arrays); i++) {
        cJSON *array = cJSON_Duplicate(cJSON_GetObjectItem(report, arrays[i]), true);

        cJSON_AddItemToObject(data, arrays[i], array != NULL ? array : cJSON_CreateArray());
    }
    return data;
}

/* Reloads; the report, which the caller owns, or NULL and the sentence in `error`. */
static cJSON *reload(struct api_request *request, const struct machine_reload *what, char *error,
                     size_t size)
{
    char *text = mem_zalloc(REPORT_MAX);
    bool good = control_reload(api_control(api_of(request)), what, text, REPORT_MAX);
    cJSON *report = cJSON_Parse(text);
    const char *why = cJSON_GetStringValue(cJSON_GetObjectItem(report, "error"));

    mem_free(text);
    if (good)
        return report != NULL ? report : cJSON_CreateObject();
    snprintf(error, size, "%s", why != NULL ? why : "the reload failed");
    error[strcspn(error, "\n")] =
        '\0'; /* one of the errors is enough to say that nothing changed */
    cJSON_Delete(report);
    return NULL;
}

/* ---- changing the files ---- */

/* Where a change failed, as status and code of the answer. */
struct failure {
    unsigned status;
    enum api_code code;
    char why[1024];
};

static struct conf_edit *open_files(const struct conf *conf, struct failure *failure)
{
    struct conf_edit *edit;

    *failure = (struct failure){.status = 409, .code = API_FILE_NOT_WRITTEN};
    if (conf->file == NULL) {
        snprintf(
            failure->why, sizeof(failure->why),
            "the broker was started without a configuration file: there is nothing to write to");
        return NULL;
    }
    edit = conf_edit_open(conf->file, conf->form, failure->why, sizeof(failure->why));
    failure->status = 500;
    return edit;
}

/* In force, then in the files; with either of them failing, neither. */
static cJSON *put_in_force(struct api_request *request, struct conf_edit *edit,
                           const struct conf_override *wanted, size_t count, enum api_code not_good,
                           struct failure *failure)
{
    char *file = mem_strdup(api_conf(api_of(request))->file);
    struct machine_reload what = {.path = file,
                                  .files = conf_edit_files(edit),
                                  .wanted = wanted,
                                  .wanted_count = count,
                                  .keep = true};
    cJSON *report = NULL;

    *failure = (struct failure){.status = 500, .code = API_FILE_NOT_WRITTEN};
    if (conf_edit_stage(edit, failure->why, sizeof(failure->why))) {
        failure->status = 400;
        failure->code = not_good;
        report = reload(request, &what, failure->why, sizeof(failure->why));
    }
    if (report != NULL && !conf_edit_commit(edit, failure->why, sizeof(failure->why))) {
        struct machine_reload back = {.path = file, .keep = true};
        char error[1024];

        failure->status = 500;
        failure->code = API_FILE_NOT_WRITTEN;
        cJSON_Delete(report);
        report = NULL;
        cJSON_Delete(reload(request, &back, error, sizeof(error)));
    }
    mem_free(file);
    return report;
}

static void fail(struct api_request *request, const struct failure *failure)
{
    api_reply_error(request, failure->status, failure->code, "%.*s",
                    (int)strcspn(failure->why, "\n"), failure->why);
}

/* The wish as the reload takes it. The strings stay the wish's. */
static struct conf_override *overrides_of(const struct settings_wish *wish)
{
    struct conf_override *overrides = mem_zalloc((wish->count + 1) * sizeof(*overrides));

    for (unsigned i = 0; i < wish->count; i++)
        overrides[i] = (struct conf_override){wish->changes[i].path, wish->changes[i].value,
                                              wish->changes[i].path};
    return overrides;
}

static cJSON *write_wish(struct api_request *request, const struct settings_wish *wish,
                         struct failure *failure)
{
    struct conf_edit *edit = open_files(api_conf(api_of(request)), failure);
    struct conf_override *wanted;
    cJSON *report = NULL;
    char why[900];
    bool good = edit != NULL;

    for (unsigned i = 0; good && i < wish->count; i++) {
        const struct settings_change *change = &wish->changes[i];

        good = conf_edit_set(edit, change->path, change->value, why, sizeof(why));
        if (!good) {
            failure->status = 400;
            failure->code = API_BAD_PARAMETER;
            snprintf(failure->why, sizeof(failure->why), "%.100s: %s", change->member, why);
        }
    }
    if (good) {
        wanted = overrides_of(wish);
        report = put_in_force(request, edit, wanted, wish->count, API_BAD_PARAMETER, failure);
        mem_free(wanted);
    }
    conf_edit_close(edit);
    return report;
}

/* Reads what the client wants from body.data; false when it was answered that something is wrong. */
static bool read_wish(struct api_request *request, enum settings_document document,
                      const char *section, struct settings_wish *wish)
{
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(api_body(request), "data");
    char why[1024];

    if (settings_read(document, api_conf(api_of(request)), shard_count(request), section, data,
                      wish, why, sizeof(why)))
        return true;
    api_reply_error(request, 400, API_BAD_PARAMETER, "%s", why);
    return false;
}

static void change(struct api_request *request, enum settings_document document,
                   const char *section)
{
    struct settings_wish wish;
    struct failure failure;
    cJSON *report = NULL;

    if (!read_wish(request, document, section, &wish))
        return;
    if (wish.count > 0)
        report = write_wish(request, &wish, &failure);
    if (wish.count > 0 && report == NULL)
        fail(request, &failure);
    else
        api_reply_code(request, sort_members(&wish, report));
    cJSON_Delete(report);
    settings_forget(&wish);
}

void api_post_configuration(struct api_request *request)
{
    change(request, SETTINGS_REST, NULL);
}

void api_post_configuration_section(struct api_request *request)
{
    char section[64];

    if (read_section(request, section, sizeof(section)))
        change(request, SETTINGS_REST, section);
}

void api_code_set_configuration(struct api_request *request)
{
    change(request, SETTINGS_CODE, NULL);
}

void api_update_configuration(struct api_request *request)
{
    struct span text = api_body_bytes(request);
    struct failure failure;
    struct conf_edit *edit = open_files(api_conf(api_of(request)), &failure);
    cJSON *report = NULL;

    if (edit == NULL) {
        fail(request, &failure);
        return;
    }
    failure.status = 400;
    failure.code = API_NOT_HOCON;
    if (conf_edit_replace(edit, (const char *)text.data, text.len, failure.why,
                          sizeof(failure.why)))
        report = put_in_force(request, edit, NULL, 0, API_NOT_HOCON, &failure);
    if (report != NULL)
        api_reply_data(request, report_data(report));
    else
        fail(request, &failure);
    cJSON_Delete(report);
    conf_edit_close(edit);
}

/* ---- changing what is in force ---- */

/* Sets the wish at run time; answers. */
static void change_now(struct api_request *request, const struct settings_wish *wish)
{
    struct conf_override *changes = overrides_of(wish);
    const struct conf *running = api_conf(api_of(request));
    /* on top of what was read last: what somebody is writing into the files is not asked for */
    struct machine_reload what = {.path = running->file,
                                  .files = running->file != NULL ? &running->files : NULL,
                                  .changes = changes,
                                  .change_count = wish->count,
                                  .keep = true};
    char why[1024];
    cJSON *report;

    report = reload(request, &what, why, sizeof(why));
    if (report == NULL)
        api_reply_error(request, 400, API_BAD_PARAMETER, "%s", why);
    else
        api_reply_data(request, sort_members(wish, report));
    cJSON_Delete(report);
    mem_free(changes);
}

void api_post_reload(struct api_request *request)
{
    static const struct machine_reload as_it_is;
    struct settings_wish wish;
    char why[1024];
    cJSON *report;

    if (cJSON_HasObjectItem(api_body(request), "data")) {
        if (!read_wish(request, SETTINGS_HOT, NULL, &wish))
            return;
        change_now(request, &wish);
        settings_forget(&wish);
        return;
    }
    log_reopen();
    report = reload(request, &as_it_is, why, sizeof(why));
    if (report == NULL)
        api_reply_error(request, 400, API_BAD_PARAMETER, "%s", why);
    else
        api_reply_data(request, report_data(report));
    cJSON_Delete(report);
}

void api_get_log(struct api_request *request)
{
    cJSON *shown = show(request, SETTINGS_REST, "log");

    api_reply_data(request, cJSON_DetachItemFromObject(shown, "log"));
    cJSON_Delete(shown);
}

void api_put_log(struct api_request *request)
{
    const char *level =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(api_body(request), "level"));
    struct settings_change one = {(char *)(uintptr_t) "level", (char *)(uintptr_t) "log.level",
                                  (char *)(uintptr_t)level};
    struct settings_wish wish = {.changes = &one, .count = 1};

    change_now(request, &wish);
}

/* ---- the end, and another beginning ---- */

/* The answer is on its way before the end begins, and connections end when they have had theirs. */
static void end(struct api_request *request, bool again)
{
    struct control *control = api_control(api_of(request));
    char why[1024];

    if (again && !control_may_restart(control, why, sizeof(why))) {
        api_reply_error(request, 409, API_RPC_ERROR, "%.*s", (int)strcspn(why, "\n"), why);
        return;
    }
    api_reply_ok(request);
    if (again)
        control_restart(control);
    else
        control_stop(control);
}

void api_control_broker(struct api_request *request)
{
    struct span action = api_path_parameter(request, 0);

    if (span_equal(action, span_text("stop")) || span_equal(action, span_text("restart")))
        end(request, action.len == strlen("restart"));
    else
        api_reply_error(request, 404, API_RPC_ERROR,
                        "there is no such action: stop and restart are");
}

void api_code_control(struct api_request *request)
{
    const char *action =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(api_body(request), "action"));

    end(request, strcmp(action, "restart") == 0);
}
