/* SPDX-License-Identifier: MIT
 *
 * log - see the header for the picture.
 *
 * A ring holds records end to end: a header, the text, padding to the size of the header. The
 * producer owns `head`, the consumer `tail`; both only grow, and are taken modulo the size for
 * places in `bytes`.
 *
 * Invariants
 *   I1  tail <= head <= tail + RING_SIZE
 *   I2  only the thread that began the ring writes `head` and the bytes from head to tail +
 *       RING_SIZE
 *   I3  only the holder of `writing` writes `tail`, and only it touches the sinks
 *   I4  a thread with a ring never takes `writing`
 *   I5  after a record was published, either `wake_pending` was set by its producer, who then wakes
 *       the control thread, or it was set already and log_flush(), which clears it before it reads
 *       the heads, has yet to run
 *
 * Rejected: one ring for all threads (producers would contend on each line), and formatting on the
 * control thread (the arguments, client identifiers for example, are gone by then).
 */
#include "base/log.h"
#include "base/log_priv.h"
#include "base/mem.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RING_SIZE   65536u
#define THREADS_MAX 128

enum ring_state { RING_FREE, RING_TAKEN, RING_ENDED };

struct record_header {
    uint64_t wall_ns;
    uint32_t suppressed;
    uint16_t len;
    uint16_t level;
};

/* One thread's lines. shared. */
struct log_ring {
    _Alignas(CACHE_LINE) atomic_uint_least64_t head;
    atomic_uint_least64_t dropped; /* since the start */
    _Alignas(CACHE_LINE) atomic_uint_least64_t tail;
    uint64_t dropped_told; /* these two are the consumer's */
    uint64_t drain_until;
    atomic_int state;
    char name[LOG_THREAD_NAME_MAX];
    uint8_t bytes[RING_SIZE];
};

/* The process has one log. */
static struct {
    struct log_ring *_Atomic rings[THREADS_MAX];
    atomic_flag writing;
    atomic_bool wake_pending;
    void (*wake)(void *argument);
    void *wake_argument;
    atomic_uint_least32_t rate_limit;
    atomic_uint_least64_t dropped_before; /* by rings that are gone */
    atomic_uint_least64_t suppressed;     /* by the rate limits of all places */
    bool dumper_registered;
} logger = {.writing = ATOMIC_FLAG_INIT, .rate_limit = 10};

_Atomic int log_level_now = LOG_LEVEL_INFO;

static _Thread_local struct log_ring *own_ring;

static void lock_sinks(void)
{
    ASSERT(own_ring == NULL); /* I4 */
    while (atomic_flag_test_and_set_explicit(&logger.writing, memory_order_acquire))
        sched_yield();
}

static void unlock_sinks(void)
{
    atomic_flag_clear_explicit(&logger.writing, memory_order_release);
}

static uint64_t wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t coarse_second(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec;
}

/* True when the caller may write a line now; *suppressed is then how many it could not since the
 * last. */
bool log_site_allows(struct log_site *site, uint32_t *suppressed)
{
    uint32_t limit = atomic_load_explicit(&logger.rate_limit, memory_order_relaxed);
    uint64_t begin = coarse_second() << 32;
    uint64_t seen = atomic_load_explicit(&site->window, memory_order_relaxed), wanted;

    do {
        if (limit != 0 && (seen & ~UINT64_C(0xFFFFFFFF)) == begin && (uint32_t)seen >= limit) {
            atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
            atomic_fetch_add_explicit(&logger.suppressed, 1, memory_order_relaxed);
            return false;
        }
        wanted = seen >= begin && limit != 0 ? seen + 1 : begin + 1;
    } while (!atomic_compare_exchange_weak_explicit(&site->window, &seen, wanted,
                                                    memory_order_relaxed, memory_order_relaxed));
    *suppressed = 0;
    if (UNLIKELY(atomic_load_explicit(&site->suppressed, memory_order_relaxed) != 0))
        *suppressed = atomic_exchange_explicit(&site->suppressed, 0, memory_order_relaxed);
    return true;
}

static void copy_in(struct log_ring *ring, uint64_t at, const void *from, size_t len)
{
    size_t place = at % RING_SIZE, first = RING_SIZE - place;

    if (first > len)
        first = len;
    memcpy(ring->bytes + place, from, first);
    memcpy(ring->bytes, (const uint8_t *)from + first, len - first);
}

