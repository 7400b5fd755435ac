/* SPDX-License-Identifier: MIT
 *
 * The text is read back by a small parser that knows the format's rules; Prometheus itself reads it in
 * test/clients.
 */
#include "api/exposition.c"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define THREADS    3u /* two data shards and the control shard */
#define SERIES_MAX 2000u

struct sample {
    char series[256]; /* with labels */
    double value;
};

struct text {
    struct sample samples[SERIES_MAX];
    unsigned count;
};

static const uint32_t rings[THREADS] = {0, 7, 0};

static struct machine_view *made(void)
{
    struct machine_view *view = mem_zalloc(sizeof(*view));

    view->shards = THREADS - 1;
    view->threads = THREADS;
    view->now_ns = 5000000000u;
    view->uptime_ms = 5000;
    view->views = mem_zalloc(THREADS * sizeof(*view->views));
    for (unsigned i = 0; i < THREADS; i++) {
        struct shard_view *shard = &view->views[i];

        shard->ring_entries = mem_zalloc(sizeof(rings));
        memcpy(shard->ring_entries, rings, sizeof(rings));
        shard->heartbeat = (struct heartbeat){.age_ms = 1500, .waits = i == 1, .alive = i == 1};
        for (unsigned id = 0; id < STAT_ID_COUNT; id++)
            shard->stats.values[id] = (int64_t)(1000000 * i + id);
    }
    for (unsigned i = 0; i < THREADS; i++)
        stats_add(&view->sum, &view->views[i].stats);
    return view;
}

