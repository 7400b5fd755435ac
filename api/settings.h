/* SPDX-License-Identifier: MIT
 *
 * settings - the configuration as the API's documents have it: showing it, and finding out what a client wants changed.
 * Nothing here changes anything.
 */
#ifndef SHARDMQ_API_SETTINGS_H
#define SHARDMQ_API_SETTINGS_H

#include "conf/conf.h"

#include <cjson/cJSON.h>

enum settings_document { SETTINGS_CODE, SETTINGS_REST, SETTINGS_HOT };

/* Shows a document. `shards` is how many shards run. `section` (REST): that one alone; NULL: all. Secrets are "***".
 * NULL when there is no such section. The caller owns the answer. */
cJSON *settings_show(enum settings_document document, const struct conf *conf, unsigned shards,
                     const char *section);

struct settings_change {
    char *member; /* as the client calls it: "basic.msq_len" */
    char *path;   /* the option */
    char *value;  /* as in a file */
};

/* What a client wants. Owner: whoever asked for it; settings_forget(). */
struct settings_wish {
    struct settings_change *changes;
    unsigned count;
    char **without_effect; /* members that are known and mean nothing here */
    unsigned without_effect_count;
};

/* Compares `data` with what the document shows: members that are as shown are no wishes. Checks every other one against
 * the option table. `section` as above. False, with a sentence that begins with the member's name, when any is wrong;
 * the wish is then empty. */
bool settings_read(enum settings_document document, const struct conf *conf, unsigned shards,
                   const char *section, const cJSON *data, struct settings_wish *wish, char *error,
                   size_t size);
void settings_forget(struct settings_wish *wish);

#endif
