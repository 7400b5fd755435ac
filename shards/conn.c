/* SPDX-License-Identifier: MIT */
#include "shards/conn_io.h"

#include "base/log.h"
#include "shards/conn_filter.h"
#include "shards/door.h"
#include "shards/machine_priv.h"
#include "shards/op.h"
#include "shards/refusal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#define NO_SLOT UINT32_MAX

void conns_init(struct shard *shard, const struct conn_protocol *protocol)
{
    memset(&shard->conns, 0, sizeof(shard->conns));
    shard->conns.protocol = protocol;
    shard->conns.stride = sizeof(struct conn) + protocol->state_size;
    ASSERT(shard->conns.stride % _Alignof(struct conn) == 0);
    shard->conns.free_slot = NO_SLOT;
    newcomers_init(&shard->conns.newcomers);
    conn_close_init(shard);
    conn_send_init(shard);
}

void conns_fini(struct shard *shard)
{
    struct conns *conns = &shard->conns;

    ASSERT(conns->used == 0);
    signing_end(shard);
    for (uint32_t i = 0; i < conns->page_count; i++)
        mem_free(conns->pages[i]);
    mem_free(conns->pages);
    mem_free(conns->again.slots);
    mem_free(conns->starved.slots);
    mem_free(conns->paused.slots);
    mem_free(conns->dying.slots);
    mem_free(conns->shaking.slots);
    conn_close_fini(shard);
    conn_send_fini(shard);
}

void conn_list_add(struct conn_list *list, uint32_t slot)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        list->slots = mem_realloc(list->slots, list->capacity * sizeof(uint32_t));
    }
    list->slots[list->count++] = slot;
}

struct conn *conns_find(struct shard *shard, uint64_t user_data)
{
    uint32_t slot = op_slot(user_data);
    struct conn *conn;

    if (LIKELY(slot < shard->conns.page_count << CONN_PAGE_BITS)) {
        conn = conn_at(&shard->conns, slot);
        if (LIKELY((conn->flags & CONN_USED) != 0 && conn->generation == op_generation(user_data)))
            return conn;
    }
    STAT_INC(shard->stats, stale_handle);
    return NULL;
}

struct conn *conns_get(const struct conns *conns, uint32_t slot, uint32_t generation)
{
    struct conn *conn;

    if (slot >= conns->page_count << CONN_PAGE_BITS)
        return NULL;
    conn = conn_at(conns, slot);
    return (conn->flags & CONN_USED) != 0 && conn->generation == generation ? conn : NULL;
}

/* A page of new slots, linked into the free list lowest first. False when memory is gone. */
static bool add_page(struct conns *conns)
{
    uint8_t *page = mem_try_zalloc(conns->stride * CONN_PAGE);
    uint32_t base = conns->page_count << CONN_PAGE_BITS;

    if (page == NULL)
        return false;
    if (conns->page_count == conns->page_capacity) {
        uint32_t capacity = conns->page_capacity == 0 ? 16 : conns->page_capacity * 2;
        uint8_t **pages = mem_try_realloc(conns->pages, capacity * sizeof(*pages));

        if (pages == NULL) {
            mem_free(page);
            return false;
        }
        conns->pages = pages;
        conns->page_capacity = capacity;
    }
    conns->pages[conns->page_count++] = page;
    for (uint32_t i = CONN_PAGE; i-- > 0;) {
        struct conn *conn = conn_at(conns, base + i);

        conn->slot = base + i;
        conn->next_free = conns->free_slot;
        conns->free_slot = base + i;
    }
    return true;
}

/* True when another connection is allowed here. Those of the control shard do not count in the whole:
 * an operator gets in when the broker is full. */
static bool allowed(struct shard *shard)
{
    if (shard->phase != SHARD_SERVING)
        return false;
    if (shard->index == control_index(shard->machine))
        return shard->conns.used < shard->limits->connections;
    return (shard->conns.used < shard->limits->connections &&
            machine_connections(shard->machine) < shard->machine->limits.connections) ||
           newcomers_make_room(shard, NULL);
}