static bool name_is_valid(const char *name, size_t len)
{
    if (len == 0 || isdigit((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_')
            return false;
    return true;
}

/* Whether a sample of that name may stand below the TYPE line of `metric`. */
static bool belongs(const char *sample, size_t len, const char *metric, const char *type)
{
    static const char *const ends[] = {"_bucket", "_sum", "_count"};
    size_t metric_len = strlen(metric);

    if (len < metric_len || strncmp(sample, metric, metric_len) != 0)
        return false;
    if (strcmp(type, "histogram") != 0)
        return len == metric_len;
    for (unsigned i = 0; i < ARRAY_LENGTH(ends); i++)
        if (strlen(ends[i]) == len - metric_len &&
            strncmp(sample + metric_len, ends[i], strlen(ends[i])) == 0)
            return true;
    return false;
}

static void read_sample(struct text *text, const char *line, const char *metric, const char *type)
{
    struct sample *sample = &text->samples[text->count++];
    size_t name_len = strcspn(line, "{ ");
    const char *space = strrchr(line, ' ');
    char *end;

    assert_true(text->count <= SERIES_MAX);
    assert_true(name_is_valid(line, name_len));
    assert_true(belongs(line, name_len, metric, type));
    assert_true(line[name_len] == ' ' || space[-1] == '}');
    assert_true((size_t)(space - line) < sizeof(sample->series));
    memcpy(sample->series, line, (size_t)(space - line));
    sample->series[space - line] = '\0';
    sample->value = strtod(space + 1, &end);
    assert_true(end != space + 1 && *end == '\0');
    for (unsigned i = 0; i + 1 < text->count; i++)
        assert_string_not_equal(text->samples[i].series, sample->series);
}

/* HELP, TYPE, samples, for every metric once. */
static struct text *parsed(char *raw)
{
    struct text *text = mem_zalloc(sizeof(*text));
    static char metrics[400][80];
    char metric[80] = "", type[16] = "", *rest = NULL;
    unsigned metric_count = 0;
    bool help = false;

    assert_int_equal(raw[strlen(raw) - 1], '\n');
    for (char *line = strtok_r(raw, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            assert_int_equal(sscanf(line + 7, "%79s", metric), 1);
            assert_true(strlen(line) > 7 + strlen(metric) + 3); /* it says something */
            for (unsigned i = 0; i < metric_count; i++)
                assert_string_not_equal(metrics[i], metric);
            strcpy(metrics[metric_count++], metric);
            help = true;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            char typed[80];

            assert_true(help);
            assert_int_equal(sscanf(line + 7, "%79s %15s", typed, type), 2);
            assert_string_equal(typed, metric);
            help = false;
        } else {
            assert_false(help);
            read_sample(text, line, metric, type);
        }
    }
    return text;
}

static double value_of(const struct text *text, const char *series)
{
    for (unsigned i = 0; i < text->count; i++)
        if (strcmp(text->samples[i].series, series) == 0)
            return text->samples[i].value;
    fail_msg("no series %s", series);
    return 0;
}

static struct text *write_and_parse(const struct machine_view *machine, const struct rates *rates)
{
    const struct process_view process = {.cpu_s = 1.25,
                                         .resident_bytes = 4096,
                                         .open_descriptors = 12,
                                         .descriptors_max = 1024,
                                         .cores = 2};
    size_t len;
    char *raw = exposition_write(machine, &process, rates, 1.7e9 + 0.5, &len);
    struct text *text;

    assert_non_null(raw);
    assert_int_equal(strlen(raw), len);
    text = parsed(raw);
    mem_free_libc(raw);
    return text;
}

static void every_counter_of_every_shard_is_there(void **unused)
{
    struct machine_view *machine = made();
    struct rates *rates = rates_create(THREADS);
    struct text *text = write_and_parse(machine, rates);
    char series[256];

    (void)unused;
    for (unsigned id = 0; id < STAT_ID_COUNT; id++) {
        const struct stat_info *info = &stat_infos[id];
        bool time = strcmp(info->unit, "microseconds") == 0;

        for (unsigned i = 0; i < THREADS; i++) {
            char shard[8];

            shard_name(machine, i, shard, sizeof(shard));
            if (info->label == NULL)
                snprintf(series, sizeof(series), "shardmq_%s{shard=\"%s\"}", info->metric,
                         i == 2 ? "control" : shard);
            else
                snprintf(series, sizeof(series), "shardmq_%s{shard=\"%s\",%s=\"%s\"}", info->metric,
                         i == 2 ? "control" : shard, info->label, info->value);
            assert_true(value_of(text, series) == (1000000.0 * i + id) / (time ? 1000000.0 : 1.0));
        }
    }
    assert_true(value_of(text, "nanomq_messages_received") ==
                (double)machine->sum.values[STAT_message_in]);
    assert_true(value_of(text, "nanomq_messages_dropped") ==
                (double)stats_message_drop(&machine->sum));
    assert_true(value_of(text, "process_cpu_seconds_total") == 1.25);
    assert_true(value_of(text, "process_resident_memory_bytes") == 4096);
    assert_true(value_of(text, "process_start_time_seconds") == 1.7e9 + 0.5);
    assert_true(value_of(text, "shardmq_shards") == 2);
    assert_true(value_of(text, "shardmq_shards_alive") == 1);
    assert_true(value_of(text, "shardmq_mesh_ring_entries{shard=\"0\",peer=\"1\"}") == 7);
    assert_true(value_of(text, "shardmq_heartbeat_age_seconds{shard=\"0\"}") == 1.5);
    assert_true(value_of(text, "shardmq_heartbeat_age_seconds{shard=\"1\"}") == 0); /* waits */
    mem_free(text);
    rates_destroy(rates);
    machine_view_free(machine);
}

static void histograms_are_cumulative(void **unused)
{
    struct machine_view *machine = made();
    struct rates *rates = rates_create(THREADS);
    struct stat_histogram_snapshot *histogram =
        &machine->views[0].stats.histograms[STAT_HISTOGRAM_delivery];
    struct text *text;

    (void)unused;
    histogram->buckets[0] = 2;
    histogram->buckets[stat_bucket(300000)] = 3;
    histogram->buckets[STAT_BUCKETS - 1] = 1;
    histogram->sum_ns = 12000900000;
    text = write_and_parse(machine, rates);
#define BUCKET(le) "shardmq_delivery_seconds_bucket{shard=\"0\",le=\"" le "\"}"
    assert_true(value_of(text, BUCKET("1e-06")) == 2);
    assert_true(value_of(text, BUCKET("0.000256")) == 2);
    assert_true(value_of(text, BUCKET("0.000512")) == 5);
    assert_true(value_of(text, BUCKET("8.388608")) == 5);
    assert_true(value_of(text, BUCKET("+Inf")) == 6);
    assert_true(value_of(text, "shardmq_delivery_seconds_count{shard=\"0\"}") == 6);
    assert_true(value_of(text, "shardmq_delivery_seconds_sum{shard=\"0\"}") == 12.0009);
    mem_free(text);
    rates_destroy(rates);
    machine_view_free(machine);
}

static void odd_characters_are_escaped(void **unused)
{
    size_t len;
    char *text = NULL;
    FILE *to = open_memstream(&text, &len);

    (void)unused;
    put_escaped(to, "a\\b\"c\nd", true);
    fputc('|', to);
    put_escaped(to, "a\\b\"c\nd", false);
    fclose(to);
    assert_string_equal(text, "a\\\\b\\\"c\\nd|a\\\\b\"c\\nd");
    mem_free_libc(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_counter_of_every_shard_is_there),
        cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(odd_characters_are_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
