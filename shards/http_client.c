/* SPDX-License-Identifier: MIT
 *
 * http_client - requests, the queue of a backend, and when it is asked at all. The essay is in http_client.h.
 */
#include "shards/http_client_priv.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- the breaker ---- */

static void log_breaker(const struct http_backend *backend, bool open)
{
    const struct http_url *url = &backend->url;
    const char *scheme = url->tls ? "https" : "http";

    if (open)
        LOG_WARN("%s://%s:%u has failed %u times in a row, the last time: %s; for %" PRIu64
                 " ms it is not asked, and what would be asked is denied",
                 scheme, url->host, url->port, backend->breaker.failed, backend->why,
                 backend->settings.breaker_pause_ms);
    else
        LOG_WARN("%s://%s:%u answers again", scheme, url->host, url->port);
}

/* False: the breaker opened, and nobody is to wait any more. */
static bool count_failure(struct http_backend *backend)
{
    if (!breaker_failed(&backend->breaker, backend->shard->now_ms))
        return true;
    STAT_INC(backend->shard->stats, http_breaker_open);
    log_breaker(backend, true);
    return false;
}

static void count_success(struct http_backend *backend)
{
    if (!breaker_succeeded(&backend->breaker))
        return;
    STAT_DEC(backend->shard->stats, http_breaker_open);
    log_breaker(backend, false);
}

/* ---- requests ---- */

static void count_outcome(struct shard_stats *stats, enum http_outcome outcome)
{
    switch (outcome) {
    case HTTP_ANSWERED:
        STAT_INC(stats, http_request_answered);
        break;
    case HTTP_TIMEOUT:
        STAT_INC(stats, http_request_timeout);
        break;
    case HTTP_NO_CONNECTION:
        STAT_INC(stats, http_request_no_connection);
        break;
    case HTTP_FORBIDDEN:
        STAT_INC(stats, http_request_forbidden);
        break;
    case HTTP_BAD_ANSWER:
        STAT_INC(stats, http_request_bad_answer);
        break;
    case HTTP_GIVEN_UP:
        STAT_INC(stats, http_request_given_up);
        break;
    case HTTP_NO_MEMORY:
        STAT_INC(stats, http_request_no_memory);
        break;
    }
}

static void leave_queue(struct http_exchange *exchange)
{
    struct http_backend *backend = exchange->backend;

    if (list_empty(&exchange->node))
        return;
    list_remove(&exchange->node);
    backend->waiting_count--;
    STAT_DEC(backend->shard->stats, http_request_waiting);
}

static void enter_queue(struct http_exchange *exchange)
{
    struct http_backend *backend = exchange->backend;

    list_append(&backend->waiting, &exchange->node);
    backend->waiting_count++;
    STAT_INC(backend->shard->stats, http_request_waiting);
}

/* Tells whoever waits. */
static void finish(struct http_exchange *exchange, const struct http_result *result)
{
    struct shard *shard = exchange->backend->shard;

    leave_queue(exchange);
    timer_disarm(&shard->timers, &exchange->timer);
    count_outcome(shard->stats, result->outcome);
    exchange->done(shard, exchange, result); /* I1; the request may be gone now */
}

/* Nobody in the queue needs to wait for a server that is not asked. */
static void give_up_waiting(struct http_backend *backend)
{
    char why[HTTP_WHY_BYTES];
    const struct http_result result = {.outcome = HTTP_GIVEN_UP, .why = why};
    struct list taken;

    snprintf(why, sizeof(why), "%s", backend->why);
    list_init(&taken);
    list_splice(&taken, &backend->waiting); /* others may come while these are told */
    while (!list_empty(&taken))
        finish(LIST_ENTRY(list_first(&taken), struct http_exchange, node), &result);
}

static bool failed(const struct http_result *result)
{
    return result->outcome != HTTP_ANSWERED || result->answer->status >= 500;
}

void http_exchange_over(struct http_exchange *exchange, const struct http_result *result)
{
    struct http_backend *backend = exchange->backend;
    bool goes_on = true;

    ASSERT(exchange->conn == NULL);
    if (result->outcome == HTTP_GIVEN_UP || result->outcome == HTTP_NO_MEMORY) {
        if (exchange->probe)
            breaker_abandon(&backend->breaker, backend->shard->now_ms);
    } else if (!failed(result)) {
        count_success(backend);
    } else {
        if (result->outcome == HTTP_ANSWERED)
            snprintf(backend->why, sizeof(backend->why), "status %u", result->answer->status);
        goes_on = count_failure(backend);
    }
    finish(exchange, result);
    if (!goes_on)
        give_up_waiting(backend);
    http_backend_settle(backend);
}

