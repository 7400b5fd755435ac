/* SPDX-License-Identifier: MIT */
#include "api/mqtt_job.h"

#include "api/api_priv.h"

#include <stdlib.h>

#define TOPICS_MAX 65536u /* of one request: errands and messages that wait for their turn */

struct mqtt_result {
    enum api_code code; /* API_OK until something goes wrong */
    char *why;          /* a sentence; NULL without memory, and with API_OK */
};

/* Owner: shard (the control shard). */
struct mqtt_job {
    struct api *api;
    const struct mqtt_job_kind *kind;
    bool many;
    unsigned item_count, present; /* present: the item that is read or concerned */
    struct mqtt_result *results;  /* [item_count] */
    struct batch_unit *units;
    unsigned *unit_items; /* [unit]: which item it is of */
    unsigned unit_count, unit_capacity;
};

struct api *mqtt_job_api(const struct mqtt_job *job)
{
    return job->api;
}

static const char *text_of(const cJSON *item, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, name));
}

bool mqtt_job_topic(const cJSON *item, uint32_t *at, struct span *topic)
{
    const char *topics = text_of(item, "topics"), *one = text_of(item, "topic");
    const char *text = topics != NULL ? topics : one;
    size_t len = text == NULL ? 0 : strlen(text);
    const char *begin, *comma;

    if (text == NULL || *at > len)
        return false;
    begin = text + *at;
    comma = topics == NULL ? NULL : strchr(begin, ',');
    *topic = span_of(begin, (uint32_t)(comma == NULL ? len - *at : (size_t)(comma - begin)));
    *at += topic->len + 1;
    return true;
}

/* ---- results ---- */

static char *copied(const char *sentence)
{
    size_t size = strlen(sentence) + 1;
    char *copy = mem_try_alloc(size);

    if (copy != NULL)
        memcpy(copy, sentence, size);
    return copy;
}

void mqtt_job_fail(struct mqtt_job *job, enum api_code code, const char *sentence)
{
    struct mqtt_result *result = &job->results[job->present];

    if (result->code != API_OK)
        return;
    result->code = code;
    result->why = copied(sentence);
}

static bool has_room(struct mqtt_job *job)
{
    unsigned capacity = job->unit_capacity == 0 ? 16 : job->unit_capacity * 2;
    struct batch_unit *units;
    unsigned *items;

    if (job->unit_count < job->unit_capacity)
        return true;
    units = mem_try_realloc(job->units, capacity * sizeof(*units));
    if (units == NULL)
        return false;
    job->units = units;
    items = mem_try_realloc(job->unit_items, capacity * sizeof(*items));
    if (items == NULL)
        return false;
    job->unit_items = items;
    job->unit_capacity = capacity;
    return true;
}

void mqtt_job_add(struct mqtt_job *job, struct errand *errand, unsigned shard)
{
    if (errand == NULL || job->unit_count == TOPICS_MAX || !has_room(job)) {
        errand_free(job->api->shard->broker, errand);
        mqtt_job_fail(job, API_UNKNOWN,
                      job->unit_count == TOPICS_MAX ? "more than 65536 topics in one request"
                                                    : "no memory");
        return;
    }
    job->unit_items[job->unit_count] = job->present;
    job->units[job->unit_count++] = (struct batch_unit){errand, shard};
}

/* Takes back the errands of the present item: nothing of it is done. */
static void withdraw(struct mqtt_job *job)
{
    while (job->unit_count != 0 && job->unit_items[job->unit_count - 1] == job->present)
        errand_free(job->api->shard->broker, job->units[--job->unit_count].errand);
}

/* ---- the answer ---- */

