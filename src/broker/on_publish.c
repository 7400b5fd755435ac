/* SPDX-License-Identifier: MIT
 *
 * on_publish - PUBLISH from a client: guards, route, acknowledgement.
 *
 * The packet is checked as a view into the receive buffer; nothing is stored or sent before it is
 * known to be accepted. message_in is counted here and nowhere else (wills excepted).
 *
 * Invariants
 *   I1  a QoS 2 publication is routed once: its packet identifier is remembered until PUBREL
 *       [MQTT-4.3.3-10]
 *   I2  acknowledgements leave in the order of the PUBLISH packets [MQTT-4.6.0-2] [MQTT-4.6.0-3]:
 *       a PUBLISH that has to wait for the owner of its topic stops the reading of its connection
 *   I3  an acknowledged QoS 1 or 2 message has been taken over: it is in the windows of the local
 *       sessions and in the rings to the other shards, which never lose it [MQTT-4.5.0-1]
 *       [MQTT-4.3.2-4] [MQTT-4.3.3-8]
 */
#include "base/utf8.h"
#include "broker/audit.h"
#include "broker/authz_priv.h"
#include "broker/broker_priv.h"
#include "broker/plugins.h"
#include "broker/policy.h"
#include "mqtt/decode.h"
#include "session/alias.h"

/* Forwarded properties up to this size are collected on the stack. */
#define PROPS_ON_STACK 1024u

/* Puts the topic of an alias in place, or learns it. A reason below 0x80 is success. */
static enum mqtt_reason resolve_alias(struct broker *broker, struct connection *connection,
                                      struct publish_packet *packet)
{
    uint16_t alias = packet->props.topic_alias;

    if (!props_has(&packet->props, MQTT_PROPERTY_TOPIC_ALIAS))
        return packet->topic.len == 0 ? MQTT_REASON_PROTOCOL_ERROR : MQTT_REASON_SUCCESS;
    if (alias == 0 || alias > connection->topic_alias_max) /* [MQTT-3.3.2-8] */
        return MQTT_REASON_TOPIC_ALIAS_INVALID;
    if (connection->aliases == NULL) {
        connection->aliases = alias_create(connection->topic_alias_max, 0);
        if (connection->aliases == NULL)
            return MQTT_REASON_QUOTA_EXCEEDED;
    }
    if (packet->topic.len == 0) {
        packet->topic = alias_topic(connection->aliases, alias);
        return packet->topic.len == 0 ? MQTT_REASON_PROTOCOL_ERROR : MQTT_REASON_SUCCESS;
    }
    if (!topic_name_valid(packet->topic, broker->conf->mqtt_max_topic_levels))
        return MQTT_REASON_SUCCESS; /* the route refuses it with the right reason */
    return alias_learn(connection->aliases, alias, packet->topic) ? MQTT_REASON_SUCCESS
                                                                  : MQTT_REASON_QUOTA_EXCEEDED;
}

/* What makes a PUBLISH end the connection. */
static enum mqtt_reason check_packet(struct broker *broker, struct connection *connection,
                                     struct publish_packet *packet, const char **why)
{
    enum mqtt_reason reason;

    if (UNLIKELY(packet->qos > connection->qos_max)) {
        *why = "the QoS is not supported";
        return MQTT_REASON_QOS_NOT_SUPPORTED;
    }
    if (UNLIKELY(packet->retain && !connection->retain_available)) {
        *why = "retained messages are not supported";
        return MQTT_REASON_RETAIN_NOT_SUPPORTED;
    }
    if (connection->version != MQTT_5)
        return MQTT_REASON_SUCCESS;
    if (UNLIKELY(props_has(&packet->props,
                           MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER))) { /* [MQTT-3.3.4-6] */
        *why = "a Subscription Identifier from a client";
        return MQTT_REASON_PROTOCOL_ERROR;
    }
    reason = resolve_alias(broker, connection, packet);
    if (UNLIKELY(reason != MQTT_REASON_SUCCESS))
        *why = "topic alias";
    return reason;
}

/* What is refused in the acknowledgement and leaves the connection open. */
static enum mqtt_reason check_publication(const struct broker *broker,
                                          const struct publish_packet *packet,
                                          const struct publication *publication)
{
    /* $SYS is the broker's; a 3.1.1 client gets a plain acknowledgement [MQTT-3.3.5-2] */
    if (UNLIKELY(span_starts_with(publication->topic, "$SYS")))
        return MQTT_REASON_NOT_AUTHORIZED;
    if (UNLIKELY(broker->conf->mqtt_check_payload_format &&
                 props_has(&packet->props, MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR) &&
                 packet->props.payload_format == 1 &&
                 !utf8_valid(publication->payload.data, publication->payload.len)))
        return MQTT_REASON_PAYLOAD_FORMAT_INVALID;
    if (UNLIKELY(publication->retain) && retain_allowed(broker, publication) == RETAIN_REFUSED)
        return MQTT_REASON_QUOTA_EXCEEDED;
    return MQTT_REASON_SUCCESS;
}

