/* SPDX-License-Identifier: MIT
 *
 * list - lists of clients, subscriptions and retained messages as JSON, of any length in little memory.
 *
 *   collector --records--> style->write --> text --64 KiB--> chunk of the answer --> socket
 *       ^                                                         |
 *       +-------- goes on when the client has taken it <----------+
 *
 * A list that fits into PIECE is one answer with its length. A longer one is sent in chunks as it comes, and the
 * shards are asked for more only as fast as the client takes it: a million clients take a few hundred kilobytes here.
 *
 * Without `page` and `limit` a list has everything. With one of them it is one page, and the shards count what there
 * is, so that `meta` can tell how many pages there are.
 *
 * Lists are many bytes, and this thread has no CPU of its own: what it takes is missing to a shard that has messages to
 * deliver. So when the thread has run for BUDGET_NS of SPAN_MS, a quarter, all lists rest until the span is over. (The
 * shards themselves pay some microseconds for a batch.)
 *
 * Invariants
 *   I1  a list_reply is freed when its answer is complete or has failed, or by its watcher, which is told when the
 *       client has gone; what comes between the client's end and that is not looked at
 *   I2  what was sent in part cannot become an error: then the connection ends without the last chunk, which every
 *       client of HTTP/1.1 takes for a failure (RFC 9112, 8)
 */
#include "api/list.h"

#include "api/api_priv.h"

#include <stdio.h>
#include <time.h>

#define PIECE     65536u
#define SPAN_MS   16u
#define BUDGET_NS 4000000u

struct list_reply {
    struct api *api;
    struct api_handle handle;
    struct collector *collector;
    const struct list_style *style;
    void *state;
    struct json_text text;
    struct timer rest;                        /* until the next span of time */
    bool streaming, any, failed, paged, full; /* full: the client is to take some first */
    unsigned status;                          /* why it failed */
    enum api_code code;
    const char *sentence;
    uint64_t page, limit, written;
};

struct json_text *list_text(struct list_reply *reply)
{
    return &reply->text;
}

void *list_state(struct list_reply *reply)
{
    return reply->state;
}

void list_comma(struct list_reply *reply)
{
    if (reply->any)
        json_text_raw(&reply->text, ",");
    reply->any = true;
}

const struct api *list_api(const struct list_reply *reply)
{
    return reply->api;
}

void list_fail_with(struct list_reply *reply, unsigned status, enum api_code code,
                    const char *sentence)
{
    reply->failed = true;
    reply->status = status;
    reply->code = code;
    reply->sentence = sentence;
}

void list_fail(struct list_reply *reply, const char *sentence)
{
    list_fail_with(reply, 503, API_UNKNOWN, sentence);
}

static void free_reply(struct list_reply *reply)
{
    timer_disarm(&api_shard(reply->api)->timers, &reply->rest);
    if (reply->style->release != NULL)
        reply->style->release(reply->state);
    json_text_free(&reply->text);
    mem_free(reply);
}

/* ---- what is around the records ---- */

static void begin_text(struct list_reply *reply, const struct api_request *request)
{
    char head[96] = "{\"code\":0,\"data\":";

    if ((request->route->flags & API_ENVELOPE) != 0)
        snprintf(head, sizeof(head), "{\"code\":0,\"seq\":%s,\"rep\":%u,\"data\":",
                 request->seq[0] == '\0' ? "0" : request->seq, request->code->number);
    json_text_raw(&reply->text, head);
    if (!reply->style->single)
        json_text_raw(&reply->text, "[");
}

static void write_meta(struct list_reply *reply)
{
    struct json_text *text = &reply->text;
    uint64_t count = reply->paged ? collector_count(reply->collector) : reply->written;
    uint64_t limit = reply->paged ? reply->limit : reply->written;

    json_text_raw(text, ",\"meta\":{\"page\":");
    json_text_number(text, reply->page);
    json_text_raw(text, ",\"limit\":");
    json_text_number(text, limit);
    json_text_raw(text, ",\"count\":");
    json_text_number(text, count);
    json_text_raw(text, ",\"hasnext\":");
    json_text_bool(text, reply->paged &&
                             count / reply->limit + (count % reply->limit != 0) > reply->page);
    json_text_raw(text, "}");
}

static void finish_text(struct list_reply *reply)
{
    if (reply->style->finish != NULL)
        reply->style->finish(reply);
    if (reply->written == 0 && reply->style->absent != NULL)
        reply->style->absent(reply);
    if (!reply->style->single)
        json_text_raw(&reply->text, "]");
    if (reply->style->meta)
        write_meta(reply);
    json_text_raw(&reply->text, "}");
    if (reply->text.failed)
        list_fail(reply, "the broker has no memory left for this list");
}

/* ---- sending ---- */

/* The end of a list that failed (I2). */
static void answer_failure(struct list_reply *reply, struct api_request *request)
{
    api_watch(request, NULL, NULL);
    if (reply->streaming)
        api_stream_abort(request);
    else
        api_reply_error(request, reply->status, reply->code, "%s", reply->sentence);
}

/* Sends what there is as a chunk. False when the client does not take more for now. */
static bool send_piece(struct list_reply *reply, struct api_request *request)
{
    bool room;

    if (!reply->streaming)
        api_stream_begin(request, "application/json");
    reply->streaming = true;
    room = api_stream_write(request, reply->text.data, reply->text.len);
    reply->text.len = 0;
    return room;
}

/* ---- resting ---- */

static uint64_t thread_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Whether this thread has spent its time of this span; then the list goes on in the next. Whatever the thread does
 * counts: most of a list's time goes where its bytes go out. */
