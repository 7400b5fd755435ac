/* SPDX-License-Identifier: MIT */
#include "shards/auth_http.h"

#include "auth/answer_cache.h"
#include "base/log.h"
#include "base/refuse.h"
#include "broker/ports.h"
#include "conf/conf.h"
#include "shards/conn_mqtt.h"
#include "shards/http_client.h"
#include "shards/machine_priv.h"
#include "transport/tls_context.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

#define NAME_BYTES 1024 /* of a certificate's common name, and of its subject */

/* The files of https, as the options name them; empty ones are those of all three. */
struct files {
    const char *ca, *certificate, *key;
};

struct auth_http_set {
    _Atomic uint32_t references;
    struct http_question *questions[HTTP_QUESTION_KINDS]; /* NULL: it is not asked */
    struct tls_context *tls[HTTP_QUESTION_KINDS];         /* of https */
    unsigned same_as[HTTP_QUESTION_KINDS]; /* the first with the same server; itself */
    struct http_server_settings settings;
    struct destination_policy policy;
    uint64_t cache_ttl_ms;
    uint32_t cache_size;
};

struct auth_http {
    struct auth_http_set *set;
    struct http_backend *backends[HTTP_QUESTION_KINDS];
    struct answer_cache *cache; /* NULL: nothing is remembered */
    uint64_t generation;
};

/* A question that is under way. Owner: shard. */
struct asked {
    struct http_reply reply;
    struct http_exchange exchange;
    struct http_bytes bytes;
    struct answer_key key;
    enum http_question_kind kind;
    uint64_t generation; /* of the set: an answer from before a reload is not remembered */
    bool remember;
};

/* ---- the set ---- */

static struct files files_of(const struct conf *conf, enum http_question_kind kind)
{
#define OWN(name)                                                                                  \
    {                                                                                              \
        conf->auth_http_auth_##name##_ssl_cacertfile, conf->auth_http_auth_##name##_ssl_certfile,  \
            conf->auth_http_auth_##name##_ssl_keyfile                                              \
    }
    const struct files own[] = {OWN(auth_req), OWN(super_req), OWN(acl_req)};
#undef OWN
    struct files files = own[kind];

    if (files.ca[0] == '\0')
        files.ca = conf->auth_http_auth_ssl_cacertfile;
    if (files.certificate[0] == '\0') {
        files.certificate = conf->auth_http_auth_ssl_certfile;
        files.key = conf->auth_http_auth_ssl_keyfile;
    }
    return files;
}

static struct tls_context *read_tls(const struct conf *conf, enum http_question_kind kind,
                                    char *why, size_t size)
{
    static const char *const http[] = {"http/1.1"};
    const struct files files = files_of(conf, kind);
    const struct tls_certificate certificate = {files.certificate,
                                                files.key[0] != '\0' ? files.key : NULL, NULL};
    const struct tls_settings settings = {
        .certificates = &certificate,
        .certificate_count = files.certificate[0] != '\0',
        .ca_file = files.ca[0] != '\0' ? files.ca : NULL,
        .verify_peer = true,
        .verify_name = true,
        .alpn = http,
        .alpn_count = 1,
    };
    char reason[512];
    struct tls_context *context = tls_context_create(&settings, reason, sizeof(reason));

    if (context == NULL)
        refuse_with(why, size, "auth.http_auth.%s: %s", http_question_name(kind), reason);
    return context;
}

static bool read_policy(const struct conf *conf, struct destination_policy *policy, char *why,
                        size_t size)
{
    const char *list = conf->auth_http_auth_allow_addresses;
    bool good = true;
    char item[64];

    while (good && conf_list_next(&list, item, sizeof(item)))
        good = policy->count < DESTINATION_NETWORKS_MAX &&
               network_parse(item, &policy->allowed[policy->count++]);
    return (good && *list == '\0') ||
           refuse_with(why, size,
                       "auth.http_auth.allow_addresses takes up to %u addresses and networks, as "
                       "127.0.0.1, 127.0.0.0/8 or ::1, separated by commas",
                       DESTINATION_NETWORKS_MAX);
}

