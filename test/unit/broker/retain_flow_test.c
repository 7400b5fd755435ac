/* SPDX-License-Identifier: MIT
 *
 * What the store of retained messages holds and lets go of: expiry and limits. Queries are tested by the
 * scenarios and the simulation.
 */
#include "broker/retain_flow.c"

#include "unit/broker/fake_ports.h"

static void publish(struct fake *fake, const char *topic, size_t payload_len, uint64_t expires_ms)
{
    static const uint8_t payload[10000];
    const struct publication publication = {
        .topic = span_text(topic),
        .payload = span_of(payload, payload_len),
        .expires_ms = expires_ms,
        .publisher = SESSION_HANDLE_NONE,
        .retain = true,
    };

    retain_publish(fake->broker, &publication, NULL);
}

/* A topic that is published to all day, each message to expire in a year. */
static void replaced_messages_leave_no_timer(void **state)
{
    struct fake fake;

    (void)state;
    fake_begin(&fake);
    for (unsigned i = 0; i < 1000; i++)
        publish(&fake, "a", 100, fake.now_ms + 31536000000u);
    assert_int_equal(fake.broker->timers.count, 1);
    assert_int_equal(fake_stat(&fake, STAT_retained_count), 1);
    publish(&fake, "a", 100, 0);
    assert_int_equal(fake.broker->timers.count, 0);
    publish(&fake, "a", 0, 0);
    assert_int_equal(fake_stat(&fake, STAT_retained_count), 0);
    assert_int_equal(fake_stat(&fake, STAT_retained_bytes), 0);
    publish(&fake, "b", 100, fake.now_ms + 1000); /* what is left at the end is freed */
    fake_end(&fake);
}

static void expired_messages_go(void **state)
{
    struct fake fake;

    (void)state;
    fake_begin(&fake);
    publish(&fake, "a", 100, fake.now_ms + 1000);
    publish(&fake, "b", 100, fake.now_ms + 5000);
    publish(&fake, "c", 100, fake.now_ms + 1000);
    publish(&fake, "c", 100, fake.now_ms + 5000); /* the later interval counts */
    publish(&fake, "d", 100, 0);
    fake_pass_time(&fake, 2000);
    assert_int_equal(fake_stat(&fake, STAT_retained_count), 3);
    fake_pass_time(&fake, 4000);
    assert_int_equal(fake_stat(&fake, STAT_retained_count), 1);
    fake_end(&fake);
}

static void size_limit_holds_for_replacements(void **state)
{
    struct fake fake;

    (void)state;
    fake_begin(&fake);
    fake.conf->mqtt_max_retained_size = 4096;
    publish(&fake, "a", 1000, 0);
    publish(&fake, "a", 9000, 0);
    assert_true(fake_stat(&fake, STAT_retained_bytes) < 2000);
    assert_int_equal(fake_stat(&fake, STAT_publish_refused), 1);
    publish(&fake, "a", 3500, 0);
    publish(&fake, "b", 1000, 0);
    assert_int_equal(fake_stat(&fake, STAT_retained_count), 1);
    fake.conf->mqtt_max_retained_size = 1024; /* after a reload: shorter ones may still come */
    publish(&fake, "a", 3000, 0);
    assert_int_equal(fake_stat(&fake, STAT_publish_refused), 2);
    fake_end(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaced_messages_leave_no_timer),
        cmocka_unit_test(expired_messages_go),
        cmocka_unit_test(size_limit_holds_for_replacements),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
