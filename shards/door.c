/* SPDX-License-Identifier: MIT
 *
 * door - what is spoken on the connections of each listener below MQTT.
 *
 *   control shard                           data shards
 *   door_keys_create: reads the files  -->  MESH_DOOR_KEY {door, context}: connections from now on have it;
 *   (at start and at every reload)          those that are there keep theirs, and the old context goes with the last
 *
 * The settings of a door are boot; only its certificates and the rules about them change while it is open. A reload
 * reads all files first: when one is not good, nothing changes anywhere.
 */
#include "shards/door.h"

#include "base/log.h"
#include "broker/ports.h"
#include "conf/conf.h"
#include "shards/conn_filter.h"
#include "shards/listener.h"
#include "shards/machine_priv.h"
#include "shards/proxy.h"

#include <stdio.h>

#define CERTIFICATES_MAX    16u
#define ORIGINS_MAX         64u
#define TEXT_MAX            1024u
#define TICKETS_ROTATE_MS   3600000u
#define TLS_1_3             0x0304
#define WEBSOCKET_FRAME_MAX (1u << 30) /* bytes stream through: MQTT's own limits are for packets */

struct door {
    const struct conf_listener *conf;
    enum transport_kind kind;
    struct websocket_settings websocket;
    const char *origins[ORIGINS_MAX];
    struct proxy_list proxies;
    _Atomic int32_t open[SHARDS_MAX]; /* shared: connections on each shard; each writes its own */
};

struct doors {
    struct tls_tickets *tickets;
    struct door_keys *keys; /* those of the start */
    struct timer rotation;  /* the control shard's */
    unsigned count;
    struct door doors[];
};

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
        break;
    }
    return TRANSPORT_PLAIN;
}

/* ---- certificates ---- */

struct certificate_list {
    struct tls_certificate list[CERTIFICATES_MAX];
    char files[CERTIFICATES_MAX][2][TEXT_MAX + 1];
};

/* The n-th of certfile has the n-th of keyfile; conf_check() has counted them. */
static unsigned list_certificates(const struct conf_listener *listener,
                                  struct certificate_list *certificates)
{
    const char *files = listener->certfile, *keys = listener->keyfile;
    const char *password = listener->key_password[0] != '\0' ? listener->key_password : NULL;
    unsigned count = 0;

    while (count < CERTIFICATES_MAX &&
           conf_list_next(&files, certificates->files[count][0], TEXT_MAX + 1) &&
           conf_list_next(&keys, certificates->files[count][1], TEXT_MAX + 1)) {
        certificates->list[count] = (struct tls_certificate){
            certificates->files[count][0], certificates->files[count][1], password};
        count++;
    }
    return count;
}

static struct tls_context *read_context(const struct doors *doors,
                                        const struct conf_listener *listener, char *why,
                                        size_t size)
{
    static const char *const mqtt[] = {"mqtt"}, *const http[] = {"http/1.1"};
    struct certificate_list *certificates = mem_zalloc(sizeof(*certificates));
    struct tls_settings settings = {
        .server = true,
        .certificates = certificates->list,
        .certificate_count = list_certificates(listener, certificates),
        .ca_file = listener->cacertfile[0] != '\0' ? listener->cacertfile : NULL,
        .crl_file = listener->crlfile[0] != '\0' ? listener->crlfile : NULL,
        .verify_peer = listener->verify_peer,
        .require_peer = listener->fail_if_no_peer_cert,
        .alpn = listener->kind == CONF_LISTENER_SSL ? mqtt : http,
        .alpn_count = 1,
        .tickets = doors->tickets,
        .scope = listener->name,
        .version_least = listener->min_version == CONF_TLS_VERSION_TLSV1_3 ? TLS_1_3 : 0,
    };
    char reason[TEXT_MAX];
    struct tls_context *context;

    if (!listener->verify_peer)
        settings.ca_file = NULL; /* nobody would look at it */
    context = tls_context_create(&settings, reason, sizeof(reason));
    if (context == NULL)
        snprintf(why, size, "listeners.%s: %s", listener->name, reason);
    mem_free(certificates);
    return context;
}

/* Of the control shard's service. */
static struct tls_context *read_service_context(const struct doors *doors, const struct conf *conf,
                                                char *why, size_t size)
{
    static const char *const http[] = {"http/1.1"};
    const char *key = conf->http_server_keyfile, *password = conf->http_server_key_password;
    const struct tls_certificate certificate = {conf->http_server_certfile,
                                                key[0] != '\0' ? key : NULL,
                                                password[0] != '\0' ? password : NULL};
    const struct tls_settings settings = {.server = true,
                                          .certificates = &certificate,
                                          .certificate_count = 1,
                                          .alpn = http,
                                          .alpn_count = 1,
                                          .tickets = doors->tickets,
                                          .scope = "http_server"};
    char reason[TEXT_MAX];
    struct tls_context *context = tls_context_create(&settings, reason, sizeof(reason));

    if (context == NULL)
        snprintf(why, size, "http_server: %s", reason);
    return context;
}

