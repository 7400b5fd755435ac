/* SPDX-License-Identifier: MIT
 *
 * mount - whole topics for the broker, short ones for the client (mount.h has the picture).
 */
#include "broker/mount.h"

#include "base/endian.h"
#include "broker/broker_priv.h"
#include "broker/share.h"
#include "mqtt/decode.h"
#include "mqtt/encode_publish.h"

#define TOPIC_MAX 65535u
/* A SUBSCRIBE of many short filters must not take a lot of memory. */
#define MOUNT_MAX 256u

/* Where whole topics and shortened properties are until they have been copied. Owner: shard. */
struct mount_scratch {
    uint8_t *props;
    uint32_t props_capacity;
    uint8_t topic[TOPIC_MAX];
};

void mount_clear(struct broker *broker)
{
    if (broker->mount_scratch == NULL)
        return;
    mem_free(broker->mount_scratch->props);
    mem_free(broker->mount_scratch);
    broker->mount_scratch = NULL;
}

/* ---- placeholders ---- */

static const struct placeholder {
    const char *text;
    bool username;
} placeholders[] = {
    {"%c", false},
    {"%u", true},
    {"${clientid}", false},
    {"${username}", true},
};

static const struct placeholder *placeholder_at(struct span text)
{
    for (size_t i = 0; i < ARRAY_LENGTH(placeholders); i++)
        if (span_starts_with(text, placeholders[i].text))
            return &placeholders[i];
    return NULL;
}

/* It stands for one level, or a part of one, and nothing else. */
static bool value_good(struct span value)
{
    if (value.len == 0 || value.data[0] == '$')
        return false;
    for (uint32_t i = 0; i < value.len; i++)
        if (value.data[i] == '/' || value.data[i] == '+' || value.data[i] == '#')
            return false;
    return true;
}

/* Writes the filled-in form to `to`, unless that is NULL; its length, or -1 when a value is not good. */
static int64_t fill_in(struct span form, struct span client_identifier, struct span username,
                       uint8_t *to)
{
    int64_t len = 0;

    for (uint32_t at = 0; at < form.len;) {
        struct span rest = span_of(form.data + at, form.len - at), piece = span_of(rest.data, 1);
        const struct placeholder *placeholder = placeholder_at(rest);

        if (placeholder != NULL) {
            piece = placeholder->username ? username : client_identifier;
            if (!value_good(piece))
                return -1;
            at += (uint32_t)strlen(placeholder->text);
        } else {
            at++;
        }
        if (to != NULL)
            memcpy(to + len, piece.data, piece.len);
        len += piece.len;
    }
    return len;
}

/* ---- CONNECT ---- */

static enum mqtt_reason settle_will(struct broker *broker, const struct mount_point *mount,
                                    struct connect_packet *packet, const char **why)
{
    *why = "the will topic is too long behind the mount point";
    if (!mount_name(broker, mount, &packet->will_topic) ||
        !topic_name_valid(packet->will_topic, broker->conf->mqtt_max_topic_levels) ||
        (props_has(&packet->will_props, MQTT_PROPERTY_RESPONSE_TOPIC) &&
         packet->will_props.response_topic.len + mount->len > TOPIC_MAX))
        return MQTT_REASON_TOPIC_NAME_INVALID;
    return MQTT_REASON_SUCCESS;
}

enum mqtt_reason mount_settle(struct broker *broker, struct connection *connection,
                              struct connect_packet *packet, struct span client_identifier,
                              const char **why)
{
    struct span form = port_mount_point(connection);
    struct span username = packet->has_username ? packet->username : (struct span){0};
    int64_t len;

    mem_free(connection->mount);
    connection->mount = NULL;
    if (form.len == 0)
        return MQTT_REASON_SUCCESS;
    len = fill_in(form, client_identifier, username, NULL);
    if (len < 0 || len > MOUNT_MAX) {
        *why = "no mount point can be made with the client identifier or user name";
        return MQTT_REASON_NOT_AUTHORIZED;
    }
    *why = "out of memory";
    if (broker->mount_scratch == NULL)
        broker->mount_scratch = mem_try_zalloc(sizeof(*broker->mount_scratch));
    connection->mount = mem_try_alloc(sizeof(*connection->mount) + (size_t)len);
    if (broker->mount_scratch == NULL || connection->mount == NULL)
        return MQTT_REASON_QUOTA_EXCEEDED;
    connection->mount->len = (uint32_t)len;
    fill_in(form, client_identifier, username, connection->mount->text);
    connection->encodes_alone = true;
    return packet->has_will ? settle_will(broker, connection->mount, packet, why)
                            : MQTT_REASON_SUCCESS;
}

/* ---- in ---- */

bool mount_name(struct broker *broker, const struct mount_point *mount, struct span *topic)
{
    uint8_t *to = broker->mount_scratch->topic;

    if (topic->len == 0) /* with something in front it would be one */
        return true;
    if (mount->len + topic->len > TOPIC_MAX)
        return false;
    memcpy(to, mount->text, mount->len);
    memcpy(to + mount->len, topic->data, topic->len);
    *topic = span_of(to, mount->len + topic->len);
    return true;
}

