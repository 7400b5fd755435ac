/* SPDX-License-Identifier: MIT
 *
 * Random operations on a tree and on a naive model (lists, searched with filter_matches()) must
 * agree.
 */
#include "topic/tree.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "topic/topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FILTERS = 400, SUBSCRIBERS = 60, LEVELS = 16, SHARDS = 5 };

struct model_filter {
    char text[64];
    bool wildcard;
    struct subscription subscriptions[SUBSCRIBERS]; /* subscriber NULL: none */
    uint64_t shards;
};

struct model {
    struct topic_tree *tree;
    struct random random;
    struct model_filter filters[FILTERS];
    char topics[FILTERS][64];
    int subscribers[SUBSCRIBERS]; /* their addresses are the subscribers */
};

/* Few different levels, so that filters and topics meet. */
static void make_text(struct random *random, char *text, size_t size, bool wildcards)
{
    static const char *const levels[] = {"", "a", "b", "c", "$d", "longer-level"};
    uint32_t count = 1 + random_below(random, 5);
    size_t len;

    do {
        len = 0;
        text[0] = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t draw = random_below(random, 12);
            const char *level = levels[random_below(random, 6)];

            if (wildcards && draw < 3)
                level = "+";
            if (wildcards && draw == 3 && i + 1 == count)
                level = "#";
            len += (size_t)snprintf(text + len, size - len, "%s%s", i == 0 ? "" : "/", level);
        }
    } while (len == 0);
}

static struct model *model_create(uint64_t seed)
{
    struct model *model = calloc(1, sizeof(*model));

    model->random.state = seed;
    model->tree = topic_tree_create();
    for (uint32_t i = 0; i < FILTERS; i++) {
        struct model_filter *filter = &model->filters[i];
        bool again = true;

        while (again) {
            make_text(&model->random, filter->text, sizeof(filter->text), i % 4 != 0);
            again = false;
            for (uint32_t j = 0; j < i; j++)
                again |= strcmp(model->filters[j].text, filter->text) == 0;
        }
        filter->wildcard = filter_parse(span_text(filter->text), LEVELS).form == FILTER_WILDCARD;
        make_text(&model->random, model->topics[i], sizeof(model->topics[i]), false);
        if (i % 3 == 0 && !filter->wildcard)
            memcpy(model->topics[i], filter->text, sizeof(filter->text));
    }
    return model;
}

static void subscribe(struct model *model, struct model_filter *filter, uint32_t which)
{
    struct subscription subscription = {
        .subscriber = &model->subscribers[which],
        .identifier = (uint32_t)random_next(&model->random),
        .options = (uint8_t)random_below(&model->random, 16),
    };
    bool known = filter->subscriptions[which].subscriber != NULL, others = false, first;
    struct topic_filter *found;
    enum subscribe_result result;

    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        others |= filter->subscriptions[i].subscriber != NULL;
    result =
        topic_tree_subscribe(model->tree, span_text(filter->text), &subscription, &found, &first);
    if (result == SUBSCRIBE_NO_MEMORY)
        return;
    assert_int_equal(result, known ? SUBSCRIBE_REPLACED : SUBSCRIBE_NEW);
    assert_int_equal(first, !others);
    filter->subscriptions[which] = subscription;
}

static void unsubscribe(struct model *model, struct model_filter *filter, uint32_t which)
{
    struct topic_filter *found = topic_tree_find(model->tree, span_text(filter->text));
    bool known = filter->subscriptions[which].subscriber != NULL, others = false, last;

    filter->subscriptions[which].subscriber = NULL;
    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        others |= filter->subscriptions[i].subscriber != NULL;
    assert_int_equal(found != NULL, known || others);
    if (found == NULL)
        return;
    assert_int_equal(topic_tree_unsubscribe(model->tree, found, &model->subscribers[which], &last),
                     known);
    assert_int_equal(last, known && !others);
}

