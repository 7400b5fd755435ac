/* SPDX-License-Identifier: MIT
 *
 * mount - the part of all topics that the clients of a listener see: its mount point.
 *
 * What it is: a listener with mountpoint = "tenant/" has clients for whom the topic "a" is what everybody else calls
 * "tenant/a". It is put in front of whatever such a client names, and taken off whatever it is sent; inside, in the
 * rules of access, in the API and in the log there are whole topics only.
 *
 *   client        PUBLISH a            SUBSCRIBE $share/g/a/#         PUBLISH a/b
 *                    |                    |                              ^
 *   mount_name(), mount_filters(), mount_props()                      mount_strip()
 *                    v                    v                              |
 *   broker        tenant/a             $share/g/tenant/a/#            tenant/a/b
 *
 * The same is done with the topic of a will, and with the Response Topic of a message, for it is a topic that somebody is to
 * publish to. A client cannot leave its part: every topic and filter of it has the mount point in front, and placeholders take
 * no value that has a separator or a wildcard.
 *
 * That holds for topics with a $ as well, as in Mosquitto: "$SYS/x" in there is "tenant/$SYS/x", a topic like others, and what the
 * broker publishes about itself is not to be seen. Unlike there, a filter of the client that begins with a wildcard does not
 * get it one [MQTT-4.7.2-1]: for the broker "tenant/#" matches "tenant/$SYS/x", so that is looked at when it is sent.
 *
 * A kept session has its subscriptions as they were made, as whole topics. When its client comes through another
 * listener it is not sent what lies outside of that one's mount point: it would have no name there (drop_outside_mount). A
 * Response Topic that lies outside is left out.
 *
 * Who calls it: connect_session.c, on_publish.c, on_subscribe.c, on_unsubscribe.c, deliver.c; only for connections that have one.
 */
#ifndef SHARDMQ_BROKER_MOUNT_H
#define SHARDMQ_BROKER_MOUNT_H

#include "mqtt/packet.h"

struct broker;
struct connection;
struct publish_encoding;

/* A connection's mount point, placeholders filled in. Owner: shard, with its connection. */
struct mount_point {
    uint32_t len;
    uint8_t text[];
};

/* For a CONNECT that is about to be accepted: gives the connection its mount point, if its listener has one, and puts it in
 * front of the will's topic. SUCCESS, or why not, with a sentence in *why. May be called again, for the packet as it came. */
enum mqtt_reason mount_settle(struct broker *broker, struct connection *connection,
                              struct connect_packet *packet, struct span client_identifier,
                              const char **why);

/* Makes a client's topic name a whole one, which is valid until the next call. One that is no topic name stays one that
 * is none. False: it would be longer than a topic can be. */
bool mount_name(struct broker *broker, const struct mount_point *mount, struct span *topic);

/* Makes the filters of a SUBSCRIBE or UNSUBSCRIBE whole ones, in a block that the caller frees (mem_free()). What a client
 * behind a mount point may not ask for is an empty filter then, which is none. NULL when memory is gone. */
uint8_t *mount_filters(const struct mount_point *mount, struct subscribe_packet *packet);

/* props_copy_forwarded() with a whole Response Topic; `to` has room for mount->len bytes more. `mount` may be NULL. False when
 * the topic would be too long. */
bool mount_props(const struct mount_point *mount, const struct mqtt_props *props, uint8_t *to,
                 uint32_t *len);

/* Bytes that a mount point adds; 0 for NULL. */
static inline uint32_t mount_len(const struct mount_point *mount)
{
    return mount == NULL ? 0 : mount->len;
}

/* Takes the mount point off what is to be sent on a connection: topic and properties. `share` is the membership that it
 * comes through, 0: none. False when the topic is outside, or begins with $ and no filter of the client names that. What it
 * put into the encoding is valid until the next call. */
bool mount_strip(struct broker *broker, const struct connection *connection, uint32_t share,
                 struct publish_encoding *encoding);

#endif
