/* SPDX-License-Identifier: MIT
 *
 * mem - the only door to the allocator (mimalloc; plain malloc in sanitizer builds, which watch it).
 *
 * Two families. mem_alloc and friends are for start-up and for objects without which the program
 * cannot go on: they panic when memory is gone. mem_try_alloc is for everything that a client can
 * make the broker allocate: it returns NULL, and the caller refuses that one piece of work.
 * Memory may be freed on another thread than the one that allocated it.
 */
#ifndef SHARDMQ_BASE_MEM_H
#define SHARDMQ_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
/* Resizes; panics when memory is gone. `old` may be NULL. */
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((returns_nonnull));

void *mem_try_alloc(size_t size) __attribute__((malloc));
void *mem_try_zalloc(size_t size) __attribute__((malloc));
/* Resizes, or returns NULL and leaves `old` as it was. */
void *mem_try_realloc(void *old, size_t size);

/* Cache-line aligned and zeroed, panics when memory is gone; freed with mem_free. */
void *mem_zalloc_aligned(size_t size) __attribute__((malloc, returns_nonnull));

/* Overwrites what was secret; the compiler does not leave it out. */
void mem_wipe(void *pointer, size_t size);
/* Overwrites what functions that have returned left on the stack, MEM_STACK_WIPED bytes below the caller: for those of
 * libraries, which keep blocks of what they decrypt there (BoringSSL's AES-GCM as deep as 9,300 bytes). 0.2 us: not for
 * every message. */
#define MEM_STACK_WIPED 16384
void mem_wipe_stack(void);
/* mem_free() of something that may be a secret: its `size` bytes are overwritten. NULL is ignored. */
void mem_free_wiped(void *pointer, size_t size);
/* mem_try_realloc() of it: where it was, nothing of the `old_size` bytes stays behind. */
void *mem_try_realloc_wiped(void *old, size_t old_size, size_t size);

/* NULL is ignored. */
void mem_free(void *pointer);

/* For memory that the C library allocated: open_memstream(), realpath(), getline(). NULL is ignored. */
void mem_free_libc(void *pointer);

/* Fault injection for tests: the n-th mem_try_* call from now fails, and all after it until it is
 * called with 0, which ends the injection. */
void mem_fail_after(unsigned long n);

#endif