struct door_keys *door_keys_create(const struct doors *doors, const struct conf *conf, char *why,
                                   size_t size)
{
    struct door_keys *keys =
        mem_zalloc(sizeof(*keys) + doors->count * sizeof(struct tls_context *));

    for (unsigned i = 0; i < conf->listener_count && keys->count < doors->count; i++) {
        const struct conf_listener *listener = &conf->listeners[i];
        unsigned index = keys->count;

        if (!listener->enable)
            continue;
        ASSERT(strcmp(listener->name, doors->doors[index].conf->name) == 0);
        keys->count++;
        if (!CONF_LISTENER_IS_TLS(listener->kind))
            continue;
        keys->contexts[index] = read_context(doors, listener, why, size);
        if (keys->contexts[index] == NULL) {
            door_keys_destroy(keys);
            return NULL;
        }
    }
    if (conf->http_server_enable && conf->http_server_certfile[0] != '\0') {
        keys->service = read_service_context(doors, conf, why, size);
        if (keys->service == NULL) {
            door_keys_destroy(keys);
            return NULL;
        }
    }
    return keys;
}

void door_keys_destroy(struct door_keys *keys)
{
    if (keys == NULL)
        return;
    for (unsigned i = 0; i < keys->count; i++)
        tls_context_unref(keys->contexts[i]);
    tls_context_unref(keys->service);
    mem_free(keys);
}

void door_keys_post(struct shard *control, struct door_keys *keys)
{
    for (unsigned i = 0; i < keys->count; i++)
        for (unsigned shard = 0;
             keys->contexts[i] != NULL && shard < control->machine->limits.shards; shard++)
            shard_post(control, shard, MESH_DOOR_KEY, (uint16_t)i,
                       tls_context_ref(keys->contexts[i]));
    if (keys->service != NULL && control->listener_count != 0)
        door_change_key(control, 0, tls_context_ref(keys->service));
    door_keys_destroy(keys);
}

/* ---- doors ---- */

static void fill_websocket(struct door *door)
{
    const char *list = door->conf->origins;
    char origin[TEXT_MAX + 1];

    door->websocket = (struct websocket_settings){.path = door->conf->address.path,
                                                  .origins = door->origins,
                                                  .message_max = WEBSOCKET_FRAME_MAX};
    while (door->websocket.origin_count < ORIGINS_MAX &&
           conf_list_next(&list, origin, sizeof(origin)))
        door->origins[door->websocket.origin_count++] = mem_strdup(origin);
}

struct doors *doors_create(const struct conf *conf, char *why, size_t size)
{
    struct doors *doors = mem_zalloc(sizeof(*doors) + conf->listener_count * sizeof(struct door));

    doors->tickets = tls_tickets_create();
    for (unsigned i = 0; i < conf->listener_count; i++) {
        struct door *door = &doors->doors[doors->count];

        if (!conf->listeners[i].enable)
            continue;
        doors->count++;
        door->conf = &conf->listeners[i];
        door->kind = kind_of(door->conf);
        if (CONF_LISTENER_IS_WEBSOCKET(door->conf->kind))
            fill_websocket(door);
        if (!proxy_list_read(&door->proxies, door->conf->proxy_from)) {
            snprintf(why, size,
                     "listeners.%s.proxy_from takes up to %u addresses and networks, as 10.0.0.1, "
                     "10.0.0.0/8 or fd00::/8, separated by commas",
                     door->conf->name, PROXIES_MAX);
            doors_destroy(doors);
            return NULL;
        }
    }
    doors->keys = door_keys_create(doors, conf, why, size);
    if (doors->keys != NULL)
        return doors;
    doors_destroy(doors);
    return NULL;
}

void doors_destroy(struct doors *doors)
{
    if (doors == NULL)
        return;
    door_keys_destroy(doors->keys);
    for (unsigned i = 0; i < doors->count; i++)
        for (unsigned o = 0; o < doors->doors[i].websocket.origin_count; o++)
            mem_free((char *)(uintptr_t)doors->doors[i].origins[o]);
    tls_tickets_destroy(doors->tickets);
    mem_free(doors);
}

static void rotate(void *owner, struct timer *timer)
{
    struct shard *control = owner;
    struct doors *doors = CONTAINER_OF(timer, struct doors, rotation);

    tls_tickets_rotate(doors->tickets);
    timer_arm(&control->timers, timer, control->now_ms + TICKETS_ROTATE_MS);
}

void doors_start(struct shard *control, struct doors *doors)
{
    timer_init(&doors->rotation, rotate);
    timer_arm(&control->timers, &doors->rotation, control->now_ms + TICKETS_ROTATE_MS);
}

