/* SPDX-License-Identifier: MIT
 *
 * decode_publish - PUBLISH (MQTT 5.0, 3.3). The hot path: two bounds checks and a few loads unless
 * there are properties. The topic is left to topic/topic.h, which looks at its bytes once for
 * UTF-8, wildcards and levels together.
 */
#include "base/check.h"
#include "mqtt/decode_priv.h"

/* The properties at *at, which moves behind them, and what they demand of the rest of the packet. */
static enum mqtt_reason decode_props(const uint8_t **at, const uint8_t *end,
                                     struct publish_packet *out)
{
    if (LIKELY(*at < end && **at == 0)) {
        ++*at;
        props_clear(&out->props);
    } else {
        struct reader reader = {.at = *at, .end = end};
        enum mqtt_reason reason = props_decode(&reader, MQTT_PUBLISH, &out->props);

        if (reason != MQTT_REASON_SUCCESS)
            return reason;
        *at = reader.at;
    }
    /* Without a name the Topic Alias has to tell the topic (3.3.2.1). */
    if (UNLIKELY(out->topic.len == 0) && !props_has(&out->props, MQTT_PROPERTY_TOPIC_ALIAS))
        return MQTT_REASON_PROTOCOL_ERROR;
    return MQTT_REASON_SUCCESS;
}

enum mqtt_reason mqtt_decode_publish(const struct frame *frame, enum mqtt_version version,
                                     struct publish_packet *out)
{
    const uint8_t *at = frame->body, *end = frame->body + frame->body_len;
    uint32_t qos = (frame->flags >> 1) & 3;
    uint32_t identifier_len = qos > 0 ? 2 : 0; /* [MQTT-2.3.1-5] [MQTT-2.2.1-2] */
    bool dup = frame->flags >> 3;
    uint32_t topic_len;

    /* [MQTT-3.3.1-4] [MQTT-3.3.1-2] */
    if (UNLIKELY(qos == 3 || (dup && qos == 0) || frame->body_len < 2))
        return MQTT_REASON_MALFORMED_PACKET;
    topic_len = get_be16(at);
    if (UNLIKELY(frame->body_len < 2 + topic_len + identifier_len))
        return MQTT_REASON_MALFORMED_PACKET;
    out->qos = (uint8_t)qos;
    out->dup = dup;
    out->retain = frame->flags & 1;
    out->topic = span_of(at + 2, topic_len); /* [MQTT-3.3.2-1] */
    at += 2 + topic_len;
    out->packet_identifier = 0;
    if (qos > 0) {
        out->packet_identifier = get_be16(at);
        at += 2;
        if (UNLIKELY(out->packet_identifier == 0)) /* [MQTT-2.3.1-1] */
            return identifier_zero(version);
    }
    if (version == MQTT_5) {
        enum mqtt_reason reason = decode_props(&at, end, out);

        if (UNLIKELY(reason != MQTT_REASON_SUCCESS))
            return reason;
    } else {
        props_clear(&out->props);
    }
    out->payload = span_of(at, (size_t)(end - at));
    return MQTT_REASON_SUCCESS;
}
