/* SPDX-License-Identifier: MIT
 *
 * roundtrip - what the client's encoders write, the decoders read back: random packets from a seed, in blocks
 * that are exactly as long as the packet.
 */
#include "codec_test.h"

#include "base/random.h"
#include "mqtt/encode.h"
#include "mqtt/encode_client.h"

#define ROOM   4096u
#define ROUNDS 3000

static struct random rng;

static bool coin(void)
{
    return random_below(&rng, 2) == 1;
}

static uint16_t number16(void)
{
    return (uint16_t)(1 + random_below(&rng, 65535));
}

/* A string of up to 40 bytes, sometimes with characters of several bytes; static storage. */
static struct span text(void)
{
    static const char letters[] = "abc/d\xC3\xA4 \xE2\x82\xAC\xF0\x9F\x98\x80xyz0123456789ABCDEFGH";
    uint32_t whole[] = {0, 1, 3, 5, 7, 8, 11, 15, 16, 20, 33};

    return span_of(letters, whole[random_below(&rng, sizeof(whole) / sizeof(whole[0]))]);
}

static struct span topic(void)
{
    static const char letters[] = "sensors/kitchen/temperature/1234567890";

    return span_of(letters, 1 + random_below(&rng, sizeof(letters) - 1));
}

static struct span binary(void)
{
    static const uint8_t bytes[] = {0, 0xFF, 0x80, 'x', 0, 1, 2, 3, 0xC0, 0xC1, 0xF5};

    return span_of(bytes, random_below(&rng, sizeof(bytes) + 1));
}

/* User Properties as a block; static storage, at most eight. */
static struct span user_properties(uint64_t *present)
{
    static uint8_t block[8][1024];
    static unsigned next;
    uint8_t *to = block[next++ % 8];
    uint32_t len = 0, count = random_below(&rng, 4);

    for (uint32_t i = 0; i < count; i++)
        len += mqtt_encode_user_property(to + len, 1024 - len, text(), text());
    if (count > 0)
        *present |= (uint64_t)1 << MQTT_PROPERTY_USER_PROPERTY;
    return span_of(to, len);
}

static void maybe(struct mqtt_props *props, enum mqtt_property id)
{
    if (coin())
        props->present |= (uint64_t)1 << id;
}

/* Every property with a random value, some of them present. */
static struct mqtt_props random_props(void)
{
    static const uint8_t ids[] = {0x01, 0x02, 0x03, 0x08, 0x09, 0x11, 0x15,
                                  0x17, 0x18, 0x19, 0x21, 0x22, 0x23, 0x27};
    struct mqtt_props props = {
        .payload_format = coin(),
        .request_problem_information = coin(),
        .request_response_information = coin(),
        .receive_maximum = number16(),
        .topic_alias_maximum = number16(),
        .topic_alias = number16(),
        .message_expiry = (uint32_t)random_next(&rng),
        .session_expiry = (uint32_t)random_next(&rng),
        .will_delay = (uint32_t)random_next(&rng),
        .maximum_packet_size = 1 + random_below(&rng, UINT32_MAX),
        .subscription_identifier = 1 + random_below(&rng, 268435455),
        .content_type = text(),
        .response_topic = topic(),
        .correlation_data = binary(),
        .authentication_method = text(),
        .authentication_data = binary(),
    };

    for (size_t i = 0; i < sizeof(ids); i++)
        maybe(&props, (enum mqtt_property)ids[i]);
    if (props_has(&props, MQTT_PROPERTY_AUTHENTICATION_METHOD))
        maybe(&props, MQTT_PROPERTY_AUTHENTICATION_DATA);
    props.raw = user_properties(&props.present);
    return props;
}

/* The properties that came back: those of `mask` and User Properties. Everything the test writes is compared
 * through the encoded form of each, in any order of the single ones. */