static void interest(struct model *model, struct model_filter *filter)
{
    unsigned shard = random_below(&model->random, SHARDS);
    bool interested = random_below(&model->random, 2) == 0, done;
    struct span text = span_text(filter->text);

    if (filter->wildcard)
        done = topic_tree_interest_wildcard(model->tree, text, shard, interested);
    else
        done =
            topic_tree_interest_exact(model->tree, hash64(text.data, text.len), shard, interested);
    if (!done)
        return;
    if (interested)
        filter->shards |= 1u << shard;
    else
        filter->shards &= ~(1u << shard);
}

static bool same(const struct subscription *a, const struct subscription *b)
{
    return a->subscriber == b->subscriber && a->identifier == b->identifier &&
           a->options == b->options;
}

/* Every expected entry is there (found entries are ticked off), and nothing else. */
static void compare(const struct model *model, const char *topic)
{
    struct topic_match found;
    uint64_t shards = 0;
    uint32_t expected = 0;
    bool *ticked;

    assert_true(topic_tree_match(model->tree, span_text(topic), LEVELS, &found));
    ticked = calloc(found.count + 1, sizeof(*ticked));
    for (uint32_t i = 0; i < FILTERS; i++) {
        const struct model_filter *filter = &model->filters[i];

        if (!filter_matches(span_text(filter->text), span_text(topic)))
            continue;
        shards |= filter->shards;
        for (uint32_t j = 0; j < SUBSCRIBERS && !found.no_memory; j++) {
            uint32_t at = 0;

            if (filter->subscriptions[j].subscriber == NULL)
                continue;
            expected++;
            while (at < found.count &&
                   (ticked[at] || !same(&found.entries[at], &filter->subscriptions[j])))
                at++;
            assert_int_not_equal(at, found.count);
            ticked[at] = true;
        }
    }
    assert_true(found.no_memory || found.count == expected);
    assert_true(found.shards == shards);
    for (uint32_t i = 1; i < found.count; i++) {
        for (uint32_t j = 0;
             found.entries[i].subscriber != found.entries[i - 1].subscriber && j < i; j++)
            assert_ptr_not_equal(found.entries[j].subscriber, found.entries[i].subscriber);
    }
    free(ticked);
}

static void run(uint64_t seed, uint32_t steps, bool short_of_memory)
{
    struct model *model = model_create(seed);

    for (uint32_t i = 0; i < steps; i++) {
        /* Fills and empties in turn, on changing parts of the filters. */
        bool filling = i / 2500 % 2 == 0;
        uint32_t part = i / 1000 % 4 == 0 ? 12 : FILTERS;
        struct model_filter *filter = &model->filters[random_below(&model->random, part)];
        uint32_t which = random_below(&model->random, SUBSCRIBERS);
        uint32_t draw = random_below(&model->random, 16);

        if (short_of_memory && i % 64 == 0)
            mem_fail_after(random_below(&model->random, 30));
        if (draw < 4) {
            const char *topic = model->topics[random_below(&model->random, part)];

            for (uint32_t round = 0; round <= draw; round++)
                compare(model, topic);
        } else if (draw < 6) {
            interest(model, filter);
        } else if (draw < (filling ? 14 : 8)) {
            subscribe(model, filter, which);
        } else {
            unsubscribe(model, filter, which);
        }
        if (i % 512 == 0)
            topic_tree_check(model->tree);
    }
    mem_fail_after(0);
    for (uint32_t i = 0; i < FILTERS; i++) {
        for (uint32_t j = 0; j < SUBSCRIBERS; j++)
            unsubscribe(model, &model->filters[i], j);
    }
    topic_tree_check(model->tree);
    topic_tree_destroy(model->tree);
    free(model);
}

static void test_random_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        run(seed, 10000, false);
}

static void test_random_operations_short_of_memory(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed <= 12; seed++)
        run(seed, 10000, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_random_operations_short_of_memory),
    };

    hash_setup(0x5eed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