static bool budget_spent(struct list_reply *reply)
{
    struct list_budget *budget = &reply->api->lists;
    struct shard *shard = api_shard(reply->api);
    uint64_t now_ns = thread_ns();

    if (shard->now_ms >= budget->until_ms) {
        budget->until_ms = shard->now_ms + SPAN_MS;
        budget->began_ns = now_ns;
    }
    if (now_ns - budget->began_ns < BUDGET_NS)
        return false;
    timer_arm(&shard->timers, &reply->rest, budget->until_ms);
    return true;
}

static void rested(void *owner, struct timer *timer)
{
    struct list_reply *reply = CONTAINER_OF(timer, struct list_reply, rest);

    (void)owner;
    if (!reply->full && reply->collector != NULL)
        collector_go_on(reply->collector);
}

/* ---- what the collector says ---- */

static enum collector_verdict on_batch(void *argument, const struct query *query)
{
    struct list_reply *reply = argument;
    struct api_request *request = api_resume(reply->api, reply->handle);
    const void *record = NULL;

    if (request == NULL) /* I1 */
        return COLLECTOR_PAUSE;
    while (!reply->failed && (record = query_record(query, record)) != NULL) {
        reply->style->write(reply, query, record);
        reply->written++;
    }
    if (reply->text.failed)
        list_fail(reply, "the broker has no memory left for this list");
    if (reply->failed) {
        answer_failure(reply, request);
        free_reply(reply);
        return COLLECTOR_STOP;
    }
    reply->full = reply->text.len >= PIECE && !send_piece(reply, request);
    return budget_spent(reply) || reply->full ? COLLECTOR_PAUSE : COLLECTOR_MORE;
}

static void on_done(void *argument, enum collector_end end)
{
    struct list_reply *reply = argument;
    struct api_request *request = api_resume(reply->api, reply->handle);

    if (request == NULL) { /* I1 */
        reply->collector = NULL;
        return;
    }
    if (end == COLLECTOR_LATE)
        list_fail(reply, "a shard did not answer in time");
    else if (end == COLLECTOR_NO_MEMORY)
        list_fail(reply, "the broker has no memory left for this list");
    else
        finish_text(reply);
    if (reply->failed) {
        answer_failure(reply, request);
    } else {
        api_watch(request, NULL, NULL);
        if (reply->streaming) {
            send_piece(reply, request);
            api_stream_end(request);
        } else {
            api_reply_text(request, 200, "application/json", reply->text.data, reply->text.len);
        }
    }
    free_reply(reply);
}

static void on_event(void *argument, enum api_event event)
{
    struct list_reply *reply = argument;

    if (event == API_ROOM) {
        reply->full = false;
        if (!timer_armed(&reply->rest) && reply->collector != NULL)
            collector_go_on(reply->collector);
        return;
    }
    if (reply->collector != NULL)
        collector_cancel(reply->collector);
    free_reply(reply);
}

/* ---- beginning ---- */

static struct list_reply *create_reply(struct api_request *request, const struct list_style *style,
                                       void *state)
{
    struct list_reply *reply = mem_try_zalloc(sizeof(*reply));
    int64_t page = 1, limit = LIST_PAGE_DEFAULT;
    struct span ignored;

    if (reply == NULL)
        return NULL;
    reply->api = api_of(request);
    timer_init(&reply->rest, rested);
    reply->style = style;
    reply->state = state;
    reply->paged = api_query(request, "page", &ignored) || api_query(request, "limit", &ignored);
    api_query_number(request, "page", &page);
    api_query_number(request, "limit", &limit);
    reply->page = (uint64_t)page;
    reply->limit = (uint64_t)limit;
    begin_text(reply, request);
    return reply;
}

static void no_memory(struct api_request *request)
{
    api_reply_error(request, 503, API_UNKNOWN, "the broker has no memory left for this list");
}

void list_answer(struct api_request *request, const struct query_terms *terms,
                 const struct list_style *style, void *state)
{
    struct list_reply *reply = create_reply(request, style, state);
    const struct collector_receiver receiver = {on_batch, on_done, reply};
    struct collector_plan plan = {.terms = *terms, .limit = QUERY_ALL};

    if (reply == NULL) {
        if (style->release != NULL)
            style->release(state);
        no_memory(request);
        return;
    }
    if (reply->paged) {
        plan.skip = (reply->page - 1) * reply->limit;
        plan.limit = reply->limit;
    }
    reply->handle = api_defer(request);
    reply->collector = collector_start(api_shard(reply->api)->broker, &plan, &receiver);
    if (reply->collector == NULL) {
        free_reply(reply);
        no_memory(request);
        return;
    }
    api_watch(request, on_event, reply);
}

void list_answer_nothing(struct api_request *request, const struct list_style *style)
{
    int64_t page = 1, limit = 0;
    char text[160];
    int len = snprintf(text, sizeof(text), "{\"code\":0,\"data\":[]");

    api_query_number(request, "page", &page);
    if (api_query_number(request, "limit", &limit) == false && page > 1)
        limit = LIST_PAGE_DEFAULT;
    if (style->meta)
        len += snprintf(text + len, sizeof(text) - (size_t)len,
                        ",\"meta\":{\"page\":%lld,\"limit\":%lld,\"count\":0,\"hasnext\":false}",
                        (long long)page, (long long)limit);
    len += snprintf(text + len, sizeof(text) - (size_t)len, "}");
    api_reply_text(request, 200, "application/json", text, (size_t)len);
}
