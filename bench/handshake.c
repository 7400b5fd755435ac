/* SPDX-License-Identifier: MIT
 *
 * handshake - CONNECT, SUBSCRIBE, DISCONNECT and their answers.
 */
#include "bench/handshake.h"

#include "bench/worker.h"
#include "mqtt/decode.h"
#include "mqtt/encode_client.h"

#define FILTERS_MAX        16u
#define IDENTIFIER_SIZE    128u
#define SESSION_EXPIRY_S   3600u /* of sessions that --clean false keeps */
#define REFUSED            0x80u
#define NO_RECEIVE_MAXIMUM 65535u

static const struct bench_options *options_of(const struct client *client)
{
    return client->worker->load->options;
}

static enum mqtt_version version_of(const struct client *client)
{
    return (enum mqtt_version)options_of(client)->version;
}

uint32_t handshake_connect(const struct client *client, uint8_t *to, uint32_t room)
{
    const struct bench_options *options = options_of(client);
    char identifier[IDENTIFIER_SIZE];
    struct connect_packet packet = {
        .version = version_of(client),
        .clean_start = options->command == RUN || options->clean,
        .has_username = options->username != NULL,
        .has_password = options->password != NULL,
        .keep_alive_s = (uint16_t)options->keep_alive_s,
        .client_identifier =
            span_of(identifier, client_identifier(client, identifier, sizeof(identifier))),
        .username = span_text(options->username != NULL ? options->username : ""),
        .password = span_text(options->password != NULL ? options->password : ""),
    };

    if (!packet.clean_start && packet.version == MQTT_5) {
        packet.props.present = UINT64_C(1) << MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL;
        packet.props.session_expiry = SESSION_EXPIRY_S;
    }
    return mqtt_encode_connect(to, room, &packet);
}

static uint32_t encode_subscribe(const struct client *client, uint8_t *to, uint32_t room)
{
    struct filter_view filters[FILTERS_MAX];

    ASSERT(client->filter_count <= FILTERS_MAX);
    for (uint32_t i = 0; i < client->filter_count; i++) {
        filters[i].filter = span_text(client->filters[i]);
        filters[i].options = (uint8_t)options_of(client)->qos;
    }
    return mqtt_encode_subscribe(to, room, version_of(client), HANDSHAKE_SUBSCRIBE_IDENTIFIER,
                                 filters, client->filter_count, NULL);
}

uint32_t handshake_disconnect(const struct client *client, uint8_t *to, uint32_t room)
{
    return mqtt_encode_client_disconnect(to, room, version_of(client),
                                         MQTT_REASON_NORMAL_DISCONNECTION, NULL);
}

static void on_connack(struct client *client, const struct frame *frame)
{
    struct ack_packet connack;
    uint8_t packet[HANDSHAKE_SIZE_MAX];
    uint32_t len;

    if (client->state != CLIENT_AWAIT_CONNACK) {
        client_fail(client, "the broker sent a second CONNACK");
        return;
    }
    if (mqtt_decode_connack(frame, version_of(client), &connack) != MQTT_REASON_SUCCESS) {
        client_fail(client, "the broker sent a malformed CONNACK");
        return;
    }
    if (connack.reason != MQTT_REASON_SUCCESS) {
        client_fail(client, "the broker refused the connection with code 0x%02x", connack.reason);
        return;
    }
    client->receive_maximum = NO_RECEIVE_MAXIMUM;
    if (props_has(&connack.props, MQTT_PROPERTY_RECEIVE_MAXIMUM)) {
        client->receive_maximum = connack.props.receive_maximum;
    }
    if (client->filter_count == 0) {
        client_ready(client);
        return;
    }
    len = encode_subscribe(client, packet, sizeof(packet));
    client->state = CLIENT_AWAIT_SUBACK;
    if (len == 0) {
        client_fail(client, "the topic filters are too long for a SUBSCRIBE");
        return;
    }
    client_write(client, packet, len);
}

static void on_suback(struct client *client, const struct frame *frame)
{
    struct ack_packet suback;

    if (client->state != CLIENT_AWAIT_SUBACK) {
        client_fail(client, "the broker sent a SUBACK that answers nothing");
        return;
    }
    if (mqtt_decode_suback(frame, version_of(client), &suback) != MQTT_REASON_SUCCESS ||
        suback.packet_identifier != HANDSHAKE_SUBSCRIBE_IDENTIFIER ||
        suback.reason_codes.len != client->filter_count) {
        client_fail(client, "the broker sent a SUBACK that does not fit the SUBSCRIBE");
        return;
    }
    for (uint32_t i = 0; i < suback.reason_codes.len; i++) {
        uint8_t code = suback.reason_codes.data[i];

        if (code >= REFUSED) {
            client_fail(client, "the broker refused the subscription to %s with code 0x%02x",
                        client->filters[i], code);
            return;
        }
        if (code != options_of(client)->qos) {
            client_fail(client, "the broker granted QoS %u, not %u", code,
                        (unsigned)options_of(client)->qos);
            return;
        }
    }
    client_ready(client);
}

static void on_disconnect(struct client *client, const struct frame *frame)
{
    struct ack_packet disconnect;

    if (version_of(client) != MQTT_5 ||
        mqtt_decode_server_disconnect(frame, &disconnect) != MQTT_REASON_SUCCESS) {
        client_fail(client, "the broker sent a DISCONNECT that it may not send");
        return;
    }
    client_fail(client, "the broker disconnected with reason code 0x%02x", disconnect.reason);
}

void handshake_on_packet(struct client *client, const struct frame *frame)
{
    if (frame->type == MQTT_CONNACK) {
        on_connack(client, frame);
    } else if (frame->type == MQTT_SUBACK) {
        on_suback(client, frame);
    } else if (frame->type == MQTT_PINGRESP && client->awaits_pingresp) {
        client->awaits_pingresp = false;
    } else if (frame->type == MQTT_DISCONNECT) {
        on_disconnect(client, frame);
    } else {
        client_fail(client, "the broker sent a packet of type %u, which it may not send here",
                    frame->type);
    }
}
