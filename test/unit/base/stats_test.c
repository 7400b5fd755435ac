/* SPDX-License-Identifier: MIT
 *
 * The counters table and its sums. That the counters keep their laws is what scenarios and simulation
 * check; here: that table, sums and derived values fit together.
 */
#include "base/stats.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void rows_are_complete_and_differ(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < STAT_ID_COUNT; i++) {
        const struct stat_info *row = &stat_infos[i];

        assert_true(strlen(row->name) > 0 && strlen(row->unit) > 0 && strlen(row->help) > 10);
        for (const char *at = row->name; *at != '\0'; at++)
            assert_true(islower((unsigned char)*at) || isdigit((unsigned char)*at) || *at == '_');
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(row->name, stat_infos[j].name);
    }
    assert_string_equal(stat_infos[STAT_message_in].name, "message_in");
    assert_int_equal(stat_infos[STAT_message_in].kind, STAT_KIND_COUNTER);
    assert_int_equal(stat_infos[STAT_delivery_queued].kind, STAT_KIND_GAUGE);
}

static void sums_add_every_shard(void **unused)
{
    static struct shard_stats shards[3];
    struct stats_snapshot sum = {{0}};

    (void)unused;
    for (unsigned shard = 0; shard < 3; shard++)
        for (unsigned i = 0; i < STAT_ID_COUNT; i++)
            atomic_store(&shards[shard].values[i], (int64_t)((i + 1) * (shard + 1)));
    for (unsigned shard = 0; shard < 3; shard++)
        stats_sum(&sum, &shards[shard]);
    for (unsigned i = 0; i < STAT_ID_COUNT; i++)
        assert_int_equal(sum.values[i], (i + 1) * 6);
}

static void gauges_go_both_ways(void **unused)
{
    static struct shard_stats first, second;
    struct stats_snapshot sum = {{0}};

    (void)unused;
    /* a session may be counted up on one shard and down on another: the sum is right */
    STAT_INC(&first, session_count);
    STAT_ADD(&first, session_count, 4);
    STAT_DEC(&second, session_count);
    STAT_ADD(&second, session_count, -2);
    stats_sum(&sum, &first);
    stats_sum(&sum, &second);
    assert_int_equal(sum.values[STAT_session_count], 2);
}

static void drops_are_the_sum_of_their_reasons(void **unused)
{
    struct stats_snapshot sum = {{0}};
    int64_t expected = 0;

    (void)unused;
    for (unsigned i = 0; i < STAT_ID_COUNT; i++) {
        sum.values[i] = 1 << (i % 20);
        if (strstr(stat_infos[i].name, "drop_") == stat_infos[i].name)
            expected += sum.values[i];
    }
    assert_true(expected > 0);
    assert_int_equal(stats_message_drop(&sum), expected);
    assert_int_equal(stats_delivery_pending(&sum), sum.values[STAT_delivery_queued] +
                                                       sum.values[STAT_delivery_sending] +
                                                       sum.values[STAT_delivery_held]);
}

/* Two shards never write to one cache line. */
static void shards_do_not_share_a_line(void **unused)
{
    static struct shard_stats shards[2];

    (void)unused;
    assert_int_equal((uintptr_t)&shards[0] % CACHE_LINE, 0);
    assert_int_equal(sizeof(shards[0]) % CACHE_LINE, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete_and_differ),
        cmocka_unit_test(sums_add_every_shard),
        cmocka_unit_test(gauges_go_both_ways),
        cmocka_unit_test(drops_are_the_sum_of_their_reasons),
        cmocka_unit_test(shards_do_not_share_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