static cJSON *result_row(const struct mqtt_job *job, unsigned index, const cJSON *item)
{
    const struct mqtt_result *result = &job->results[index];
    const char *topics = text_of(item, "topics"), *client = text_of(item, "clientid");
    const char *topic = topics != NULL ? topics : text_of(item, "topic");
    cJSON *row = cJSON_CreateObject();

    if (job->kind->names_client)
        cJSON_AddItemToObject(row, "clientid",
                              client == NULL ? cJSON_CreateNull() : cJSON_CreateString(client));
    cJSON_AddItemToObject(row, "topic",
                          topic == NULL ? cJSON_CreateNull() : cJSON_CreateString(topic));
    cJSON_AddNumberToObject(row, "code", result->code);
    if (result->code != API_OK)
        cJSON_AddStringToObject(row, "message", result->why == NULL ? "no memory" : result->why);
    return row;
}

static void answer_many(const struct mqtt_job *job, struct api_request *request)
{
    cJSON *body = cJSON_CreateObject(), *data = cJSON_AddArrayToObject(body, "data");
    const cJSON *item = api_body(request)->child;

    for (unsigned i = 0; i < job->item_count; i++, item = item->next)
        cJSON_AddItemToArray(data, result_row(job, i, item));
    cJSON_AddNumberToObject(body, "code", API_OK);
    api_reply_json(request, 200, body);
}

static unsigned status_of(enum api_code code)
{
    switch (code) {
    case API_UNKNOWN: /* overload, memory, a limit */
        return 503;
    case API_CLIENT_OFFLINE:
        return 404;
    default:
        return 400;
    }
}

static void answer(const struct mqtt_job *job, struct api_request *request)
{
    const struct mqtt_result *result = job->results;

    if (job->many)
        answer_many(job, request);
    else if (result->code == API_OK)
        api_reply_ok(request);
    else
        api_reply_error(request, status_of(result->code), result->code, "%s",
                        result->why == NULL ? "no memory" : result->why);
}

static void job_free(struct mqtt_job *job)
{
    for (unsigned i = 0; job->results != NULL && i < job->item_count; i++)
        mem_free(job->results[i].why);
    mem_free(job->results);
    mem_free(job->unit_items);
    mem_free(job);
}

static void over(void *argument, struct api_request *request)
{
    struct mqtt_job *job = argument;

    if (request != NULL)
        answer(job, request);
    job_free(job);
}

static void came_back(void *argument, unsigned n, struct errand *errand)
{
    struct mqtt_job *job = argument;

    job->present = job->unit_items[n];
    if (errand == NULL)
        mqtt_job_fail(job, API_UNKNOWN, "a shard did not answer in time");
    else
        job->kind->back(job, errand);
}

/* ---- reading ---- */

static void read_item(struct mqtt_job *job, const struct schema *schema, const cJSON *item)
{
    enum schema_verdict verdict;
    char why[512] = "";

    verdict = schema_check(schema, item, why, sizeof(why));
    if (verdict != SCHEMA_OK)
        mqtt_job_fail(job, verdict == SCHEMA_MISSING ? API_MISSING_PARAMETER : API_BAD_PARAMETER,
                      why);
    else if (text_of(item, "topic") == NULL && text_of(item, "topics") == NULL)
        mqtt_job_fail(job, API_MISSING_PARAMETER, "topic or topics is missing");
    else
        job->kind->read(job, item);
    if (job->results[job->present].code != API_OK)
        withdraw(job);
}

void mqtt_job_run(struct api_request *request, const struct mqtt_job_kind *kind, bool many)
{
    struct api *api = api_of(request);
    const cJSON *body = api_body(request), *item = many ? body->child : body;
    struct mqtt_job *job = mem_try_zalloc(sizeof(*job));
    struct schema *schema;

    if (job != NULL) {
        *job = (struct mqtt_job){.api = api, .kind = kind, .many = many};
        job->item_count = many ? (unsigned)cJSON_GetArraySize(body) : 1;
        job->results = mem_try_zalloc((job->item_count + 1) * sizeof(*job->results));
    }
    if (job == NULL || job->results == NULL) {
        mem_free(job);
        api_reply_error(request, 500, API_UNKNOWN, "no memory");
        return;
    }
    schema = schema_create(api->schemas, kind->item);
    for (; job->present < job->item_count; job->present++, item = item->next)
        read_item(job, schema, item);
    schema_destroy(schema);
    batch_run(request, job->units, job->unit_count, came_back, over, job);
}