static void assert_props(const struct mqtt_props *out, const struct mqtt_props *in, uint64_t mask)
{
    struct property_view view, sent;
    struct span raw = out->raw, users = in->raw;

    assert_int_equal(out->present,
                     in->present & (mask | (uint64_t)1 << MQTT_PROPERTY_USER_PROPERTY));
#define SAME_NUMBER(id_, member_)                                                                  \
    if (props_has(out, MQTT_PROPERTY_##id_))                                                       \
    assert_int_equal(out->member_, in->member_)
#define SAME_SPAN(id_, member_)                                                                    \
    if (props_has(out, MQTT_PROPERTY_##id_))                                                       \
    assert_true(span_equal(out->member_, in->member_))
    SAME_NUMBER(PAYLOAD_FORMAT_INDICATOR, payload_format);
    SAME_NUMBER(REQUEST_PROBLEM_INFORMATION, request_problem_information);
    SAME_NUMBER(REQUEST_RESPONSE_INFORMATION, request_response_information);
    SAME_NUMBER(RECEIVE_MAXIMUM, receive_maximum);
    SAME_NUMBER(TOPIC_ALIAS_MAXIMUM, topic_alias_maximum);
    SAME_NUMBER(TOPIC_ALIAS, topic_alias);
    SAME_NUMBER(MESSAGE_EXPIRY_INTERVAL, message_expiry);
    SAME_NUMBER(SESSION_EXPIRY_INTERVAL, session_expiry);
    SAME_NUMBER(WILL_DELAY_INTERVAL, will_delay);
    SAME_NUMBER(MAXIMUM_PACKET_SIZE, maximum_packet_size);
    SAME_NUMBER(SUBSCRIPTION_IDENTIFIER, subscription_identifier);
    SAME_SPAN(CONTENT_TYPE, content_type);
    SAME_SPAN(RESPONSE_TOPIC, response_topic);
    SAME_SPAN(CORRELATION_DATA, correlation_data);
    SAME_SPAN(AUTHENTICATION_METHOD, authentication_method);
    SAME_SPAN(AUTHENTICATION_DATA, authentication_data);
    while (props_next(&raw, &view)) {
        if (view.id != MQTT_PROPERTY_USER_PROPERTY)
            continue;
        assert_true(props_next(&users, &sent));
        assert_true(span_equal(view.encoded, sent.encoded));
    }
    assert_int_equal(users.len, 0);
}

static uint64_t ids(const uint8_t *list, size_t count)
{
    uint64_t mask = 0;

    for (size_t i = 0; i < count; i++)
        mask |= (uint64_t)1 << list[i];
    return mask;
}

#define IDS(...) ids((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static enum mqtt_version random_version(void)
{
    return (enum mqtt_version)(3 + random_below(&rng, 3));
}

static void test_connect(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct connect_packet in = {
            .version = random_version(),
            .clean_start = coin(),
            .has_will = coin(),
            .has_username = coin(),
            .keep_alive_s = number16(),
            .client_identifier = text(),
            .will_topic = topic(),
            .will_payload = binary(),
            .username = text(),
            .password = binary(),
            .props = random_props(),
            .will_props = random_props(),
        };
        struct connect_packet out;
        uint8_t bytes[ROOM];
        struct copy copy;
        uint32_t len;

        in.has_password = (in.has_username || in.version == MQTT_5) && coin();
        in.will_qos = in.has_will ? (uint8_t)random_below(&rng, 3) : 0;
        in.will_retain = in.has_will && coin();
        len = mqtt_encode_connect(bytes, ROOM, &in);
        assert_int_equal(mqtt_encode_connect(bytes, len - 1, &in), 0);
        copy = copy_packet(span_of(bytes, len));
        assert_int_equal(mqtt_decode_connect(&copy.frame, &out), MQTT_REASON_SUCCESS);
        assert_int_equal(out.version, in.version);
        assert_int_equal(out.clean_start, in.clean_start);
        assert_int_equal(out.keep_alive_s, in.keep_alive_s);
        assert_true(span_equal(out.client_identifier, in.client_identifier));
        assert_int_equal(out.has_will, in.has_will);
        assert_int_equal(out.will_qos, in.will_qos);
        assert_int_equal(out.will_retain, in.will_retain);
        assert_int_equal(out.has_username, in.has_username);
        assert_int_equal(out.has_password, in.has_password);
        assert_true(!in.has_username || span_equal(out.username, in.username));
        assert_true(!in.has_password || span_equal(out.password, in.password));
        assert_true(!in.has_will || (span_equal(out.will_topic, in.will_topic) &&
                                     span_equal(out.will_payload, in.will_payload)));
        if (in.version == MQTT_5)
            assert_props(&out.props, &in.props,
                         IDS(0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x27));
        if (in.version == MQTT_5 && in.has_will)
            assert_props(&out.will_props, &in.will_props, IDS(0x01, 0x02, 0x03, 0x08, 0x09, 0x18));
        copy_free(&copy);
    }
}

static void test_publish(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        enum mqtt_version version = random_version();
        struct publish_packet in = {
            .qos = (uint8_t)random_below(&rng, 3),
            .retain = coin(),
            .packet_identifier = number16(),
            .topic = topic(),
            .payload = binary(),
            .props = random_props(),
        };
        struct publish_packet out;
        uint8_t bytes[ROOM];
        struct copy copy;
        uint32_t len;

        in.dup = in.qos > 0 && coin();
        len = mqtt_encode_publish(bytes, ROOM, version, &in);
        assert_int_equal(mqtt_encode_publish(bytes, len - 1, version, &in), 0);
        copy = copy_packet(span_of(bytes, len));
        assert_int_equal(mqtt_decode_publish(&copy.frame, version, &out), MQTT_REASON_SUCCESS);
        assert_int_equal(out.qos, in.qos);
        assert_int_equal(out.dup, in.dup);
        assert_int_equal(out.retain, in.retain);
        assert_int_equal(out.packet_identifier, in.qos > 0 ? in.packet_identifier : 0);
        assert_true(span_equal(out.topic, in.topic) && span_equal(out.payload, in.payload));
        if (version == MQTT_5)
            assert_props(&out.props, &in.props, IDS(0x01, 0x02, 0x03, 0x08, 0x09, 0x23));
        copy_free(&copy);
    }
}

static void test_subscribe_and_unsubscribe(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        enum mqtt_version version = random_version();
        uint32_t count = 1 + random_below(&rng, 5), len;
        uint16_t packet_identifier = number16();
        struct mqtt_props props = random_props();
        struct filter_view filters[5], view;
        struct subscribe_packet out;
        bool subscribe = coin();
        uint8_t bytes[ROOM];
        struct copy copy;

        maybe(&props, MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER);
        for (uint32_t k = 0; k < count; k++) {
            filters[k].filter = topic();
            filters[k].options = (uint8_t)random_below(&rng, 3);
            if (version == MQTT_5)
                filters[k].options |= (uint8_t)(random_below(&rng, 12) << 2);
        }
        if (subscribe)
            len = mqtt_encode_subscribe(bytes, ROOM, version, packet_identifier, filters, count,
                                        &props);
        else
            len = mqtt_encode_unsubscribe(bytes, ROOM, version, packet_identifier, filters, count,
                                          &props);
        copy = copy_packet(span_of(bytes, len));
        assert_true(packet_flags_valid(copy.frame.type, copy.frame.flags));
        assert_int_equal(mqtt_decode_subscribe(&copy.frame, version, &out), MQTT_REASON_SUCCESS);
        assert_int_equal(out.packet_identifier, packet_identifier);
        assert_int_equal(out.filter_count, count);
        if (version == MQTT_5)
            assert_props(&out.props, &props, subscribe ? IDS(0x0B) : 0);
        for (uint32_t k = 0; k < count; k++) {
            assert_true(filters_next(&out, &view));
            assert_true(span_equal(view.filter, filters[k].filter));
            assert_int_equal(view.options, subscribe ? filters[k].options : 0);
        }
        assert_false(filters_next(&out, &view));
        copy_free(&copy);
    }
}

static void test_disconnect(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct mqtt_props props = random_props();
        enum mqtt_version version = random_version();
        enum mqtt_reason reason = coin() ? MQTT_REASON_SUCCESS : MQTT_REASON_DISCONNECT_WITH_WILL;
        struct ack_packet out;
        uint8_t bytes[ROOM];
        struct copy copy;
        uint32_t len;

        if (coin())
            props.present = 0;
        if (props.present == 0)
            props.raw.len = 0;
        len = mqtt_encode_client_disconnect(bytes, ROOM, version, reason, &props);
        copy = copy_packet(span_of(bytes, len));
        assert_int_equal(mqtt_decode_disconnect(&copy.frame, version, &out), MQTT_REASON_SUCCESS);
        assert_int_equal(out.reason, version == MQTT_5 ? reason : MQTT_REASON_SUCCESS);
        if (version == MQTT_5)
            assert_props(&out.props, &props, IDS(0x11));
        copy_free(&copy);
    }
}

