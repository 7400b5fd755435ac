/* SPDX-License-Identifier: MIT */
#include "shards/inbox.h"

#include "base/log.h"
#include "shards/mesh.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void inbox_open(struct inbox *inbox, _Atomic uint32_t *rest, int event_fd)
{
    atomic_init(&inbox->newest, NULL);
    inbox->rest = rest;
    inbox->event_fd = event_fd;
}

static void wake(const struct inbox *inbox)
{
    const uint64_t one = 1;

    while (write(inbox->event_fd, &one, sizeof(one)) != sizeof(one)) {
        if (errno == EINTR)
            continue;
        /* EAGAIN would need 2^64 - 2 wakes that nobody read */
        LOG_ERROR("a shard cannot be woken: %s", strerror(errno));
        return;
    }
}

void inbox_post(struct inbox *inbox, struct inbox_item *item)
{
    struct inbox_item *newest = atomic_load_explicit(&inbox->newest, memory_order_relaxed);

    do
        item->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&inbox->newest, &newest, item,
                                                  memory_order_release, memory_order_relaxed));
    __sync_synchronize(); /* I3; the item is not ours any more, the inbox is still there */
    if (atomic_load_explicit(inbox->rest, memory_order_relaxed) != MESH_AWAKE)
        wake(inbox); /* I4 */
}

uint32_t inbox_run(struct inbox *inbox, struct broker *broker)
{
    struct inbox_item *newest =
        atomic_exchange_explicit(&inbox->newest, NULL, memory_order_acquire); /* I2 */
    struct inbox_item *oldest = NULL;
    uint32_t count = 0;

    while (newest != NULL) { /* I1: they hang newest first */
        struct inbox_item *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    for (; oldest != NULL; count++) {
        struct inbox_item *next = oldest->next;

        oldest->run(broker, oldest);
        oldest = next;
    }
    return count;
}
