/* SPDX-License-Identifier: MIT
 *
 * on_control - PINGREQ and DISCONNECT.
 */
#include "broker/broker_priv.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"

void on_pingreq(struct broker *broker, struct connection *connection, const struct frame *frame)
{
    uint8_t *to;

    if (frame->body_len != 0) {
        connection_end(broker, connection, MQTT_REASON_MALFORMED_PACKET, "malformed PINGREQ");
        return;
    }
    to = connection_reserve(broker, connection, 2);
    if (to != NULL) /* [MQTT-3.12.4-1] */
        connection_commit(broker, connection, mqtt_encode_pingresp(to, 2));
}

/* A new Session Expiry Interval in DISCONNECT (MQTT 5.0, 3.14.2.2.2). False: the connection has
 * been ended. */
static bool change_expiry(struct broker *broker, struct connection *connection,
                          const struct mqtt_props *props)
{
    struct session *session = connection->session;
    uint64_t limit_s = (uint64_t)broker->conf->mqtt_max_session_expiry_ms / 1000;

    if (!props_has(props, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL))
        return true;
    if (session->expiry_s == 0 && props->session_expiry != 0) {
        connection_end(broker, connection, MQTT_REASON_PROTOCOL_ERROR,
                       "DISCONNECT sets a Session Expiry Interval that CONNECT had at 0");
        return false;
    }
    session->expiry_s = props->session_expiry;
    if (limit_s > 0 && session->expiry_s > limit_s)
        session->expiry_s = (uint32_t)limit_s;
    return true;
}

void on_disconnect(struct broker *broker, struct connection *connection, const struct frame *frame)
{
    struct ack_packet packet;
    enum mqtt_reason reason = mqtt_decode_disconnect(frame, connection->version, &packet);

    if (reason != MQTT_REASON_SUCCESS) {
        connection_end(broker, connection, reason, "malformed DISCONNECT");
        return;
    }
    if (connection->version == MQTT_5 && !change_expiry(broker, connection, &packet.props))
        return;
    if (packet.reason == MQTT_REASON_NORMAL_DISCONNECTION)
        session_drop_will(connection->session); /* [MQTT-3.14.4-3] [MQTT-3.1.2-10] */
    connection->end_reason = (uint8_t)packet.reason;
    connection_drop(broker, connection,
                    packet.reason < MQTT_REASON_UNSPECIFIED_ERROR ? packet.reason
                                                                  : MQTT_REASON_SUCCESS,
                    "DISCONNECT");
}
