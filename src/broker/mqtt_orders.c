/* SPDX-License-Identifier: MIT
 *
 * mqtt_orders - publications and subscriptions of operators, at the shard that they are for.
 *
 * They go the same way as those of clients from the first step on that does not concern a connection: a
 * publication is routed and counted (message_in) by the owner shard of its topic, a subscription is one of
 * its client's session, with the retained messages that come with it.
 *
 * Invariants
 *   I1  a publication is counted as message_in when it was routed, and never else
 *   I2  a subscription's errand goes back when no publication anywhere misses it, like a SUBACK
 */
#include "broker/mqtt_orders.h"

#include "base/endian.h"
#include "broker/broker_priv.h"
#include "mqtt/props.h"

#define TEXT_MAX 65535u /* of a string in a packet (1.5.4) */

/* ---- publish ---- */

static bool user_properties_fit(const struct publish_terms *terms)
{
    for (unsigned i = 0; i < terms->user_property_count; i++)
        if (terms->user_properties[i].name.len > TEXT_MAX ||
            terms->user_properties[i].value.len > TEXT_MAX)
            return false;
    return true;
}

/* Bytes of all properties but the Message Expiry Interval, which is not forwarded unaltered. */
static uint32_t props_len(const struct publish_terms *terms)
{
    uint32_t len =
        props_size(&terms->props, MQTT_PUBLISH, PROP_BIT(MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL));

    for (unsigned i = 0; i < terms->user_property_count; i++)
        len += 5 + terms->user_properties[i].name.len + terms->user_properties[i].value.len;
    return len;
}

static const char *check_props(const struct publish_terms *terms)
{
    const struct mqtt_props *props = &terms->props;

    if (props_has(props, MQTT_PROPERTY_CONTENT_TYPE) && props->content_type.len > TEXT_MAX)
        return "content_type: longer than 65535 bytes";
    if (props_has(props, MQTT_PROPERTY_CORRELATION_DATA) && props->correlation_data.len > TEXT_MAX)
        return "correlation_data: longer than 65535 bytes";
    if (props_has(props, MQTT_PROPERTY_RESPONSE_TOPIC) &&
        (props->response_topic.len > TEXT_MAX ||
         !topic_name_valid(props->response_topic, UINT32_MAX)))
        return "response_topic: not a topic name"; /* [MQTT-3.3.2-14] */
    if (!user_properties_fit(terms))
        return "user_properties: one is longer than 65535 bytes";
    return NULL;
}

const char *publish_terms_check(const struct publish_terms *terms, const struct conf *conf)
{
    const char *wrong = check_props(terms);
    size_t size;

    if (wrong != NULL)
        return wrong;
    if (terms->topic.len > TEXT_MAX || !topic_name_valid(terms->topic, UINT32_MAX))
        return "topic: not a topic name: it must not be empty, longer than 65535 bytes or contain "
               "+ or #"; /* [MQTT-3.3.2-2] */
    if (!topic_name_valid(terms->topic, conf->mqtt_max_topic_levels))
        return "topic: more levels than mqtt.max_topic_levels";
    if (span_starts_with(terms->topic, "$SYS"))
        return "topic: those below $SYS are the broker's";
    if (terms->qos > conf->mqtt_max_qos)
        return "qos: more than mqtt.max_qos";
    if (terms->retain && !conf->mqtt_retain_available)
        return "retain: mqtt.retain_available is false";
    size = (size_t)props_len(terms) + terms->topic.len + terms->payload.len +
           16; /* headers and lengths */
    if (size > conf->mqtt_max_packet_size)
        return "payload: the message is larger than mqtt.max_packet_size";
    return NULL;
}

static uint8_t *put_text(uint8_t *to, struct span text)
{
    to = put_be16(to, (uint16_t)text.len);
    if (text.len != 0)
        memcpy(to, text.data, text.len);
    return to + text.len;
}

