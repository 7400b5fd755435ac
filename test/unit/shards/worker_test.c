/* SPDX-License-Identifier: MIT
 *
 * The inbox and the workers with real threads: nothing is lost, nothing comes twice, a sleeper is woken, a full queue says
 * no, and what was not begun at the end comes back as that. Run under ThreadSanitizer too.
 */
#include "shards/worker.h"

#include "base/mem.h"
#include "shards/mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A shard as far as its inbox sees it: a loop that sleeps on the descriptor. */
struct fake_shard {
    struct inbox inbox;
    _Atomic uint32_t rest;
    int event_fd;
    unsigned sleeps;
};

static void begin(struct fake_shard *shard)
{
    memset(shard, 0, sizeof(*shard));
    shard->event_fd = eventfd(0, EFD_CLOEXEC);
    assert_true(shard->event_fd >= 0);
    atomic_init(&shard->rest, MESH_AWAKE);
    inbox_open(&shard->inbox, &shard->rest, shard->event_fd);
}

static void end(struct fake_shard *shard)
{
    assert_false(inbox_ready(&shard->inbox));
    close(shard->event_fd);
}

/* A turn: runs what is there, or sleeps as mesh_announce_sleep() does it. */
static uint32_t turn(struct fake_shard *shard, struct broker *broker)
{
    uint64_t value;

    if (inbox_ready(&shard->inbox))
        return inbox_run(&shard->inbox, broker);
    atomic_store_explicit(&shard->rest, MESH_ASLEEP, memory_order_relaxed);
    __sync_synchronize();
    if (!inbox_ready(&shard->inbox)) {
        shard->sleeps++;
        assert_int_equal(read(shard->event_fd, &value, sizeof(value)), sizeof(value));
    }
    atomic_store_explicit(&shard->rest, MESH_AWAKE, memory_order_relaxed);
    return 0;
}

/* ---- the inbox ---- */

#define POSTERS 4
#define POSTS   20000

struct post {
    struct inbox_item item;
    unsigned poster, number;
};

struct poster {
    struct fake_shard *shard;
    unsigned index;
};

static unsigned next_number[POSTERS];

static void note_post(struct broker *broker, struct inbox_item *item)
{
    struct post *post = CONTAINER_OF(item, struct post, item);

    assert_null(broker);
    assert_int_equal(post->number, next_number[post->poster]); /* in order, once */
    next_number[post->poster]++;
    mem_free(post);
}

static void *post_all(void *argument)
{
    struct poster *poster = argument;

    for (unsigned i = 0; i < POSTS; i++) {
        struct post *post = mem_zalloc(sizeof(*post));

        *post = (struct post){.item.run = note_post, .poster = poster->index, .number = i};
        inbox_post(&poster->shard->inbox, &post->item);
        if (i % 64 == 0)
            sched_yield(); /* lets it sleep now and then */
    }
    return NULL;
}

static void every_item_is_run_once_and_a_sleeper_is_woken(void **state)
{
    struct fake_shard shard;
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    uint32_t total = 0;

    (void)state;
    begin(&shard);
    memset(next_number, 0, sizeof(next_number));
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){&shard, i};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    while (total < POSTERS * POSTS)
        total += turn(&shard, NULL); /* a lost wake leaves it asleep: the test runs out of time */
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    end(&shard);
}

static void nobody_is_woken_who_is_awake(void **state)
{
    struct fake_shard shard;
    struct post *post = mem_zalloc(sizeof(*post));
    uint64_t value = 0;

    (void)state;
    begin(&shard);
    memset(next_number, 0, sizeof(next_number));
    post->item.run = note_post;
    inbox_post(&shard.inbox, &post->item);
    assert_int_equal(write(shard.event_fd, &(uint64_t){1}, sizeof(value)), sizeof(value));
    assert_int_equal(read(shard.event_fd, &value, sizeof(value)), sizeof(value));
    assert_int_equal(value, 1); /* ours alone */
    assert_int_equal(inbox_run(&shard.inbox, NULL), 1);
    end(&shard);
}

/* ---- the workers ---- */

struct sum {
    struct work work;
    uint64_t from, result;
    struct fake_shard *shard;
    bool *was_abandoned;
};

static unsigned sums_done;
static uint64_t sums_total;

static void add_up(struct work *work)
{
    struct sum *sum = CONTAINER_OF(work, struct sum, work);

    for (uint64_t i = 0; i < 100; i++)
        sum->result += sum->from + i;
}

static void note_sum(struct broker *broker, struct work *work)
{
    struct sum *sum = CONTAINER_OF(work, struct sum, work);

    assert_null(broker);
    assert_false(work->abandoned);
    sums_total += sum->result;
    sums_done++;
    mem_free(sum);
}

static struct sum *sum_of(uint64_t from)
{
    struct sum *sum = mem_zalloc(sizeof(*sum));

    *sum = (struct sum){.work.blocking = add_up, .work.done = note_sum, .from = from};
    return sum;
}

static struct worker_pool *start_pool(unsigned threads, uint32_t room)
{
    char why[256];
    struct worker_pool *pool = worker_pool_start(threads, room, why, sizeof(why));

    assert_non_null(pool);
    return pool;
}

