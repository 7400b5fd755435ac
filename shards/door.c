/* SPDX-License-Identifier: MIT
 *
 * door - what is spoken on the connections of each listener below MQTT.
 *
 *   configuration --door_create--> door <-- listener of each shard: for connections from now on
 *   (at the start and at every           <-- connections that came in through it
 *   reload, on the control shard)
 *
 * Nothing of a door changes while it exists. A reload makes all doors anew, which reads all files: when one is not
 * good, nothing changes anywhere. The connections that are there keep the door that they came in through.
 */
#include "shards/door.h"

#include "base/log.h"
#include "base/mem.h"
#include "broker/ports.h"
#include "shards/conn_filter.h"
#include "shards/machine_priv.h"
#include "shards/refusal.h"

#include <stdio.h>

#define TEXT_MAX            1024u
#define TLS_1_3             0x0304
#define WEBSOCKET_FRAME_MAX (1u << 30) /* bytes stream through: MQTT's own limits are for packets */

static enum transport_kind kind_of(const struct conf_listener *listener)
{
    switch (listener->kind) {
    case CONF_LISTENER_SSL:
        return TRANSPORT_TLS;
    case CONF_LISTENER_WS:
        return TRANSPORT_WS;
    case CONF_LISTENER_WSS:
        return TRANSPORT_WSS;
    case CONF_LISTENER_TCP:
    case CONF_LISTENER_UNIX:
        break;
    }
    return TRANSPORT_PLAIN;
}

/* The words of a list of the configuration. */
struct words {
    unsigned count;
    char **list;
};

static struct words words_of(const char *list)
{
    struct words words = {0};
    char word[TEXT_MAX + 1];

    while (conf_list_next(&list, word, sizeof(word))) {
        words.list = mem_realloc(words.list, (words.count + 1) * sizeof(*words.list));
        words.list[words.count++] = mem_strdup(word);
    }
    return words;
}

static void words_free(unsigned count, char **list)
{
    for (unsigned i = 0; i < count; i++)
        mem_free(list[i]);
    mem_free(list);
}

/* ---- certificates ---- */

/* The path of an option of the door, for messages: "listeners.tcp", "http_server". */
static const char *prefix(const struct door *door)
{
    return door->service ? "" : "listeners.";
}

/* The n-th of certfile has the n-th of keyfile; conf_check() has counted them. */
static bool read_context(struct door *door, struct tls_tickets *tickets, char *why, size_t size)
{
    static const char *const mqtt[] = {"mqtt"}, *const http[] = {"http/1.1"};
    const struct conf_listener *conf = door->conf;
    struct words files = words_of(conf->certfile), keys = words_of(conf->keyfile);
    unsigned count = files.count < keys.count ? files.count : keys.count;
    struct tls_certificate *certificates = mem_zalloc((count + 1) * sizeof(*certificates));
    struct tls_settings settings = {
        .server = true,
        .certificates = certificates,
        .certificate_count = count,
        .ca_file = conf->verify_peer && conf->cacertfile[0] != '\0' ? conf->cacertfile : NULL,
        .crl_file = conf->crlfile[0] != '\0' ? conf->crlfile : NULL,
        .verify_peer = conf->verify_peer,
        .require_peer = conf->fail_if_no_peer_cert,
        .alpn = door->kind == TRANSPORT_TLS && !door->service ? mqtt : http,
        .alpn_count = 1,
        .tickets = tickets,
        .sign_elsewhere = true,
        .scope = conf->name,
        .version_least = conf->min_version == CONF_TLS_VERSION_TLSV1_3 ? TLS_1_3 : 0,
    };
    char reason[TEXT_MAX];

    for (unsigned i = 0; i < count; i++)
        certificates[i] = (struct tls_certificate){
            files.list[i], keys.list[i], conf->key_password[0] != '\0' ? conf->key_password : NULL};
    door->tls = tls_context_create(&settings, reason, sizeof(reason));
    if (door->tls == NULL)
        snprintf(why, size, "%s%s: %s", prefix(door), conf->name, reason);
    mem_free(certificates);
    words_free(files.count, files.list);
    words_free(keys.count, keys.list);
    return door->tls != NULL;
}

