/* SPDX-License-Identifier: MIT
 *
 * dispatch - which handler gets a packet, and whether the packet may come at all now.
 *
 * A packet whose handler waits for an answer (connection->awaits_answer) is not consumed: CONNECTION_PAUSE says so, and
 * it comes again from its beginning.
 */
#include "broker/authn_priv.h"
#include "broker/broker_priv.h"
#include "mqtt/decode.h"

typedef void packet_handler(struct broker *broker, struct connection *connection,
                            const struct frame *frame);

/* By packet type; NULL: a client never sends it. CONNECT comes in another state and is not in the
 * table. */
static packet_handler *const handlers[16] = {
    [MQTT_PUBLISH] = on_publish,         [MQTT_PUBACK] = on_puback,
    [MQTT_PUBREC] = on_pubrec,           [MQTT_PUBREL] = on_pubrel,
    [MQTT_PUBCOMP] = on_pubcomp,         [MQTT_SUBSCRIBE] = on_subscribe,
    [MQTT_UNSUBSCRIBE] = on_unsubscribe, [MQTT_PINGREQ] = on_pingreq,
    [MQTT_DISCONNECT] = on_disconnect,   [MQTT_AUTH] = on_auth,
};

static enum connection_verdict refuse(struct broker *broker, struct connection *connection,
                                      enum mqtt_reason reason, const char *why)
{
    connection_end(broker, connection, reason, why); /* [MQTT-4.8.0-1] [MQTT-4.13.1-1] */
    return CONNECTION_STOP;
}

enum connection_verdict dispatch_packet(struct broker *broker, struct connection *connection,
                                        const struct frame *frame, unsigned *home_out)
{
    packet_handler *handler = handlers[frame->type];

    if (UNLIKELY(frame->type != MQTT_PUBLISH &&
                 !packet_flags_accepted(frame->type, frame->flags,
                                        (enum mqtt_version)connection->version)))
        return refuse(broker, connection, MQTT_REASON_MALFORMED_PACKET,
                      "reserved flags of the fixed header"); /* [MQTT-2.1.3-1] [MQTT-2.2.2-1]
                                                                [MQTT-2.2.2-2] */
    if (UNLIKELY(connection->state == CONNECTION_AWAIT_CONNECT)) {
        if (connection->attempt != NULL)
            return auth_first(broker, connection, frame);
        if (frame->type != MQTT_CONNECT) /* [MQTT-3.1.0-1] */
            return refuse(broker, connection, MQTT_REASON_PROTOCOL_ERROR,
                          "the first packet is not CONNECT");
        return on_connect(broker, connection, frame, home_out);
    }
    if (frame->type == MQTT_CONNECT) /* [MQTT-3.1.0-2] */
        return refuse(broker, connection, MQTT_REASON_PROTOCOL_ERROR, "a second CONNECT");
    if (handler == NULL || (frame->type == MQTT_AUTH && connection->version != MQTT_5))
        return refuse(broker, connection, MQTT_REASON_PROTOCOL_ERROR,
                      "a packet that clients do not send");
    handler(broker, connection, frame);
    if (UNLIKELY(connection->awaits_answer)) {
        STAT_INC(broker->stats, read_paused);
        return CONNECTION_PAUSE;
    }
    STAT_INC(broker->stats, packet_in);
    if (UNLIKELY(connection->authz_wait != 0))
        authz_forget(broker, connection);
    return connection->closing == CLOSING_NO ? CONNECTION_CONTINUE : CONNECTION_STOP;
}