static void what_is_submitted_comes_back_once(void **state)
{
    struct worker_pool *pool = start_pool(4, 16);
    struct fake_shard shard;
    uint64_t expected = 0;
    unsigned refused = 0;

    (void)state;
    begin(&shard);
    sums_done = 0;
    sums_total = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        struct sum *sum = sum_of(i);

        while (!worker_submit(pool, &shard.inbox, &sum->work)) { /* full: some come back first */
            refused++;
            turn(&shard, NULL);
        }
        expected += 100 * i + 4950;
    }
    while (sums_done < 20000)
        turn(&shard, NULL);
    assert_true(sums_total == expected);
    worker_pool_stop(pool);
    end(&shard);
    (void)refused;
}

struct submitter {
    struct worker_pool *pool;
    struct fake_shard shard;
    unsigned done;
};

static void count_own(struct broker *broker, struct work *work)
{
    /* the "broker" of these shards is who submitted: it must come back to the same one */
    struct submitter *submitter = (struct submitter *)(void *)broker;
    struct sum *sum = CONTAINER_OF(work, struct sum, work);

    assert_ptr_equal(sum->shard, &submitter->shard);
    submitter->done++;
    mem_free(sum);
}

static void *submit_all(void *argument)
{
    struct submitter *submitter = argument;
    struct broker *broker = (struct broker *)(void *)submitter;

    for (unsigned i = 0; i < 5000; i++) {
        struct sum *sum = sum_of(i);

        sum->work.done = count_own;
        sum->shard = &submitter->shard;
        while (!worker_submit(submitter->pool, &submitter->shard.inbox, &sum->work)) {
            if (submitter->done < i)
                turn(&submitter->shard, broker);
            else
                sched_yield(); /* full of what others submitted */
        }
    }
    while (submitter->done < 5000)
        turn(&submitter->shard, broker);
    return NULL;
}

static void many_shards_share_the_workers(void **state)
{
    struct worker_pool *pool = start_pool(3, 8);
    struct submitter submitters[3] = {0};
    pthread_t threads[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        submitters[i].pool = pool;
        begin(&submitters[i].shard);
        assert_int_equal(pthread_create(&threads[i], NULL, submit_all, &submitters[i]), 0);
    }
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    worker_pool_stop(pool);
    for (unsigned i = 0; i < 3; i++)
        end(&submitters[i].shard);
}

static sem_t gate, at_gate;

static void wait_at_gate(struct work *work)
{
    (void)work;
    sem_post(&at_gate);
    while (sem_wait(&gate) != 0) {
    }
}

static void note_abandoned(struct broker *broker, struct work *work)
{
    struct sum *sum = CONTAINER_OF(work, struct sum, work);

    (void)broker;
    *sum->was_abandoned = work->abandoned;
    sums_done++;
    mem_free(sum);
}

/* One thread, which is stopped in a call; the queue holds two; the next is refused. At the end the call that is under way
 * is waited for, and the two come back untouched. */
static void a_full_queue_refuses_and_the_end_abandons(void **state)
{
    struct worker_pool *pool = start_pool(1, 2);
    struct fake_shard shard;
    bool abandoned[4] = {false};
    struct sum *last = NULL;

    (void)state;
    begin(&shard);
    sums_done = 0;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    assert_int_equal(sem_init(&at_gate, 0, 0), 0);
    for (unsigned i = 0; i < 4; i++) {
        struct sum *sum = sum_of(i);

        sum->work.blocking = i == 0 ? wait_at_gate : add_up;
        sum->work.done = note_abandoned;
        sum->was_abandoned = &abandoned[i];
        if (i == 3) {
            last = sum;
            break;
        }
        assert_true(worker_submit(pool, &shard.inbox, &sum->work));
        if (i == 0)
            while (sem_wait(&at_gate) != 0) { /* the thread has it */
            }
    }
    assert_false(worker_submit(pool, &shard.inbox, &last->work)); /* still ours */
    mem_free(last);
    sem_post(&gate);
    worker_pool_stop(pool);
    while (sums_done < 3)
        turn(&shard, NULL);
    assert_false(abandoned[0]);
    end(&shard);
    sem_destroy(&gate);
    sem_destroy(&at_gate);
}

static void a_pool_without_threads_only_abandons(void **state)
{
    struct worker_pool *pool = start_pool(0, 2);
    struct fake_shard shard;
    bool abandoned = false;
    struct sum *sum = sum_of(1);

    (void)state;
    begin(&shard);
    sums_done = 0;
    sum->work.done = note_abandoned;
    sum->was_abandoned = &abandoned;
    assert_true(worker_submit(pool, &shard.inbox, &sum->work));
    worker_pool_stop(pool);
    assert_int_equal(inbox_run(&shard.inbox, NULL), 1);
    assert_true(abandoned);
    end(&shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_run_once_and_a_sleeper_is_woken),
        cmocka_unit_test(nobody_is_woken_who_is_awake),
        cmocka_unit_test(what_is_submitted_comes_back_once),
        cmocka_unit_test(many_shards_share_the_workers),
        cmocka_unit_test(a_full_queue_refuses_and_the_end_abandons),
        cmocka_unit_test(a_pool_without_threads_only_abandons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
