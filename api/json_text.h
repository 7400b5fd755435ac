/* SPDX-License-Identifier: MIT
 *
 * json_text - JSON that is written as it goes, for answers that are too long to be a tree first.
 *
 * Owner: shard (the control shard). The commas are the writer's; when memory is gone `failed` is set and nothing more
 * is appended.
 */
#ifndef SHARDMQ_API_JSON_TEXT_H
#define SHARDMQ_API_JSON_TEXT_H

#include "base/span.h"

#include <stddef.h>

struct json_text {
    char *data;
    size_t len, capacity;
    bool failed;
};

void json_text_free(struct json_text *text);

/* As it is. */
void json_text_raw(struct json_text *text, const char *raw);
/* A string with its quotes. `string` is UTF-8; whatever JSON wants escaped is. */
void json_text_string(struct json_text *text, struct span string);
void json_text_number(struct json_text *text, uint64_t number);
void json_text_bool(struct json_text *text, bool value);
/* Milliseconds since 1970 as a string in UTC: "2026-11-25T18:30:58.123Z" (RFC 3339). */
void json_text_time(struct json_text *text, uint64_t wall_ms);
/* Bytes in base64, as a string (RFC 4648). */
void json_text_base64(struct json_text *text, struct span bytes);

#endif
