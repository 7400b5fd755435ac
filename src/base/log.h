/* SPDX-License-Identifier: MIT
 *
 * log - one line for one event, from any thread, never waiting for whoever reads the lines.
 *
 *   shard 0:  LOG_WARN(...) --format--> [ ring of shard 0 ] --\
 *   shard 1:  LOG_INFO(...) --format--> [ ring of shard 1 ] ---+--> log_flush() on the control
 * thread --> sinks control:  LOG_*(...)  ------------------------------------/
 *
 * A thread that called log_thread_begin() formats into a ring of its own (single producer, single
 * consumer); when the ring is full the line is dropped and counted, and the count is written later.
 * Such a line wakes the control thread through the callback of log_set_waker(), once until it has
 * flushed: an idle broker needs no periodic flush. Any other thread writes to the sinks itself,
 * under a lock: start-up, tests, the control thread.
 *
 * Each LOG_* in the source writes at most log.rate_limit lines in a second on all threads together;
 * the others are counted, and the next line that is written from that place says how many were
 * suppressed.
 *
 * What a client sent goes into a line through log_escape() only.
 */
#ifndef SHARDMQ_BASE_LOG_H
#define SHARDMQ_BASE_LOG_H

#include "base/check.h"
#include "base/span.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_FATAL,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE,
    LOG_LEVEL_COUNT
};

/* Where lines go: any of these, or'ed. */
enum log_sink { LOG_TO_CONSOLE = 1, LOG_TO_FILE = 2, LOG_TO_SYSLOG = 4, LOG_TO_JOURNALD = 8 };

#define LOG_LINE_MAX 1000 /* bytes of one message; a longer one is cut and ends in "..." */

struct log_options {
    unsigned to; /* enum log_sink */
    enum log_level level;
    bool json;              /* console and file: JSON lines instead of text */
    uint32_t rate_limit;    /* lines per second and place; 0: no limit */
    const char *dir, *file; /* of LOG_TO_FILE; copied */
    uint64_t rotation_size; /* bytes */
    uint32_t rotation_count;
    /* Instead of the system's, for tests: paths of datagram sockets, or NULL. Copied. */
    const char *syslog_socket, *journald_socket;
};

/* State of one LOG_* in the source. shared. */
struct log_site {
    atomic_uint_least64_t window; /* second since boot << 32 | lines in it */
    atomic_uint_least32_t suppressed;
};

/* Opens the sinks; closes those of an earlier call. Before the first call everything from `info` up
 * goes to the console as text. Call it on the control thread only, while no log_flush() runs.
 * Returns false and writes a sentence to `error` when a sink cannot be opened; everything is then
 * as it was. */
bool log_setup(const struct log_options *options, char *error, size_t size);

/* Flushes and closes the sinks; lines go to the console again. */
void log_teardown(void);

/* Any thread. */
void log_set_level(enum log_level level);

/* Called at the start and at the end of a thread that must not wait for a sink. `name` ("shard 0",
 * copied) stands in its lines. Lines still in the ring are written by a later log_flush(). */
void log_thread_begin(const char *name);
void log_thread_end(void);

/* `wake(argument)` is called by the thread that logs, when the control thread has something to
 * flush that it was not told of yet; it must not log. NULL: nobody is told. Set it while no other
 * thread logs. */
void log_set_waker(void (*wake)(void *argument), void *argument);

/* Writes what is in the rings to the sinks. Control thread, or at exit when all others have ended.
 */
void log_flush(void);

/* Lines that were not written, since the start: a ring was full, or the rate limit of their place. Control thread. */
uint64_t log_dropped(void);

/* Reopens the log file, for a tool that moved it away. Control thread. */
void log_reopen(void);

/* Makes bytes of a client fit for a line: printable ASCII and valid, printable UTF-8 stay; the
 * quote, the backslash, control characters, direction marks and everything else become \" \\ \n
 * \xHH or \u{H}. Cut, with "..." at the end, when `size` (8 or more) is too small. Returns `to`,
 * always terminated. */
const char *log_escape(char *to, size_t size, struct span text);

/* What the macros expand to. */
extern _Atomic int log_level_now;
bool log_site_allows(struct log_site *site, uint32_t *suppressed);
void log_write(enum log_level level, uint32_t suppressed, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

#define LOG_ENABLED(level)                                                                         \
    UNLIKELY((int)(level) <= atomic_load_explicit(&log_level_now, memory_order_relaxed))

#define LOG_AT(level, ...)                                                                         \
    do {                                                                                           \
        if (LOG_ENABLED(level)) {                                                                  \
            static struct log_site log_site_;                                                      \
            uint32_t log_suppressed_;                                                              \
            if (log_site_allows(&log_site_, &log_suppressed_))                                     \
                log_write(level, log_suppressed_, __VA_ARGS__);                                    \
        }                                                                                          \
    } while (0)

#define LOG_FATAL(...) LOG_AT(LOG_LEVEL_FATAL, __VA_ARGS__)
#define LOG_ERROR(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define LOG_WARN(...)  LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_INFO(...)  LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_DEBUG(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define LOG_TRACE(...) LOG_AT(LOG_LEVEL_TRACE, __VA_ARGS__)

#endif
