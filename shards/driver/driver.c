/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "shards/driver/client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define SUBMISSIONS         1024u
#define COMPLETIONS         8192u
#define COMPLETIONS_AT_ONCE 256u
#define BUFFER_COUNT        64u
#define BUFFER_SIZE         (32u * 1024u)
#define TIMERS_AT_ONCE      4096u
#define NANOSECONDS_PER_MS  1000000u

uint64_t driver_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void read_clock(struct driver *driver)
{
    driver->now_ns = driver_clock_ns();
    driver->now_ms = driver->now_ns / NANOSECONDS_PER_MS;
}

void driver_init(struct driver *driver, uint32_t clients)
{
    uint64_t seed = 0;

    memset(driver, 0, sizeof(*driver));
    list_init(&driver->dirty);
    list_init(&driver->starved);
    read_clock(driver);
    timers_init(&driver->timers, driver->now_ms, driver);
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = driver->now_ns;
    driver->random.state = seed;
    driver->slot_capacity = clients > 0 ? clients : 1;
    driver->slots = mem_zalloc(driver->slot_capacity * sizeof(*driver->slots));
}

bool driver_start(struct driver *driver, char *error, size_t error_size)
{
    if (uring_probe(&driver->features, error, error_size) != 0)
        return false;
    driver->ring = uring_open(&driver->features, SUBMISSIONS, COMPLETIONS, error, error_size);
    if (driver->ring == NULL)
        return false;
    driver->buffers = bufring_open(driver->ring, BUFFER_COUNT, BUFFER_SIZE, error, error_size);
    if (driver->buffers == NULL) {
        uring_close(driver->ring);
        driver->ring = NULL;
    }
    return driver->ring != NULL;
}

bool driver_open(struct driver *driver, uint32_t clients, char *error, size_t error_size)
{
    driver_init(driver, clients);
    if (driver_start(driver, error, error_size))
        return true;
    driver_fini(driver);
    return false;
}

static void enter(struct driver *driver, bool wait, uint64_t timeout_ns)
{
    int error;

    bufring_publish(driver->buffers);
    error = uring_enter(driver->ring, wait, timeout_ns, 0);
    /* busy or short of memory for a moment: the next turn submits what was left */
    if (error != 0 && error != -EAGAIN && error != -EBUSY && error != -ENOMEM)
        panic(__FILE__, __LINE__, "io_uring_enter: %s", strerror(-error));
}

static void on_sent(struct driver *driver, const struct completion *completion)
{
    struct client_block *block =
        (struct client_block *)(uintptr_t)(completion->user_data & (((uint64_t)1 << 56) - 1));
    struct client *client = driver_client(driver, block->tag);

    driver->sending--;
    if (completion->res > 0)
        driver->sent_bytes += (uint64_t)completion->res;
    if (client == NULL)
        client_block_put(&driver->pool, block);
    else
        client_sent(client, block, completion->res);
}

static void on_received(struct driver *driver, const struct completion *completion)
{
    struct client *client = driver_client(driver, completion->user_data);
    bool has_buffer = (completion->flags & COMPLETION_BUFFER) != 0;

    if (completion->res > 0)
        driver->received_bytes += (uint64_t)completion->res;
    read_clock(
        driver); /* once per piece, so that latencies do not depend on the length of a turn */
    if (client != NULL)
        client_received(client, completion);
    if (has_buffer)
        bufring_recycle(driver->buffers, completion_buffer(completion),
                        completion->res > 0 ? (uint32_t)completion->res : 0);
}

static void on_completion(struct driver *driver, const struct completion *completion)
{
    struct client *client;

    switch ((enum driver_op)(completion->user_data >> 56)) {
    case DRIVER_NOBODY:
        break;
    case DRIVER_CONNECT:
        client = driver_client(driver, completion->user_data);
        if (client != NULL)
            client_connected(client, completion->res);
        break;
    case DRIVER_RECEIVE:
        on_received(driver, completion);
        break;
    case DRIVER_SEND:
        on_sent(driver, completion);
        break;
    }
}

/* Handles what is in the queue; returns how much that was. */
static uint32_t reap(struct driver *driver)
{
    struct completion batch[COMPLETIONS_AT_ONCE];
    uint32_t count, total = 0;

    while (total < COMPLETIONS &&
           (count = uring_reap(driver->ring, batch, COMPLETIONS_AT_ONCE)) != 0) {
        for (uint32_t i = 0; i < count; i++)
            on_completion(driver, &batch[i]);
        total += count;
    }
    return total;
}

static void flush(struct driver *driver)
{
    struct list todo;

    list_init(&todo);
    list_splice(&todo, &driver->dirty);
    while (!list_empty(&todo)) {
        struct client *client = LIST_ENTRY(list_first(&todo), struct client, node);

        list_remove(&client->node);
        client_flush(client);
    }
}

/* Clients whose receive ended for want of buffers: these are back now. */
static void feed_starved(struct driver *driver)
{
    struct list todo;

    list_init(&todo);
    list_splice(&todo, &driver->starved);
    while (!list_empty(&todo)) {
        struct client *client = LIST_ENTRY(list_first(&todo), struct client, starved_node);

        list_remove(&client->starved_node);
        if (!client->paused)
            client_receive(client);
    }
}

void driver_watch(struct driver *driver, int fd)
{
    uring_poll(driver->ring, fd, (uint64_t)DRIVER_NOBODY << 56);
}

void driver_turn(struct driver *driver, uint64_t wake_ns)
{
    uint64_t timer_ms;
    bool wait;

    flush(driver);
    feed_starved(driver);
    timer_ms = timers_next(&driver->timers);
    if (timer_ms != TIMER_NEVER && timer_ms < wake_ns / NANOSECONDS_PER_MS)
        wake_ns = timer_ms * NANOSECONDS_PER_MS;
    wait = wake_ns > driver->now_ns && !uring_ready(driver->ring);
    if (wait) {
        uint64_t now = driver_clock_ns();

        enter(driver, wake_ns > now,
              wake_ns == UINT64_MAX || wake_ns <= now ? URING_NO_TIMEOUT : wake_ns - now);
    } else {
        enter(driver, false, 0);
    }
    read_clock(driver);
    reap(driver);
    /* the kernel may have more for us than one enter brought */
    for (unsigned i = 0; i < 4 && uring_more(driver->ring); i++) {
        enter(driver, false, 0);
        if (reap(driver) == 0)
            break;
    }
    timers_run(&driver->timers, driver->now_ms, TIMERS_AT_ONCE);
}

void driver_stop(struct driver *driver)
{
    if (driver->ring == NULL)
        return;
    while (driver->sending > 0) { /* D4; all were cancelled with their connections */
        enter(driver, true, URING_NO_TIMEOUT);
        reap(driver);
    }
    enter(driver, false, 0);
    uring_close(driver->ring);
    bufring_close(driver->buffers);
    driver->ring = NULL;
    driver->buffers = NULL;
}

void driver_fini(struct driver *driver)
{
    ASSERT(driver->slots_used == 0 && driver->ring == NULL);
    client_pool_fini(&driver->pool);
    transport_wire_free(&driver->wire);
    mem_free(driver->slots);
    memset(driver, 0, sizeof(*driver));
}

void driver_close(struct driver *driver)
{
    driver_stop(driver);
    driver_fini(driver);
}
