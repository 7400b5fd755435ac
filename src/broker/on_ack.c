/* SPDX-License-Identifier: MIT
 *
 * on_ack - PUBACK, PUBREC, PUBREL and PUBCOMP, both directions of the QoS 1 and 2 flows
 * (MQTT 5.0, 4.3).
 */
#include "broker/deliver.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"

#define ACK_MAX 256u /* room for an acknowledgement with its reason string */

void send_ack(struct broker *broker, struct connection *connection, enum mqtt_packet_type type,
              uint16_t packet_identifier, enum mqtt_reason reason, const char *reason_string)
{
    /* no Reason String for a client that does not want it [MQTT-3.1.2-29] */
    struct span text = reason_string != NULL && connection->problem_information
                           ? span_text(reason_string)
                           : (struct span){0};
    uint32_t room = text.len == 0 ? 8 : ACK_MAX;
    uint8_t *to = connection_reserve(broker, connection, room);

    if (to != NULL)
        connection_commit(broker, connection,
                          mqtt_encode_ack(to, room, connection->version, type, packet_identifier,
                                          reason, text, connection->packet_size_max));
}

static bool decode(struct broker *broker, struct connection *connection, const struct frame *frame,
                   struct ack_packet *packet)
{
    enum mqtt_reason reason = mqtt_decode_ack(frame, connection->version, packet);

    if (LIKELY(reason == MQTT_REASON_SUCCESS))
        return true;
    connection_end(broker, connection, reason, "malformed acknowledgement");
    return false;
}

/* The delivery is acknowledged; more may be sent. */
static void finish(struct broker *broker, struct session *session, struct delivery *delivery)
{
    /* Acknowledged although the resume has not come to it again: then the client had it. */
    if (!delivery->transmitted && delivery->state == DELIVERY_SENT) {
        STAT_DEC(broker->stats, delivery_queued);
        STAT_INC(broker->stats, message_out);
    }
    if (delivery->share != 0)
        share_done(broker, session, delivery->share);
    window_finish(&session->window, delivery);
    session_pump(broker, session);
    /* the queue may have run empty without anything being sent, when the rest of it had expired */
    if (UNLIKELY(session->hold != NULL))
        retain_resume(broker, session);
}

/* The delivery that a receiver's acknowledgement is for; NULL: there is none. False: the packet was malformed. */
static bool decode_for_delivery(struct broker *broker, struct connection *connection,
                                const struct frame *frame, struct ack_packet *packet,
                                struct delivery **delivery)
{
    if (!decode(broker, connection, frame, packet))
        return false;
    *delivery = window_find(&connection->session->window, packet->packet_identifier);
    return true;
}

void on_puback(struct broker *broker, struct connection *connection, const struct frame *frame)
{
    struct ack_packet packet;
    struct delivery *delivery;

    if (!decode_for_delivery(broker, connection, frame, &packet, &delivery))
        return;
    /* A code of 0x80 or above acknowledges too [MQTT-4.4.0-2] [MQTT-4.8.2-6]. An unknown identifier
     * is ignored: it may belong to a delivery of an earlier session. */
    if (delivery != NULL && delivery->qos == 1 && delivery->state == DELIVERY_SENT)
        finish(broker, connection->session, delivery);
}

void on_pubrec(struct broker *broker, struct connection *connection, const struct frame *frame)
{
    struct ack_packet packet;
    struct delivery *delivery;

    if (!decode_for_delivery(broker, connection, frame, &packet, &delivery))
        return;
    if (delivery == NULL || delivery->qos != 2) {
        if (packet.reason < MQTT_REASON_UNSPECIFIED_ERROR)
            send_ack(broker, connection, MQTT_PUBREL, packet.packet_identifier,
                     MQTT_REASON_PACKET_IDENTIFIER_NOT_FOUND, NULL);
        return;
    }
    if (packet.reason >= MQTT_REASON_UNSPECIFIED_ERROR) { /* [MQTT-4.4.0-2] */
        if (delivery->state == DELIVERY_SENT)
            finish(broker, connection->session, delivery);
        return;
    }
    if (delivery->state == DELIVERY_SENT) { /* no PUBLISH again from here on [MQTT-4.3.3-6] */
        if (!delivery->transmitted) {
            STAT_DEC(broker->stats, delivery_queued);
            STAT_INC(broker->stats, message_out);
            delivery->transmitted = true;
        }
        delivery_release(delivery);
        delivery->state = DELIVERY_RELEASED;
    }
    send_ack(broker, connection, MQTT_PUBREL, packet.packet_identifier, MQTT_REASON_SUCCESS,
             NULL); /* [MQTT-4.3.3-4] [MQTT-4.3.3-2] [MQTT-4.6.0-4] */
}

void on_pubcomp(struct broker *broker, struct connection *connection, const struct frame *frame)
{
    struct ack_packet packet;
    struct delivery *delivery;

    if (!decode_for_delivery(broker, connection, frame, &packet, &delivery))
        return;
    if (delivery != NULL && delivery->state == DELIVERY_RELEASED) /* [MQTT-4.3.3-5] */
        finish(broker, connection->session, delivery);
}

void on_pubrel(struct broker *broker, struct connection *connection, const struct frame *frame)
{
    struct session *session = connection->session;
    struct ack_packet packet;
    bool known;

    if (!decode(broker, connection, frame, &packet))
        return;
    /* the identifier is free for a new message from here on [MQTT-4.3.3-12]; that the message may have expired
     * meanwhile changes nothing [MQTT-4.3.3-13] */
    known = session->inbound != NULL && inbound_remove(session->inbound, packet.packet_identifier);
    send_ack(broker, connection, MQTT_PUBCOMP, packet.packet_identifier,
             known ? MQTT_REASON_SUCCESS : MQTT_REASON_PACKET_IDENTIFIER_NOT_FOUND,
             NULL); /* [MQTT-4.3.3-11] [MQTT-2.2.1-5] [MQTT-2.3.1-6] */
}
