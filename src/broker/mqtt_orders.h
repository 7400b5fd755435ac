/* SPDX-License-Identifier: MIT
 *
 * mqtt_orders - what operators do in the place of a client: publish, subscribe, unsubscribe. Small errands
 * (broker/errand.h), like those of orders.h.
 */
#ifndef SHARDMQ_BROKER_MQTT_ORDERS_H
#define SHARDMQ_BROKER_MQTT_ORDERS_H

#include "broker/errand.h"
#include "mqtt/packet.h"
#include "session/message.h"

struct conf;

/* ---- publish ---- */

struct user_property {
    struct span name, value;
};

/* A publication that is not a packet. Texts are valid UTF-8. */
struct publish_terms {
    struct span topic, payload;
    uint8_t qos;
    bool retain;
    /* PAYLOAD_FORMAT_INDICATOR, MESSAGE_EXPIRY_INTERVAL, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA;
     * raw is not looked at */
    struct mqtt_props props;
    const struct user_property *user_properties;
    unsigned user_property_count;
};

struct publish_order {
    struct errand errand;
    struct message *message; /* one reference */
    bool payload_is_text;    /* Payload Format Indicator 1 */
    /* the result: below 0x80 it was published; NO_MATCHING_SUBSCRIBERS: and nobody gets it */
    enum mqtt_reason reason;
};

/* What is wrong with the publication, as a sentence that begins with the member's name; NULL when it may be
 * published. */
const char *publish_terms_check(const struct publish_terms *terms, const struct conf *conf);

/* For query_retained_owner(topic), so that what comes for one topic keeps its order, and
 * the limits of retained messages are known there. The terms have been checked, and are copied. now_ns:
 * monotonic, when the publication came. NULL when memory is gone. */
struct publish_order *publish_order_create(const struct publish_terms *terms, uint64_t now_ns);
/* Why it was not published, as a sentence. */
const char *publish_order_refusal(enum mqtt_reason reason);

static inline struct publish_order *publish_order_of(struct errand *errand)
{
    return CONTAINER_OF(errand, struct publish_order, errand);
}

/* ---- subscribe and unsubscribe ---- */

/* One filter for one connected client. */
struct subscribe_order {
    struct errand errand;
    bool subscribe; /* else unsubscribe */
    uint8_t qos;
    /* the result */
    bool connected;          /* the client was; else nothing happened */
    enum mqtt_reason reason; /* as SUBACK or UNSUBACK would tell it */
    uint32_t client_identifier_len, filter_len;
    uint8_t text[]; /* client identifier, filter */
};

/* For broker_home_shard(client_identifier). Texts are valid UTF-8. NULL when memory is gone. */
struct subscribe_order *subscribe_order_create(struct span client_identifier, struct span filter,
                                               bool subscribe, uint8_t qos);

static inline struct subscribe_order *subscribe_order_of(struct errand *errand)
{
    return CONTAINER_OF(errand, struct subscribe_order, errand);
}

static inline struct span subscribe_order_filter(const struct subscribe_order *order)
{
    return span_of(order->text + order->client_identifier_len, order->filter_len);
}

#endif
