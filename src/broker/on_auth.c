/* SPDX-License-Identifier: MIT
 *
 * on_auth - AUTH: enhanced authentication (MQTT 5.0, 4.12), before CONNACK and while a client is online.
 *
 *   client                       broker
 *   CONNECT method, data    -->  the chain (broker/authn.h): a link that knows the method ...
 *                           <--  AUTH 0x18 method, data      ... says CONTINUE
 *   AUTH 0x18 method, data  -->  the same link
 *                           <--  CONNACK method, data        ... says ALLOW
 *
 *   AUTH 0x19 method, data  -->  the chain again, for the same session; other packets go on
 *                           <--  AUTH 0x18 ...               as above
 *                           <--  AUTH 0x00 method, data      ALLOW; DENY is DISCONNECT
 *
 * Invariants
 *   I1  the method is that of CONNECT, in every AUTH of either side and in CONNACK [MQTT-4.12.0-5]
 *   I2  between CONNECT and CONNACK nothing but AUTH and DISCONNECT is taken, and AUTH only after a CONTINUE
 *   I3  a client that named no method is sent none, and no AUTH [MQTT-4.12.0-6]
 *   I4  who authenticates again stays who it is: another user name is refused
 */
#include "broker/authn_priv.h"
#include "broker/authz.h"
#include "broker/broker_priv.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"

#define AUTH_ROOM 32u /* of an AUTH, besides its method and its data */

bool auth_send(struct broker *broker, struct authn_attempt *attempt, enum mqtt_reason reason)
{
    struct connection *connection = attempt->connection;
    uint32_t most = connection->packet_size_max;
    uint32_t room = AUTH_ROOM + attempt->method.len + attempt->answer.len, size;
    uint8_t *to;

    if (!attempt->again && props_has(&attempt->packet.props, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE))
        most = attempt->packet.props.maximum_packet_size;
    to = connection_reserve(broker, connection, room);
    size = to == NULL ? 0
                      : mqtt_encode_auth(to, room < most ? room : most, reason, attempt->method,
                                         attempt->answer);
    connection_commit(broker, connection, size);
    return size > 0;
}

/* What a packet does not have is empty, and equal to nothing. */
static enum mqtt_reason decode(const struct frame *frame, struct ack_packet *packet)
{
    enum mqtt_reason reason = mqtt_decode_auth(frame, packet);

    if (reason != MQTT_REASON_SUCCESS)
        return reason;
    if (!props_has(&packet->props, MQTT_PROPERTY_AUTHENTICATION_METHOD))
        packet->props.authentication_method = (struct span){0};
    if (!props_has(&packet->props, MQTT_PROPERTY_AUTHENTICATION_DATA))
        packet->props.authentication_data = (struct span){0};
    return reason;
}

/* ---- before CONNACK ---- */

/* The client gives up: nothing is sent to one that is not connected yet. */
static enum connection_verdict disconnect_first(struct broker *broker,
                                                struct connection *connection)
{
    STAT_INC(broker->stats, connection_refused);
    connection_drop(broker, connection, MQTT_REASON_SUCCESS, "DISCONNECT before CONNACK");
    return CONNECTION_STOP;
}

enum connection_verdict auth_first(struct broker *broker, struct connection *connection,
                                   const struct frame *frame)
{
    struct authn_attempt *attempt = connection->attempt;
    struct ack_packet packet;
    enum mqtt_reason reason;

    STAT_INC(broker->stats, packet_in);
    if (frame->type == MQTT_DISCONNECT &&
        mqtt_decode_disconnect(frame, MQTT_5, &packet) == MQTT_REASON_SUCCESS)
        return disconnect_first(broker, connection);
    if (frame->type != MQTT_AUTH) /* I2 */
        return authn_break_off(broker, attempt, MQTT_REASON_PROTOCOL_ERROR,
                               "another packet than AUTH before CONNACK");
    reason = decode(frame, &packet);
    if (reason != MQTT_REASON_SUCCESS)
        return authn_break_off(broker, attempt, reason, "malformed AUTH");
    if (packet.reason != MQTT_REASON_CONTINUE_AUTHENTICATION)
        return authn_break_off(broker, attempt, MQTT_REASON_PROTOCOL_ERROR,
                               "AUTH that does not continue, before CONNACK");
    if (!span_equal(packet.props.authentication_method, attempt->method)) /* I1 */
        return authn_break_off(broker, attempt, MQTT_REASON_PROTOCOL_ERROR,
                               "AUTH has another Authentication Method than CONNECT");
    return authn_answered(broker, attempt, packet.props.authentication_data);
}

/* ---- while it is online ---- */

void auth_again_decided(struct broker *broker, struct authn_attempt *attempt, bool allowed)
{
    struct connection *connection = attempt->connection;
    const struct session *session = connection->session;
    const char *name = session->username != NULL ? session->username : "";

    if (allowed && attempt->new_username != NULL && strcmp(attempt->new_username, name) != 0) {
        allowed = false; /* I4 */
        attempt->reason = "it authenticates again as another user";
    }
    if (allowed && auth_send(broker, attempt, MQTT_REASON_SUCCESS)) {
        struct authz_grant grant = {attempt->result.superuser, attempt->result.rules};

        attempt->result.rules = NULL;
        identity_renew(broker, connection->identity, attempt);
        grant.superuser = authn_superuser(broker, connection->identity, span_text(name));
        authz_admit(broker, connection->session, &grant);
        STAT_INC(broker->stats, authn_again);
        return;
    }
    /* [MQTT-4.12.1-2] */
    connection_end(broker, connection,
                   attempt->code != MQTT_REASON_SUCCESS ? attempt->code
                                                        : MQTT_REASON_NOT_AUTHORIZED,
                   attempt->code == MQTT_REASON_PROTOCOL_ERROR ? attempt->reason
                                                               : "it did not authenticate again");
}

static void fail(struct broker *broker, struct connection *connection, const char *why)
{
    connection_end(broker, connection, MQTT_REASON_PROTOCOL_ERROR, why);
}

void on_auth(struct broker *broker, struct connection *connection, const struct frame *frame)
{
    const char *method = connection->identity != NULL ? connection->identity->method : NULL;
    struct authn_attempt *attempt = connection->attempt;
    struct ack_packet packet;
    enum mqtt_reason reason = decode(frame, &packet);

    if (reason != MQTT_REASON_SUCCESS) {
        connection_end(broker, connection, reason, "malformed AUTH");
    } else if (method == NULL) { /* I3 */
        fail(broker, connection, "AUTH without an Authentication Method in CONNECT");
    } else if (!span_equal(packet.props.authentication_method, span_text(method))) { /* I1 */
        fail(broker, connection, "AUTH has another Authentication Method than CONNECT");
    } else if (packet.reason == MQTT_REASON_CONTINUE_AUTHENTICATION) {
        if (attempt != NULL && attempt->awaits_client)
            (void)authn_answered(broker, attempt, packet.props.authentication_data);
        else
            fail(broker, connection, "AUTH continues what did not begin");
    } else if (attempt != NULL) {
        fail(broker, connection, "AUTH begins again what is under way");
    } else {
        attempt = authn_create_again(broker, connection, &packet);
        if (attempt == NULL)
            connection_end(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
        else
            (void)authn_begin(broker, attempt);
    }
}