/* ---- doors ---- */

static struct door_counts *counts_create(unsigned shards)
{
    struct door_counts *counts =
        mem_zalloc_aligned(sizeof(*counts) + shards * sizeof(counts->shard[0]));

    atomic_init(&counts->references, 1);
    counts->shards = shards;
    return counts;
}

static void fill_websocket(struct door *door)
{
    struct words origins = words_of(door->conf->origins);

    door->websocket = (struct websocket_settings){.path = door->conf->address.path,
                                                  .origins = (const char *const *)origins.list,
                                                  .origin_count = origins.count,
                                                  .message_max = WEBSOCKET_FRAME_MAX};
}

static bool read_proxies(struct door *door, char *why, size_t size)
{
    if (proxy_list_read(&door->proxies, door->conf->proxy_from))
        return true;
    snprintf(why, size,
             "listeners.%s.proxy_from takes up to %u addresses and networks, as 10.0.0.1, "
             "10.0.0.0/8 or fd00::/8, separated by commas",
             door->conf->name, PROXIES_MAX);
    return false;
}

struct door *door_create(const struct conf_listener *conf, bool service, unsigned shards,
                         struct door_counts *counts, struct tls_tickets *tickets, char *why,
                         size_t size)
{
    struct door *door = mem_zalloc(sizeof(*door));

    atomic_init(&door->references, 1);
    door->conf = conf_listener_copy(conf);
    door->service = service;
    door->kind = kind_of(conf);
    if (counts != NULL)
        atomic_fetch_add_explicit(&counts->references, 1, memory_order_relaxed);
    door->counts = counts != NULL ? counts : counts_create(shards);
    if (CONF_LISTENER_IS_WEBSOCKET(conf->kind))
        fill_websocket(door);
    if (read_proxies(door, why, size) &&
        (!CONF_LISTENER_IS_TLS(conf->kind) || read_context(door, tickets, why, size)))
        return door;
    door_unref(door);
    return NULL;
}

struct door *door_ref(struct door *door)
{
    atomic_fetch_add_explicit(&door->references, 1, memory_order_relaxed);
    return door;
}

void door_unref(struct door *door)
{
    if (door == NULL || atomic_fetch_sub_explicit(&door->references, 1, memory_order_acq_rel) != 1)
        return;
    tls_context_unref(door->tls);
    words_free(door->websocket.origin_count, (char **)(uintptr_t)door->websocket.origins);
    if (atomic_fetch_sub_explicit(&door->counts->references, 1, memory_order_acq_rel) == 1)
        mem_free(door->counts);
    conf_listener_free((struct conf_listener *)(uintptr_t)door->conf);
    mem_free(door);
}

static bool door_check(const struct conf_listener *conf, bool service, char *why, size_t size)
{
    struct door *door = door_create(conf, service, 1, NULL, NULL, why, size);

    door_unref(door);
    return door != NULL;
}

bool doors_check(const struct conf *conf, char *why, size_t size)
{
    bool good = true;

    for (unsigned i = 0; good && i < conf->listener_count; i++)
        good = !conf->listeners[i].enable || door_check(&conf->listeners[i], false, why, size);
    if (good && conf->http_server_enable) {
        struct conf_listener *http = conf_http_listener(conf);

        good = door_check(http, true, why, size);
        conf_listener_free(http);
    }
    return good;
}

/* ---- on a shard ---- */

void door_count(const struct shard *shard, const struct door *door, int change)
{
    _Atomic int32_t *open = &door->counts->shard[shard->index].open;

    atomic_store_explicit(open, atomic_load_explicit(open, memory_order_relaxed) + change,
                          memory_order_relaxed);
}