/* ---- on a data shard ---- */

void door_take_keys(struct shard *shard)
{
    const struct door_keys *keys = shard->machine->doors->keys;

    if (shard->index == control_index(shard->machine)) {
        if (keys->service != NULL)
            shard->listeners[0].tls = tls_context_ref(keys->service);
        return;
    }
    for (unsigned i = 0; i < keys->count; i++)
        if (keys->contexts[i] != NULL)
            shard->listeners[i].tls = tls_context_ref(keys->contexts[i]);
}

void door_change_key(struct shard *shard, unsigned index, struct tls_context *context)
{
    ASSERT(index < shard->listener_count);
    tls_context_unref(shard->listeners[index].tls);
    shard->listeners[index].tls = context;
}

void door_drop_keys(struct shard *shard)
{
    for (unsigned i = 0; i < shard->listener_count; i++)
        door_change_key(shard, i, NULL);
}

void door_count(struct shard *shard, unsigned index, int change)
{
    _Atomic int32_t *open;

    if (shard->index == control_index(shard->machine))
        return;
    open = &shard->machine->doors->doors[index].open[shard->index];
    atomic_store_explicit(open, atomic_load_explicit(open, memory_order_relaxed) + change,
                          memory_order_relaxed);
}

void door_describe(const struct shard *shard, unsigned index, struct peer_door *to)
{
    static const char *const protocols[] = {[CONF_LISTENER_TCP] = "mqtt",
                                            [CONF_LISTENER_SSL] = "mqtts",
                                            [CONF_LISTENER_WS] = "ws",
                                            [CONF_LISTENER_WSS] = "wss"};
    const struct conf_listener *listener = shard->machine->doors->doors[index].conf;

    to->listener = listener->name;
    to->protocol = protocols[listener->kind];
    to->port = listener->address.port;
    to->certified = CONF_LISTENER_IS_TLS(listener->kind) && listener->verify_peer &&
                    listener->fail_if_no_peer_cert;
}

uint32_t door_packet_size_max(const struct shard *shard, unsigned index)
{
    uint64_t limit = shard->machine->doors->doors[index].conf->max_packet_size;

    return limit == 0 ? UINT32_MAX : (uint32_t)limit;
}

void door_name(const struct shard *shard, unsigned index, char *to, size_t size)
{
    snprintf(to, size, "%s", shard->machine->doors->doors[index].conf->name);
}

static bool full(struct shard *shard, unsigned index, const struct door *door)
{
    int64_t open = 0;

    if (door->conf->max_connections == 0)
        return false;
    for (unsigned i = 0; i < shard->machine->limits.shards; i++)
        open += atomic_load_explicit(&door->open[i], memory_order_relaxed);
    if (open < door->conf->max_connections || newcomers_make_room(shard, index))
        return false;
    LOG_WARN("a connection was refused: %u are open on listeners.%s (max_connections)",
             door->conf->max_connections, door->conf->name);
    return true;
}

static bool too_fast(struct shard *shard, unsigned index, const struct door *door)
{
    struct listener *listener = &shard->listeners[index];
    uint32_t shards = shard->machine->limits.shards;
    uint64_t second = shard->now_ms / 1000;

    if (door->conf->max_conn_rate == 0)
        return false;
    if (listener->second != second) {
        listener->second = second;
        listener->taken = 0;
    }
    if (listener->taken++ < (door->conf->max_conn_rate + shards - 1) / shards)
        return false;
    LOG_WARN("a connection was refused: listeners.%s takes %u a second (max_conn_rate)",
             door->conf->name, door->conf->max_conn_rate);
    return true;
}

bool door_open(struct shard *shard, unsigned index, int fd, struct conn_filter **filter)
{
    struct transport_settings settings = {.role = TRANSPORT_SERVER,
                                          .tls = shard->listeners[index].tls};
    const struct door *door;

    if (shard->index == control_index(shard->machine)) { /* its service has no door */
        if (settings.tls == NULL)
            return true;
        settings.kind = TRANSPORT_TLS;
        *filter = conn_filter_create(transport_create(&settings), false);
        return *filter != NULL;
    }
    door = &shard->machine->doors->doors[index];
    if (full(shard, index, door) || too_fast(shard, index, door))
        return false;
    if (door->proxies.count != 0 && !proxy_known(&door->proxies, fd)) {
        LOG_WARN("a connection to listeners.%s was refused: its peer is not in proxy_from",
                 door->conf->name);
        return false;
    }
    if (door->kind == TRANSPORT_PLAIN && door->proxies.count == 0)
        return true;
    settings.kind = door->kind;
    settings.websocket = &door->websocket;
    *filter = conn_filter_create(transport_create(&settings), door->proxies.count != 0);
    if (*filter == NULL)
        return false;
    (*filter)->peer_username = door->conf->peer_username;
    return true;
}