static void timed_out(void *owner, struct timer *timer)
{
    struct http_exchange *exchange = CONTAINER_OF(timer, struct http_exchange, timer);
    struct http_backend *backend = exchange->backend;
    const struct http_result result = {.outcome = HTTP_TIMEOUT, .why = "no answer came in time"};

    (void)owner;
    snprintf(backend->why, sizeof(backend->why), "%s", result.why);
    if (exchange->conn != NULL)
        http_conn_kill(exchange->conn); /* I5 */
    backend->dying_count++;             /* keeps the backend until it is pumped */
    http_exchange_over(exchange, &result);
    http_backend_pump(backend);
    backend->dying_count--;
    http_backend_settle(backend);
}

/* The oldest one that waits; NULL. */
static struct http_exchange *oldest(const struct http_backend *backend)
{
    struct list *node = list_first(&backend->waiting);

    return node == NULL ? NULL : LIST_ENTRY(node, struct http_exchange, node);
}

void http_exchange_again(struct http_exchange *exchange)
{
    exchange->again = true;
    enter_queue(exchange);
    http_backend_pump(exchange->backend);
}

/* ---- the pool ---- */

/* Gives the oldest request to an idle connection. */
static void give(struct http_backend *backend, struct http_conn *conn)
{
    static const struct http_result no_memory = {.outcome = HTTP_NO_MEMORY,
                                                 .why = "no memory is left for the request"};
    struct http_exchange *exchange = oldest(backend);

    leave_queue(exchange);
    if (!http_conn_begin(conn, exchange))
        http_exchange_over(exchange, &no_memory);
}

/* Opens connections for those that wait. False when that failed; the reason is in backend->why. */
static bool open_more(struct http_backend *backend, enum http_outcome *outcome)
{
    bool name_failed = false;

    while (backend->opening_count < backend->waiting_count &&
           backend->conn_count < backend->settings.connections) {
        if (!http_name_ready(backend, &name_failed)) {
            *outcome = backend->name_refused != NULL ? HTTP_FORBIDDEN : HTTP_NO_CONNECTION;
            return !name_failed;
        }
        *outcome = HTTP_NO_CONNECTION;
        if (!http_conn_open(backend))
            return false;
    }
    return true;
}

void http_backend_pump(struct http_backend *backend)
{
    enum http_outcome outcome;

    while (!list_empty(&backend->waiting) && !list_empty(&backend->idle))
        give(backend, LIST_ENTRY(list_first(&backend->idle), struct http_conn, node));
    if (!open_more(backend, &outcome))
        http_backend_no_connection(backend, outcome);
}

static void pump_later(void *owner, struct timer *timer)
{
    (void)owner;
    http_backend_pump(CONTAINER_OF(timer, struct http_backend, later));
}

void http_conn_free_for_use(struct http_conn *conn)
{
    struct http_backend *backend = conn->backend;

    list_remove(&conn->node);
    if (backend->retired && list_empty(&backend->waiting)) {
        http_conn_kill(conn);
        return;
    }
    list_append(&backend->idle, &conn->node);
    http_backend_pump(backend);
}

/* One attempt has failed, so one of those that wait has; unless nothing can ever be reached, then all. */
void http_backend_no_connection(struct http_backend *backend, enum http_outcome outcome)
{
    char why[HTTP_WHY_BYTES];
    const struct http_result result = {.outcome = outcome, .why = why};
    struct http_exchange *exchange = oldest(backend);

    snprintf(why, sizeof(why), "%s", backend->why);
    backend->dying_count++; /* keeps it */
    if (exchange != NULL)
        http_exchange_over(exchange, &result);
    if (backend->address_count == 0) {
        while ((exchange = oldest(backend)) != NULL)
            http_exchange_over(exchange, &result);
    } else if (!list_empty(&backend->waiting)) {
        http_backend_pump(backend);
    }
    backend->dying_count--;
    http_backend_settle(backend);
}

void http_backend_resolved(struct http_backend *backend)
{
    if (backend->address_count != 0)
        http_backend_pump(backend);
    else
        http_backend_no_connection(backend, backend->name_refused != NULL ? HTTP_FORBIDDEN
                                                                          : HTTP_NO_CONNECTION);
}

/* ---- backends ---- */

