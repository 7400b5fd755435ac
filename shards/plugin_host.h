/* SPDX-License-Identifier: MIT
 *
 * plugin_host - loads the plug-ins that the configuration names, at the start and only then, and is what they call. The
 * essay is in plugin_host.c.
 */
#ifndef SHARDMQ_SHARDS_PLUGIN_HOST_H
#define SHARDMQ_SHARDS_PLUGIN_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct conf;
struct plugins;
struct plugin_host;

/* Loads them all, without beginning anything. `owner` is the user that the broker is or becomes. NULL, with a sentence in
 * `why`. */
struct plugin_host *plugin_host_open(const struct conf *conf, uid_t owner, unsigned shards,
                                     char *why, size_t size);
/* Has each begin. False, with a sentence; those that had begun have ended again. */
bool plugin_host_begin(struct plugin_host *host, char *why, size_t size);
/* When no shard's thread runs any more, and every inbox is still there: has each end, in reverse order. */
void plugin_host_end(struct plugin_host *host);
/* When no broker is left. NULL is ignored. */
void plugin_host_close(struct plugin_host *host);

/* What the brokers ask. */
struct plugins *plugin_host_plugins(struct plugin_host *host);

#endif
