/* SPDX-License-Identifier: MIT
 *
 * newcomer - connections that have not said who they are.
 *
 * What it is: whoever can reach a port can open sockets and say nothing, or say half of a handshake. They take
 * descriptors and memory until mqtt.connect_timeout, so they are limited; and the limits must not be what keeps good
 * clients out, for a thousand sockets are quickly opened. Therefore who came later is seldom refused: who has kept
 * us waiting for longest gives way.
 *
 *   accept --> SILENT --first byte--> BEGUN --CONNECT complete--> no newcomer any more
 *                |                      |
 *   more than    limits.max_silent      limits.max_handshakes
 *   gives way:   silent for 1 s         begun 2 s ago, and it is the peer whom we wait for
 *   else:        let in                 the newcomer is refused
 *
 * Each address has the same two queues, with limits.max_newcomers_per_address for each: so one address takes no more than
 * its part. Of IPv6 the first 64 bits are an address: they are one subscriber's. Behind a proxy of the PROXY protocol the
 * client's address counts, once the header told it. A UNIX socket's peers have no address.
 *
 * When connections are at their limit (limits.max_connections, a listener's max_connections), a silent one gives way
 * however young it is.
 *
 * Why the patience: a storm of good clients after an outage must not make them throw out each other, over and over. The
 * first byte of a good client comes after one way of the network; a handshake is over after some. A client whose whole CONNECT is
 * in its first bytes, on plain TCP, is never in the second stage.
 *
 * Who calls it: conn.c (enter), conn_recv.c (heard, leave), conn_filter.c (has_address), conn_close.c (leave), door.c.
 *
 * Invariants
 *   I1  conn->newcomer is set from newcomer_enter() to newcomer_leave() and never on the control shard or on a
 *       connection that another shard gave us: its CONNECT is complete
 *   I2  a newcomer is in one queue of the shard and, when its address is known, in the same queue of that
 *   I3  an address exists as long as a newcomer counts for it
 */
#include "shards/newcomer.h"

#include "base/hash.h"
#include "shards/conn_filter.h"
#include "shards/door.h"
#include "shards/machine_priv.h"
#include "shards/refusal.h"

#define LOOKED_AT 16u /* of those at the front of a queue, for one that gives way */
#define LEAVE_AT_ONCE                                                                              \
    2u /* how many give way to one: what is over a limit becomes less with each newcomer */
#define IPV6_KEY 8u

/* Owner: shard. */
struct newcomer_address {
    struct newcomer_address *next;
    struct newcomer_queue stages[NEWCOMER_STAGES];
    uint8_t family, bytes[IPV6_KEY];
};

/* Owner: shard. */
struct newcomer {
    struct list node, address_node; /* I2 */
    struct newcomer_address *address;
    uint64_t since_ms; /* in this stage */
    uint32_t slot;
    uint8_t stage; /* enum newcomer_stage */
};

static const uint64_t patience_ms[NEWCOMER_STAGES] = {1000, 2000};

static void queue_init(struct newcomer_queue *queue)
{
    list_init(&queue->list);
    queue->count = 0;
}

static void queue_add(struct newcomer_queue *queue, struct list *node)
{
    list_append(&queue->list, node);
    queue->count++;
}

static void queue_remove(struct newcomer_queue *queue, struct list *node)
{
    list_remove(node);
    queue->count--;
}

void newcomers_init(struct newcomers *newcomers)
{
    for (unsigned stage = 0; stage < NEWCOMER_STAGES; stage++)
        queue_init(&newcomers->stages[stage]);
}

/* ---- addresses ---- */

static bool address_key(const struct conn *conn, struct newcomer_address *key)
{
    memset(key, 0, sizeof(*key));
    key->family = conn->family;
    if (conn->family == AF_INET)
        memcpy(key->bytes, conn->address, sizeof(struct in_addr));
    else if (conn->family == AF_INET6)
        memcpy(key->bytes, conn->address, IPV6_KEY);
    else
        return false;
    return true;
}