/* A numeric host that may not be asked is told now, not when somebody is locked out. */
static bool check_host(const struct auth_http_set *set, enum http_question_kind kind, char *why,
                       size_t size)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    const struct http_url *url = http_question_url(set->questions[kind]);
    struct addrinfo *found = NULL;
    const char *what = NULL;

    if (getaddrinfo(url->host, NULL, &hints, &found) == 0) {
        what = destination_refused(&set->policy, found->ai_addr);
        freeaddrinfo(found);
    }
    return what == NULL ||
           refuse_with(why, size,
                       "auth.http_auth.%s.url: %s is %s, where no request may go; if it is meant, "
                       "set auth.http_auth.allow_addresses = \"%s\"",
                       http_question_name(kind), url->host, what, url->host);
}

static bool same_server(const struct conf *conf, const struct auth_http_set *set,
                        enum http_question_kind one, enum http_question_kind other)
{
    const struct http_url *a = http_question_url(set->questions[one]),
                          *b = http_question_url(set->questions[other]);
    struct files of_a = files_of(conf, one), of_b = files_of(conf, other);

    if (a->tls != b->tls || a->port != b->port || strcmp(a->host, b->host) != 0)
        return false;
    return !a->tls || (strcmp(of_a.ca, of_b.ca) == 0 && strcmp(of_a.key, of_b.key) == 0 &&
                       strcmp(of_a.certificate, of_b.certificate) == 0);
}

static bool read_question(const struct conf *conf, struct auth_http_set *set,
                          enum http_question_kind kind, char *why, size_t size)
{
    why[0] = '\0';
    set->questions[kind] = http_question_create(conf, kind, why, size);
    set->same_as[kind] = kind;
    if (set->questions[kind] == NULL)
        return why[0] == '\0';
    if (!check_host(set, kind, why, size))
        return false;
    for (unsigned other = kind; other-- > 0;)
        if (set->questions[other] != NULL &&
            same_server(conf, set, kind, (enum http_question_kind)other))
            set->same_as[kind] = other;
    if (!http_question_url(set->questions[kind])->tls || set->same_as[kind] != kind)
        return true;
    set->tls[kind] = read_tls(conf, kind, why, size);
    return set->tls[kind] != NULL;
}

/* The part of one shard, at least one. */
static uint32_t part(uint32_t whole, unsigned shards)
{
    return whole < shards ? 1 : whole / shards;
}

struct auth_http_set *auth_http_set_create(const struct conf *conf, unsigned shards, char *why,
                                           size_t size)
{
    struct auth_http_set *set = mem_zalloc(sizeof(*set));

    atomic_init(&set->references, 1);
    set->cache_ttl_ms = conf->auth_http_auth_cache_ttl_ms;
    set->cache_size = part(conf->auth_http_auth_cache_size, shards);
    set->settings = (struct http_server_settings){
        .timeout_ms = conf->auth_http_auth_timeout_ms,
        .connect_timeout_ms = conf->auth_http_auth_connect_timeout_ms,
        .breaker_pause_ms = conf->auth_http_auth_breaker_pause_ms,
        .breaker_failures = conf->auth_http_auth_breaker_failures,
        .connections = part(conf->auth_http_auth_pool_size, shards),
        .waiting = part(conf->auth_http_auth_max_waiting, shards),
        .body_max = (uint32_t)conf->auth_http_auth_max_answer,
    };
    if (read_policy(conf, &set->policy, why, size) &&
        read_question(conf, set, HTTP_QUESTION_LOGIN, why, size) &&
        read_question(conf, set, HTTP_QUESTION_SUPER, why, size) &&
        read_question(conf, set, HTTP_QUESTION_RULE, why, size))
        return set;
    auth_http_set_unref(set);
    return NULL;
}

struct auth_http_set *auth_http_set_ref(struct auth_http_set *set)
{
    atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    return set;
}

void auth_http_set_unref(struct auth_http_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < HTTP_QUESTION_KINDS; i++) {
        http_question_destroy(set->questions[i]);
        tls_context_unref(set->tls[i]);
    }
    mem_free(set);
}

void auth_http_set_post(struct shard *control, struct auth_http_set *set)
{
    for (unsigned i = 0; i < control->machine->limits.shards; i++)
        shard_post(control, i, MESH_AUTH_HTTP, 0, auth_http_set_ref(set));
    auth_http_set_unref(set);
}