static void copy_out(const struct log_ring *ring, uint64_t at, void *to, size_t len)
{
    size_t place = at % RING_SIZE, first = RING_SIZE - place;

    if (first > len)
        first = len;
    memcpy(to, ring->bytes + place, first);
    memcpy((uint8_t *)to + first, ring->bytes, len - first);
}

static uint64_t record_size(size_t len)
{
    return (sizeof(struct record_header) + len + sizeof(struct record_header) - 1) /
           sizeof(struct record_header) * sizeof(struct record_header);
}

static void ring_post(struct log_ring *ring, const struct log_record *record)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    struct record_header header = {.wall_ns = record->wall_ns,
                                   .suppressed = record->suppressed,
                                   .len = (uint16_t)record->len,
                                   .level = (uint16_t)record->level};

    if (head - tail + record_size(record->len) > RING_SIZE) { /* I1 */
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return;
    }
    copy_in(ring, head, &header, sizeof(header));
    copy_in(ring, head + sizeof(header), record->text, record->len);
    atomic_store_explicit(&ring->head, head + record_size(record->len), memory_order_release);
    if (!atomic_exchange(&logger.wake_pending, true) && logger.wake != NULL) /* I5 */
        logger.wake(logger.wake_argument);
}

/* The time of the oldest record before drain_until, or UINT64_MAX. */
static uint64_t ring_oldest(const struct log_ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    struct record_header header;

    if (tail == ring->drain_until)
        return UINT64_MAX;
    copy_out(ring, tail, &header, sizeof(header));
    return header.wall_ns;
}

static bool ring_empty(struct log_ring *ring)
{
    return atomic_load_explicit(&ring->tail, memory_order_relaxed) ==
           atomic_load_explicit(&ring->head, memory_order_acquire);
}

static void ring_write_oldest(struct log_ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    struct record_header header;
    char text[LOG_LINE_MAX + 1];

    copy_out(ring, tail, &header, sizeof(header));
    copy_out(ring, tail + sizeof(header), text, header.len);
    text[header.len] = '\0';
    atomic_store_explicit(&ring->tail, tail + record_size(header.len), memory_order_release);
    log_sinks_write(&(struct log_record){.wall_ns = header.wall_ns,
                                         .level = (enum log_level)header.level,
                                         .suppressed = header.suppressed,
                                         .thread = ring->name,
                                         .text = text,
                                         .len = header.len});
}

static void ring_tell_dropped(struct log_ring *ring)
{
    uint64_t dropped = atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    char text[80];
    int len;

    if (dropped == ring->dropped_told)
        return;
    len = snprintf(text, sizeof(text), "%llu lines of this thread were lost: its log ring was full",
                   (unsigned long long)(dropped - ring->dropped_told));
    ring->dropped_told = dropped;
    log_sinks_write(&(struct log_record){.wall_ns = wall_ns(),
                                         .level = LOG_LEVEL_WARN,
                                         .thread = ring->name,
                                         .text = text,
                                         .len = (size_t)len});
}

/* Frees the ring of a thread that has ended, once it is empty. */
static void ring_retire(unsigned slot, struct log_ring *ring)
{
    if (atomic_load_explicit(&ring->state, memory_order_acquire) != RING_ENDED || !ring_empty(ring))
        return;
    atomic_fetch_add_explicit(&logger.dropped_before,
                              atomic_load_explicit(&ring->dropped, memory_order_relaxed),
                              memory_order_relaxed);
    atomic_store_explicit(&logger.rings[slot], NULL, memory_order_release);
    mem_free(ring);
}

static struct log_ring *ring_at(unsigned slot)
{
    return atomic_load_explicit(&logger.rings[slot], memory_order_acquire);
}

/* The ring with the oldest record that this drain is to write, or NULL. */
static struct log_ring *oldest_ring(void)
{
    struct log_ring *oldest = NULL;
    uint64_t oldest_ns = UINT64_MAX;

    for (unsigned i = 0; i < THREADS_MAX; i++) {
        struct log_ring *ring = ring_at(i);
        uint64_t ns = ring != NULL ? ring_oldest(ring) : UINT64_MAX;

        if (ns < oldest_ns) {
            oldest = ring;
            oldest_ns = ns;
        }
    }
    return oldest;
}