static void audit_publication(struct broker *broker, struct connection *connection,
                              struct span topic, const char *link, const char *rule)
{
    const struct session *session = connection->session;
    struct audit_refusal refusal = {
        .event = AUDIT_PUBLISH,
        .counter = STAT_refused_publish,
        .client_identifier = session_client_identifier(session),
        .username = session->username == NULL ? (struct span){0} : span_text(session->username),
        .connection = connection,
        .topic = topic,
        .link = link,
        .rule = rule,
    };

    audit_refusal(broker, &refusal);
}

static void deny_publication(struct broker *broker, struct connection *connection,
                             const struct publish_packet *packet, enum mqtt_reason reason,
                             const struct authz_reason *why)
{
    audit_publication(broker, connection, packet->topic, why->link, why->rule);
    STAT_INC(broker->stats, publish_refused);
    if (broker->policy != NULL && broker->policy->deny_disconnects)
        connection_end(broker, connection, reason, "it may not publish that");
    else if (packet->qos > 0) /* 3.1.1 has no way to say no [MQTT-3.3.5-2] */
        send_ack(broker, connection, packet->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
                 packet->packet_identifier, reason, NULL);
}

/* Whether the client is allowed to publish it. False: the packet waits, or has been dealt with: nothing of it is
 * remembered, also of QoS 2. */
static __attribute__((noinline)) bool may_publish(struct broker *broker,
                                                  struct connection *connection,
                                                  const struct publish_packet *packet)
{
    struct authz_reason reason;

    /* the route refuses it with the right reason; what is repeated was asked about before */
    if (!topic_name_valid(packet->topic, broker->conf->mqtt_max_topic_levels) ||
        (packet->qos == 2 && connection->session->inbound != NULL &&
         inbound_has(connection->session->inbound, packet->packet_identifier)))
        return true;
    switch (authz_ask(broker, connection, AUTHZ_PUBLISH, packet->topic, packet->qos, packet->retain,
                      &reason)) {
    case AUTHZ_WAIT:
        return false;
    case AUTHZ_DENY:
        deny_publication(broker, connection, packet, MQTT_REASON_NOT_AUTHORIZED, &reason);
        return false;
    default:
        return true;
    }
}

static const char *refusal_text(enum mqtt_reason reason)
{
    switch (reason) {
    case MQTT_REASON_NOT_AUTHORIZED:
        return "topics below $SYS are the broker's";
    case MQTT_REASON_PAYLOAD_FORMAT_INVALID:
        return "the payload is not UTF-8";
    case MQTT_REASON_QUOTA_EXCEEDED:
        return "no more retained messages are allowed";
    default:
        return NULL;
    }
}

static void acknowledge(struct broker *broker, struct connection *connection, uint8_t qos,
                        uint16_t packet_identifier, enum mqtt_reason reason)
{
    if (qos == 0) /* [MQTT-3.3.4-1] */
        return;
    /* nothing is remembered of QoS 1: its identifier means a new message from here on [MQTT-4.3.2-2] [MQTT-4.3.2-5] */
    send_ack(broker, connection, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, packet_identifier, reason,
             refusal_text(reason));
}

/* Remembers a QoS 2 identifier. False: the packet has been dealt with. */
static bool begin_qos2(struct broker *broker, struct connection *connection,
                       const struct publish_packet *packet)
{
    struct session *session = connection->session;

    if (session->inbound == NULL)
        session->inbound = mem_try_zalloc(sizeof(*session->inbound));
    if (session->inbound == NULL) {
        connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
        return false;
    }
    if (inbound_has(session->inbound, packet->packet_identifier)) { /* I1 */
        STAT_INC(broker->stats, publish_repeated);
        send_ack(broker, connection, MQTT_PUBREC, packet->packet_identifier, MQTT_REASON_SUCCESS,
                 NULL);
        return false;
    }
    if (session->inbound->count >= connection->receive_maximum && connection->version == MQTT_5) {
        connection_end(broker, connection, MQTT_REASON_RECEIVE_MAXIMUM_EXCEEDED,
                       "more unreleased QoS 2 publications than the Receive Maximum");
        return false;
    }
    if (!inbound_add(session->inbound, packet->packet_identifier)) {
        connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
        return false;
    }
    return true;
}

static void count_accepted(struct broker *broker, uint8_t qos)
{
    STAT_INC(broker->stats, message_in);
    if (qos == 0)
        STAT_INC(broker->stats, publish_qos0_in);
    else if (qos == 1)
        STAT_INC(broker->stats, publish_qos1_in);
    else
        STAT_INC(broker->stats, publish_qos2_in);
}

