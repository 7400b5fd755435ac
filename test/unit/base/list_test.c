/* SPDX-License-Identifier: MIT
 *
 * Lists of numbered items against an array that holds the same numbers.
 */
#include "base/list.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ITEMS 20u

struct item {
    unsigned number;
    struct list node;
};

struct model {
    unsigned count, numbers[ITEMS];
};

static void model_remove(struct model *model, unsigned number)
{
    for (unsigned i = 0; i < model->count; i++) {
        if (model->numbers[i] != number)
            continue;
        memmove(&model->numbers[i], &model->numbers[i + 1],
                (model->count - i - 1) * sizeof(model->numbers[0]));
        model->count--;
        return;
    }
}

/* The same numbers in the same order, read forwards and backwards. */
static void check_list(const struct list *list, const struct model *model)
{
    const struct list *node = list->next;

    for (unsigned i = 0; i < model->count; i++, node = node->next) {
        assert_ptr_equal(node->next->previous, node);
        assert_int_equal(LIST_ENTRY(node, struct item, node)->number, model->numbers[i]);
    }
    assert_ptr_equal(node, list);
    assert_ptr_equal(list->next->previous, list);
    assert_ptr_equal(list->previous->next, list);
    assert_true(list_empty(list) == (model->count == 0));
    if (model->count == 0)
        assert_null(list_first(list));
    else
        assert_ptr_equal(list_first(list), list->next);
}

static void two_lists_and_an_array(void **unused)
{
    struct list lists[2];
    struct model models[2] = {{0}, {0}};
    struct item items[ITEMS];
    struct random random = {.state = 3};

    (void)unused;
    list_init(&lists[0]);
    list_init(&lists[1]);
    for (unsigned i = 0; i < ITEMS; i++) {
        items[i].number = i;
        list_init(&items[i].node);
    }
    for (unsigned step = 0; step < 20000; step++) {
        unsigned which = random_below(&random, 2), number = random_below(&random, ITEMS);

        if (random_below(&random, 50) == 0) {
            list_splice(&lists[which], &lists[1 - which]);
            for (unsigned i = 0; i < models[1 - which].count; i++)
                models[which].numbers[models[which].count++] = models[1 - which].numbers[i];
            models[1 - which].count = 0;
        } else {
            /* an item that is in no list is removed too: harmless */
            list_remove(&items[number].node);
            assert_true(list_empty(&items[number].node));
            model_remove(&models[0], number);
            model_remove(&models[1], number);
            if (random_below(&random, 3) != 0) {
                list_append(&lists[which], &items[number].node);
                models[which].numbers[models[which].count++] = number;
            }
        }
        check_list(&lists[0], &models[0]);
        check_list(&lists[1], &models[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_lists_and_an_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
