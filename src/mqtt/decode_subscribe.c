/* SPDX-License-Identifier: MIT
 *
 * decode_subscribe - SUBSCRIBE and UNSUBSCRIBE (MQTT 5.0, 3.8 and 3.10), which differ in the
 * options byte only.
 *
 * The whole list is checked before anything is acted on, so that a packet is obeyed or refused as a
 * whole. The form of a filter is not looked at: a bad filter in 5.0 is answered in SUBACK, one by
 * one.
 */
#include "base/check.h"
#include "mqtt/decode_priv.h"

enum option {
    OPTION_QOS = 0x03,
    OPTION_NO_LOCAL = 0x04,
    OPTION_RETAIN_HANDLING = 0x30,
    OPTION_RESERVED = 0xC0
};

/* Subscription options of 5.0 (3.8.3.1). */
static enum mqtt_reason check_options(uint8_t options, struct span filter)
{
    if ((options & OPTION_RESERVED) != 0) /* [MQTT-3.8.3-5] */
        return MQTT_REASON_MALFORMED_PACKET;
    if ((options & OPTION_QOS) == 3 || (options & OPTION_RETAIN_HANDLING) == OPTION_RETAIN_HANDLING)
        return MQTT_REASON_PROTOCOL_ERROR;
    if ((options & OPTION_NO_LOCAL) != 0 && span_starts_with(filter, "$share/"))
        return MQTT_REASON_PROTOCOL_ERROR; /* [MQTT-3.8.3-4] */
    return MQTT_REASON_SUCCESS;
}

static enum mqtt_reason check_filter(struct reader *reader, enum mqtt_version version,
                                     bool has_options)
{
    struct span filter;
    uint8_t options;

    /* [MQTT-3.8.3-1] [MQTT-3.10.3-1] */
    if (!read_string(reader, &filter))
        return MQTT_REASON_MALFORMED_PACKET;
    if (!has_options)
        return MQTT_REASON_SUCCESS;
    if (!read_byte(reader, &options))
        return MQTT_REASON_MALFORMED_PACKET;
    if (version == MQTT_5)
        return check_options(options, filter);
    /* [MQTT-3-8.3-4] */
    return options <= 2 ? MQTT_REASON_SUCCESS : MQTT_REASON_MALFORMED_PACKET;
}

enum mqtt_reason mqtt_decode_subscribe(const struct frame *frame, enum mqtt_version version,
                                       struct subscribe_packet *out)
{
    struct reader reader = reader_of(frame->body, frame->body_len);
    enum mqtt_reason reason = read_identifier(&reader, version, &out->packet_identifier);

    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    props_clear(&out->props);
    if (version == MQTT_5) {
        reason = props_decode(&reader, (unsigned)frame->type, &out->props);
        if (reason != MQTT_REASON_SUCCESS)
            return reason;
    }
    out->has_options = frame->type == MQTT_SUBSCRIBE;
    out->filters = span_of(reader.at, reader_left(&reader));
    out->filter_count = 0;
    while (reader_left(&reader) > 0) {
        reason = check_filter(&reader, version, out->has_options);
        if (reason != MQTT_REASON_SUCCESS)
            return reason;
        out->filter_count++;
    }
    /* 3.1.1: [MQTT-3.8.3-3] [MQTT-3.10.3-2], 5.0: [MQTT-3.8.3-2] [MQTT-3.10.3-2] */
    return out->filter_count > 0 ? MQTT_REASON_SUCCESS : MQTT_REASON_PROTOCOL_ERROR;
}

bool filters_next(struct subscribe_packet *list, struct filter_view *out)
{
    struct reader reader;

    if (list->filters.len == 0)
        return false;
    reader = reader_of(list->filters.data, list->filters.len);
    out->options = 0;
    ASSERT(read_binary(&reader, &out->filter));
    ASSERT(!list->has_options || read_byte(&reader, &out->options));
    list->filters = span_of(reader.at, reader_left(&reader));
    return true;
}
