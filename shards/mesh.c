/* SPDX-License-Identifier: MIT
 *
 * mesh - one SPSC ring for every ordered pair of threads, staged posting, and the sleep and wake
 * protocol.
 *
 * Who calls it: the loop of each thread (drain at the start of a turn, flush at its end, announce
 * before it waits) and, through port.c, its broker (post).
 *
 *                                                one tail store per peer
 *   broker --mesh_post--> [ring slots, staged] --mesh_flush--> peer's mesh_drain
 *                    \--> [spill list] --mesh_flush, as room appears--^
 *
 * Posting never fails and never waits. What finds the ring full goes to the spill list of that
 * peer, in order. The list is not bounded by itself but by what it causes: above `congested_mark`
 * the broker stops reading the publishers that feed the peer, above `full_mark` it drops QoS 0.
 *
 * Sleeping. A thread that finds nothing to do says so, and looks once more before it waits:
 *
 *      sleeper                                 waker (mesh_flush)
 *      rest = ASLEEP                           tail = ... (release)
 *      fence (seq_cst)                         fence (seq_cst)
 *      are the inbound rings empty?            rest != AWAKE?  -> exchange AWAKE, wake
 *
 * At least one of the two sees what the other wrote, whatever the order (I3). A thread that sleeps
 * while it has spilled entries says ASLEEP_BLOCKED and is also woken by a peer that took something
 * out of a ring.
 *
 * Invariants
 *   I1  entries of one ordered pair arrive in the order in which they were posted: an entry is
 *       staged in the ring only while the spill list of the peer is empty
 *   I2  a peer with staged, unpublished or spilled entries is in the list `touched`
 *   I3  a thread never waits in the kernel while an entry for it is visible, unless a wake is on
 *       its way
 *   I4  at most one wake is sent for one announcement: the exchange decides who sends it
 *   I5  an element given back to the producer is not read any more: release follows the handler
 *
 * Rejected: one multi-producer ring per thread (a read-modify-write per entry, and one slow peer
 * then blocks all), blocking or spinning on a full ring (two threads with full rings to each other
 * would stop for good).
 */
#include "shards/mesh.h"

#define PUBLISH_EVERY 64u /* a peer that is awake need not wait for the end of our turn */
#define SPILL_FIRST   256u

_Static_assert(sizeof(struct mesh_entry) == SPSC_ELEMENT, "an entry is one element");

/* Orders the store before it with the load behind it, which release and acquire do not. (As the old
 * builtin: gcc's thread sanitizer build warns of atomic_thread_fence(). The sanitizer needs no
 * fence: what travels through the rings is ordered by release and acquire.) */
static inline void full_fence(void)
{
    __sync_synchronize();
}

void mesh_create(struct mesh *mesh, unsigned shards, const uint32_t *depth, uint32_t control_depth)
{
    unsigned count = shards + 1;

    mesh->count = count;
    mesh->rings = mem_zalloc_aligned(sizeof(struct spsc) * count * count);
    mesh->sleepers = mem_zalloc_aligned(sizeof(struct mesh_sleeper) * count);
    for (unsigned from = 0; from < count; from++)
        for (unsigned to = 0; to < count; to++)
            if (from != to)
                spsc_init(&mesh->rings[from * count + to],
                          from == shards || to == shards ? control_depth : depth[to]);
}

void mesh_destroy(struct mesh *mesh)
{
    for (unsigned i = 0; i < mesh->count * mesh->count; i++)
        spsc_fini(&mesh->rings[i]);
    mem_free(mesh->rings);
    mem_free(mesh->sleepers);
}

void mesh_port_open(struct mesh_port *port, struct mesh *mesh, unsigned self, uint32_t congested,
                    uint32_t full, struct shard_stats *stats,
                    void (*wake)(void *argument, unsigned peer), void *argument)
{
    memset(port, 0, sizeof(*port));
    port->mesh = mesh;
    port->self = self;
    port->congested_mark = congested;
    port->full_mark = full;
    port->stats = stats;
    port->wake = wake;
    port->wake_argument = argument;
    port->peers = mem_zalloc(sizeof(struct mesh_peer) * mesh->count);
    port->touched = mem_zalloc(sizeof(uint16_t) * mesh->count);
    for (unsigned peer = 0; peer < mesh->count; peer++) {
        port->peers[peer].out = &mesh->rings[self * mesh->count + peer];
        port->peers[peer].in = &mesh->rings[peer * mesh->count + self];
    }
}

