/* SPDX-License-Identifier: MIT
 *
 * errand - questions and orders from the control shard to the data shards.
 *
 *   control shard                                     data shard
 *
 *   errand_send() --MESH_ERRAND-->                    errands: a list, oldest first
 *                                                       | one heavy or some small ones in a turn,
 *                                                       | each one bounded step
 *   done(errand)  <--MESH_ERRAND_BACK--                 v ERRAND_DONE
 *
 * Whoever serves a request must not touch a session, and who owns the sessions must not be kept by it. So a
 * request becomes an errand: a struct that travels to the shard, is worked on there step by step between the
 * turns of the loop, and travels back with copies. One that finds more than fits into one answer goes back with
 * what it has and is sent again (broker/query.h): it remembers where it was.
 *
 * The asker may lose interest meanwhile (the HTTP client went away, the deadline passed). It cannot take back what
 * another thread has, so it forgets it: an errand that comes back names its place in the asker's table by slot and
 * generation, and a stale one is counted and freed.
 *
 * Invariants
 *   I1  in one turn a shard does one step of one heavy errand at most, or ERRANDS_SMALL steps of small ones before
 *       it, however many errands there are
 *   I2  small errands run in the order in which they were sent; heavy ones take turns
 *   I3  `done` is called exactly once for each errand_send() that is not cancelled
 *   I4  an errand has one owner at a time: asker, ring, shard
 *   I5  what an errand holds on its shard (`held`) is given up on that shard
 */
#include "broker/errand.h"

#include "broker/broker_priv.h"

/* An errand under way. Owner: shard (the control shard). */
struct errand_place {
    struct timer timer; /* the deadline */
    errand_done *done;  /* NULL: free */
    void *argument;
    struct errand_desk *desk;
    uint32_t slot, generation;
};

/* Places come in pages, so that timers stay where they are. */
#define PAGE 64u

/* Owner: shard (the control shard). */
struct errand_desk {
    struct broker *broker;
    struct errand_place *pages[ERRANDS_MAX / PAGE];
    uint32_t free[ERRANDS_MAX];
    uint32_t free_count, count; /* of `count` places in pages */
};

/* ---- the asker ---- */

/* The end of an errand under way, for its place. */
static void leave_place(struct errand_place *place)
{
    struct errand_desk *desk = place->desk;

    timer_disarm(&desk->broker->timers, &place->timer);
    place->done = NULL;
    place->generation++;
    desk->free[desk->free_count++] = place->slot;
}

static void deadline_passed(void *owner, struct timer *timer)
{
    struct errand_place *place = CONTAINER_OF(timer, struct errand_place, timer);
    errand_done *done = place->done;

    (void)owner;
    leave_place(place);
    done(place->argument, NULL); /* I3 */
}

static bool add_page(struct errand_desk *desk)
{
    struct errand_place *page =
        desk->count == ERRANDS_MAX ? NULL : mem_try_zalloc(PAGE * sizeof(*page));

    if (page == NULL)
        return false;
    desk->pages[desk->count / PAGE] = page;
    for (uint32_t i = 0; i < PAGE; i++) {
        page[i].desk = desk;
        page[i].slot = desk->count + i;
        timer_init(&page[i].timer, deadline_passed);
        desk->free[desk->free_count++] = page[i].slot;
    }
    desk->count += PAGE;
    return true;
}

static struct errand_place *place_at(const struct errand_desk *desk, uint32_t slot)
{
    return &desk->pages[slot / PAGE][slot % PAGE];
}

/* A free place, NULL when there is none or memory is gone. */
static struct errand_place *take_place(struct broker *broker)
{
    struct errand_desk *desk = broker->desk;

    if (desk == NULL) {
        desk = mem_try_zalloc(sizeof(*desk));
        if (desk == NULL)
            return NULL;
        desk->broker = broker;
        broker->desk = desk;
    }
    if (desk->free_count == 0 && !add_page(desk))
        return NULL;
    return place_at(desk, desk->free[--desk->free_count]);
}

/* The place of a handle, NULL when it is over. */
static struct errand_place *find_place(const struct broker *broker, uint32_t slot,
                                       uint32_t generation)
{
    struct errand_place *place;

    if (broker->desk == NULL || slot >= broker->desk->count)
        return NULL;
    place = place_at(broker->desk, slot);
    return place->done != NULL && place->generation == generation ? place : NULL;
}

