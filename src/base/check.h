/* SPDX-License-Identifier: MIT
 *
 * check - assertions, on in every build.
 *
 * ASSERT states what this program guarantees to itself; input from the network is never asserted on,
 * it is answered with a reason code. SLOW_ASSERT may walk a structure: debug builds only.
 *
 * Ownership classes, named in the first comment of every struct:
 *   boot    immutable after start-up (a reload makes a new one)
 *   shard   touched by one thread only
 *   wire    immutable once posted to another thread, reference counted
 *   shared  atomics with one writer, or words that are changed by compare-and-swap only (auth/slow_down.h)
 */
#ifndef SHARDMQ_BASE_CHECK_H
#define SHARDMQ_BASE_CHECK_H

#include <stddef.h>

/* Prints where and why, runs the registered dumpers and aborts. Async-signal-unsafe; never returns. */
_Noreturn void panic(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* Registers a function that prints the state of one module when the process panics. At most eight;
 * `argument` must stay valid for the life of the process. Call during start-up only. */
void panic_register(void (*dump)(void *argument), void *argument);

#define ASSERT(condition)                                                                          \
    (__builtin_expect(!(condition), 0) ? panic(__FILE__, __LINE__, "%s", #condition) : (void)0)

#ifdef SHARDMQ_SLOW_ASSERTS
#define SLOW_ASSERT(condition) ASSERT(condition)
#else
#define SLOW_ASSERT(condition) ((void)sizeof(condition))
#endif

#define UNREACHABLE(why) panic(__FILE__, __LINE__, "unreachable: %s", why)

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define CACHE_LINE 64

#endif
