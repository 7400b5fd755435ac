/* SPDX-License-Identifier: MIT
 *
 * refuse - a sentence for whoever asked for something that cannot be.
 */
#ifndef SHARDMQ_BASE_REFUSE_H
#define SHARDMQ_BASE_REFUSE_H

#include <stdbool.h>
#include <stddef.h>

/* Printf to a buffer, always terminated. Always false, so that it can be returned. */
bool refuse_with(char *to, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