static struct newcomer_address **find_address(struct newcomers *newcomers,
                                              const struct newcomer_address *key)
{
    struct newcomer_address **link =
        &newcomers->addresses[hash64(key->bytes, IPV6_KEY) % NEWCOMER_BUCKETS];

    while (*link != NULL &&
           ((*link)->family != key->family || memcmp((*link)->bytes, key->bytes, IPV6_KEY) != 0))
        link = &(*link)->next;
    return link;
}

static struct newcomer_address *take_address(struct newcomers *newcomers, const struct conn *conn)
{
    struct newcomer_address key, **link;

    if (!address_key(conn, &key))
        return NULL;
    link = find_address(newcomers, &key);
    if (*link == NULL) {
        *link = mem_try_alloc(sizeof(key));
        if (*link == NULL)
            return NULL; /* it is not counted */
        **link = key;
        for (unsigned stage = 0; stage < NEWCOMER_STAGES; stage++)
            queue_init(&(*link)->stages[stage]);
    }
    return *link;
}

static void drop_address(struct newcomers *newcomers, struct newcomer_address *address)
{
    struct newcomer_address **link;

    for (unsigned stage = 0; stage < NEWCOMER_STAGES; stage++)
        if (address->stages[stage].count != 0)
            return;
    link = find_address(newcomers, address);
    ASSERT(*link == address); /* I3 */
    *link = address->next;
    mem_free(address);
}

/* ---- who gives way ---- */

/* It is the peer whom we wait for, and not our turn to go on. */
static bool keeps_us_waiting(const struct conn *conn)
{
    return conn->filter == NULL || !conn->filter->waiting;
}

static void end(struct shard *shard, struct conn *conn, enum stat_id why)
{
    stat_add(&shard->stats->values[why], 1);
    refusal_of_conn(shard, conn, STAT_refused_limit,
                    conn->newcomer->stage == NEWCOMER_SILENT
                        ? "it has not sent anything, and others want its place"
                        : "it has not completed its handshake, and others want its place");
    conn_kill(shard, conn);
}

/* The first of a queue whose time is over ends. `of_address`: the queue is one of an address. */
static bool gives_way(struct shard *shard, struct newcomer_queue *queue, bool of_address)
{
    struct list *node = queue->list.next;

    for (unsigned i = 0; i < LOOKED_AT && node != &queue->list; i++, node = node->next) {
        struct newcomer *newcomer = of_address ? LIST_ENTRY(node, struct newcomer, address_node)
                                               : LIST_ENTRY(node, struct newcomer, node);
        struct conn *conn = conn_at(&shard->conns, newcomer->slot);

        if (newcomer->since_ms + patience_ms[newcomer->stage] > shard->now_ms)
            return false;
        if (!keeps_us_waiting(conn))
            continue;
        if (of_address)
            end(shard, conn, STAT_newcomer_closed_address);
        else if (newcomer->stage == NEWCOMER_SILENT)
            end(shard, conn, STAT_newcomer_closed_silent);
        else
            end(shard, conn, STAT_newcomer_closed_handshake);
        return true;
    }
    return false;
}

/* Whether the queue is below the limit, or is so now. */
static bool has_room(struct shard *shard, struct newcomer_queue *queue, uint32_t limit,
                     bool of_address)
{
    for (unsigned i = 0; i < LEAVE_AT_ONCE && queue->count >= limit; i++)
        if (!gives_way(shard, queue, of_address))
            break;
    return queue->count < limit;
}

static uint32_t address_limit(const struct shard *shard)
{
    uint32_t limit = broker_conf(shard->broker)->limits_max_newcomers_per_address;

    return limit == 0 ? UINT32_MAX : limit;
}

bool newcomers_make_room(struct shard *shard, const struct door_counts *listener)
{
    struct newcomer_queue *queue = &shard->conns.newcomers.stages[NEWCOMER_SILENT];

    for (struct list *node = queue->list.next; node != &queue->list; node = node->next) {
        struct conn *conn = conn_at(&shard->conns, LIST_ENTRY(node, struct newcomer, node)->slot);

        if (listener == NULL || conn->door->counts == listener) {
            end(shard, conn, STAT_newcomer_closed_silent);
            return true;
        }
    }
    return false;
}

