/* SPDX-License-Identifier: MIT
 *
 * client_packets - what simulated clients read, and what of it must not be.
 *
 * Everything a broker may not do to a client that keeps to the rules ends the run here: malformed
 * packets, answers nobody asked for, a wrong Session Present, more than the Receive Maximum, a
 * packet above the Maximum Packet Size, an alias that was never set, an identifier in use.
 */
#include "mqtt/decode.h"
#include "sim.h"

static void owe(struct client *client, enum mqtt_packet_type type, uint16_t packet_identifier)
{
    if (client->owed_count == ARRAY_LENGTH(client->owed))
        sim_fail(client->sim, "client %u is sent more than it can acknowledge", client->index);
    client->owed[client->owed_count++] =
        (struct owed){.type = (uint8_t)type, .packet_identifier = packet_identifier};
}

/* ---- CONNACK ---- */

static void got_connack(struct client *client, const struct frame *frame)
{
    struct sim *sim = client->sim;
    struct ack_packet packet;

    if (mqtt_decode_connack(frame, (enum mqtt_version)client->version, &packet) !=
        MQTT_REASON_SUCCESS)
        sim_fail(sim, "client %u got a malformed CONNACK", client->index);
    if (client->state != CONNECTING)
        sim_fail(sim, "client %u got a second CONNACK", client->index);
    if (packet.reason != MQTT_REASON_SUCCESS) {
        if (!sim->set.memory)
            sim_fail(sim, "client %u was refused: 0x%02x", client->index, packet.reason);
        client->state = OFFLINE; /* the broker closes */
        return;
    }
    if (client->version == MQTT_3_1) /* its CONNACK does not tell */
        packet.session_present = !client->connect_clean && client->ever_online;
    if (packet.session_present && client->connect_clean)
        sim_fail(sim, "client %u: Session Present after a clean start", client->index);
    if (!packet.session_present && !client->connect_clean) {
        if (client->kind == SESSION_KEPT && client->ever_online)
            sim_fail(sim, "client %u: its session is gone", client->index);
        client_forget_session(client);
    }
    if (client->version == MQTT_5) {
        if (props_has(&packet.props, MQTT_PROPERTY_RECEIVE_MAXIMUM))
            client->server_receive_maximum = packet.props.receive_maximum;
        if (props_has(&packet.props, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM))
            client->server_alias_max = packet.props.topic_alias_maximum;
    }
    sim_note(sim, "client %u is on, session %s", client->index,
             packet.session_present ? "present" : "new");
    client->state = ONLINE;
    client->uncertain = false;
    client->ever_online = true;
    client_resend(client);
}

/* ---- PUBLISH ---- */

static struct received *find_received(struct client *client, uint16_t packet_identifier)
{
    for (uint32_t i = 0; i < client->received_count; i++)
        if (client->received[i].packet_identifier == packet_identifier)
            return &client->received[i];
    return NULL;
}

/* The topic, by its alias when it is not there. */
static struct span resolve(struct client *client, const struct publish_packet *packet)
{
    uint16_t alias = packet->props.topic_alias;
    struct span *slot;
    uint8_t *copy;

    if (client->version != MQTT_5 || !props_has(&packet->props, MQTT_PROPERTY_TOPIC_ALIAS))
        return packet->topic;
    if (alias == 0 || alias > client->alias_max)
        sim_fail(client->sim, "client %u got alias %u and allowed %u", client->index, alias,
                 client->alias_max);
    slot = &client->aliases[alias - 1];
    if (packet->topic.len == 0) {
        if (slot->len == 0)
            sim_fail(client->sim, "client %u got alias %u, which was never set", client->index,
                     alias);
        return *slot;
    }
    copy = mem_alloc(packet->topic.len);
    memcpy(copy, packet->topic.data, packet->topic.len);
    mem_free((void *)(uintptr_t)slot->data);
    *slot = span_of(copy, packet->topic.len);
    return *slot;
}

static void count_against_quota(struct client *client, struct received *received)
{
    uint32_t limit = client->receive_maximum;

    received->counted = true;
    client->on_connection++;
    if (limit == 0 || limit > client->sim->conf->mqtt_max_inflight_window)
        limit = client->sim->conf->mqtt_max_inflight_window;
    if (client->on_connection > limit)
        sim_fail(client->sim, "client %u has %u unacknowledged deliveries and allows %u",
                 client->index, client->on_connection, limit);
}

/* Resends come in the order of the first transmissions, before anything new. An acknowledgement may
 * have been lost, so the order is remembered longer than the deliveries. */
static void check_resend(struct client *client, const struct publish_packet *packet,
                         uint32_t record)
{
    struct arrival *arrival;

    if (packet->dup && client->any_first_delivery)
        sim_fail(client->sim, "client %u: a resend after something new", client->index);
    if (!packet->dup)
        client->any_first_delivery = true;
    if (packet->packet_identifier >= IDENTIFIERS_MAX)
        return;
    arrival = &client->arrived[packet->packet_identifier];
    if (!packet->dup || arrival->number == 0 || arrival->record != record) {
        *arrival = (struct arrival){.record = record, .number = ++client->arrivals};
        return;
    }
    if (arrival->number <= client->last_resent_arrival)
        sim_fail(client->sim, "client %u: resends out of order: arrival %u after %u", client->index,
                 arrival->number, client->last_resent_arrival);
    client->last_resent_arrival = arrival->number;
}