bool errand_send(struct broker *broker, unsigned shard, struct errand *errand, uint64_t wait_ms,
                 errand_done *done, void *argument, struct errand_handle *handle)
{
    struct errand_place *place = take_place(broker);

    ASSERT(broker->is_control && shard < broker->shard_count && done != NULL);
    if (place == NULL) {
        LOG_WARN("too many requests to the shards at a time: %s refused", errand->kind->name);
        errand_free(broker, errand);
        return false;
    }
    place->done = done;
    place->argument = argument;
    timer_arm(&broker->timers, &place->timer, broker->now_ms + wait_ms);
    list_init(&errand->node);
    errand->slot = place->slot;
    errand->generation = place->generation;
    errand->asker = (uint16_t)broker->shard;
    errand->shard = (uint16_t)shard;
    if (handle != NULL)
        *handle = (struct errand_handle){place->slot, place->generation};
    port_post(broker, shard, (struct mesh_entry){.kind = MESH_ERRAND, .pointer = errand});
    return true;
}

void errand_cancel(struct broker *broker, struct errand_handle handle)
{
    struct errand_place *place = find_place(broker, handle.slot, handle.generation);

    if (place != NULL)
        leave_place(place);
}

void errand_free(struct broker *broker, struct errand *errand)
{
    if (errand == NULL)
        return;
    if (!errand->held) {
        errand->kind->release(errand);
        return;
    }
    errand->cancelled = true; /* I5 */
    port_post(broker, errand->shard, (struct mesh_entry){.kind = MESH_ERRAND, .pointer = errand});
}

static void came_back(struct broker *broker, struct errand *errand)
{
    struct errand_place *place = find_place(broker, errand->slot, errand->generation);
    errand_done *done;

    if (place == NULL) { /* nobody waits for it any more */
        STAT_INC(broker->stats, stale_handle);
        errand_free(broker, errand);
        return;
    }
    done = place->done;
    leave_place(place);
    done(place->argument, errand); /* I3 */
}

/* ---- the shard ---- */

static void give_up(struct errand *errand)
{
    if (errand->held)
        errand->kind->abandon(errand); /* I5 */
    errand->kind->release(errand);
}

void errand_return(struct broker *broker, struct errand *errand)
{
    list_remove(&errand->node);
    port_post(broker, errand->asker,
              (struct mesh_entry){.kind = MESH_ERRAND_BACK, .pointer = errand}); /* I4 */
}

void errand_on_entry(struct broker *broker, const struct mesh_entry *entry)
{
    struct errand *errand = entry->pointer;

    if (entry->kind == MESH_ERRAND_BACK)
        came_back(broker, errand);
    else if (errand->cancelled)
        give_up(errand);
    else
        list_append(&broker->errands, &errand->node);
}

bool errand_run(struct broker *broker)
{
    for (uint32_t step = 0; step < ERRANDS_SMALL && !list_empty(&broker->errands);
         step++) { /* I1 */
        struct errand *errand = LIST_ENTRY(broker->errands.next, struct errand, node);
        bool heavy = errand->kind->heavy;

        list_remove(&errand->node); /* to the end of the list, if anything is left to do (I2) */
        switch (errand->kind->run(broker, errand)) {
        case ERRAND_DONE:
            errand_return(broker, errand);
            break;
        case ERRAND_AGAIN:
            list_append(&broker->errands, &errand->node);
            break;
        case ERRAND_WAITS:
            list_append(&broker->errands_waiting, &errand->node);
            break;
        }
        if (heavy)
            break;
    }
    return !list_empty(&broker->errands);
}

/* ---- the end ---- */

void errand_discard(const struct mesh_entry *entry)
{
    give_up(entry->pointer);
}

void errand_clear(struct broker *broker)
{
    list_splice(&broker->errands, &broker->errands_waiting);
    while (!list_empty(&broker->errands)) {
        struct errand *errand = LIST_ENTRY(broker->errands.next, struct errand, node);

        list_remove(&errand->node);
        give_up(errand);
    }
    for (uint32_t i = 0; broker->desk != NULL && i < broker->desk->count / PAGE; i++)
        mem_free(broker->desk->pages[i]);
    mem_free(broker->desk);
    broker->desk = NULL;
}