struct http_backend *http_backend_create(struct shard *shard,
                                         const struct http_server_settings *settings)
{
    struct http_backend *backend = mem_zalloc(sizeof(*backend));

    backend->shard = shard;
    backend->settings = *settings;
    backend->url = *settings->url;
    backend->policy = *settings->policy;
    backend->settings.tls = settings->tls == NULL ? NULL : tls_context_ref(settings->tls);
    backend->breaker.failures = settings->breaker_failures;
    backend->breaker.pause_ms = settings->breaker_pause_ms;
    list_init(&backend->waiting);
    list_init(&backend->idle);
    list_init(&backend->opening);
    timer_init(&backend->later, pump_later);
    list_append(&shard->http.backends, &backend->node);
    return backend;
}

void http_backend_settle(struct http_backend *backend)
{
    if (!backend->retired || backend->conn_count != 0 || backend->dying_count != 0 ||
        !list_empty(&backend->waiting))
        return;
    if (backend->breaker.state != BREAKER_CLOSED)
        STAT_DEC(backend->shard->stats, http_breaker_open);
    http_name_forget(backend);
    timer_disarm(&backend->shard->timers, &backend->later);
    list_remove(&backend->node);
    tls_context_unref(backend->settings.tls);
    mem_free(backend);
}

void http_backend_retire(struct http_backend *backend)
{
    backend->retired = true;
    backend->dying_count++;
    while (!list_empty(&backend->idle))
        http_conn_kill(LIST_ENTRY(list_first(&backend->idle), struct http_conn, node));
    backend->dying_count--;
    http_backend_settle(backend);
}

const char *http_backend_ask(struct http_backend *backend, struct http_exchange *exchange)
{
    struct shard *shard = backend->shard;
    enum http_outcome outcome;

    ASSERT_ON_SHARD(shard);
    if (shard->http.stopping)
        return "the broker is shutting down";
    if (!breaker_ask(&backend->breaker, shard->now_ms)) {
        STAT_INC(shard->stats, http_request_breaker);
        return "the server has failed too often, and is not asked for a while";
    }
    exchange->probe = backend->breaker.state == BREAKER_PROBING;
    if (list_empty(&backend->idle) && backend->waiting_count >= backend->settings.waiting) {
        if (exchange->probe)
            breaker_abandon(&backend->breaker, shard->now_ms);
        STAT_INC(shard->stats, http_request_queue_full);
        return "too many requests wait for the server";
    }
    exchange->backend = backend;
    exchange->conn = NULL;
    exchange->again = false;
    list_init(&exchange->node);
    timer_init(&exchange->timer, timed_out);
    timer_arm(&shard->timers, &exchange->timer, shard->now_ms + backend->settings.timeout_ms);
    if (!list_empty(&backend->idle)) {
        struct http_conn *conn = LIST_ENTRY(list_first(&backend->idle), struct http_conn, node);

        ASSERT(list_empty(&backend->waiting));
        if (http_conn_begin(conn, exchange))
            return NULL;
        timer_disarm(&shard->timers, &exchange->timer);
        if (exchange->probe)
            breaker_abandon(&backend->breaker, shard->now_ms);
        STAT_INC(shard->stats, http_request_no_memory);
        return "no memory is left for the request";
    }
    enter_queue(exchange);
    if (!open_more(backend, &outcome)) /* what failed is told later (I1) */
        timer_arm(&shard->timers, &backend->later, shard->now_ms);
    return NULL;
}

/* ---- the client ---- */

void http_client_init(struct shard *shard)
{
    list_init(&shard->http.backends);
}

void http_client_stop(struct shard *shard)
{
    shard->http.stopping = true;
    for (uint32_t i = 0; i < shard->http.slot_count; i++) {
        struct http_conn *conn = shard->http.slots[i];
        struct http_exchange *exchange = conn == NULL ? NULL : conn->exchange;
        const struct http_result result = {.outcome = HTTP_GIVEN_UP,
                                           .why = "the broker is shutting down"};

        if (conn == NULL)
            continue;
        http_conn_kill(conn);
        if (exchange != NULL)
            http_exchange_over(exchange, &result);
    }
    for (struct list *node = shard->http.backends.next, *next; node != &shard->http.backends;
         node = next) {
        struct http_backend *backend = LIST_ENTRY(node, struct http_backend, node);

        next = node->next;
        snprintf(backend->why, sizeof(backend->why), "the broker is shutting down");
        give_up_waiting(backend);
        http_backend_settle(backend);
    }
}

bool http_client_stopped(const struct shard *shard)
{
    for (uint32_t i = 0; i < shard->http.slot_count; i++)
        if (shard->http.slots[i] != NULL)
            return false;
    return true;
}

void http_client_fini(struct shard *shard)
{
    ASSERT(list_empty(&shard->http.backends) && http_client_stopped(shard));
    mem_free(shard->http.slots);
    mem_free(shard->http.generations);
}
