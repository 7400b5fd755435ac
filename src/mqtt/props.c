/* SPDX-License-Identifier: MIT
 *
 * props - see the header. One row of props.def per property says everything that is checked here.
 *
 * Identifiers are Variable Byte Integers, but all that exist are below 64: a table indexed by the
 * first byte and a 64-bit set do, and a first byte of 64 or more is an identifier that does not
 * exist.
 */
#include "mqtt/props.h"

#include "base/check.h"
#include "mqtt/decode.h"
#include "mqtt/writer.h"

enum prop_type {
    TYPE_NONE,
    TYPE_BOOLEAN,
    TYPE_TWO,
    TYPE_FOUR,
    TYPE_VARINT,
    TYPE_STRING,
    TYPE_TOPIC,
    TYPE_BINARY,
    TYPE_PAIR
};

struct prop_rule {
    uint8_t type;     /* enum prop_type; TYPE_NONE: no such property */
    uint8_t zero;     /* enum mqtt_reason for the value 0 */
    uint16_t member;  /* offset in struct mqtt_props */
    uint32_t places;  /* bit (1 << place) */
    uint32_t repeats; /* likewise */
};

#define MQTT_WILL              PROP_IN_WILL
#define MQTT_SERVER_DISCONNECT PROP_IN_SERVER_DISCONNECT
#define IN(place_)             (1u << MQTT_##place_)
#define RULES_SIZE             64

static const struct prop_rule rules[RULES_SIZE] = {
#define PROP(name_, id_, type_, packets_, repeats_, zero_, member_)                                \
    [id_] = {.type = TYPE_##type_,                                                                 \
             .zero = MQTT_REASON_##zero_,                                                          \
             .member = offsetof(struct mqtt_props, member_),                                       \
             .places = packets_,                                                                   \
             .repeats = repeats_},
#include "mqtt/props.def"
};

