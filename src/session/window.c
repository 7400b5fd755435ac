/* SPDX-License-Identifier: MIT */
#include "session/window.h"

#include "base/check.h"
#include "base/mem.h"

#define CAPACITY_FIRST 8u
#define CAPACITY_KEPT  1024u /* a larger ring is freed when it runs empty */

static bool grow(struct window *window)
{
    uint32_t capacity = window->capacity == 0 ? CAPACITY_FIRST : window->capacity * 2;
    struct delivery *entries = mem_try_alloc(capacity * sizeof(*entries));

    if (entries == NULL)
        return false;
    for (uint64_t i = window->head; i < window->tail; i++)
        entries[i & (capacity - 1)] = *window_at(window, i);
    mem_free(window->entries);
    window->entries = entries;
    window->capacity = capacity;
    return true;
}

/* Closes the gaps that finished entries left in the queue. What is QUEUED has no packet identifier
 * yet, so it may move; everything else stays where it is. So do gaps of what was sent on an earlier
 * connection and then given to another member of a share group: the client may still hold that
 * identifier. */
static void pack(struct window *window)
{
    uint64_t to = window->next;

    for (uint64_t i = window->next; i < window->tail; i++) {
        const struct delivery *delivery = window_at(window, i);

        if (delivery->state == DELIVERY_QUEUED)
            *window_at(window, to++) = *delivery;
        else if (delivery->state != DELIVERY_DONE || delivery->duplicate)
            to = i + 1;
    }
    window->tail = to;
    window->oldest = window->next;
}

/* An entry at the head that is not acknowledged keeps the finished ones behind it in the ring: they
 * are used again before it grows, or a client that is away could let it grow for ever. */
static bool make_room(struct window *window)
{
    if (window->tail - window->head < window->capacity)
        return true;
    if (window->tail - window->next > window->queued)
        pack(window);
    return window->tail - window->head < window->capacity - window->capacity / 8 || grow(window);
}

struct delivery *window_append(struct window *window)
{
    struct delivery *delivery;

    if (!make_room(window))
        return NULL;
    delivery = window_at(window, window->tail);
    window->tail++;
    window->queued++;
    *delivery = (struct delivery){.state = DELIVERY_QUEUED};
    return delivery;
}

struct delivery *window_oldest(struct window *window)
{
    if (window->queued == 0)
        return NULL;
    if (window->oldest < window->next)
        window->oldest = window->next;
    while (window_at(window, window->oldest)->state != DELIVERY_QUEUED)
        window->oldest++;
    return window_at(window, window->oldest);
}

struct delivery *window_find(const struct window *window, uint16_t packet_identifier)
{
    uint64_t base = window->head % WINDOW_IDENTIFIERS;
    uint64_t ahead = (packet_identifier - 1u + WINDOW_IDENTIFIERS - base) % WINDOW_IDENTIFIERS;
    uint64_t sequence = window->head + ahead;

    if (packet_identifier == 0 || sequence >= window->tail)
        return NULL;
    /* behind `next` only what a resume has not sent again yet can be acknowledged */
    if (sequence >= window->next && window_at(window, sequence)->state == DELIVERY_QUEUED)
        return NULL;
    return window_at(window, sequence)->state == DELIVERY_DONE ? NULL : window_at(window, sequence);
}

void delivery_release(struct delivery *delivery)
{
    if (delivery->message != NULL)
        message_unref(delivery->message);
    mem_free(delivery->identifiers);
    delivery->message = NULL;
    delivery->identifiers = NULL;
}

void window_finish(struct window *window, struct delivery *delivery)
{
    if (delivery->state == DELIVERY_QUEUED) {
        window->queued--;
        window->queued_bytes -= delivery->message->size;
    }
    if (delivery->in_quota) {
        ASSERT(window->outstanding > 0); /* I2 */
        window->outstanding--;
        delivery->in_quota = false;
    }
    delivery_release(delivery);
    delivery->state = DELIVERY_DONE;
    while (window->head < window->tail && window_at(window, window->head)->state == DELIVERY_DONE)
        window->head++;
    if (window->next < window->head)
        window->next = window->head;
    if (window->head == window->tail && window->capacity > CAPACITY_KEPT) {
        mem_free(window->entries);
        window->entries = NULL;
        window->capacity = 0;
    }
}

uint32_t window_clear(struct window *window)
{
    uint32_t unsent = 0;

    for (uint64_t i = window->head; i < window->tail; i++) {
        struct delivery *delivery = window_at(window, i);

        if (!delivery->transmitted &&
            (delivery->state == DELIVERY_QUEUED || delivery->state == DELIVERY_SENT))
            unsent++;
        delivery_release(delivery);
    }
    mem_free(window->entries);
    window->entries = NULL;
    window->capacity = window->outstanding = window->queued = 0;
    window->queued_bytes = 0;
    window->head = window->next = window->tail;
    return unsent;
}

uint32_t window_rewind(struct window *window, uint32_t confirmed)
{
    uint32_t unconfirmed = 0;

    for (uint64_t i = window->head; i < window->next; i++) {
        struct delivery *delivery = window_at(window, i);

        delivery->in_quota = false;
        if (delivery->state == DELIVERY_DONE)
            continue;
        delivery->duplicate = true;
        if (delivery->state == DELIVERY_SENT && delivery->transmitted && delivery->ordinal != 0 &&
            (int32_t)(delivery->ordinal - confirmed) > 0) {
            delivery->transmitted = false;
            unconfirmed++;
        }
        /* what is confirmed on this connection must not look unconfirmed to the next one's numbers
         */
        delivery->ordinal = 0;
    }
    window->outstanding = 0;
    window->next = window->head; /* in their original order [MQTT-4.6.0-1] */
    return unconfirmed;
}

void window_check(const struct window *window)
{
    uint32_t in_quota = 0, queued = 0;
    uint64_t bytes = 0;

    ASSERT(window->head <= window->next && window->next <= window->tail); /* I1 */
    ASSERT(window->next - window->head < WINDOW_IDENTIFIERS);
    ASSERT(window->tail - window->head <= window->capacity);
    for (uint64_t i = window->head; i < window->tail; i++) {
        const struct delivery *delivery = window_at(window, i);

        in_quota += delivery->in_quota;
        if (delivery->state == DELIVERY_QUEUED) {
            ASSERT(i >= window->next && i >= window->oldest); /* I6 */
            queued++;
            bytes += delivery->message->size;
        }
        ASSERT((delivery->message == NULL) ==
               (delivery->state == DELIVERY_RELEASED || delivery->state == DELIVERY_DONE)); /* I5 */
    }
    ASSERT(in_quota == window->outstanding);                           /* I2 */
    ASSERT(bytes == window->queued_bytes && queued == window->queued); /* I4 */
    ASSERT(window->head == window->next || window_at(window, window->head)->state != DELIVERY_DONE);
}