/* ---- coming and going ---- */

static enum stat_id gauge_of(unsigned stage)
{
    return stage == NEWCOMER_SILENT ? STAT_newcomer_silent : STAT_newcomer_begun;
}

static void join(struct shard *shard, struct newcomer *newcomer, enum newcomer_stage stage)
{
    newcomer->stage = (uint8_t)stage;
    newcomer->since_ms = shard->now_ms;
    queue_add(&shard->conns.newcomers.stages[stage], &newcomer->node);
    if (newcomer->address != NULL)
        queue_add(&newcomer->address->stages[stage], &newcomer->address_node);
    stat_add(&shard->stats->values[gauge_of(stage)], 1);
}

static void part(struct shard *shard, struct newcomer *newcomer)
{
    queue_remove(&shard->conns.newcomers.stages[newcomer->stage], &newcomer->node);
    if (newcomer->address != NULL)
        queue_remove(&newcomer->address->stages[newcomer->stage], &newcomer->address_node);
    stat_add(&shard->stats->values[gauge_of(newcomer->stage)], -1);
}

void newcomer_has_address(struct shard *shard, struct conn *conn)
{
    struct newcomer *newcomer = conn->newcomer;
    struct newcomer_queue *queue;

    if (newcomer == NULL || newcomer->address != NULL)
        return;
    newcomer->address = take_address(&shard->conns.newcomers, conn);
    if (newcomer->address == NULL)
        return;
    queue = &newcomer->address->stages[newcomer->stage];
    queue_add(queue, &newcomer->address_node); /* first, for I3 */
    if (queue->count > address_limit(shard))
        gives_way(shard, queue, true);
}

void newcomer_enter(struct shard *shard, struct conn *conn)
{
    struct newcomers *newcomers = &shard->conns.newcomers;
    struct newcomer *newcomer = mem_try_alloc(sizeof(*newcomer));

    if (newcomer == NULL) {
        conn_count_refused(shard, 1);
        refusal_of_conn(shard, conn, STAT_refused_limit, "out of memory");
        conn_kill(shard, conn);
        return;
    }
    *newcomer = (struct newcomer){.slot = conn->slot};
    list_init(&newcomer->node);
    list_init(&newcomer->address_node);
    has_room(shard, &newcomers->stages[NEWCOMER_SILENT],
             broker_conf(shard->broker)->limits_max_silent, false);
    join(shard, newcomer, NEWCOMER_SILENT);
    conn->newcomer = newcomer;
    if (conn->filter == NULL || !conn->filter->proxied)
        newcomer_has_address(shard, conn);
}

static bool refuse(struct shard *shard, struct conn *conn, const char *why)
{
    STAT_INC(shard->stats, handshake_refused);
    conn_count_refused(shard, 1);
    refusal_of_conn(shard, conn, STAT_refused_limit, why);
    conn_kill(shard, conn);
    return false;
}

bool newcomer_heard(struct shard *shard, struct conn *conn)
{
    struct newcomer *newcomer = conn->newcomer;
    struct newcomer_queue *queue = &shard->conns.newcomers.stages[NEWCOMER_BEGUN];

    if (newcomer->stage == NEWCOMER_BEGUN)
        return true;
    if (!has_room(shard, queue, broker_conf(shard->broker)->limits_max_handshakes, false))
        return refuse(shard, conn, "limits.max_handshakes are under way");
    if (newcomer->address != NULL) {
        queue = &newcomer->address->stages[NEWCOMER_BEGUN];
        if (!has_room(shard, queue, address_limit(shard), true))
            return refuse(shard, conn,
                          "limits.max_newcomers_per_address of its address are under way");
    }
    part(shard, newcomer);
    join(shard, newcomer, NEWCOMER_BEGUN);
    return true;
}

void newcomer_leave(struct shard *shard, struct conn *conn)
{
    struct newcomer *newcomer = conn->newcomer;

    if (newcomer == NULL)
        return;
    conn->newcomer = NULL;
    part(shard, newcomer);
    if (newcomer->address != NULL)
        drop_address(&shard->conns.newcomers, newcomer->address);
    mem_free(newcomer);
}
