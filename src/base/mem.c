/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include "base/check.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef SHARDMQ_SANITIZED
static void *raw_alloc(size_t size)
{
    return malloc(size);
}
static void *raw_zalloc(size_t size)
{
    return calloc(1, size);
}
static void *raw_realloc(void *old, size_t size)
{
    return realloc(old, size > 0 ? size : 1); /* realloc(old, 0) would free it and say NULL */
}
static void *raw_zalloc_aligned(size_t size)
{
    void *pointer = NULL;

    if (posix_memalign(&pointer, CACHE_LINE, size) != 0)
        return NULL;
    memset(pointer, 0, size);
    return pointer;
}
static void raw_free(void *pointer)
{
    free(pointer);
}
#else
#include <mimalloc.h>
static void *raw_alloc(size_t size)
{
    return mi_malloc(size);
}
static void *raw_zalloc(size_t size)
{
    return mi_zalloc(size);
}
static void *raw_realloc(void *old, size_t size)
{
    return mi_realloc(old, size);
}
static void *raw_zalloc_aligned(size_t size)
{
    return mi_zalloc_aligned(size, CACHE_LINE);
}
static void raw_free(void *pointer)
{
    mi_free(pointer);
}
#endif

/* 0: no injection; 1: every call fails; n: n - 1 calls still work. */
static atomic_ulong fail_countdown;

static int injected_failure(void)
{
    unsigned long left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);

    if (LIKELY(left == 0))
        return 0;
    if (left > 1) {
        atomic_store_explicit(&fail_countdown, left - 1, memory_order_relaxed);
        return 0;
    }
    return 1;
}

void mem_fail_after(unsigned long n)
{
    atomic_store_explicit(&fail_countdown, n, memory_order_relaxed);
}

static void *or_panic(void *pointer, size_t size)
{
    if (UNLIKELY(pointer == NULL))
        panic(__FILE__, __LINE__, "out of memory: %zu bytes needed", size);
    return pointer;
}

void *mem_alloc(size_t size)
{
    return or_panic(raw_alloc(size), size);
}

void *mem_zalloc(size_t size)
{
    return or_panic(raw_zalloc(size), size);
}

void *mem_realloc(void *old, size_t size)
{
    return or_panic(raw_realloc(old, size), size);
}

char *mem_strdup(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(mem_alloc(size), text, size);
}

void *mem_try_alloc(size_t size)
{
    return injected_failure() ? NULL : raw_alloc(size);
}

void *mem_try_zalloc(size_t size)
{
    return injected_failure() ? NULL : raw_zalloc(size);
}

void *mem_try_realloc(void *old, size_t size)
{
    return injected_failure() ? NULL : raw_realloc(old, size);
}

void *mem_zalloc_aligned(size_t size)
{
    return or_panic(raw_zalloc_aligned(size), size);
}

void mem_wipe(void *pointer, size_t size)
{
    if (size != 0)
        explicit_bzero(pointer, size);
}

/* A sanitizer would put what is to be overwritten elsewhere. */
__attribute__((noinline, no_sanitize("address"))) void mem_wipe_stack(void)
{
    uint8_t below[MEM_STACK_WIPED];

    explicit_bzero(below, sizeof(below));
}

void mem_free_wiped(void *pointer, size_t size)
{
    if (pointer != NULL)
        mem_wipe(pointer, size);
    mem_free(pointer);
}

void *mem_try_realloc_wiped(void *old, size_t old_size, size_t size)
{
    void *larger = mem_try_alloc(size);

    if (larger == NULL)
        return NULL;
    if (old_size != 0)
        memcpy(larger, old, old_size < size ? old_size : size);
    mem_free_wiped(old, old_size);
    return larger;
}

void mem_free(void *pointer)
{
    raw_free(pointer);
}

void mem_free_libc(void *pointer)
{
    free(pointer);
}