#define PROP(name_, id_, type_, packets_, repeats_, zero_, member_)                                \
    _Static_assert(MQTT_PROPERTY_##name_ == id_ && (id_) < RULES_SIZE,                             \
                   "include/shardmq/mqtt.h: property " #name_);
#include "mqtt/props.def"

/* Reads the value of one property: integers into view->number, the others as spans. */
static bool read_value(struct reader *reader, enum prop_type type, struct property_view *view)
{
    uint16_t two;
    uint8_t byte;

    switch (type) {
    case TYPE_BOOLEAN:
        if (!read_byte(reader, &byte))
            return false;
        view->number = byte;
        return true;
    case TYPE_TWO:
        if (!read_be16(reader, &two))
            return false;
        view->number = two;
        return true;
    case TYPE_FOUR:
        return read_be32(reader, &view->number);
    case TYPE_VARINT:
        return read_varint(reader, &view->number);
    case TYPE_STRING:
    case TYPE_TOPIC:
    case TYPE_BINARY:
        return read_binary(reader, &view->value);
    case TYPE_PAIR:
        return read_binary(reader, &view->name) && read_binary(reader, &view->value);
    case TYPE_NONE:
        break;
    }
    return false;
}

/* A topic name: at least one character, no wildcards. */
static bool topic_without_wildcards(struct span topic)
{
    return topic.len > 0 && memchr(topic.data, '+', topic.len) == NULL &&
           memchr(topic.data, '#', topic.len) == NULL;
}

/* Whether a value that could be read is one the property may have. */
static enum mqtt_reason check_value(const struct prop_rule *rule, const struct property_view *view)
{
    switch ((enum prop_type)rule->type) {
    case TYPE_BOOLEAN:
        return view->number <= 1 ? MQTT_REASON_SUCCESS : MQTT_REASON_PROTOCOL_ERROR;
    case TYPE_TWO:
    case TYPE_FOUR:
    case TYPE_VARINT:
        return view->number != 0 ? MQTT_REASON_SUCCESS : (enum mqtt_reason)rule->zero;
    case TYPE_PAIR: /* [MQTT-1.5.7-1] */
        if (!utf8_valid(view->name.data, view->name.len))
            return MQTT_REASON_MALFORMED_PACKET;
        break;
    case TYPE_STRING:
        break;
    case TYPE_TOPIC:
        if (!topic_without_wildcards(view->value)) /* [MQTT-3.3.2-14] [MQTT-4.7.3-1] */
            return MQTT_REASON_PROTOCOL_ERROR;
        break;
    case TYPE_BINARY:
    case TYPE_NONE:
        return MQTT_REASON_SUCCESS;
    }
    /* [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.3.2-13] [MQTT-3.3.2-19] */
    return utf8_valid(view->value.data, view->value.len) ? MQTT_REASON_SUCCESS
                                                         : MQTT_REASON_MALFORMED_PACKET;
}

static void store_value(struct mqtt_props *props, const struct prop_rule *rule,
                        const struct property_view *view)
{
    void *member = (char *)props + rule->member;

    switch ((enum prop_type)rule->type) {
    case TYPE_BOOLEAN:
        *(uint8_t *)member = (uint8_t)view->number;
        break;
    case TYPE_TWO:
        *(uint16_t *)member = (uint16_t)view->number;
        break;
    case TYPE_FOUR:
    case TYPE_VARINT:
        *(uint32_t *)member = view->number;
        break;
    case TYPE_STRING:
    case TYPE_TOPIC:
    case TYPE_BINARY:
        *(struct span *)member = view->value;
        break;
    case TYPE_PAIR: /* may repeat: found by props_next() alone */
    case TYPE_NONE:
        break;
    }
}

/* Reads, checks and stores the next property. */
static enum mqtt_reason decode_one(struct reader *reader, unsigned place, struct mqtt_props *out)
{
    uint8_t id = *reader->at++;
    const struct prop_rule *rule = &rules[id % RULES_SIZE];
    struct property_view view;
    enum mqtt_reason reason;

    if (id >= RULES_SIZE || ((rule->places >> place) & 1) == 0)
        return MQTT_REASON_MALFORMED_PACKET; /* no such property, or not in this packet (2.2.2.2) */
    if (((out->present >> id) & 1) != 0 && ((rule->repeats >> place) & 1) == 0)
        return MQTT_REASON_PROTOCOL_ERROR; /* included more than once */
    if (!read_value(reader, (enum prop_type)rule->type, &view))
        return MQTT_REASON_MALFORMED_PACKET;
    reason = check_value(rule, &view);
    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    out->present |= PROP_BIT(id);
    store_value(out, rule, &view);
    return MQTT_REASON_SUCCESS;
}

enum mqtt_reason props_decode(struct reader *reader, unsigned place, struct mqtt_props *out)
{
    struct reader block;
    uint32_t len;

    props_clear(out);
    /* The length is there even when it is 0. [MQTT-2.2.2-1] */
    if (!read_varint(reader, &len) || reader_left(reader) < len)
        return MQTT_REASON_MALFORMED_PACKET;
    block = reader_of(reader->at, len);
    out->raw = span_of(reader->at, len);
    reader->at += len;
    while (block.at < block.end) {
        enum mqtt_reason reason = decode_one(&block, place, out);

        if (reason != MQTT_REASON_SUCCESS)
            return reason;
    }
    return MQTT_REASON_SUCCESS;
}

bool props_next(struct span *raw, struct property_view *out)
{
    struct reader reader;
    uint8_t id;

    if (raw->len == 0)
        return false;
    reader = reader_of(raw->data, raw->len);
    id = *reader.at++;
    ASSERT(id < RULES_SIZE);
    *out = (struct property_view){.id = (enum mqtt_property)id};
    ASSERT(read_value(&reader, (enum prop_type)rules[id].type, out));
    out->encoded = span_of(raw->data, (size_t)(reader.at - raw->data));
    raw->data = reader.at;
    raw->len -= out->encoded.len;
    return true;
}

/* Forwarded unaltered: [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17]
 * [MQTT-3.3.2-20] */
#define FORWARDED                                                                                  \
    (PROP_BIT(MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR) | PROP_BIT(MQTT_PROPERTY_CONTENT_TYPE) |     \
     PROP_BIT(MQTT_PROPERTY_RESPONSE_TOPIC) | PROP_BIT(MQTT_PROPERTY_CORRELATION_DATA) |           \
     PROP_BIT(MQTT_PROPERTY_USER_PROPERTY))

uint32_t props_copy_forwarded(const struct mqtt_props *props, uint8_t *to)
{
    struct span raw = props->raw;
    struct property_view view;
    uint32_t written = 0;

    if ((props->present & FORWARDED) == 0)
        return 0;
    if ((props->present & ~FORWARDED) == 0) {
        memcpy(to, raw.data, raw.len);
        return raw.len;
    }
    /* In the order they came in. [MQTT-3.3.2-18] [MQTT-3.1.3-10] */
    while (props_next(&raw, &view)) {
        if ((FORWARDED >> view.id) & 1) {
            memcpy(to + written, view.encoded.data, view.encoded.len);
            written += view.encoded.len;
        }
    }
    return written;
}

/* The property with `id` as an encoder takes it from *props: false when it is not to be written. */
static bool takes(const struct mqtt_props *props, unsigned place, uint64_t without, unsigned id)
{
    const struct prop_rule *rule = &rules[id];

    return ((props->present & ~without) >> id & 1) && rule->type != TYPE_NONE &&
           (rule->places >> place & 1) && (rule->repeats >> place & 1) == 0;
}

/* Bytes of the properties in props->raw that may repeat in `place`; copies them when `to` is not
 * NULL. */
static uint32_t repeated(uint8_t *to, const struct mqtt_props *props, unsigned place,
                         uint64_t without)
{
    uint64_t wanted = props->present & ~without;
    struct span raw = props->raw;
    struct property_view view;
    uint32_t size = 0;

    if ((wanted & (PROP_BIT(MQTT_PROPERTY_USER_PROPERTY) |
                   PROP_BIT(MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER))) == 0)
        return 0;
    while (props_next(&raw, &view)) {
        if ((wanted >> view.id & 1) == 0 || (rules[view.id].repeats >> place & 1) == 0)
            continue;
        if (to != NULL)
            memcpy(to + size, view.encoded.data, view.encoded.len);
        size += view.encoded.len;
    }
    return size;
}

uint32_t props_size(const struct mqtt_props *props, unsigned place, uint64_t without)
{
    uint32_t size = repeated(NULL, props, place, without);

    for (uint64_t left = props->present & ~without; left != 0; left &= left - 1) {
        unsigned id = (unsigned)__builtin_ctzll(left);
        const char *member = (const char *)props + rules[id].member;

        if (!takes(props, place, without, id))
            continue;
        switch ((enum prop_type)rules[id].type) {
        case TYPE_BOOLEAN:
            size += 1 + 1;
            break;
        case TYPE_TWO:
            size += 1 + 2;
            break;
        case TYPE_FOUR:
            size += 1 + 4;
            break;
        case TYPE_VARINT:
            size += 1 + varint_size(*(const uint32_t *)(const void *)member);
            break;
        case TYPE_STRING:
        case TYPE_TOPIC:
        case TYPE_BINARY:
            size += 1 + 2 + ((const struct span *)(const void *)member)->len;
            break;
        case TYPE_PAIR:
        case TYPE_NONE:
            break;
        }
    }
    return size;
}

uint8_t *props_put(uint8_t *to, const struct mqtt_props *props, unsigned place, uint64_t without)
{
    for (uint64_t left = props->present & ~without; left != 0; left &= left - 1) {
        unsigned id = (unsigned)__builtin_ctzll(left);
        const void *member = (const char *)props + rules[id].member;

        if (!takes(props, place, without, id))
            continue;
        *to++ = (uint8_t)id;
        switch ((enum prop_type)rules[id].type) {
        case TYPE_BOOLEAN:
            *to++ = *(const uint8_t *)member;
            break;
        case TYPE_TWO:
            to = put_be16(to, *(const uint16_t *)member);
            break;
        case TYPE_FOUR:
            to = put_be32(to, *(const uint32_t *)member);
            break;
        case TYPE_VARINT:
            to = varint_put(to, *(const uint32_t *)member);
            break;
        case TYPE_STRING:
        case TYPE_TOPIC:
        case TYPE_BINARY:
            to = put_string(to, *(const struct span *)member);
            break;
        case TYPE_PAIR:
        case TYPE_NONE:
            break;
        }
    }
    return to + repeated(to, props, place, without);
}
