/* SPDX-License-Identifier: MIT
 *
 * Errands: there and back, in turns, late, cancelled, given up.
 */
#include "broker/errand.c"

#include "unit/broker/fake_shards.h"

/* An errand that takes some steps and says what became of it. */
struct task {
    struct errand errand;
    unsigned steps, id;
    bool holds, waits;
};

static struct fake_shards fake;
static struct task *waiting;
static unsigned ran[64], ran_count, released, abandoned, done_count;
static struct task *back;

static enum errand_step task_run(struct broker *broker, struct errand *errand)
{
    struct task *task = CONTAINER_OF(errand, struct task, errand);

    assert_false(broker->is_control);
    assert_int_equal(errand->shard, broker->shard);
    ran[ran_count++ % 64] = task->id;
    errand->held = task->holds;
    if (task->waits) {
        waiting = task;
        return ERRAND_WAITS;
    }
    return --task->steps > 0 ? ERRAND_AGAIN : ERRAND_DONE;
}

static void task_abandon(struct errand *errand)
{
    errand->held = false;
    abandoned++;
}

static void task_release(struct errand *errand)
{
    assert_false(errand->held);
    released++;
    mem_free(CONTAINER_OF(errand, struct task, errand));
}

static const struct errand_kind small = {"small", task_run, task_abandon, task_release, false};
static const struct errand_kind heavy = {"heavy", task_run, task_abandon, task_release, true};

static void free_back(void)
{
    if (back != NULL)
        errand_free(fake.control, &back->errand);
    back = NULL;
}

static void task_done(void *argument, struct errand *errand)
{
    (void)argument;
    done_count++;
    free_back();
    back = errand == NULL ? NULL : CONTAINER_OF(errand, struct task, errand);
}

static int reset(void **state)
{
    (void)state;
    ran_count = released = abandoned = done_count = 0;
    waiting = back = NULL;
    return 0;
}

static struct task *task_new(const struct errand_kind *kind, unsigned id, unsigned steps)
{
    struct task *task = mem_zalloc(sizeof(*task));

    task->errand.kind = kind;
    task->id = id;
    task->steps = steps;
    return task;
}

static struct errand_handle send_task(struct task *task)
{
    struct errand_handle handle;

    assert_true(errand_send(fake.control, 1, &task->errand, 1000, task_done, NULL, &handle));
    return handle;
}

static void goes_and_comes_back(void **state)
{
    struct task *task = task_new(&small, 1, 3);

    (void)state;
    fake_shards_begin(&fake);
    send_task(task);
    assert_int_equal(done_count, 0);
    fake_settle(&fake);
    assert_int_equal(ran_count, 3);
    assert_int_equal(done_count, 1);
    assert_ptr_equal(back, task);
    back = NULL;
    send_task(task); /* once more, as it is */
    task->steps = 1;
    fake_settle(&fake);
    assert_int_equal(done_count, 2);
    free_back();
    assert_int_equal(released, 1);
    assert_int_equal(fake.control->timers.count, 0);
    free_back();
    fake_shards_end(&fake);
}

/* Whatever was asked, a turn does one heavy step, or some small ones (I1); none is forgotten (I2). */
static void takes_turns(void **state)
{

    (void)state;
    fake_shards_begin(&fake);
    send_task(task_new(&heavy, 1, 2));
    send_task(task_new(&heavy, 2, 2));
    for (unsigned i = 0; i < ERRANDS_SMALL + 3; i++)
        send_task(task_new(&small, 3, 1));
    fake_turn(&fake, 1);
    assert_int_equal(ran_count, 1);
    assert_int_equal(ran[0], 1);
    fake_turn(&fake, 1);
    assert_int_equal(ran_count, 2);
    assert_int_equal(ran[1], 2);
    fake_turn(&fake, 1);
    assert_int_equal(ran_count, 2 + ERRANDS_SMALL);
    fake_turn(&fake, 1); /* the rest of the small ones, and one heavy one */
    assert_int_equal(ran_count, 2 + ERRANDS_SMALL + 4);
    assert_int_equal(ran[2 + ERRANDS_SMALL + 3], 1);
    assert_true(fake_turn(&fake, 1) == false); /* nothing is left behind it */
    assert_int_equal(ran_count, 2 + ERRANDS_SMALL + 5);
    fake_settle(&fake);
    assert_int_equal(done_count, 2 + ERRANDS_SMALL + 3);
    free_back();
    fake_shards_end(&fake);
}