static void read_peer(struct conn *conn)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    conn->family = AF_UNSPEC;
    if (getpeername(conn->fd, (struct sockaddr *)&address, &size) != 0)
        return;
    conn->family = (uint8_t)address.ss_family;
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address;

        conn->port = ntohs(in->sin_port);
        memcpy(conn->address, &in->sin_addr, sizeof(in->sin_addr));
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&address;

        conn->port = ntohs(in->sin6_port);
        memcpy(conn->address, &in->sin6_addr, sizeof(in->sin6_addr));
    } else if (address.ss_family == AF_UNIX) {
        struct ucred who = {0}; /* at its connect() */

        getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &who, &(socklen_t){sizeof(who)});
        memcpy(conn->address, &who, sizeof(who));
    }
}

static struct conn *take_slot(struct shard *shard)
{
    struct conns *conns = &shard->conns;
    struct conn *conn;

    if (conns->free_slot == NO_SLOT && !add_page(conns))
        return NULL;
    conn = conn_at(conns, conns->free_slot);
    ASSERT(conn->operations == 0); /* I1 */
    conns->free_slot = conn->next_free;
    conns->used++;
    atomic_store_explicit(&shard->connection_count, conns->used, memory_order_relaxed);
    memset(conn_state(conn), 0, conns->protocol->state_size);
    conn->flags = CONN_USED;
    conn->send_bytes = conn->discarded = conn->sending_offset = 0;
    conn->sending = NULL;
    conn->held = NULL;
    conn->filter = NULL;
    conn->newcomer = NULL;
    return conn;
}

void conn_count_refused(struct shard *shard, unsigned count)
{
    if (shard->index == control_index(shard->machine))
        STAT_ADD(shard->stats, http_connection_refused, count);
    else
        STAT_ADD(shard->stats, connection_refused, count);
}

void conn_peer_name(const struct conn *conn, char *to, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    struct ucred who;

    if (conn->family == AF_UNIX) {
        memcpy(&who, conn->address, sizeof(who));
        snprintf(to, size, "unix:%s:pid=%d:uid=%u", conn->door->conf->address.path, (int)who.pid,
                 (unsigned)who.uid);
        return;
    }
    if ((conn->family != AF_INET && conn->family != AF_INET6) ||
        inet_ntop(conn->family, conn->address, text, sizeof(text)) == NULL)
        snprintf(to, size, "unknown");
    else
        snprintf(to, size, conn->family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, conn->port);
}

static void tell_refused(struct shard *shard, int fd, const struct conn_peer *adopted,
                         const struct door *door)
{
    static const char why[] = "limits.max_connections are open, or there is no memory";

    if (shard->index == control_index(shard->machine))
        LOG_WARN("http: a connection was refused: %u of http_server.limit_conn, %u, are open",
                 shard->conns.used, shard->limits->connections);
    else if (adopted != NULL)
        refusal_of_peer(shard, door, adopted, STAT_refused_limit, why);
    else
        refusal_of_socket(shard, door, fd, STAT_refused_limit, why);
}

void conn_open(struct shard *shard, int fd, const struct conn_peer *adopted, struct span bytes,
               struct conn_filter *filter, struct door *door)
{
    struct conn *conn = allowed(shard) ? take_slot(shard) : NULL;

    if (conn == NULL) {
        conn_count_refused(shard, 1);
        door_count_refused(shard, door);
        if (shard->phase == SHARD_SERVING)
            tell_refused(shard, fd, adopted, door);
        uring_close_descriptor(shard->ring, fd);
        conn_filter_destroy(filter);
        return;
    }
    conn->fd = fd;
    conn->door = door_ref(door);
    conn_filter_attach(conn, filter);
    door_count(shard, door, 1);
    if (adopted == NULL)
        door_count_accepted(shard, door);
    if (adopted != NULL) {
        conn->family = adopted->family;
        conn->port = adopted->port;
        memcpy(conn->address, adopted->address, sizeof(conn->address));
    } else {
        read_peer(conn);
        if (shard->index != control_index(shard->machine))
            newcomer_enter(shard, conn);
    }
    shard->conns.protocol->opened(shard, conn, adopted != NULL);
    if (filter != NULL && conn_filter_output(filter))
        conn_again(shard, conn);
    if (bytes.len != 0)
        conn_feed(shard, conn, bytes.data, bytes.len);
    conn_filter_fed(shard, conn);
    conn_arm(shard, conn);
}
