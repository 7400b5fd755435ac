/* SPDX-License-Identifier: MIT
 *
 * The counters table and its sums. That the counters keep their laws is what scenarios and simulation
 * check; here: that table, sums and derived values fit together.
 */
#include "base/stats.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
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

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void metric_is_well_named(const char *metric, bool grows)
{
    for (const char *at = metric; *at != '\0'; at++)
        assert_true(islower((unsigned char)*at) || *at == '_');
    assert_int_equal(ends_with(metric, "_total"), grows);
    /* those belong to histograms */
    assert_false(ends_with(metric, "_count") || ends_with(metric, "_sum") ||
                 ends_with(metric, "_bucket"));
}

/* What the Prometheus exposition relies on. That no series is there twice the compiler checks. */
static void metrics_have_names_units_and_help(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < STAT_ID_COUNT; i++) {
        const struct stat_info *row = &stat_infos[i];
        const char *base = ends_with(row->metric, "_total") ? "_total" : "";
        char unit[32];

        metric_is_well_named(row->metric, row->kind == STAT_KIND_COUNTER);
        assert_int_equal(row->label == NULL, row->value == NULL);
        assert_int_equal(row->label != NULL, stats_metric_help(row->metric) != NULL);
        snprintf(unit, sizeof(unit), "%s%s",
                 strcmp(row->unit, "microseconds") == 0 ? "_seconds" : "_bytes", base);
        if (strcmp(row->unit, "microseconds") == 0 || strcmp(row->unit, "bytes") == 0)
            assert_true(ends_with(row->metric, unit));
        for (unsigned j = 0; j + 1 < i; j++) /* the rows of one metric stand together */
            if (strcmp(row->metric, stat_infos[j].metric) == 0)
                assert_string_equal(row->metric, stat_infos[i - 1].metric);
    }
    for (unsigned i = 0; i < STAT_HISTOGRAM_COUNT; i++) {
        metric_is_well_named(stat_histogram_infos[i].metric, false);
        assert_true(ends_with(stat_histogram_infos[i].metric, "_seconds"));
    }
}

static void buckets_have_the_bounds_they_say(void **unused)
{
    (void)unused;
    assert_int_equal(stat_bucket(0), 0);
    for (unsigned i = 0; i < STAT_BUCKETS - 1; i++) {
        uint64_t bound_ns = stat_bucket_bound_us(i) * 1000u;

        assert_int_equal(bound_ns, (uint64_t)1000 << i);
        assert_int_equal(stat_bucket(bound_ns), i);
        assert_int_equal(stat_bucket(bound_ns + 1), i + 1);
    }
    assert_int_equal(stat_bucket_bound_us(STAT_BUCKETS - 1), 0);
    assert_int_equal(stat_bucket(UINT64_MAX), STAT_BUCKETS - 1);
}

static void histograms_count_and_sum(void **unused)
{
    static struct shard_stats shards[2];
    struct stats_snapshot sum = {0}, twice = {0};
    const struct stat_histogram_snapshot *delivery = &sum.histograms[STAT_HISTOGRAM_delivery];

    (void)unused;
    STAT_TOOK(&shards[0], delivery, 999, 3);
    STAT_TOOK(&shards[1], delivery, 5000000, 2);
    STAT_TOOK(&shards[1], loop_turn, 1500, 1);
    for (unsigned i = 0; i < 2; i++)
        stats_sum(&sum, &shards[i]);
    assert_int_equal(stats_histogram_count(delivery), 5);
    assert_int_equal(delivery->sum_ns, 3 * 999 + 2 * 5000000);
    assert_int_equal(delivery->buckets[0], 3);
    assert_int_equal(delivery->buckets[stat_bucket(5000000)], 2);
    assert_int_equal(sum.histograms[STAT_HISTOGRAM_loop_turn].buckets[1], 1);
    assert_int_equal(stats_histogram_quantile_us(delivery, 0), 0);
    assert_int_equal(stats_histogram_quantile_us(delivery, 0.6), 1);
    assert_int_equal(stats_histogram_quantile_us(delivery, 0.61),
                     8192); /* 5 ms are in its bucket */
    assert_int_equal(stats_histogram_quantile_us(delivery, 1), 8192);
    assert_int_equal(stats_histogram_quantile_us(&twice.histograms[0], 0.5), 0);
    stats_add(&twice, &sum);
    stats_add(&twice, &sum);
    assert_int_equal(stats_histogram_count(&twice.histograms[STAT_HISTOGRAM_delivery]), 10);
    assert_int_equal(twice.histograms[STAT_HISTOGRAM_delivery].sum_ns, 2 * delivery->sum_ns);
}

static void sums_add_every_shard(void **unused)
{
    static struct shard_stats shards[3];
    struct stats_snapshot sum = {0};

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
    struct stats_snapshot sum = {0};

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
    struct stats_snapshot sum = {0};
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
        cmocka_unit_test(metrics_have_names_units_and_help),
        cmocka_unit_test(buckets_have_the_bounds_they_say),
        cmocka_unit_test(histograms_count_and_sum),
        cmocka_unit_test(sums_add_every_shard),
        cmocka_unit_test(gauges_go_both_ways),
        cmocka_unit_test(drops_are_the_sum_of_their_reasons),
        cmocka_unit_test(shards_do_not_share_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