void mesh_port_close(struct mesh_port *port)
{
    for (unsigned peer = 0; peer < port->mesh->count; peer++)
        mem_free(port->peers[peer].spill);
    mem_free(port->peers);
    mem_free(port->touched);
}

static void touch(struct mesh_port *port, unsigned index)
{
    if (port->peers[index].touched)
        return;
    port->peers[index].touched = true;
    port->touched[port->touched_count++] = (uint16_t)index;
}

static void spill_grow(struct mesh_peer *peer)
{
    uint32_t capacity = peer->spill_capacity == 0 ? SPILL_FIRST : peer->spill_capacity * 2;
    struct mesh_entry *grown = mem_alloc(sizeof(struct mesh_entry) * capacity);

    for (uint32_t i = 0; i < peer->spill_count; i++)
        grown[i] = peer->spill[(peer->spill_first + i) & (peer->spill_capacity - 1)];
    mem_free(peer->spill);
    peer->spill = grown;
    peer->spill_first = 0;
    peer->spill_capacity = capacity;
}

static __attribute__((noinline)) void spill(struct mesh_port *port, struct mesh_peer *peer,
                                            struct mesh_entry entry)
{
    if (peer->spill_count == peer->spill_capacity)
        spill_grow(peer);
    if (peer->spill_count == 0)
        port->spilling++;
    peer->spill[(peer->spill_first + peer->spill_count) & (peer->spill_capacity - 1)] = entry;
    peer->spill_count++;
    STAT_INC(port->stats, mesh_spilled);
    STAT_INC(port->stats, mesh_spill_count);
    if (peer->spill_count >= port->congested_mark)
        peer->congested = true;
    if (peer->spill_count >= port->full_mark)
        peer->full = true;
}

void mesh_post(struct mesh_port *port, unsigned to, struct mesh_entry entry)
{
    struct mesh_peer *peer = &port->peers[to];

    ASSERT(to != port->self && to < port->mesh->count);
    touch(port, to); /* I2 */
    peer->posted = true;
    if (UNLIKELY(peer->spill_count != 0) || UNLIKELY(!spsc_stage(peer->out, &entry))) {
        spill(port, peer, entry); /* I1 */
        return;
    }
    if (spsc_unpublished(peer->out) >= PUBLISH_EVERY)
        spsc_publish(peer->out);
}

uint32_t mesh_drain(struct mesh_port *port, uint32_t limit,
                    void (*receive)(void *argument, unsigned from, const struct mesh_entry *entry),
                    void *argument)
{
    uint32_t total = 0;

    /* the control shard, the last, comes first: a reload that was answered holds for whoever connects after that, also by
     * way of another shard */
    for (unsigned index = port->mesh->count; index-- > 0;) {
        struct mesh_peer *peer = &port->peers[index];
        uint32_t done = 0;

        if (index == port->self)
            continue;
        while (done < limit) {
            const struct spsc_element *first;
            uint32_t count = spsc_peek(peer->in, &first, limit - done);

            if (count == 0)
                break;
            for (uint32_t i = 0; i < count; i++) {
                struct mesh_entry entry;

                memcpy(&entry, &first[i], sizeof(entry));
                receive(argument, index, &entry);
            }
            spsc_release(peer->in, count); /* I5 */
            done += count;
        }
        if (done != 0)
            touch(port, index); /* it may be waiting for room */
        total += done;
    }
    return total;
}

