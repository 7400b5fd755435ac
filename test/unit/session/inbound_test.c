/* SPDX-License-Identifier: MIT
 *
 * The set of incoming QoS 2 identifiers against an array of flags.
 */
#include "session/inbound.c"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static unsigned pages_of(const struct inbound *inbound)
{
    unsigned count = 0;

    for (unsigned i = 0; i < INBOUND_PAGES; i++)
        count += inbound->pages[i] != NULL;
    return count;
}

static void follows_the_model(void **state)
{
    static bool model[65536];
    struct inbound inbound = {0};
    struct random random = {.state = 11};
    uint32_t count = 0;

    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        /* mostly near each other, so that adding and removing meet */
        uint16_t identifier =
            (uint16_t)(random_below(&random, 8) == 0 ? random_next(&random)
                                                     : 4000 + random_below(&random, 200));

        assert_int_equal(inbound_has(&inbound, identifier), model[identifier]);
        if (random_below(&random, 2) == 0) {
            assert_int_equal(inbound_remove(&inbound, identifier), model[identifier]);
            count -= model[identifier];
            model[identifier] = false;
        } else if (!model[identifier]) {
            assert_true(inbound_add(&inbound, identifier));
            model[identifier] = true;
            count++;
        }
        assert_int_equal(inbound.count, count);
    }
    for (uint32_t i = 0; i < 65536; i++)
        assert_int_equal(inbound_has(&inbound, (uint16_t)i), model[i]);
    inbound_clear(&inbound);
    assert_int_equal(inbound.count, 0);
    assert_int_equal(pages_of(&inbound), 0);
}

/* [MQTT-4.3.3-10]: an identifier is known until PUBREL and no longer. Memory follows what is
 * outstanding, not what has passed. */
static void pages_follow_what_is_outstanding(void **state)
{
    struct inbound inbound = {0};

    (void)state;
    assert_true(inbound_add(&inbound, 1));
    for (uint32_t i = 2; i < 65536; i++) {
        assert_true(inbound_add(&inbound, (uint16_t)i));
        assert_true(inbound_remove(&inbound, (uint16_t)i));
        assert_true(pages_of(&inbound) <= 2);
    }
    assert_true(inbound_has(&inbound, 1));
    assert_true(inbound_remove(&inbound, 1));
    assert_false(inbound_remove(&inbound, 1));
    inbound_clear(&inbound);
}

static void no_memory_is_told(void **state)
{
    struct inbound inbound = {0};

    (void)state;
    mem_fail_after(1);
    assert_false(inbound_add(&inbound, 5));
    mem_fail_after(0);
    assert_false(inbound_has(&inbound, 5));
    assert_int_equal(inbound.count, 0);
    assert_true(inbound_add(&inbound, 5));
    inbound_clear(&inbound);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_model),
        cmocka_unit_test(pages_follow_what_is_outstanding),
        cmocka_unit_test(no_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
