/* SPDX-License-Identifier: MIT */
#include "bench/run_topics.h"

#include <stdio.h>

#include "base/mem.h"

void run_topics_init(struct run_topics *topics, struct worker *worker,
                     const struct actor_events *events, void *owner)
{
    const struct load *load = worker->load;
    uint32_t count = worker->actor_count;

    topics->filters = mem_alloc(count * sizeof(*topics->filters));
    topics->pointers = mem_alloc(count * sizeof(*topics->pointers));
    for (uint32_t i = 0; i < count; i++) {
        struct actor *actor = &worker->actors[i];

        snprintf(topics->filters[i], RUN_TOPIC_SIZE, "%.60s/%08x/%u", load->options->prefix,
                 load->mark, i);
        topics->pointers[i] = topics->filters[i];
        actor->number = i;
        actor->owner = owner;
        actor->events = events;
        actor->filters = &topics->pointers[i];
        actor->filter_count = load->options->subscribe;
    }
}

void run_topics_fini(struct run_topics *topics)
{
    mem_free(topics->filters);
    mem_free(topics->pointers);
    *topics = (struct run_topics){0};
}