static void got_publish_above_0(struct client *client, const struct publish_packet *packet,
                                struct span topic)
{
    struct received *known = find_received(client, packet->packet_identifier);
    uint32_t record = oracle_identify(client, topic, packet->payload);

    if (known != NULL && known->counted)
        sim_fail(client->sim, "client %u: identifier %u twice on one connection", client->index,
                 packet->packet_identifier);
    check_resend(client, packet, record);
    if (known != NULL) {
        if (!packet->dup)
            sim_fail(client->sim, "client %u: identifier %u is in use and comes without DUP",
                     client->index, known->packet_identifier);
        if (known->record != record || known->qos != packet->qos)
            sim_fail(client->sim, "client %u: identifier %u is resent with another message",
                     client->index, packet->packet_identifier);
        known->released = false; /* the PUBREC was lost */
        count_against_quota(client, known);
        if (packet->qos == 1)
            oracle_delivery(client, packet, topic);
    } else {
        if (client->received_count == RECEIVED_MAX)
            sim_fail(client->sim, "client %u is sent more than it can hold", client->index);
        known = &client->received[client->received_count++];
        *known = (struct received){
            .record = record, .packet_identifier = packet->packet_identifier, .qos = packet->qos};
        count_against_quota(client, known);
        oracle_delivery(client, packet, topic);
    }
    owe(client, packet->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, packet->packet_identifier);
}

static void got_publish(struct client *client, const struct frame *frame)
{
    struct publish_packet packet;
    struct span topic;

    if (mqtt_decode_publish(frame, (enum mqtt_version)client->version, &packet) !=
        MQTT_REASON_SUCCESS)
        sim_fail(client->sim, "client %u got a malformed PUBLISH", client->index);
    topic = resolve(client, &packet);
    if (packet.qos > 0)
        got_publish_above_0(client, &packet, topic);
    else
        oracle_delivery(client, &packet, topic);
}

/* ---- acknowledgements ---- */

static uint32_t find_flight(const struct client *client, uint16_t packet_identifier)
{
    for (uint32_t i = 0; i < client->flight_count; i++)
        if (client->flights[i].packet_identifier == packet_identifier)
            return i;
    return UINT32_MAX;
}

static void end_flight(struct client *client, uint32_t at)
{
    memmove(&client->flights[at], &client->flights[at + 1],
            (client->flight_count - at - 1) * sizeof(client->flights[0]));
    client->flight_count--;
}

static void record_answer(struct client *client, uint32_t index, enum mqtt_reason reason)
{
    struct sim *sim = client->sim;
    struct record *record = &sim->records[index];

    record->status = reason < MQTT_REASON_UNSPECIFIED_ERROR ? ACKNOWLEDGED : REFUSED;
    record->acknowledged_at = ++sim->clock;
    if (record->status == ACKNOWLEDGED && record->retain && record->topic < TOPICS &&
        index > sim->retained_acknowledged[record->topic])
        sim->retained_acknowledged[record->topic] = index;
}

/* PUBACK and PUBREC come in the order of the PUBLISH packets [MQTT-4.6.0-2] [MQTT-4.6.0-3]. */
static void check_answer_order(struct client *client, uint32_t at)
{
    uint8_t qos = client->sim->records[client->flights[at].record].qos;

    if (client->flights[at].released)
        return;
    for (uint32_t i = 0; i < at; i++)
        if (!client->flights[i].released &&
            client->sim->records[client->flights[i].record].qos == qos)
            sim_fail(client->sim, "client %u: acknowledgements out of order", client->index);
}

static void got_ack(struct client *client, const struct frame *frame)
{
    struct sim *sim = client->sim;
    struct ack_packet packet;
    struct flight *flight;
    uint32_t at;

    if (mqtt_decode_ack(frame, (enum mqtt_version)client->version, &packet) != MQTT_REASON_SUCCESS)
        sim_fail(sim, "client %u got a malformed acknowledgement", client->index);
    if (frame->type == MQTT_PUBREL) {
        struct received *known = find_received(client, packet.packet_identifier);

        if (known != NULL && known->qos != 2)
            sim_fail(sim, "client %u: PUBREL for a delivery of QoS 1", client->index);
        if (known != NULL && !known->released)
            sim_fail(sim, "client %u: PUBREL without a PUBREC", client->index);
        owe(client, MQTT_PUBCOMP, packet.packet_identifier);
        return;
    }
    at = find_flight(client, packet.packet_identifier);
    if (at == UINT32_MAX)
        sim_fail(sim, "client %u: an acknowledgement for nothing (type %d, identifier %u)",
                 client->index, frame->type, packet.packet_identifier);
    flight = &client->flights[at];
    if ((frame->type == MQTT_PUBACK) != (sim->records[flight->record].qos == 1))
        sim_fail(sim, "client %u: an acknowledgement of the wrong kind", client->index);
    check_answer_order(client, at);
    if (frame->type == MQTT_PUBCOMP) {
        if (!flight->released)
            sim_fail(sim, "client %u: PUBCOMP without PUBREL", client->index);
        end_flight(client, at);
        return;
    }
    if (!flight->released)
        record_answer(client, flight->record, packet.reason);
    if (frame->type == MQTT_PUBACK || packet.reason >= MQTT_REASON_UNSPECIFIED_ERROR) {
        end_flight(client, at);
        return;
    }
    flight->released = true;
    client_answer_pubrec(client, packet.packet_identifier);
}

