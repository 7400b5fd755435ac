/* SPDX-License-Identifier: MIT
 *
 * json - JSON from the network, strictly (RFC 8259): what cJSON tolerates or cannot represent is
 * refused before it sees it. No text behind the value, no control character or NUL in a string, also
 * not as \u0000 (a C string would end there), UTF-8 without surrogates, no number without a finite
 * value, no member twice in an object, JSON_DEPTH_MAX levels, JSON_MEMBERS_MAX members in an object.
 */
#ifndef SHARDMQ_BASE_JSON_H
#define SHARDMQ_BASE_JSON_H

#include "base/span.h"

#include <cjson/cJSON.h>

#define JSON_DEPTH_MAX   32u
#define JSON_MEMBERS_MAX 256u

/* What *why is, the same pointer, when it was not the text's fault. */
extern const char json_no_memory[];

/* The value, or NULL and a sentence (static text) in *why. */
cJSON *json_parse(struct span text, const char **why);

/* The digits of a whole number that is the value of that member of the outermost object, as they stand
 * in a text that json_parse() has accepted; empty when it is none. (A double holds 53 bits.) */
struct span json_raw_number(struct span text, const char *member);

#endif