static void refuse_topic(struct broker *broker, struct connection *connection,
                         const struct publication *publication)
{
    bool text = utf8_valid(publication->topic.data, publication->topic.len);

    /* ill-formed UTF-8 [MQTT-1.5.4-1] [MQTT-1.5.3-1] [MQTT-3.3.2-1]; wildcards, no characters or
     * too many levels [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT-4.7.1-1] [MQTT-4.7.3-1] */
    connection_end(broker, connection,
                   text ? MQTT_REASON_TOPIC_NAME_INVALID : MQTT_REASON_MALFORMED_PACKET,
                   text ? "not a topic name" : "the topic name is not valid UTF-8");
}

static void refuse_publication(struct broker *broker, struct connection *connection,
                               struct span topic, uint8_t qos, uint16_t packet_identifier,
                               enum mqtt_reason reason)
{
    if (reason == MQTT_REASON_NOT_AUTHORIZED)
        audit_publication(broker, connection, topic, NULL, refusal_text(reason));
    STAT_INC(broker->stats, publish_refused);
    if (qos == 2 &&
        connection->session->inbound != NULL) /* the identifier is free again [MQTT-4.3.3-9] */
        inbound_remove(connection->session->inbound, packet_identifier);
    if (qos == 0 && connection->refused_publishes++ == 0)
        LOG_INFO("a QoS 0 publication was refused: %s", refusal_text(reason));
    acknowledge(broker, connection, qos, packet_identifier, reason);
}

/* Makes the topic a whole one. False: the packet has been dealt with. */
static bool mount_topic(struct broker *broker, struct connection *connection,
                        struct publish_packet *packet)
{
    if (mount_name(broker, connection->mount, &packet->topic) &&
        (connection->version != MQTT_5 ||
         !props_has(&packet->props, MQTT_PROPERTY_RESPONSE_TOPIC) ||
         packet->props.response_topic.len + connection->mount->len <= UINT16_MAX))
        return true;
    connection_end(broker, connection, MQTT_REASON_TOPIC_NAME_INVALID,
                   "the topic is too long behind the mount point");
    return false;
}

static void route(struct broker *broker, struct connection *connection,
                  const struct publication *publication, uint16_t packet_identifier)
{
    bool matched;

    if (UNLIKELY(!route_publication(broker, publication, &matched))) {
        if (publication->qos == 2) /* the session may live on: nothing came with this identifier */
            inbound_remove(connection->session->inbound, packet_identifier);
        refuse_topic(broker, connection, publication);
        return;
    }
    count_accepted(broker, publication->qos);
    connection->traffic.message_in++;
    acknowledge(broker, connection, publication->qos, packet_identifier,
                matched ? MQTT_REASON_SUCCESS : MQTT_REASON_NO_MATCHING_SUBSCRIBERS);
}

void publish_decided(struct broker *broker, struct connection *connection,
                     const struct publication *publication, uint16_t packet_identifier,
                     bool allowed)
{
    if (allowed)
        route(broker, connection, publication, packet_identifier);
    else
        refuse_publication(broker, connection, publication->topic, publication->qos,
                           packet_identifier, MQTT_REASON_QUOTA_EXCEEDED);
}

void publish_unanswered(struct broker *broker, struct session *session,
                        const struct publication *publication, uint16_t packet_identifier,
                        bool allowed)
{
    bool matched;

    if (publication->qos < 2)
        return;
    if (allowed && route_publication(broker, publication, &matched))
        count_accepted(broker, publication->qos);
    else
        inbound_remove(session->inbound, packet_identifier);
}

enum mqtt_reason publish_ordered(struct broker *broker, const struct publication *publication,
                                 bool payload_is_text)
{
    enum mqtt_reason reason = MQTT_REASON_SUCCESS;
    bool matched;

    if (!shards_keep_up(broker)) /* there is no connection that would not be read meanwhile */
        reason = MQTT_REASON_SERVER_BUSY;
    else if (payload_is_text && broker->conf->mqtt_check_payload_format &&
             !utf8_valid(publication->payload.data, publication->payload.len))
        reason = MQTT_REASON_PAYLOAD_FORMAT_INVALID;
    else if (publication->retain && retain_allowed(broker, publication) != RETAIN_ALLOWED)
        reason = MQTT_REASON_QUOTA_EXCEEDED;
    if (reason != MQTT_REASON_SUCCESS) {
        STAT_INC(broker->stats, publish_refused);
        return reason;
    }
    if (!route_publication(broker, publication, &matched))
        return MQTT_REASON_TOPIC_NAME_INVALID;
    count_accepted(broker, publication->qos);
    return matched ? MQTT_REASON_SUCCESS : MQTT_REASON_NO_MATCHING_SUBSCRIBERS;
}

