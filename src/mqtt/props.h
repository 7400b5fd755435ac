/* SPDX-License-Identifier: MIT
 *
 * props - property blocks as a whole: checked and taken apart, measured and written, all from
 * props.def.
 */
#ifndef SHARDMQ_MQTT_PROPS_H
#define SHARDMQ_MQTT_PROPS_H

#include "mqtt/packet.h"
#include "mqtt/reader.h"

/* Where a block stands: a packet type, or one of these two. */
enum prop_place { PROP_IN_WILL = 0, PROP_IN_SERVER_DISCONNECT = 16 };

/* Reads a property block, its length included, and stores what it says in *out. Members of
 * properties that are absent keep what they had. Returns MQTT_REASON_SUCCESS, or the reason why
 * not: MALFORMED_PACKET     a length that does not fit, an identifier that is unknown or does not
 * belong in this packet, a string that is not UTF-8 (2.2.2.2) PROTOCOL_ERROR       a property
 * twice, or a value outside its range TOPIC_ALIAS_INVALID  a Topic Alias of 0 */
enum mqtt_reason props_decode(struct reader *reader, unsigned place, struct mqtt_props *out);

/* A block without properties. */
static inline void props_clear(struct mqtt_props *props)
{
    props->raw = (struct span){.data = NULL, .len = 0};
    props->present = 0;
}

/* Bytes of the block that props_put() would write, without its length. Taken are the single-valued
 * properties that are in props->present and belong in `place`, and from props->raw the User
 * Properties (and in a PUBLISH the Subscription Identifiers) when their bit is set. `without` has
 * bits of properties to leave out. */
uint32_t props_size(const struct mqtt_props *props, unsigned place, uint64_t without);

/* Writes that block without its length; returns the end. No string may be longer than 65,535 bytes.
 */
uint8_t *props_put(uint8_t *to, const struct mqtt_props *props, unsigned place, uint64_t without);

#define PROP_BIT(id) ((uint64_t)1 << (id))

#endif
