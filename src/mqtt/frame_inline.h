/* SPDX-License-Identifier: MIT
 *
 * frame_inline - frame_find() of mqtt/decode.h, inline because it runs once per packet received.
 * Nearly all packets are shorter than 128 bytes: their one-byte Remaining Length is the straight
 * path.
 */
#ifndef SHARDMQ_MQTT_FRAME_INLINE_H
#define SHARDMQ_MQTT_FRAME_INLINE_H

#include "base/check.h"
#include "mqtt/decode.h"
#include "mqtt/varint.h"

static inline enum frame_status frame_find(const uint8_t *data, size_t len,
                                           uint32_t packet_size_max, struct frame *out)
{
    uint32_t body_len;
    int used;

    out->total_len = 0;
    if (UNLIKELY(len < 2)) {
        /* Packet type 0 is reserved (2.1.2): no second byte is needed to refuse it. */
        return len == 1 && data[0] < 0x10 ? FRAME_MALFORMED : FRAME_INCOMPLETE;
    }
    if (UNLIKELY(data[0] < 0x10))
        return FRAME_MALFORMED;
    if (LIKELY(data[1] < 0x80)) {
        body_len = data[1];
        used = 1;
    } else {
        size_t left = len - 1;

        used = varint_get_long(data + 1, left < 8 ? (uint32_t)left : 8, &body_len);
        if (used == VARINT_INCOMPLETE)
            return FRAME_INCOMPLETE;
        if (used == VARINT_MALFORMED)
            return FRAME_MALFORMED; /* [MQTT-1.5.5-1] */
    }
    out->type = (enum mqtt_packet_type)(data[0] >> 4);
    out->flags = data[0] & 0x0F;
    out->body = data + 1 + used;
    out->body_len = body_len;
    out->total_len = 1 + (uint32_t)used + body_len;
    if (UNLIKELY(out->total_len > packet_size_max))
        return FRAME_TOO_LARGE;
    return LIKELY(out->total_len <= len) ? FRAME_READY : FRAME_INCOMPLETE;
}

#endif