/* ---- of a shard ---- */

static void open_backends(struct shard *shard, struct auth_http *http)
{
    struct http_server_settings settings = http->set->settings;

    settings.policy = &http->set->policy;
    for (unsigned i = 0; i < HTTP_QUESTION_KINDS; i++) {
        if (http->set->questions[i] == NULL)
            continue;
        if (http->set->same_as[i] != i) {
            http->backends[i] = http->backends[http->set->same_as[i]];
            continue;
        }
        settings.url = http_question_url(http->set->questions[i]);
        settings.tls = http->set->tls[i];
        http->backends[i] = http_backend_create(shard, &settings);
    }
}

static void close_backends(struct auth_http *http)
{
    for (unsigned i = 0; i < HTTP_QUESTION_KINDS; i++)
        if (http->backends[i] != NULL && http->set->same_as[i] == i)
            http_backend_retire(http->backends[i]);
    memset(http->backends, 0, sizeof(http->backends));
    answer_cache_destroy(http->cache);
    http->cache = NULL;
    auth_http_set_unref(http->set);
    http->set = NULL;
}

void auth_http_change(struct shard *shard, struct auth_http_set *set)
{
    struct auth_http *http = shard->auth_http;
    bool any = false;

    if (http != NULL)
        close_backends(http);
    for (unsigned i = 0; set != NULL && i < HTTP_QUESTION_KINDS; i++)
        any = any || set->questions[i] != NULL;
    if (!any) {
        auth_http_set_unref(set);
        mem_free(http);
        shard->auth_http = NULL;
        return;
    }
    if (http == NULL)
        http = shard->auth_http = mem_zalloc(sizeof(*http));
    http->set = set;
    http->generation = ++shard->auth_http_changes;
    if (set->cache_ttl_ms != 0) {
        uint8_t secret[32];

        port_random_bytes(shard->broker, secret, sizeof(secret));
        http->cache = answer_cache_create(set->cache_size, secret);
        mem_wipe(secret, sizeof(secret));
        if (http->cache == NULL)
            LOG_WARN("no memory is left for auth.http_auth.cache_size: nothing is remembered");
    }
    open_backends(shard, http);
}

/* ---- questions ---- */

/* What the connection itself says. The texts live as long as `to`. */
struct texts {
    char address[INET6_ADDRSTRLEN], common_name[NAME_BYTES], subject[NAME_BYTES];
};

static void add_facts(const struct connection *connection, struct http_facts *facts,
                      struct texts *texts)
{
    struct peer_address peer;
    struct peer_door door;

    port_peer_address(connection, &peer);
    if ((peer.family == AF_INET || peer.family == AF_INET6) &&
        inet_ntop(peer.family, peer.bytes, texts->address, sizeof(texts->address)) != NULL)
        facts->address = span_text(texts->address);
    port_peer_door(connection, &door);
    facts->protocol = span_text(door.protocol);
    facts->port = door.port;
    if (port_peer_certificate(connection, PORT_CERTIFICATE_COMMON_NAME, texts->common_name,
                              sizeof(texts->common_name)))
        facts->common_name = span_text(texts->common_name);
    if (port_peer_certificate(connection, PORT_CERTIFICATE_SUBJECT, texts->subject,
                              sizeof(texts->subject)))
        facts->subject = span_text(texts->subject);
}

static const char *sentence_of(enum http_outcome outcome)
{
    switch (outcome) {
    case HTTP_TIMEOUT:
        return "the HTTP backend did not answer in time";
    case HTTP_NO_CONNECTION:
        return "the HTTP backend cannot be reached, or ends the connection without an answer";
    case HTTP_FORBIDDEN:
        return "the HTTP backend has an address that is not allowed";
    case HTTP_BAD_ANSWER:
        return "the HTTP backend answered with what is no answer";
    case HTTP_GIVEN_UP:
        return "the HTTP backend has failed too often, or the broker ends";
    case HTTP_NO_MEMORY:
    case HTTP_ANSWERED:
        break;
    }
    return "no memory is left for the HTTP backend";
}