/* Moves spilled entries into the ring as far as there is room (I1). */
static void unspill(struct mesh_port *port, struct mesh_peer *peer)
{
    uint32_t before = peer->spill_count;

    while (peer->spill_count != 0 && spsc_stage(peer->out, &peer->spill[peer->spill_first])) {
        peer->spill_first = (peer->spill_first + 1) & (peer->spill_capacity - 1);
        peer->spill_count--;
    }
    if (peer->spill_count != before) {
        peer->posted = true;
        STAT_ADD(port->stats, mesh_spill_count, (int64_t)peer->spill_count - before);
    }
    if (peer->spill_count < port->full_mark / 2)
        peer->full = false;
    if (peer->congested && peer->spill_count < port->congested_mark / 2) {
        peer->congested = false;
        port->relieved++;
    }
    if (peer->spill_count == 0) {
        port->spilling--;
        if (peer->spill_capacity > SPILL_FIRST) { /* a burst need not be paid for ever */
            mem_free(peer->spill);
            peer->spill = NULL;
            peer->spill_capacity = 0;
        }
        peer->spill_first = 0;
    }
}

static void wake_if_asleep(struct mesh_port *port, unsigned index)
{
    struct mesh_peer *peer = &port->peers[index];
    _Atomic uint32_t *rest = &port->mesh->sleepers[index].rest;
    uint32_t seen = atomic_load_explicit(rest, memory_order_relaxed);

    if (seen == MESH_AWAKE || (!peer->posted && seen != MESH_ASLEEP_BLOCKED))
        return;
    if (atomic_exchange_explicit(rest, MESH_AWAKE, memory_order_relaxed) == MESH_AWAKE) /* I4 */
        return;
    STAT_INC(port->stats, loop_wakes_sent);
    port->wake(port->wake_argument, index);
}

void mesh_flush(struct mesh_port *port)
{
    unsigned kept = 0, touched = port->touched_count;

    if (touched == 0)
        return;
    for (unsigned i = 0; i < touched; i++) {
        struct mesh_peer *peer = &port->peers[port->touched[i]];

        if (peer->spill_count != 0)
            unspill(port, peer);
        spsc_publish(peer->out);
    }
    full_fence(); /* I3 */
    for (unsigned i = 0; i < touched; i++) {
        uint16_t index = port->touched[i];
        struct mesh_peer *peer = &port->peers[index];

        wake_if_asleep(port, index);
        peer->posted = false;
        peer->touched = peer->spill_count != 0; /* I2 */
        if (peer->touched)
            port->touched[kept++] = index;
    }
    port->touched_count = kept;
}

bool mesh_has_work(struct mesh_port *port)
{
    for (unsigned index = 0; index < port->mesh->count; index++) {
        struct mesh_peer *peer = &port->peers[index];

        if (index == port->self)
            continue;
        if (spsc_ready(peer->in) || (peer->spill_count != 0 && spsc_has_room(peer->out)))
            return true;
    }
    return false;
}

bool mesh_announce_sleep(struct mesh_port *port)
{
    _Atomic uint32_t *rest = &port->mesh->sleepers[port->self].rest;
    uint32_t kind = port->spilling != 0 ? MESH_ASLEEP_BLOCKED : MESH_ASLEEP;

    atomic_store_explicit(rest, kind, memory_order_relaxed);
    full_fence(); /* I3 */
    if (!mesh_has_work(port))
        return true;
    mesh_awake(port);
    return false;
}

void mesh_awake(struct mesh_port *port)
{
    atomic_store_explicit(&port->mesh->sleepers[port->self].rest, MESH_AWAKE, memory_order_relaxed);
}

bool mesh_take(struct mesh_port *port, struct mesh_entry *entry)
{
    for (unsigned index = 0; index < port->mesh->count; index++) {
        struct mesh_peer *peer = &port->peers[index];
        struct spsc_element element;

        if (index == port->self)
            continue;
        if (spsc_pop(peer->in, &element, 1) == 1) {
            memcpy(entry, &element, sizeof(*entry));
            return true;
        }
        if (peer->spill_count != 0) {
            *entry = peer->spill[peer->spill_first];
            peer->spill_first = (peer->spill_first + 1) & (peer->spill_capacity - 1);
            peer->spill_count--;
            return true;
        }
    }
    return false;
}