static void put_props(uint8_t *to, const struct publish_terms *terms)
{
    to =
        props_put(to, &terms->props, MQTT_PUBLISH, PROP_BIT(MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL));
    for (unsigned i = 0; i < terms->user_property_count; i++) { /* [MQTT-3.3.2-18] */
        *to++ = MQTT_PROPERTY_USER_PROPERTY;
        to = put_text(to, terms->user_properties[i].name);
        to = put_text(to, terms->user_properties[i].value);
    }
}

static enum errand_step publish_run(struct broker *broker, struct errand *errand)
{
    struct publish_order *order = publish_order_of(errand);

    order->reason = publish_ordered(broker, &order->message->publication, order->payload_is_text);
    return ERRAND_DONE;
}

static void publish_release(struct errand *errand)
{
    message_unref(publish_order_of(errand)->message);
    mem_free(publish_order_of(errand));
}

static const struct errand_kind publish_kind = {
    .name = "a publication", .run = publish_run, .release = publish_release};

struct publish_order *publish_order_create(const struct publish_terms *terms, uint64_t now_ns)
{
    uint32_t len = props_len(terms);
    struct publish_order *order = mem_try_zalloc(sizeof(*order));
    uint8_t *props = len == 0 ? NULL : mem_try_alloc(len);
    struct publication publication = {
        .topic = terms->topic,
        .payload = terms->payload,
        .publisher = SESSION_HANDLE_NONE,
        .received_ns = now_ns,
        .qos = terms->qos,
        .retain = terms->retain,
    };

    if (props != NULL) {
        put_props(props, terms);
        publication.props = span_of(props, len);
    }
    if (props_has(&terms->props, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL))
        publication.expires_ms = now_ns / 1000000u + (uint64_t)terms->props.message_expiry * 1000;
    if (order != NULL && (props != NULL || len == 0))
        order->message = message_create(&publication, 1);
    mem_free(props);
    if (order == NULL || order->message == NULL) {
        mem_free(order);
        return NULL;
    }
    order->errand.kind = &publish_kind;
    order->payload_is_text = props_has(&terms->props, MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR) &&
                             terms->props.payload_format == 1;
    return order;
}

const char *publish_order_refusal(enum mqtt_reason reason)
{
    switch (reason) {
    case MQTT_REASON_PAYLOAD_FORMAT_INVALID:
        return "payload: payload_format_indicator is 1 and it is not UTF-8";
    case MQTT_REASON_QUOTA_EXCEEDED:
        return "retain: no more retained messages are allowed (mqtt.max_retained, "
               "mqtt.max_retained_size)";
    case MQTT_REASON_SERVER_BUSY:
        return "the broker is overloaded; try again later";
    default:
        return "topic: not a topic name";
    }
}

/* ---- subscribe and unsubscribe ---- */

static enum errand_step subscribe_run(struct broker *broker, struct errand *errand)
{
    struct subscribe_order *order = subscribe_order_of(errand);
    struct session *session =
        session_table_find(&broker->sessions, span_of(order->text, order->client_identifier_len));

    order->connected = session != NULL && session->connection != NULL;
    if (!order->connected)
        return ERRAND_DONE;
    if (order->subscribe)
        return subscribe_ordered(broker, session, order) ? ERRAND_DONE : ERRAND_WAITS; /* I2 */
    order->reason = unsubscribe_ordered(broker, session, subscribe_order_filter(order));
    return ERRAND_DONE;
}

static void subscribe_release(struct errand *errand)
{
    mem_free(subscribe_order_of(errand));
}

static const struct errand_kind subscribe_kind = {
    .name = "a subscription", .run = subscribe_run, .release = subscribe_release};

struct subscribe_order *subscribe_order_create(struct span client_identifier, struct span filter,
                                               bool subscribe, uint8_t qos)
{
    struct subscribe_order *order =
        mem_try_zalloc(sizeof(*order) + client_identifier.len + filter.len);

    if (order == NULL)
        return NULL;
    order->errand.kind = &subscribe_kind;
    order->subscribe = subscribe;
    order->qos = qos;
    order->client_identifier_len = client_identifier.len;
    order->filter_len = filter.len;
    memcpy(order->text, client_identifier.data, client_identifier.len);
    memcpy(order->text + client_identifier.len, filter.data, filter.len);
    return order;
}