void door_describe(const struct door *door, struct peer_door *to)
{
    static const char *const protocols[] = {[CONF_LISTENER_TCP] = "mqtt",
                                            [CONF_LISTENER_SSL] = "mqtts",
                                            [CONF_LISTENER_WS] = "ws",
                                            [CONF_LISTENER_WSS] = "wss",
                                            [CONF_LISTENER_UNIX] = "unix"};
    const struct conf_listener *listener = door->conf;

    to->listener = listener->name;
    to->protocol = protocols[listener->kind];
    to->port = listener->address.port;
    to->path = listener->kind == CONF_LISTENER_UNIX ? listener->address.path : NULL;
    to->certified = CONF_LISTENER_IS_TLS(listener->kind) && listener->verify_peer &&
                    listener->fail_if_no_peer_cert;
    to->named_only = door->named_only;
}

struct span door_mount_point(const struct door *door)
{
    return span_text(door->conf->mountpoint);
}

static void add_one(_Atomic uint64_t *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void door_count_accepted(const struct shard *shard, const struct door *door)
{
    add_one(&door->counts->shard[shard->index].accepted);
}

void door_count_refused(const struct shard *shard, const struct door *door)
{
    add_one(&door->counts->shard[shard->index].refused);
}

uint32_t door_packet_size_max(const struct door *door)
{
    uint64_t limit = door->conf->max_packet_size;

    return limit == 0 ? UINT32_MAX : (uint32_t)limit;
}

/* Why a connection may not come in; NULL: it may. Nothing was read of it: who it is nobody knows. */
static const char *full(struct shard *shard, const struct door *door)
{
    int64_t open = 0;

    if (door->conf->max_connections == 0)
        return NULL;
    for (unsigned i = 0; i < door->counts->shards; i++)
        open += atomic_load_explicit(&door->counts->shard[i].open, memory_order_relaxed);
    return open < door->conf->max_connections || newcomers_make_room(shard, door->counts)
               ? NULL
               : "max_connections are open on the listener";
}

static const char *too_fast(const struct shard *shard, const struct door *door)
{
    struct door_count *count = &door->counts->shard[shard->index];
    uint32_t shards = shard->machine->limits.shards;
    uint64_t second = shard->now_ms / 1000;

    if (door->conf->max_conn_rate == 0)
        return NULL;
    if (count->second != second) {
        count->second = second;
        count->taken = 0;
    }
    return count->taken++ < (door->conf->max_conn_rate + shards - 1) / shards
               ? NULL
               : "more than max_conn_rate came to the listener in a second";
}

static const char *no_proxy(const struct door *door, int fd)
{
    return door->proxies.count == 0 || proxy_known(&door->proxies, fd)
               ? NULL
               : "its peer is not in proxy_from of the listener";
}

bool door_let_in(struct shard *shard, const struct door *door, int fd, struct conn_filter **filter)
{
    const struct transport_settings settings = {.role = TRANSPORT_SERVER,
                                                .kind = door->kind,
                                                .tls = door->tls,
                                                .websocket = &door->websocket};

    const char *why = full(shard, door);

    if (why == NULL)
        why = too_fast(shard, door);
    if (why != NULL) {
        refusal_of_socket(shard, door, fd, STAT_refused_limit, why);
        return false;
    }
    why = no_proxy(door, fd);
    if (why != NULL) {
        refusal_of_socket(shard, door, fd, STAT_refused_proxy, why);
        return false;
    }
    if (door->kind == TRANSPORT_PLAIN && door->proxies.count == 0)
        return true;
    *filter = conn_filter_create(transport_create(&settings), door->proxies.count != 0);
    if (*filter == NULL) {
        refusal_of_socket(shard, door, fd, STAT_refused_limit, "out of memory");
        return false;
    }
    (*filter)->peer_username = door->conf->peer_username;
    return true;
}