/* What plug-ins say to the message itself. False: it has been dealt with. */
static bool plugins_let_through(struct broker *broker, struct connection *connection,
                                const struct publish_packet *packet,
                                const struct publication *publication)
{
    struct authz_reason why = {.link = "plugins"};
    enum mqtt_reason reason;

    if (!topic_name_valid(publication->topic, broker->conf->mqtt_max_topic_levels))
        return true; /* the route refuses it with the right reason */
    reason = plugins_publish(broker, connection->session, connection, publication, why.rule,
                             sizeof(why.rule));
    if (reason == MQTT_REASON_SUCCESS)
        return true;
    if (packet->qos == 2) /* the identifier is free again [MQTT-4.3.3-9] */
        inbound_remove(connection->session->inbound, packet->packet_identifier);
    deny_publication(broker, connection, packet, reason, &why);
    return false;
}

static void publish(struct broker *broker, struct connection *connection,
                    const struct publish_packet *packet, const struct publication *publication)
{
    enum mqtt_reason reason = check_publication(broker, packet, publication);

    if (UNLIKELY(reason != MQTT_REASON_SUCCESS)) {
        refuse_publication(broker, connection, packet->topic, packet->qos,
                           packet->packet_identifier, reason);
        return;
    }
    if (UNLIKELY(broker->plugin_hooks & PLUGIN_PUBLISH) &&
        !plugins_let_through(broker, connection, packet, publication))
        return;
    if (UNLIKELY(publication->retain) &&
        retain_allowed(broker, publication) == RETAIN_OWNER_KNOWS &&
        topic_name_valid(publication->topic, broker->conf->mqtt_max_topic_levels)) {
        if (!retain_ask(broker, connection, publication, packet->packet_identifier))
            connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
        return;
    }
    route(broker, connection, publication, packet->packet_identifier);
}

static void end_without_memory(struct broker *broker, struct connection *connection,
                               const struct publish_packet *packet)
{
    if (packet->qos == 2) /* what is sent again is not a repetition: this one is lost */
        inbound_remove(connection->session->inbound, packet->packet_identifier);
    connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
}

/* Says who it is that publishes. False: the packet has been dealt with. */
static __attribute__((noinline)) bool name_author(struct broker *broker,
                                                  struct connection *connection,
                                                  const struct publish_packet *packet,
                                                  struct publication *publication)
{
    publication->author = authz_author(connection->session);
    if (publication->author == NULL)
        end_without_memory(broker, connection, packet);
    return publication->author != NULL;
}

void on_publish(struct broker *broker, struct connection *connection, const struct frame *frame)
{
    struct publish_packet packet;
    struct publication publication;
    uint64_t topic_hash;
    const char *why = "malformed PUBLISH";
    enum mqtt_reason reason = mqtt_decode_publish(frame, connection->version, &packet);
    uint8_t on_stack[PROPS_ON_STACK], *forwarded = on_stack;

    if (LIKELY(reason == MQTT_REASON_SUCCESS))
        reason = check_packet(broker, connection, &packet, &why);
    if (UNLIKELY(reason != MQTT_REASON_SUCCESS)) {
        connection_end(broker, connection, reason, why);
        return;
    }
    if (UNLIKELY(connection->mount != NULL) && !mount_topic(broker, connection, &packet))
        return;
    topic_hash = hash64(packet.topic.data, packet.topic.len);
    if (UNLIKELY(broker->authz_active) &&
        !authz_remembers(broker, connection->session, AUTHZ_PUBLISH, packet.topic, topic_hash) &&
        !may_publish(broker, connection, &packet))
        return;
    if (packet.qos == 2 && !begin_qos2(broker, connection, &packet))
        return;
    publication = (struct publication){
        .topic = packet.topic,
        .payload = packet.payload,
        .publisher = connection->session->handle,
        .topic_hash = topic_hash,
        .received_ns = broker->now_ns,
        .qos = packet.qos,
        .retain = packet.retain,
    };
    if (UNLIKELY(packet.retain) && !name_author(broker, connection, &packet, &publication))
        return;
    if (connection->version == MQTT_5 && packet.props.raw.len > 0) {
        uint32_t len = packet.props.raw.len + mount_len(connection->mount);

        if (len > PROPS_ON_STACK)
            forwarded = mem_try_alloc(len);
        if (forwarded == NULL) {
            end_without_memory(broker, connection, &packet);
            return;
        }
        ASSERT(mount_props(connection->mount, &packet.props, forwarded, &len));
        publication.props = span_of(forwarded, len);
        if (props_has(&packet.props, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL))
            publication.expires_ms = broker->now_ms + (uint64_t)packet.props.message_expiry * 1000;
    }
    publish(broker, connection, &packet, &publication);
    if (forwarded != on_stack)
        mem_free(forwarded);
}
