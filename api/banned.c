/* SPDX-License-Identifier: MIT
 *
 * banned - the bans (shards/bans.h) over the API, with EMQX's names of members.
 */
#include "api/api_priv.h"

#include "api/handlers.h"
#include "conf/conf.h"
#include "shards/bans.h"

#define PAGE_DEFAULT 100

static struct bans *bans_of(const struct api_request *request)
{
    return control_bans(api_control(api_of(request)));
}

static uint64_t now_s(const struct api_request *request)
{
    return api_shard(api_of(request))->wall_ms / 1000;
}

/* ---- GET ---- */

/* Whether the query asks for this one. */
static bool wanted(const struct api_request *request, const struct ban *ban)
{
    struct span as, who;

    return (!api_query(request, "as", &as) || span_equal(as, span_text(ban_as(ban)))) &&
           (!api_query(request, "who", &who) || span_equal(who, span_text(ban->who)));
}

void api_list_banned(struct api_request *request)
{
    struct bans *bans = bans_of(request);
    uint32_t total = bans_count(bans, now_s(request));
    int64_t page = 1, limit = PAGE_DEFAULT, count = 0;
    cJSON *root = cJSON_CreateObject(), *list, *meta;
    bool paged = api_query_number(request, "limit", &limit);

    paged = api_query_number(request, "page", &page) || paged; /* else all, as in other lists */
    cJSON_AddNumberToObject(root, "code", API_OK);
    list = cJSON_AddArrayToObject(root, "data");
    for (uint32_t i = 0; i < total; i++) {
        const struct ban *ban = bans_at(bans, i);

        if (!wanted(request, ban))
            continue;
        if (!paged || (count >= (page - 1) * limit && count < page * limit))
            cJSON_AddItemToArray(list, ban_show(ban));
        count++;
    }
    meta = cJSON_AddObjectToObject(root, "meta");
    cJSON_AddNumberToObject(meta, "page", (double)page);
    cJSON_AddNumberToObject(meta, "limit", (double)(paged ? limit : count));
    cJSON_AddNumberToObject(meta, "count", (double)count);
    cJSON_AddBoolToObject(meta, "hasnext", paged && count > page * limit);
    api_reply_json(request, 200, root);
}

/* ---- POST, DELETE ---- */

/* False when it was answered what is wrong. */
static bool is_done(struct api_request *request, enum bans_result result, const char *why)
{
    switch (result) {
    case BANS_DONE:
        return true;
    case BANS_FULL:
        api_reply_error(request, 409, API_UNKNOWN,
                        "there are as many bans as banned.max_entries allows, %u",
                        api_conf(api_of(request))->banned_max_entries);
        break;
    case BANS_NOT_WRITTEN:
        api_reply_error(request, 500, API_FILE_NOT_WRITTEN, "%s", why);
        break;
    case BANS_BUSY:
        api_reply_error(request, 503, API_UNKNOWN,
                        "too many changes are on their way to the shards: try again");
        break;
    case BANS_UNKNOWN:
        api_reply_error(request, 404, API_UNKNOWN, "there is no such ban");
        break;
    }
    return false;
}

void api_create_ban(struct api_request *request)
{
    char why[512] = "";
    struct ban *ban = ban_read(api_body(request), api_conf(api_of(request))->http_server_username,
                               now_s(request), why, sizeof(why));
    cJSON *shown;

    if (ban == NULL) {
        api_reply_error(request, 400, API_BAD_PARAMETER, "%s", why);
        return;
    }
    if (ban->until_s <= now_s(request)) {
        ban_free(ban);
        api_reply_error(request, 400, API_BAD_PARAMETER, "until: that time has passed");
        return;
    }
    shown = ban_show(ban);
    if (is_done(request, control_ban(api_control(api_of(request)), ban, why, sizeof(why)), why))
        api_reply_data(request, shown);
    else
        cJSON_Delete(shown);
}

void api_delete_ban(struct api_request *request)
{
    struct span as = api_path_parameter(request, 0);
    char name[32], why[512] = "";

    snprintf(name, sizeof(name), "%.*s", (int)as.len, (const char *)as.data);
    if (is_done(request,
                control_unban(api_control(api_of(request)), name, api_path_parameter(request, 1),
                              why, sizeof(why)),
                why))
        api_reply_ok(request);
}

void api_delete_all_bans(struct api_request *request)
{
    char why[512] = "";

    if (is_done(
            request,
            control_unban(api_control(api_of(request)), NULL, (struct span){0}, why, sizeof(why)),
            why))
        api_reply_ok(request);
}
