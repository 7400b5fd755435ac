/* SPDX-License-Identifier: MIT
 *
 * What a match costs: 10, 10^4 and 10^6 filters, without and with wildcards, for topics that repeat
 * (in the match cache when there are wildcards) and for topics that are new each time; and a scan
 * of retained messages.
 *
 * Without wildcards, filter i is "site/<i>/device/temperature". With wildcards each site has three
 * filters: that one, "site/<i>/+/temperature" and "site/<i>/#", of three subscribers. Repeated
 * topics are of 100 sites and match the filter, or all three. New topics are 65,536 different ones
 * spread over all sites: they match the filter, or the two wildcard filters.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/random.h"
#include "perf/shim.h"
#include "topic/retained.h"
#include "topic/tree.h"

#include <stdio.h>

void perf_register_topic_match(void);

#define NEW_TOPICS 65536u
#define REPEATED   100u
#define LEVELS     128u
#define TOPIC_SIZE 56u
#define RETAINED   50000u

struct match_case {
    const char *name;
    uint32_t filters;
    bool wildcards, repeated;
};

static const struct match_case match_cases[] = {
    {"topic_match/exact/filters:10/repeated", 10, false, true},
    {"topic_match/exact/filters:1e4/repeated", 10000, false, true},
    {"topic_match/exact/filters:1e4/new", 10000, false, false},
    {"topic_match/exact/filters:1e6/repeated", 1000000, false, true},
    {"topic_match/exact/filters:1e6/new", 1000000, false, false},
    {"topic_match/wildcards/filters:10/repeated", 10, true, true},
    {"topic_match/wildcards/filters:10/new", 10, true, false},
    {"topic_match/wildcards/filters:1e4/repeated", 10000, true, true},
    {"topic_match/wildcards/filters:1e4/new", 10000, true, false},
    {"topic_match/wildcards/filters:1e6/repeated", 1000000, true, true},
    {"topic_match/wildcards/filters:1e6/new", 1000000, true, false},
};

/* The tree of the case before: a benchmark is run several times, and a large tree takes a second to
 * build. */
static struct topic_tree *built;
static const struct match_case *built_for;

static char topics[NEW_TOPICS][TOPIC_SIZE];
static struct span topic_spans[NEW_TOPICS];

static void subscribe(struct topic_tree *tree, const char *filter, uintptr_t subscriber)
{
    struct subscription subscription = {.subscriber = (void *)(subscriber * 64)};
    struct topic_filter *found;
    bool first;

    ASSERT(topic_tree_subscribe(tree, span_text(filter), &subscription, &found, &first) ==
           SUBSCRIBE_NEW);
}

static struct topic_tree *tree_of(const struct match_case *wanted)
{
    char filter[TOPIC_SIZE];

    if (built != NULL && built_for->filters == wanted->filters &&
        built_for->wildcards == wanted->wildcards)
        return built;
    if (built != NULL)
        topic_tree_destroy(built);
    built = topic_tree_create();
    built_for = wanted;
    for (uint32_t i = 0; i < wanted->filters; i++) {
        uint32_t site = wanted->wildcards ? i / 3 : i;
        unsigned form = wanted->wildcards ? i % 3 : 0;
        static const char *const forms[] = {"device/temperature", "+/temperature", "#"};

        snprintf(filter, sizeof(filter), "site/%u/%s", site, forms[form]);
        subscribe(built, filter, i + 1);
    }
    return built;
}

/* Returns how many topics there are. */
static uint32_t make_topics(const struct match_case *wanted)
{
    uint32_t sites = wanted->wildcards ? wanted->filters / 3 : wanted->filters;
    uint32_t count = wanted->repeated ? REPEATED : NEW_TOPICS;
    struct random random = {.state = 1};

    if (wanted->repeated && sites < count)
        count = sites;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t site = wanted->repeated ? i : random_below(&random, sites);

        if (wanted->repeated || !wanted->wildcards)
            snprintf(topics[i], TOPIC_SIZE, "site/%u/device/temperature", site);
        else
            snprintf(topics[i], TOPIC_SIZE, "site/%u/device%u/temperature", site, i);
        topic_spans[i] = span_text(topics[i]);
    }
    return count;
}

static void run_match(struct perf_state *state, void *argument)
{
    const struct match_case *wanted = argument;
    struct topic_tree *tree = tree_of(wanted);
    uint32_t count = make_topics(wanted), at = 0;
    uint32_t expected = !wanted->wildcards ? 1 : wanted->repeated ? 3 : 2;
    uint64_t matches = 0, subscribers = 0;

    while (perf_next(state)) {
        struct topic_match found;

        (void)topic_tree_match(tree, topic_spans[at], LEVELS, &found);
        perf_keep(found.entries);
        subscribers += found.count;
        matches++;
        if (++at == count)
            at = 0;
    }
    ASSERT(subscribers == matches * expected);
    perf_items(state, matches);
}

/* One subscription comes and goes in a tree with 10^4 others. */
static void run_update(struct perf_state *state, void *argument)
{
    struct topic_tree *tree = tree_of(&match_cases[1]);
    struct span filter = span_text("site/10001/device/temperature");
    struct subscription subscription = {.subscriber = argument};
    uint64_t updates = 0;

    while (perf_next(state)) {
        struct topic_filter *found;
        bool edge;

        (void)topic_tree_subscribe(tree, filter, &subscription, &found, &edge);
        (void)topic_tree_unsubscribe(tree, found, argument, &edge);
        updates += 2;
    }
    perf_items(state, updates);
}

static void count_visit(void *argument, void *message)
{
    uint64_t *sum = argument;

    perf_keep(message);
    ++*sum;
}

static void ignore_release(void *argument, void *message)
{
    (void)argument;
    (void)message;
}

/* A scan in batches of 256; `argument` is the filter, which matches everything. */
static void run_scan(struct perf_state *state, void *argument)
{
    struct retained_store *store = retained_create();
    uint64_t visited = 0, rounds = 0;
    char topic[TOPIC_SIZE];
    void *old;

    for (uint32_t i = 0; i < RETAINED; i++) {
        snprintf(topic, sizeof(topic), "site/%u/device/%u", i % 100, i);
        ASSERT(retained_set(store, span_text(topic), store, &old));
    }
    while (perf_next(state)) {
        struct retained_scan *scan = retained_scan_open(store, span_text(argument));

        while (retained_scan_next(scan, 256, count_visit, &visited))
            continue;
        retained_scan_close(scan);
        rounds++;
    }
    ASSERT(visited == rounds * RETAINED);
    perf_items(state, visited);
    retained_destroy(store, ignore_release, NULL);
}

void perf_register_topic_match(void)
{
    static char all[] = "#", by_level[] = "site/+/device/+";

    for (size_t i = 0; i < ARRAY_LENGTH(match_cases); i++)
        perf_case(match_cases[i].name, run_match, (void *)(uintptr_t)&match_cases[i]);
    perf_case("topic_tree/subscribe_unsubscribe", run_update, all);
    perf_case("retained_scan/topics:5e4/filter:hash", run_scan, all);
    perf_case("retained_scan/topics:5e4/filter:plus", run_scan, by_level);
}
