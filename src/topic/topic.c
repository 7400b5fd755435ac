/* SPDX-License-Identifier: MIT */
#include "topic/topic.h"

#include "base/utf8.h"

#define EVERY_BYTE(c) (0x0101010101010101u * (uint64_t)(c))
#define HIGH_BITS     EVERY_BYTE(0x80)

/* 0x80 in every byte of `word` that equals `byte`, exactly: no carry crosses a byte. */
static inline uint64_t bytes_equal(uint64_t word, uint8_t byte)
{
    uint64_t difference = word ^ EVERY_BYTE(byte);

    return ~(((difference & ~HIGH_BITS) + ~HIGH_BITS) | difference | ~HIGH_BITS);
}

static inline uint32_t count_marks(uint64_t marks)
{
    return (uint32_t)(((marks >> 7) * EVERY_BYTE(1)) >> 56);
}

struct scan_sum {
    uint64_t forbidden, high;
    uint32_t separators;
};

static inline void scan_word(struct scan_sum *sum, uint64_t word)
{
    sum->forbidden |= bytes_equal(word, '+') | bytes_equal(word, '#') | bytes_equal(word, 0);
    sum->high |= word;
    sum->separators += count_marks(bytes_equal(word, '/'));
}

bool topic_name_valid(struct span topic, uint32_t levels_max)
{
    struct scan_sum sum = {0};
    uint64_t word;
    uint32_t at = 0;

    /* [MQTT-4.7.3-1] at least one character, [MQTT-4.7.3-3] at most 65535 bytes */
    if (topic.len == 0 || topic.len > UINT16_MAX)
        return false;
    for (; topic.len - at >= sizeof(word); at += (uint32_t)sizeof(word)) {
        memcpy(&word, topic.data + at, sizeof(word));
        scan_word(&sum, word);
    }
    if (at < topic.len) {
        word = EVERY_BYTE('a'); /* harmless bytes behind the end */
        memcpy(&word, topic.data + at, topic.len - at);
        scan_word(&sum, word);
    }
    /* [MQTT-4.7.0-1] [MQTT-4.7.1-1] [MQTT-3.3.2-2] no wildcards, [MQTT-4.7.3-2] [MQTT-1.5.4-2] no
     * U+0000 */
    if (sum.forbidden != 0 || sum.separators >= levels_max)
        return false;
    /* [MQTT-1.5.4-1] [MQTT-3.3.2-1] well-formed UTF-8; ASCII always is */
    return (sum.high & HIGH_BITS) == 0 || utf8_valid(topic.data, topic.len);
}

/* The form of a filter without a share name. */
static enum filter_form filter_form_of(struct span filter, uint32_t levels_max)
{
    enum filter_form form = FILTER_EXACT;
    uint32_t levels = 1;

    /* [MQTT-4.7.3-1] [MQTT-4.7.3-3] */
    if (filter.len == 0 || filter.len > UINT16_MAX)
        return FILTER_INVALID;
    for (uint32_t i = 0; i < filter.len; i++) {
        bool first = i == 0 || filter.data[i - 1] == '/';
        bool last = i + 1 == filter.len;

        switch (filter.data[i]) {
        case '/':
            levels++;
            break;
        case '#': /* [MQTT-4.7.1-1] alone in its level, and the last character of the filter */
            if (!first || !last)
                return FILTER_INVALID;
            form = FILTER_WILDCARD;
            break;
        case '+': /* [MQTT-4.7.1-2] [MQTT-4.7.1-3] fills a whole level */
            if (!first || (!last && filter.data[i + 1] != '/'))
                return FILTER_INVALID;
            form = FILTER_WILDCARD;
            break;
        case 0: /* [MQTT-4.7.3-2] */
            return FILTER_INVALID;
        default:
            break;
        }
    }
    return levels <= levels_max ? form : FILTER_INVALID;
}

struct filter_parts filter_parse(struct span filter, uint32_t levels_max)
{
    static const char prefix[] = "$share/";
    const uint32_t start = sizeof(prefix) - 1;
    struct filter_parts parts = {.form = FILTER_INVALID, .filter = filter};
    uint32_t end = start;

    if (span_equal(filter, span_text("$share")))
        return parts; /* [MQTT-4.8.2-1] */
    if (!span_starts_with(filter, prefix)) {
        parts.form = filter_form_of(filter, levels_max);
        return parts;
    }
    for (; end < filter.len && filter.data[end] != '/'; end++) {
        /* [MQTT-4.8.2-2] no wildcard in the share name */
        if (filter.data[end] == '+' || filter.data[end] == '#' || filter.data[end] == 0)
            return parts;
    }
    /* [MQTT-4.8.2-1] the share name has a character, [MQTT-4.8.2-2] and a '/' with a filter follows
     */
    if (end == start || end == filter.len)
        return parts;
    parts.share_name = span_of(filter.data + start, end - start);
    parts.filter = span_of(filter.data + end + 1, filter.len - end - 1);
    parts.form = filter_form_of(parts.filter, levels_max);
    return parts;
}

/* Where the level that begins at `at` ends. */
static uint32_t level_end(struct span text, uint32_t at)
{
    while (at < text.len && text.data[at] != '/')
        at++;
    return at;
}

bool filter_matches(struct span filter, struct span topic)
{
    uint32_t filter_at = 0, topic_at = 0;

    /* [MQTT-4.7.2-1] a leading wildcard keeps away from topics that begin with $ */
    if (topic.data[0] == '$' && (filter.data[0] == '+' || filter.data[0] == '#'))
        return false;
    for (;;) {
        uint32_t filter_end = level_end(filter, filter_at);
        uint32_t topic_end = level_end(topic, topic_at);
        struct span wanted = span_of(filter.data + filter_at, filter_end - filter_at);
        struct span level = span_of(topic.data + topic_at, topic_end - topic_at);

        if (span_equal(wanted, span_text("#")))
            return true;
        /* [MQTT-4.7.3-4] byte by byte, nothing is normalised */
        if (!span_equal(wanted, span_text("+")) && !span_equal(wanted, level))
            return false;
        if (topic_end == topic.len) {
            struct span rest = span_of(filter.data + filter_end, filter.len - filter_end);

            return rest.len == 0 || span_equal(rest, span_text("/#")); /* '#' takes its parent in */
        }
        if (filter_end == filter.len)
            return false;
        filter_at = filter_end + 1;
        topic_at = topic_end + 1;
    }
}
