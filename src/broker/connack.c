/* SPDX-License-Identifier: MIT
 *
 * connack - the answer to CONNECT: one per connection, and nothing before it [MQTT-3.2.0-1] [MQTT-3.2.0-2].
 */
#include "broker/connect.h"
#include "mqtt/encode.h"

#define CONNACK_MAX 2048u /* room besides the response information and the reason string */

/* False when there is none for it: no return code fits, or it is larger than the client takes. */
static bool send_connack(struct broker *broker, struct connection *connection,
                         enum mqtt_version version, const struct connack_fields *fields)
{
    uint32_t room = CONNACK_MAX + fields->props.response_information.len +
                    fields->props.assigned_client_identifier.len + fields->props.reason_string.len +
                    fields->props.authentication_method.len + fields->props.authentication_data.len;
    uint8_t *to = connection_reserve(broker, connection, room);
    uint32_t size = to == NULL ? 0 : mqtt_encode_connack(to, room, version, fields);

    connection_commit(broker, connection, size);
    return size > 0;
}

enum connection_verdict connect_refuse_with(struct broker *broker, struct connection *connection,
                                            const struct connect_packet *packet,
                                            enum mqtt_reason reason, const char *why,
                                            const struct audit_refusal *refusal)
{
    struct connack_fields fields = {.reason = reason};

    if (packet->version == MQTT_5) {
        fields.props.reason_string = span_text(why);
        fields.props.present = (uint64_t)1 << MQTT_PROPERTY_REASON_STRING;
        if (props_has(&packet->props, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE))
            fields.packet_size_max = packet->props.maximum_packet_size;
    }
    audit_refusal(broker, refusal);
    STAT_INC(broker->stats, connection_refused);
    (void)send_connack(broker, connection, packet->version, &fields);
    connection_drop(broker, connection, reason, why);
    return CONNECTION_STOP;
}

enum connection_verdict connect_refuse(struct broker *broker, struct connection *connection,
                                       const struct connect_packet *packet, enum mqtt_reason reason,
                                       const char *why)
{
    struct audit_refusal refusal = {
        .event = AUDIT_CONNECT,
        .counter = audit_connect_counter(reason),
        .client_identifier = packet->client_identifier,
        .username = packet->has_username ? packet->username : (struct span){0},
        .connection = connection,
        .rule = why,
    };

    return connect_refuse_with(broker, connection, packet, reason, why, &refusal);
}

static void set_bool(struct mqtt_props *props, enum mqtt_property id, uint8_t *member)
{
    *member = 0;
    props->present |= (uint64_t)1 << id;
}

static void set_present(struct mqtt_props *props, enum mqtt_property id)
{
    props->present |= (uint64_t)1 << id;
}

/* What a 5.0 client must know of this server (MQTT 5.0, 3.2.2.3). */
static void describe_server(const struct broker *broker, const struct connect_packet *packet,
                            const struct session *session, const struct connect_result *result,
                            struct mqtt_props *props)
{
    const struct conf *conf = broker->conf;

    if (conf->mqtt_receive_maximum < UINT16_MAX) {
        props->receive_maximum = (uint16_t)conf->mqtt_receive_maximum;
        set_present(props, MQTT_PROPERTY_RECEIVE_MAXIMUM);
    }
    if (conf->mqtt_max_qos < 2) { /* [MQTT-3.2.2-9] */
        props->maximum_qos = (uint8_t)conf->mqtt_max_qos;
        set_present(props, MQTT_PROPERTY_MAXIMUM_QOS);
    }
    if (!conf->mqtt_retain_available)
        set_bool(props, MQTT_PROPERTY_RETAIN_AVAILABLE, &props->retain_available);
    if (!conf->mqtt_wildcard_subscription)
        set_bool(props, MQTT_PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE, &props->wildcard_available);
    if (!conf->mqtt_shared_subscription)
        set_bool(props, MQTT_PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE, &props->shared_available);
    if ((uint64_t)conf->mqtt_max_packet_size < MQTT_PACKET_SIZE_MAX) {
        props->maximum_packet_size = (uint32_t)conf->mqtt_max_packet_size;
        set_present(props, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE);
    }
    if (conf->mqtt_max_topic_alias > 0) { /* [MQTT-3.3.2-12] */
        props->topic_alias_maximum = (uint16_t)conf->mqtt_max_topic_alias;
        set_present(props, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM);
    }
    if (result->has_server_keep_alive) {
        props->server_keep_alive = result->server_keep_alive;
        set_present(props, MQTT_PROPERTY_SERVER_KEEP_ALIVE);
    }
    if (result->assigned_identifier) { /* [MQTT-3.1.3-7] [MQTT-3.2.2-16] */
        props->assigned_client_identifier = session_client_identifier(session);
        set_present(props, MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER);
    }
    if (result->method.len > 0) { /* [MQTT-4.12.0-5] [MQTT-4.12.0-6] */
        props->authentication_method = result->method;
        set_present(props, MQTT_PROPERTY_AUTHENTICATION_METHOD);
    }
    if (result->answer.len > 0) {
        props->authentication_data = result->answer;
        set_present(props, MQTT_PROPERTY_AUTHENTICATION_DATA);
    }
    if (session->expiry_s != result->expiry_s) { /* not what the client asked for */
        props->session_expiry = session->expiry_s;
        set_present(props, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL);
    }
    if (props_has(&packet->props,
                  MQTT_PROPERTY_REQUEST_RESPONSE_INFORMATION) && /* [MQTT-3.1.2-28] */
        packet->props.request_response_information == 1 &&
        conf->mqtt_response_information != NULL && conf->mqtt_response_information[0] != '\0') {
        props->response_information = span_text(conf->mqtt_response_information);
        set_present(props, MQTT_PROPERTY_RESPONSE_INFORMATION);
    }
}

bool connect_accept(struct broker *broker, struct connection *connection,
                    const struct connect_packet *packet, const struct session *session,
                    const struct connect_result *result)
{
    struct connack_fields fields = {
        .reason = MQTT_REASON_SUCCESS, /* [MQTT-3.1.4-5] [MQTT-3.1.4-4] */
        .session_present =
            result->session_present, /* [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] */
        .packet_size_max = connection->packet_size_max,
    };

    if (packet->version == MQTT_5)
        describe_server(broker, packet, session, result, &fields.props);
    if (send_connack(broker, connection, packet->version, &fields))
        return true;
    if (connection->closing == CLOSING_NOW)
        connection_drop(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
    else
        connection_drop(broker, connection, MQTT_REASON_PACKET_TOO_LARGE, /* [MQTT-3.1.2-24] */
                        "a CONNACK larger than the client's Maximum Packet Size");
    return false;
}
