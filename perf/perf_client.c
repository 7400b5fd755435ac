/* SPDX-License-Identifier: MIT
 *
 * What the MQTT client costs for each message: one that came, parsed where it lies (and acknowledged), and one
 * that goes, with its acknowledgement. 64-byte payloads; the socket is not part of it.
 */
#include "base/check.h"
#include "client/client.h"
#include "mqtt/encode.h"
#include "mqtt/encode_client.h"
#include "perf/shim.h"

void perf_register_client(void);

#define PAYLOAD 64u
#define BATCH   512u /* messages in one piece of input */
#define ROOM    (BATCH * 128u)

struct client_case {
    const char *receive_name, *publish_name;
    enum mqtt_version version;
    uint8_t qos;
    bool keep;
};

static const struct client_case cases[] = {
    {"client/receive/v311/qos:0", "client/publish/v311/qos:0", MQTT_3_1_1, 0, false},
    {"client/receive/v5/qos:0", "client/publish/v5/qos:0", MQTT_5, 0, false},
    {"client/receive/v311/qos:1", "client/publish/v311/qos:1", MQTT_3_1_1, 1, false},
    {NULL, "client/publish/v311/qos:1/kept", MQTT_3_1_1, 1, true},
};

static const uint8_t payload[PAYLOAD];
static struct client_limits limits;
static struct client_pool pool;

static struct publish_packet message(const struct client_case *wanted)
{
    return (struct publish_packet){.qos = wanted->qos,
                                   .packet_identifier = wanted->qos > 0 ? 1000 : 0,
                                   .topic = span_text("site/7/device/temperature"),
                                   .payload = span_of(payload, PAYLOAD)};
}

static void go_online(struct mqtt_client *client, const struct client_case *wanted)
{
    struct connect_packet connect = {.version = wanted->version, .clean_start = true};
    struct connack_fields connack = {.reason = MQTT_REASON_SUCCESS};
    struct client_event event;
    uint8_t packet[64];

    limits = CLIENT_LIMITS_DEFAULT;
    limits.inflight_max = BATCH;
    limits.keep = wanted->keep;
    mqtt_client_init(client, &limits, &pool);
    ASSERT(mqtt_client_connect(client, &connect, 0) == CLIENT_OK);
    mqtt_client_feed(client, packet,
                     mqtt_encode_connack(packet, sizeof(packet), wanted->version, &connack));
    while (mqtt_client_next(client, &event)) {
    }
    ASSERT(client->phase == MQTT_ONLINE);
}

static void drop_output(struct mqtt_client *client)
{
    client_block_put(&pool, mqtt_client_take_output(client, 0));
}

static void run_receive(struct perf_state *state, void *argument)
{
    static uint8_t input[ROOM];
    const struct client_case *wanted = argument;
    struct publish_packet packet = message(wanted);
    struct mqtt_client client;
    struct client_event event;
    uint64_t received = 0;
    uint32_t len = 0;

    for (unsigned i = 0; i < BATCH; i++)
        len += mqtt_encode_publish(input + len, ROOM - len, wanted->version, &packet);
    go_online(&client, wanted);
    while (perf_next(state)) {
        mqtt_client_feed(&client, input, len);
        while (mqtt_client_next(&client, &event)) {
            received++;
            perf_keep(&event);
        }
        drop_output(&client);
    }
    ASSERT(received == perf_iterations(state) * BATCH);
    perf_items(state, received);
    mqtt_client_fini(&client);
}

static void run_publish(struct perf_state *state, void *argument)
{
    const struct client_case *wanted = argument;
    struct publish_packet packet = message(wanted);
    struct mqtt_client client;
    struct client_event event;
    uint64_t published = 0;

    go_online(&client, wanted);
    while (perf_next(state)) {
        uint8_t acks[BATCH * 4];
        uint32_t len = 0;

        for (unsigned i = 0; i < BATCH; i++) {
            uint16_t identifier;

            published += mqtt_client_publish(&client, &packet, 0, &identifier) == CLIENT_OK;
            if (wanted->qos > 0)
                len += mqtt_encode_ack(acks + len, (uint32_t)sizeof(acks) - len, wanted->version,
                                       MQTT_PUBACK, identifier, MQTT_REASON_SUCCESS,
                                       (struct span){0}, 0);
        }
        mqtt_client_feed(&client, acks, len);
        while (mqtt_client_next(&client, &event))
            perf_keep(&event);
        drop_output(&client);
    }
    ASSERT(published == perf_iterations(state) * BATCH);
    perf_items(state, published);
    mqtt_client_fini(&client);
}

void perf_register_client(void)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (cases[i].receive_name != NULL)
            perf_case(cases[i].receive_name, run_receive, (void *)&cases[i]);
        perf_case(cases[i].publish_name, run_publish, (void *)&cases[i]);
    }
}
