/* SPDX-License-Identifier: MIT
 *
 * log_priv - between log.c, which collects records, and log_sink.c, which writes them.
 */
#ifndef SHARDMQ_BASE_LOG_PRIV_H
#define SHARDMQ_BASE_LOG_PRIV_H

#include "base/log.h"

#define LOG_THREAD_NAME_MAX 16

/* One line on its way. `text` is one line already: it holds no control character. */
struct log_record {
    uint64_t wall_ns; /* since 1970 */
    enum log_level level;
    uint32_t suppressed;
    const char *thread;
    const char *text;
    size_t len;
};

/* All of these are called by one thread at a time: the holder of the lock in log.c. */
bool log_sinks_open(const struct log_options *options, char *error, size_t size);
void log_sinks_close(void);
void log_sinks_reopen(void);
void log_sinks_write(const struct log_record *record);

#endif
