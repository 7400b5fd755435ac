/* SPDX-License-Identifier: MIT
 *
 * reader - a bounded cursor over the body of one control packet. Every read says whether it stayed
 * inside; after a false the cursor and the output are not to be used.
 */
#ifndef SHARDMQ_MQTT_READER_H
#define SHARDMQ_MQTT_READER_H

#include "base/endian.h"
#include "base/span.h"
#include "base/utf8.h"
#include "mqtt/varint.h"

struct reader {
    const uint8_t *at, *end;
};

static inline struct reader reader_of(const uint8_t *data, uint32_t len)
{
    return (struct reader){.at = data, .end = data + len};
}

static inline uint32_t reader_left(const struct reader *reader)
{
    return (uint32_t)(reader->end - reader->at);
}

static inline bool read_byte(struct reader *reader, uint8_t *out)
{
    if (reader_left(reader) < 1)
        return false;
    *out = *reader->at++;
    return true;
}

static inline bool read_be16(struct reader *reader, uint16_t *out)
{
    if (reader_left(reader) < 2)
        return false;
    *out = get_be16(reader->at);
    reader->at += 2;
    return true;
}

static inline bool read_be32(struct reader *reader, uint32_t *out)
{
    if (reader_left(reader) < 4)
        return false;
    *out = get_be32(reader->at);
    reader->at += 4;
    return true;
}

static inline bool read_varint(struct reader *reader, uint32_t *out)
{
    int used = varint_get(reader->at, reader_left(reader), out);

    if (used <= 0)
        return false;
    reader->at += used;
    return true;
}

/* Binary Data: a two-byte length and so many bytes (1.5.6). That no topic name or filter is longer
 * than 65,535 bytes needs no other check. [MQTT-4.7.3-3] */
static inline bool read_binary(struct reader *reader, struct span *out)
{
    uint16_t len;

    if (!read_be16(reader, &len) || reader_left(reader) < len)
        return false;
    *out = (struct span){.data = reader->at, .len = len};
    reader->at += len;
    return true;
}

/* A UTF-8 Encoded String (1.5.4). [MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-1.5.4-1] [MQTT-1.5.4-2] */
static inline bool read_string(struct reader *reader, struct span *out)
{
    return read_binary(reader, out) && utf8_valid(out->data, out->len);
}

#endif