static void count_decision(struct shard *shard, const struct http_decision *decision)
{
    if (decision->verdict == HTTP_VERDICT_ALLOW)
        STAT_INC(shard->stats, http_auth_allow);
    else if (decision->verdict == HTTP_VERDICT_IGNORE)
        STAT_INC(shard->stats, http_auth_ignore);
    else
        STAT_INC(shard->stats, http_auth_deny);
}

static struct http_decision failure(const char *why)
{
    return (struct http_decision){.verdict = HTTP_VERDICT_DENY, .failed = true, .why = why};
}

/* An answer fits into a byte: the verdict, and the super user above it. */
#define SUPERUSER 0x80u

static uint8_t packed(const struct http_decision *decision)
{
    return (uint8_t)(decision->verdict | (decision->superuser ? SUPERUSER : 0));
}

static struct http_decision unpacked(uint8_t answer)
{
    struct http_decision decision = {.verdict = (enum http_verdict)(answer & ~SUPERUSER),
                                     .superuser = (answer & SUPERUSER) != 0};

    if (decision.verdict == HTTP_VERDICT_DENY)
        decision.why = "the HTTP backend denied it a moment ago";
    return decision;
}

static void asked_free(struct asked *asked)
{
    http_bytes_free(&asked->bytes);
    mem_free(asked);
}

static void done(struct shard *shard, struct http_exchange *exchange,
                 const struct http_result *result)
{
    struct asked *asked = CONTAINER_OF(exchange, struct asked, exchange);
    struct auth_http *http = shard->auth_http;
    struct http_decision decision = result->outcome == HTTP_ANSWERED
                                        ? http_decide(result->answer, result->body)
                                        : failure(sentence_of(result->outcome));

    if (asked->remember && !decision.failed && http != NULL && http->cache != NULL &&
        http->generation == asked->generation)
        answer_cache_put(http->cache, &asked->key, shard->now_ms + http->set->cache_ttl_ms,
                         packed(&decision));
    if (result->outcome != HTTP_ANSWERED)
        LOG_DEBUG("auth.http_auth.%s: %s", http_question_name(asked->kind), result->why);
    count_decision(shard, &decision);
    if (asked->reply.answered != NULL)
        asked->reply.answered(shard->broker, &asked->reply, &decision);
    asked_free(asked);
}

/* The question cannot be asked. */
static struct http_reply *refuse(struct shard *shard, struct asked *asked, const char *why,
                                 struct http_decision *decision)
{
    if (asked != NULL)
        asked_free(asked);
    *decision = failure(why);
    count_decision(shard, decision);
    return NULL;
}

struct http_reply *auth_http_ask(struct shard *shard, enum http_question_kind kind,
                                 const struct connection *connection, struct http_facts *facts,
                                 struct http_decision *decision)
{
    struct auth_http *http = shard->auth_http;
    struct asked *asked = mem_try_zalloc(sizeof(*asked));
    struct texts texts;
    const char *why;
    uint8_t answer;

    if (asked == NULL)
        return refuse(shard, NULL, "no memory is left for the HTTP backend", decision);
    if (http == NULL || http->backends[kind] == NULL) /* a reload is on its way */
        return refuse(shard, asked, "the HTTP backend is being configured", decision);
    if (connection != NULL)
        add_facts(connection, facts, &texts);
    why = http_question_write(http->set->questions[kind], facts, &asked->bytes);
    if (why != NULL)
        return refuse(shard, asked, why, decision);
    if (http->cache != NULL) {
        asked->key = answer_cache_key(http->cache, (uint8_t)kind,
                                      span_of(asked->bytes.data, asked->bytes.len));
        asked->remember = true;
        if (answer_cache_find(http->cache, &asked->key, shard->now_ms, &answer)) {
            STAT_INC(shard->stats, http_auth_cached);
            *decision = unpacked(answer);
            asked_free(asked);
            return NULL;
        }
    }
    asked->kind = kind;
    asked->generation = http->generation;
    asked->exchange =
        (struct http_exchange){.data = asked->bytes.data, .len = asked->bytes.len, .done = done};
    why = http_backend_ask(http->backends[kind], &asked->exchange);
    return why != NULL ? refuse(shard, asked, why, decision) : &asked->reply;
}