/* Writes a whole filter, with its length in front; returns where it ends. */
static uint8_t *put_filter(const struct mount_point *mount, struct span filter, uint8_t *to)
{
    struct filter_parts parts = filter_parse(filter, UINT32_MAX);
    uint32_t share = filter.len - parts.filter.len; /* "$share/<name>/" */

    if (parts.form == FILTER_INVALID || filter.len + mount->len > TOPIC_MAX)
        return put_be16(to, 0);
    to = put_be16(to, (uint16_t)(filter.len + mount->len));
    memcpy(to, filter.data, share);
    memcpy(to + share, mount->text, mount->len);
    memcpy(to + share + mount->len, parts.filter.data, parts.filter.len);
    return to + filter.len + mount->len;
}

uint8_t *mount_filters(const struct mount_point *mount, struct subscribe_packet *packet)
{
    uint8_t *block = mem_try_alloc(packet->filters.len + (size_t)packet->filter_count * mount->len);
    uint8_t *to = block;
    struct filter_view view;

    if (block == NULL)
        return NULL;
    while (filters_next(packet, &view)) {
        to = put_filter(mount, view.filter, to);
        if (packet->has_options)
            *to++ = view.options;
    }
    packet->filters = span_of(block, (size_t)(to - block));
    return block;
}

bool mount_props(const struct mount_point *mount, const struct mqtt_props *props, uint8_t *to,
                 uint32_t *len)
{
    struct property_view view;
    struct span raw;

    if (mount == NULL || !props_has(props, MQTT_PROPERTY_RESPONSE_TOPIC)) {
        *len = props_copy_forwarded(props, to);
        return true;
    }
    if (props->response_topic.len + mount->len > TOPIC_MAX)
        return false;
    /* first where there is room for the mount point before it; then each property to its place, which is never behind
     * where it is */
    raw = span_of(to + mount->len, props_copy_forwarded(props, to + mount->len));
    *len = raw.len + mount->len;
    while (props_next(&raw, &view)) {
        if (view.id != MQTT_PROPERTY_RESPONSE_TOPIC) {
            memmove(to, view.encoded.data, view.encoded.len);
            to += view.encoded.len;
            continue;
        }
        *to++ = MQTT_PROPERTY_RESPONSE_TOPIC;
        to = put_be16(to, (uint16_t)(mount->len + props->response_topic.len));
        memcpy(to, mount->text, mount->len);
        memcpy(to + mount->len, props->response_topic.data, props->response_topic.len);
        to += mount->len + props->response_topic.len;
    }
    return true;
}

/* ---- out ---- */

/* False when it lies outside. */
static bool strip(const struct mount_point *mount, struct span *topic)
{
    if (topic->len <= mount->len || memcmp(topic->data, mount->text, mount->len) != 0)
        return false;
    *topic = span_of(topic->data + mount->len, topic->len - mount->len);
    return true;
}

/* Whether the client has a filter that matches a topic with a $ as it sees both: that of the membership, or any of those
 * that are not shared, for which of them brought a message is not known here. Such topics are rare. */
static bool subscribed_to_dollar(const struct connection *connection, uint32_t share,
                                 struct span topic)
{
    const struct session *session = connection->session;

    for (uint32_t i = 0; i < session->subscription_count; i++) {
        const struct membership *membership = session->subscriptions[i].membership;
        struct span filter;

        if ((membership == NULL ? 0 : membership->id) != share)
            continue;
        filter = membership != NULL ? membership_filter(membership)
                                    : topic_filter_text(session->subscriptions[i].filter);
        if (strip(connection->mount, &filter) && filter.data[0] == '$' &&
            filter_matches(filter, topic))
            return true;
    }
    return false;
}

static bool has_response_topic(struct span props)
{
    struct property_view view;

    while (props_next(&props, &view))
        if (view.id == MQTT_PROPERTY_RESPONSE_TOPIC)
            return true;
    return false;
}

/* Room for that many bytes of properties; NULL when memory is gone. */
static uint8_t *props_room(struct mount_scratch *scratch, uint32_t size)
{
    if (scratch->props_capacity < size) {
        uint8_t *grown = mem_try_realloc(scratch->props, size);

        if (grown == NULL)
            return NULL;
        scratch->props = grown;
        scratch->props_capacity = size;
    }
    return scratch->props;
}

static struct span strip_props(struct mount_scratch *scratch, const struct mount_point *mount,
                               struct span props)
{
    uint8_t *begin = props_room(scratch, props.len), *to = begin;
    struct property_view view;

    if (begin == NULL)
        return (struct span){0}; /* better without them than with a wrong one */
    while (props_next(&props, &view)) {
        struct span topic = view.value;

        if (view.id != MQTT_PROPERTY_RESPONSE_TOPIC) {
            memcpy(to, view.encoded.data, view.encoded.len);
            to += view.encoded.len;
        } else if (strip(mount, &topic)) {
            *to++ = MQTT_PROPERTY_RESPONSE_TOPIC;
            to = put_be16(to, (uint16_t)topic.len);
            memcpy(to, topic.data, topic.len);
            to += topic.len;
        }
    }
    return span_of(begin, (size_t)(to - begin));
}

bool mount_strip(struct broker *broker, const struct connection *connection, uint32_t share,
                 struct publish_encoding *encoding)
{
    const struct mount_point *mount = connection->mount;

    if (!strip(mount, &encoding->topic))
        return false;
    if (UNLIKELY(encoding->topic.data[0] == '$') &&
        !subscribed_to_dollar(connection, share, encoding->topic)) /* [MQTT-4.7.2-1] */
        return false;
    if (encoding->version == MQTT_5 && encoding->props.len != 0 &&
        has_response_topic(encoding->props))
        encoding->props = strip_props(broker->mount_scratch, mount, encoding->props);
    return true;
}
