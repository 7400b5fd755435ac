/* SPDX-License-Identifier: MIT
 *
 * reload - the configuration is read again, or changed, while the broker runs.
 */
#ifndef SHARDMQ_APP_RELOAD_H
#define SHARDMQ_APP_RELOAD_H

#include "app/cli.h"
#include "shards/machine.h"

#define RELOAD_ERRORS_MAX 16384

/* Owner: the control shard. Zeroed, with `cli`. */
struct reloader {
    const struct cli *cli;
    struct conf_override *held; /* set at run time, and still in force above all other sources */
    size_t held_count;
};

/* machine_options.reload. */
struct conf *reload(struct reloader *reloader, const struct machine_reload *what,
                    const struct conf *running, char *report, size_t size);
/* Forgets what was set at run time. */
void reload_end(struct reloader *reloader);

/* Opens the log as configured. False with a sentence in `error`; it is then as it was. */
bool open_log(const struct conf *conf, char *error, size_t size);
/* A warning for each line. */
void log_sentences(const char *sentences);

#endif
