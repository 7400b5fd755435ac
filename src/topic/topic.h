/* SPDX-License-Identifier: MIT
 *
 * topic - the rules for topic names and topic filters (MQTT 5.0, 4.7 and 4.8.2).
 */
#ifndef SHARDMQ_TOPIC_TOPIC_H
#define SHARDMQ_TOPIC_TOPIC_H

#include "base/span.h"

/* Valid UTF-8 without U+0000, at least one character, no wildcards, and at most `levels_max`
 * levels. */
bool topic_name_valid(struct span topic, uint32_t levels_max);

enum filter_form {
    FILTER_INVALID, /* misplaced wildcard, empty, U+0000, too many levels, bad $share form */
    FILTER_EXACT,   /* no wildcards */
    FILTER_WILDCARD
};

struct filter_parts {
    enum filter_form form;
    struct span share_name; /* empty unless $share/<share name>/<filter> */
    struct span filter;     /* what is matched: the part behind the share name */
};

/* Takes a filter as it stands in SUBSCRIBE (valid UTF-8) apart. `$share` in any other letter case
 * is an ordinary level; "$share" and "$share/" and a share name with + or # or without a filter are
 * invalid [MQTT-4.8.2-1] [MQTT-4.8.2-2]. */
struct filter_parts filter_parse(struct span filter, uint32_t levels_max);

/* Whether the topic name matches the filter; both valid. The slow, obvious form: for ACLs and
 * tests. */
bool filter_matches(struct span filter, struct span topic);

#endif
