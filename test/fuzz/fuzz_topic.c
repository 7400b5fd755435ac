/* SPDX-License-Identifier: MIT
 *
 * fuzz_topic - the rules for topic names and filters. Input: a filter, a zero byte, a topic name (or one of them
 * alone, without the zero byte, taken as both).
 */
#include "fuzz.h"

#include "base/utf8.h"
#include "topic/topic.h"

#define LEVELS_MAX 16u

static void name(struct span topic, struct span filter)
{
    if (!topic_name_valid(topic, LEVELS_MAX))
        return;
    ASSERT(topic.len > 0 && utf8_valid(topic.data, topic.len));
    ASSERT(memchr(topic.data, '+', topic.len) == NULL);
    ASSERT(memchr(topic.data, '#', topic.len) == NULL);
    ASSERT(filter_matches(topic, topic)); /* a name is a filter that matches itself */
    ASSERT(filter_matches(span_text("#"), topic) == (topic.data[0] != '$'));
    if (filter.len > 0)
        filter_matches(filter, topic);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *zero = len > 0 ? memchr(data, 0, len) : NULL;
    size_t filter_len = zero != NULL ? (size_t)(zero - data) : len;
    struct span filter = span_of(data, filter_len);
    struct span topic = zero != NULL ? span_of(zero + 1, len - filter_len - 1) : span_of(data, len);
    struct filter_parts parts = {.form = FILTER_INVALID};

    if (len == 0)
        return 0;
    if (utf8_valid(filter.data, filter.len))
        parts = filter_parse(filter, LEVELS_MAX);
    if (parts.form != FILTER_INVALID) {
        bool wildcard = memchr(parts.filter.data, '+', parts.filter.len) != NULL ||
                        memchr(parts.filter.data, '#', parts.filter.len) != NULL;

        ASSERT(parts.filter.len > 0 && wildcard == (parts.form == FILTER_WILDCARD));
        ASSERT(parts.filter.data + parts.filter.len == filter.data + filter.len);
        ASSERT(parts.share_name.len + parts.filter.len <= filter.len);
        /* without wildcards it is a topic name too */
        ASSERT(wildcard || topic_name_valid(parts.filter, LEVELS_MAX));
        name(topic, parts.filter);
    } else {
        name(topic, (struct span){.data = NULL, .len = 0});
    }
    return 0;
}