/* Writes what is in the rings when it begins, oldest first over all rings. Under the lock. */
static void drain(void)
{
    struct log_ring *ring;

    for (unsigned i = 0; i < THREADS_MAX; i++) {
        ring = ring_at(i);
        if (ring != NULL)
            ring->drain_until = atomic_load_explicit(&ring->head, memory_order_acquire);
    }
    while ((ring = oldest_ring()) != NULL)
        ring_write_oldest(ring);
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        ring = ring_at(i);
        if (ring != NULL) {
            ring_tell_dropped(ring);
            ring_retire(i, ring);
        }
    }
}

void log_flush(void)
{
    lock_sinks();
    atomic_exchange(&logger.wake_pending, false); /* I5: before the heads are read */
    drain();
    unlock_sinks();
}

static void write_direct(const struct log_record *record)
{
    lock_sinks();
    drain(); /* what other threads logged before comes before */
    log_sinks_write(record);
    unlock_sinks();
}

void log_write(enum log_level level, uint32_t suppressed, const char *format, ...)
{
    char text[LOG_LINE_MAX + 1];
    struct log_record record = {
        .wall_ns = wall_ns(), .level = level, .suppressed = suppressed, .text = text};
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (len < 0)
        return;
    if (len > LOG_LINE_MAX) {
        len = LOG_LINE_MAX;
        memcpy(text + LOG_LINE_MAX - 3, "...", 3);
    }
    for (int i = 0; i < len; i++) { /* a line is a line, whatever came in with an argument */
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            text[i] = ' ';
    }
    record.len = (size_t)len;
    if (own_ring != NULL) {
        ring_post(own_ring, &record);
        return;
    }
    record.thread = "main";
    write_direct(&record);
}

void log_thread_begin(const char *name)
{
    struct log_ring *ring = mem_zalloc_aligned(sizeof(*ring));

    ASSERT(own_ring == NULL);
    snprintf(ring->name, sizeof(ring->name), "%s", name);
    atomic_init(&ring->state, RING_TAKEN);
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        struct log_ring *none = NULL;

        if (atomic_compare_exchange_strong_explicit(&logger.rings[i], &none, ring,
                                                    memory_order_release, memory_order_relaxed)) {
            own_ring = ring;
            return;
        }
    }
    UNREACHABLE("more threads than the log has rings for");
}

void log_thread_end(void)
{
    ASSERT(own_ring != NULL);
    atomic_store_explicit(&own_ring->state, RING_ENDED, memory_order_release);
    own_ring = NULL;
}

void log_set_waker(void (*wake)(void *argument), void *argument)
{
    logger.wake = wake;
    logger.wake_argument = argument;
    atomic_store(&logger.wake_pending, false);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_level_now, (int)level, memory_order_relaxed);
}

uint64_t log_dropped(void)
{
    uint64_t sum;

    lock_sinks(); /* or a ring could be freed meanwhile */
    sum = atomic_load_explicit(&logger.dropped_before, memory_order_relaxed) +
          atomic_load_explicit(&logger.suppressed, memory_order_relaxed);
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        struct log_ring *ring = ring_at(i);

        if (ring != NULL)
            sum += atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    }
    unlock_sinks();
    return sum;
}

/* At a panic: the last lines are the ones that tell. Gives up when somebody is writing. */
static void dump_at_panic(void *argument)
{
    (void)argument;
    if (atomic_flag_test_and_set_explicit(&logger.writing, memory_order_acquire))
        return;
    drain();
    unlock_sinks();
}

bool log_setup(const struct log_options *options, char *error, size_t size)
{
    bool opened;

    lock_sinks();
    drain(); /* to the sinks that they were meant for */
    opened = log_sinks_open(options, error, size);
    unlock_sinks();
    if (!opened)
        return false;
    atomic_store_explicit(&logger.rate_limit, options->rate_limit, memory_order_relaxed);
    log_set_level(options->level);
    if (!logger.dumper_registered)
        panic_register(dump_at_panic, NULL);
    logger.dumper_registered = true;
    return true;
}

void log_teardown(void)
{
    lock_sinks();
    drain();
    log_sinks_close();
    unlock_sinks();
    log_set_waker(NULL, NULL);
}

void log_reopen(void)
{
    lock_sinks();
    drain();
    log_sinks_reopen();
    unlock_sinks();
}