/* What the format cannot hold is refused and not cut. [MQTT-4.7.3-3] */
static void test_too_long(void **state)
{
    uint8_t *letters = malloc(65536), *to = malloc(70000);
    struct span too_long = span_of(letters, 65536), longest = span_of(letters, 65535);
    struct connect_packet connect = {.version = MQTT_3_1_1};
    struct publish_packet publish = {.topic = too_long};
    struct filter_view filter = {.filter = too_long};

    (void)state;
    memset(letters, 'x', 65536);
    connect.client_identifier = too_long;
    assert_int_equal(mqtt_encode_connect(to, 70000, &connect), 0);
    connect.client_identifier = longest;
    assert_int_equal(mqtt_encode_connect(to, 70000, &connect), 1 + 3 + 10 + 2 + 65535);
    assert_int_equal(mqtt_encode_publish(to, 70000, MQTT_3_1_1, &publish), 0);
    publish.topic = longest;
    assert_int_equal(mqtt_encode_publish(to, 70000, MQTT_3_1_1, &publish), 1 + 3 + 2 + 65535);
    assert_int_equal(mqtt_encode_subscribe(to, 70000, MQTT_3_1_1, 1, &filter, 1, NULL), 0);
    assert_int_equal(mqtt_encode_user_property(to, 70000, too_long, longest), 0);
    /* a payload that would need a fifth byte of Remaining Length; its bytes are not touched */
    publish.topic = span_text("t");
    publish.payload = (struct span){.data = letters, .len = 268435455 - 2};
    assert_int_equal(mqtt_encode_publish(to, UINT32_MAX, MQTT_3_1_1, &publish), 0);
    free(letters);
    free(to);
}

static void test_authentication(void **state)
{
    uint8_t bytes[64];
    uint32_t len =
        mqtt_encode_auth(bytes, 64, MQTT_REASON_REAUTHENTICATE, span_text("m"), BYTES("\x00x"));
    struct copy copy = copy_packet(span_of(bytes, len));
    struct ack_packet out;

    (void)state;
    assert_int_equal(mqtt_decode_auth(&copy.frame, &out), MQTT_REASON_SUCCESS);
    assert_int_equal(out.reason, MQTT_REASON_REAUTHENTICATE);
    assert_span(out.props.authentication_method, "m");
    assert_int_equal(out.props.authentication_data.len, 2);
    copy_free(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect),
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_subscribe_and_unsubscribe),
        cmocka_unit_test(test_disconnect),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_authentication),
    };

    rng.state = 20260101;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
