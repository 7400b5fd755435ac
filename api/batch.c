/* SPDX-License-Identifier: MIT */
#include "api/batch.h"

#include "api/api_priv.h"

#define BATCH_WAIT_MS 5000u

/* An errand under way. */
struct batch_slot {
    struct batch *batch;
    unsigned unit; /* which it is */
    bool used;
};

/* Owner: shard (the control shard). */
struct batch {
    struct api *api;
    struct api_handle handle;
    struct batch_unit *units;
    unsigned count, next, under_way;
    batch_back *back;
    batch_over *over;
    void *argument;
    struct batch_slot slots[BATCH_AT_ONCE];
};

static void finish(struct batch *batch)
{
    batch->over(batch->argument, api_resume(batch->api, batch->handle));
    mem_free(batch->units);
    mem_free(batch);
}

static struct batch_slot *free_slot(struct batch *batch)
{
    struct batch_slot *slot = batch->slots;

    while (slot->used)
        slot++;
    return slot;
}

static void go_on(struct batch *batch);

static void came_back(void *argument, struct errand *errand)
{
    struct batch_slot *slot = argument;
    struct batch *batch = slot->batch;

    slot->used = false;
    batch->under_way--;
    batch->back(batch->argument, slot->unit, errand);
    errand_free(api_shard(batch->api)->broker, errand);
    go_on(batch);
}

static void send_one(struct batch *batch)
{
    struct batch_unit *unit = &batch->units[batch->next];
    struct batch_slot *slot = free_slot(batch);
    struct errand *errand = unit->errand;

    unit->errand = NULL;
    if (errand != NULL) {
        *slot = (struct batch_slot){batch, batch->next, true};
        if (errand_send(api_shard(batch->api)->broker, unit->shard, errand, BATCH_WAIT_MS,
                        came_back, slot, NULL)) {
            batch->under_way++;
        } else {
            slot->used = false;
            batch->back(batch->argument, batch->next, NULL);
        }
    }
    batch->next++;
}

static void go_on(struct batch *batch)
{
    while (batch->next < batch->count && batch->under_way < BATCH_AT_ONCE)
        send_one(batch);
    if (batch->next == batch->count && batch->under_way == 0)
        finish(batch);
}

void batch_run(struct api_request *request, struct batch_unit *units, unsigned count,
               batch_back *back, batch_over *over, void *argument)
{
    struct api *api = api_of(request);
    struct batch *batch = mem_try_zalloc(sizeof(*batch));

    if (batch == NULL) {
        for (unsigned i = 0; i < count; i++)
            errand_free(api_shard(api)->broker, units[i].errand);
        mem_free(units);
        over(argument, NULL);
        api_reply_error(request, 500, API_UNKNOWN, "no memory");
        return;
    }
    batch->api = api;
    batch->handle = api_defer(request);
    batch->units = units;
    batch->count = count;
    batch->back = back;
    batch->over = over;
    batch->argument = argument;
    go_on(batch);
}