static void comes_too_late(void **state)
{

    (void)state;
    fake_shards_begin(&fake);
    send_task(task_new(&small, 1, 1));
    fake_shards_pass_time(&fake, 2000);
    fake_turn(&fake, FAKE_SHARDS);
    assert_int_equal(done_count, 1);
    assert_null(back);
    fake_settle(&fake); /* nobody is told again, and it is freed */
    assert_int_equal(done_count, 1);
    assert_int_equal(released, 1);
    assert_int_equal(fake.stats[FAKE_SHARDS].values[STAT_stale_handle], 1);
    free_back();
    fake_shards_end(&fake);
}

/* What it holds on its shard is given up there (I5), and a place that is used again is not mistaken for it. */
static void cancelled_is_given_up(void **state)
{
    struct task *task = task_new(&heavy, 1, 2);
    struct errand_handle handle;

    (void)state;
    fake_shards_begin(&fake);
    task->holds = true;
    handle = send_task(task);
    errand_cancel(fake.control, handle);
    errand_cancel(fake.control, handle); /* harmless */
    task = task_new(&small, 2, 1);
    assert_int_equal(send_task(task).slot, handle.slot);
    errand_cancel(fake.control, handle); /* of another one by now */
    fake_settle(&fake);
    assert_int_equal(done_count, 1);
    assert_ptr_equal(back, task);
    assert_int_equal(abandoned, 1);
    assert_int_equal(released, 1);
    free_back();
    fake_shards_end(&fake);
}

static void waits_on_the_shard(void **state)
{
    struct task *task = task_new(&small, 1, 1);

    (void)state;
    fake_shards_begin(&fake);
    task->waits = true;
    send_task(task);
    fake_settle(&fake);
    assert_int_equal(done_count, 0);
    errand_return(fake.brokers[1], &waiting->errand);
    fake_settle(&fake);
    assert_int_equal(done_count, 1);
    free_back();
    task = task_new(&small, 2, 1); /* one that waits at the end is freed */
    task->waits = task->holds = true;
    send_task(task);
    fake_settle(&fake);
    free_back();
    fake_shards_end(&fake);
    assert_int_equal(released, 2);
    assert_int_equal(abandoned, 1);
}

static void not_more_than_there_are_places(void **state)
{
    struct task *task;

    (void)state;
    fake_shards_begin(&fake);
    for (unsigned i = 0; i < ERRANDS_MAX; i++)
        send_task(task_new(&small, i, 1));
    task = task_new(&small, 0, 1);
    assert_false(errand_send(fake.control, 0, &task->errand, 1000, task_done, NULL, NULL));
    assert_int_equal(released, 1);
    fake_settle(&fake);
    assert_int_equal(done_count, ERRANDS_MAX);
    send_task(task_new(&small, 0, 1));
    fake_settle(&fake);
    assert_int_equal(done_count, ERRANDS_MAX + 1);
    free_back();
    fake_shards_end(&fake);
}

/* In rings, in lists, on its way back: freed at the end wherever it is. */
static void ends_anywhere(void **state)
{
    struct task *task;

    (void)state;
    fake_shards_begin(&fake);
    for (unsigned i = 0; i < 3; i++) {
        task = task_new(&heavy, i, 2);
        task->holds = true;
        send_task(task);
    }
    fake_turn(&fake, 1);
    fake_turn(&fake, 1);
    fake_turn(&fake, 1);
    fake_turn(&fake, 1);
    send_task(task_new(&small, 3, 1));
    free_back();
    fake_shards_end(&fake);
    assert_int_equal(released, 4);
    assert_int_equal(abandoned, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(goes_and_comes_back, reset),
        cmocka_unit_test_setup(takes_turns, reset),
        cmocka_unit_test_setup(comes_too_late, reset),
        cmocka_unit_test_setup(cancelled_is_given_up, reset),
        cmocka_unit_test_setup(waits_on_the_shard, reset),
        cmocka_unit_test_setup(not_more_than_there_are_places, reset),
        cmocka_unit_test_setup(ends_anywhere, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