static void got_suback(struct client *client, const struct frame *frame)
{
    struct sim *sim = client->sim;
    struct ack_packet packet;
    bool subscribing = frame->type == MQTT_SUBACK;

    if (mqtt_decode_suback(frame, (enum mqtt_version)client->version, &packet) !=
        MQTT_REASON_SUCCESS)
        sim_fail(sim, "client %u got a malformed SUBACK or UNSUBACK", client->index);
    for (unsigned i = 0; i < FILTERS_MAX; i++) {
        struct wanted *wanted = &client->wanted[i];

        if (!(subscribing ? wanted->pending : wanted->ending) ||
            wanted->packet_identifier != packet.packet_identifier)
            continue;
        wanted->pending = wanted->ending = false;
        if (!subscribing) {
            wanted->used = false;
            return;
        }
        if (packet.reason_codes.len != 1)
            sim_fail(sim, "client %u: SUBACK with %u codes", client->index,
                     packet.reason_codes.len);
        if (packet.reason_codes.data[0] > 2) {
            if (!sim->set.memory)
                sim_fail(sim, "client %u: a subscription was refused with 0x%02x", client->index,
                         packet.reason_codes.data[0]);
            return;
        }
        wanted->granted = packet.reason_codes.data[0];
        if (wanted->granted != (wanted->options & SUBSCRIBE_QOS))
            sim_fail(sim, "client %u: QoS %u was granted and %u asked for", client->index,
                     wanted->granted, wanted->options & SUBSCRIBE_QOS);
        sim_note(sim, "client %u has subscribed to %s", client->index, wanted->filter);
        wanted->established = true;
        wanted->established_at = ++sim->clock;
        if (client->group >= 0 && client->stays && sim->group_since[client->group] == 0)
            sim->group_since[client->group] = sim->clock;
        return;
    }
    sim_fail(sim, "client %u: SUBACK or UNSUBACK for nothing", client->index);
}

static void got_disconnect(struct client *client, const struct frame *frame)
{
    struct ack_packet packet;

    if (client->version != MQTT_5 ||
        mqtt_decode_server_disconnect(frame, &packet) != MQTT_REASON_SUCCESS)
        sim_fail(client->sim, "client %u got a malformed DISCONNECT", client->index);
}

static void got_packet(struct client *client, const struct frame *frame)
{
    if (client->state != ONLINE && frame->type != MQTT_CONNACK)
        sim_fail(client->sim, "client %u got packet type %d before CONNACK", client->index,
                 frame->type);
    switch (frame->type) {
    case MQTT_CONNACK:
        got_connack(client, frame);
        break;
    case MQTT_PUBLISH:
        got_publish(client, frame);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        got_ack(client, frame);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        got_suback(client, frame);
        break;
    case MQTT_PINGRESP:
        break;
    case MQTT_DISCONNECT:
        got_disconnect(client, frame);
        break;
    default:
        sim_fail(client->sim, "client %u got packet type %d", client->index, frame->type);
    }
}

/* Handles the whole packets in `incoming`. */
static void parse(struct client *client)
{
    uint32_t used = 0;

    while (used < client->incoming.len && client->socket != NULL) {
        struct frame frame;
        uint32_t left = client->incoming.len - used;

        switch (frame_find(client->incoming.data + used, left, MQTT_PACKET_SIZE_MAX, &frame)) {
        case FRAME_READY:
            break;
        case FRAME_INCOMPLETE:
            bytes_consume(&client->incoming, used);
            return;
        default:
            sim_fail(client->sim, "client %u got bytes that are no packet", client->index);
        }
        if (client->packet_size_max != 0 && frame.total_len > client->packet_size_max)
            sim_fail(client->sim, "client %u got a packet of %u bytes and allows %u", client->index,
                     frame.total_len, client->packet_size_max);
        got_packet(client, &frame);
        used += frame.total_len;
    }
    bytes_consume(&client->incoming, used);
}

bool client_read(struct client *client)
{
    struct sim *sim = client->sim;
    struct socket *socket = client->socket;
    uint32_t len;

    if (socket == NULL || client->slow)
        return false;
    if (socket->pipe.len == 0) {
        if (socket->server_open || socket->handing_off)
            return false;
        client_lost(client);
        socket_leave(socket, false);
        return true;
    }
    len = chance(sim, 50) ? socket->pipe.len : 1 + pick(sim, socket->pipe.len);
    bytes_append(&client->incoming, socket->pipe.data, len);
    bytes_consume(&socket->pipe, len);
    parse(client);
    return true;
}
