/* SPDX-License-Identifier: MIT
 *
 * traffic_build - who publishes what to whom, laid out for the threads.
 *
 * Publisher i belongs to thread i mod threads; so does subscriber i, but for a shared group, whose
 * members share one sequence check and so one thread.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "bench/traffic.h"

#define OVERLAP_TOPICS    1000u
#define OVERLAP_FILTERS   10u
#define FILTERS_MAX       16u /* of one subscriber */
#define OVERLAP_LEVELS    3u
#define TOPICS_ONE_BY_ONE 16u
#define WINDOW_LEAST      4u
#define WINDOW_MOST       2000u
#define WINDOW_BYTES      (4u * 1024u * 1024u) /* of one publisher, unless --window says more */
#define PACKET_OVERHEAD   1024u                /* topic, identifier and properties, generously */

/* The filters of subscriber d below the run's prefix: d stands for its digit. Of the topics 0/0/0
 * to 9/9/9 they match 271, and those two times on average. */
static const char overlap_filters[OVERLAP_FILTERS][OVERLAP_LEVELS + 1] = {
    "d#", "d++", "+d+", "+d#", "++d", "dd+", "+dd", "d+d", "dd#", "ddd"};

/* Who sends to whom. boot. */
struct shape {
    bool pairs;   /* publisher i to subscriber i; otherwise each publisher to all receivers */
    bool group;   /* the subscribers share one subscription */
    bool overlap; /* 1,000 topics, ten overlapping filters for each subscriber */
    uint32_t publishers, subscribers, topics, slow;
};

static struct shape shape_of(const struct bench_options *options)
{
    bool pairs = strcmp(options->pattern, "pairs") == 0;

    return (struct shape){.pairs = pairs,
                          .group = options->shared != NULL,
                          .overlap = strcmp(options->pattern, "overlap") == 0,
                          .publishers = (uint32_t)(pairs ? options->pairs : options->publishers),
                          .subscribers = (uint32_t)(pairs ? options->pairs : options->subscribers),
                          .topics = (uint32_t)options->topics,
                          .slow = (uint32_t)options->slow_subscribers};
}

uint64_t traffic_connections(const struct bench_options *options)
{
    struct shape shape = shape_of(options);

    return (uint64_t)shape.publishers + shape.subscribers;
}

/* How many of the overlapping filters of subscriber `digit` match the topic a/b/c of number
 * `topic`. */
static uint16_t count_matches(uint32_t digit, uint32_t topic)
{
    const uint32_t levels[OVERLAP_LEVELS] = {topic / 100, topic / 10 % 10, topic % 10};
    uint16_t matches = 0;

    for (uint32_t i = 0; i < OVERLAP_FILTERS; i++) {
        const char *filter = overlap_filters[i];
        uint32_t level = 0;

        while (level < OVERLAP_LEVELS && filter[level] != '#' &&
               (filter[level] == '+' || levels[level] == digit)) {
            level++;
        }
        matches = (uint16_t)(matches + (level == OVERLAP_LEVELS || filter[level] == '#'));
    }
    return matches;
}

/* Formats a text that lives as long as the traffic. */
static const char *keep_text(struct traffic *traffic, const char *text)
{
    return traffic->texts[traffic->text_count++] = mem_strdup(text);
}

static const char *overlap_filter(struct traffic *traffic, const char *base, uint32_t digit,
                                  const char *filter)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "%s", base);

    for (; *filter != '\0' && len + 4 < (int)sizeof(text); filter++) {
        text[len++] = '/';
        text[len++] = *filter == 'd' ? (char)('0' + digit) : *filter;
    }
    text[len] = '\0';
    return keep_text(traffic, text);
}

static void format_topic(char *to, size_t room, const struct shape *shape, const char *base,
                         uint32_t flow)
{
    if (shape->overlap) {
        snprintf(to, room, "%s/%u/%u/%u", base, flow / 100, flow / 10 % 10, flow % 10);
    } else if (shape->pairs || shape->topics > 1) {
        snprintf(to, room, "%s/%u", base, shape->pairs ? flow : flow % shape->topics);
    } else {
        snprintf(to, room, "%s", base);
    }
}

static bool build_flows(struct traffic *traffic, const struct shape *shape, const char *base,
                        char *error, size_t error_size)
{
    const struct bench_options *options = traffic->load->options;

    for (uint32_t i = 0; i < traffic->flow_count; i++) {
        char topic[512];

        format_topic(topic, sizeof(topic), shape, base, i);
        if (!template_init(&traffic->flows[i].template,
                           &(struct template_fields){.topic = topic,
                                                     .version = (unsigned)options->version,
                                                     .qos = (unsigned)options->qos,
                                                     .payload_len = (uint32_t)options->size,
                                                     .mark = traffic->mark,
                                                     .flow = i})) {
            snprintf(error, error_size, "the messages would be larger than MQTT allows");
            return false;
        }
    }
    return true;
}

/* Subscriptions that do not overlap: to one topic, to each of a few, or to all of many. Returns how
 * many. */
static uint16_t add_filters(struct traffic *traffic, const struct shape *shape, const char *base,
                            uint32_t subscriber)
{
    const char *group = traffic->load->options->shared;
    uint32_t count = shape->pairs || shape->topics > TOPICS_ONE_BY_ONE ? 1 : shape->topics;
    char text[800], topic[512];

    for (uint32_t i = 0; i < count; i++) {
        if (!shape->pairs && shape->topics > TOPICS_ONE_BY_ONE) {
            snprintf(topic, sizeof(topic), "%.480s/#", base);
        } else {
            format_topic(topic, sizeof(topic), shape, base, shape->pairs ? subscriber : i);
        }
        snprintf(text, sizeof(text), "%s%.200s%s%s", group != NULL ? "$share/" : "",
                 group != NULL ? group : "", group != NULL ? "/" : "", topic);
        keep_text(traffic, text);
    }
    return (uint16_t)count;
}

/* Subscriptions of one subscriber. */
static void set_filters(struct traffic *traffic, const struct shape *shape, const char *base,
                        uint32_t subscriber, struct actor *actor)
{
    char **first = &traffic->texts[traffic->text_count];

    actor->filter_count = 1;
    if (shape->overlap) {
        for (uint32_t i = 0; i < OVERLAP_FILTERS; i++) {
            overlap_filter(traffic, base, subscriber % 10, overlap_filters[i]);
        }
        actor->filter_count = OVERLAP_FILTERS;
    } else {
        actor->filter_count = add_filters(traffic, shape, base, subscriber);
    }
    actor->filters = (const char *const *)first;
}

/* Links, checks and the links that each flow feeds. */
static void build_links(struct traffic *traffic, const struct shape *shape)
{
    uint32_t target = 0, check = 0;
    uint32_t per_publisher = traffic->flow_count / traffic->publisher_count;

    for (uint32_t i = 0; i < traffic->receiver_count; i++) {
        struct receiver *receiver = &traffic->receivers[i];

        receiver->traffic = traffic;
        receiver->any_order = shape->group;
        receiver->flow_first = shape->pairs ? i : 0;
        receiver->flow_count = shape->pairs ? 1 : traffic->flow_count;
        receiver->checks = &traffic->checks[check];
        check += receiver->flow_count;
    }
    for (uint32_t i = 0; i < traffic->flow_count; i++) {
        struct flow *flow = &traffic->flows[i];
        uint32_t publisher = i / per_publisher;

        flow->first_target = target;
        for (uint32_t j = 0; j < traffic->receiver_count; j++) {
            struct receiver *receiver = &traffic->receivers[j];
            uint32_t matches = shape->overlap ? count_matches(j % 10, i) : 1;
            struct link *link = shape->pairs
                                    ? &traffic->links[i]
                                    : &traffic->links[publisher * traffic->receiver_count + j];

            if (i - receiver->flow_first >= receiver->flow_count || matches == 0) {
                continue;
            }
            receiver->checks[i - receiver->flow_first].copies_max = (uint16_t)matches;
            receiver->checks[i - receiver->flow_first].link = link;
            traffic->targets[target++] = link;
            link->slow = j < shape->slow;
        }
        flow->target_count = target - flow->first_target;
    }
}

/* Hands the next unused client of a worker out. */
static struct actor *take_client(struct worker *worker, uint32_t number)
{
    struct actor *actor = &worker->actors[worker->opened++];

    actor->number = number;
    return actor;
}

static void build_clients(struct traffic *traffic, const struct shape *shape, const char *base)
{
    uint32_t links = traffic->link_count / traffic->publisher_count;
    uint32_t flows = traffic->flow_count / traffic->publisher_count;

    for (uint32_t i = 0; i < traffic->subscriber_count; i++) {
        uint32_t at = shape->group ? 0 : i % traffic->worker_count;
        struct actor *actor = take_client(&traffic->workers[at], i);

        actor->events = &receiver_events;
        actor->owner = &traffic->receivers[shape->group ? 0 : i];
        if (i < shape->slow) {
            traffic->receivers[i].slow = actor;
        }
        set_filters(traffic, shape, base, i, actor);
    }
    for (uint32_t i = 0; i < traffic->publisher_count; i++) {
        struct publisher *publisher = &traffic->publishers[i];
        struct actor *actor = take_client(&traffic->workers[i % traffic->worker_count],
                                          traffic->subscriber_count + i);

        actor->events = &publisher_events;
        actor->owner = publisher;
        *publisher = (struct publisher){.actor = actor,
                                        .traffic = traffic,
                                        .flows = &traffic->flows[i * flows],
                                        .links = &traffic->links[i * links],
                                        .flow_count = flows,
                                        .link_count = links};
    }
    for (uint32_t i = 0; i < traffic->worker_count; i++) {
        traffic->workers[i].opened = 0; /* taken here, opened by the loop */
    }
}

static void build_workers(struct traffic *traffic, const struct shape *shape)
{
    uint32_t workers = traffic->worker_count;
    uint32_t packet_size = (uint32_t)traffic->load->options->size + PACKET_OVERHEAD;

    traffic->workers = mem_zalloc_aligned(workers * sizeof(struct worker));
    for (uint32_t i = 0; i < workers; i++) {
        uint32_t publishers = (traffic->publisher_count + workers - 1 - i) / workers;
        uint32_t subscribers = (traffic->subscriber_count + workers - 1 - i) / workers;

        if (shape->group) {
            subscribers = i == 0 ? traffic->subscriber_count : 0;
        }
        worker_init(&traffic->workers[i], traffic->load, i, publishers + subscribers, packet_size);
        traffic->workers[i].owner = traffic;
        traffic->workers[i].on_turn = traffic_turn;
        traffic->workers[i].tally.unfinished = publishers;
    }
}

static void choose_window(struct traffic *traffic)
{
    const struct bench_options *options = traffic->load->options;
    uint64_t window = options->window_budget / traffic->publisher_count;
    uint64_t rate = options->rate;

    window = window > WINDOW_BYTES / options->size ? WINDOW_BYTES / options->size : window;
    window = window < WINDOW_LEAST ? WINDOW_LEAST : window > WINDOW_MOST ? WINDOW_MOST : window;
    traffic->window = options->unbounded || rate > 0 ? UINT64_MAX
                      : options->window > 0          ? options->window
                                                     : window;
    if (rate > 0) {
        traffic->pace_gap_ns = traffic->publisher_count * NANOSECONDS / rate;
    }
}

bool traffic_build(struct traffic *traffic, struct load *load, char *error, size_t error_size)
{
    const struct bench_options *options = load->options;
    struct shape shape = shape_of(options);
    char base[512];

    traffic->load = load;
    traffic->mark = PAYLOAD_MARK ^ load->mark;
    traffic->worker_count = (uint32_t)options->threads;
    traffic->publisher_count = shape.publishers;
    traffic->subscriber_count = shape.subscribers;
    traffic->receiver_count = shape.group ? 1 : traffic->subscriber_count;
    traffic->slow_count = shape.slow;
    traffic->flow_count = traffic->publisher_count;
    if (shape.overlap && traffic->publisher_count > OVERLAP_TOPICS) {
        snprintf(error, error_size, "--publishers: at most %u, one for each topic", OVERLAP_TOPICS);
        return false;
    }
    if (shape.overlap) {
        traffic->flow_count *= OVERLAP_TOPICS / traffic->publisher_count;
    }
    traffic->link_count = traffic->publisher_count * (shape.pairs ? 1 : traffic->receiver_count);
    snprintf(base, sizeof(base), "%.400s/%08x", options->prefix, load->mark);

    size_t targets = (size_t)traffic->flow_count * (shape.pairs ? 1 : traffic->receiver_count);
    traffic->publishers = mem_zalloc(traffic->publisher_count * sizeof(struct publisher));
    traffic->receivers = mem_zalloc(traffic->receiver_count * sizeof(struct receiver));
    traffic->flows = mem_zalloc(traffic->flow_count * sizeof(struct flow));
    traffic->links = mem_zalloc_aligned(traffic->link_count * sizeof(struct link));
    traffic->checks = mem_zalloc(targets * sizeof(struct check));
    traffic->targets = mem_zalloc(targets * sizeof(struct link *));
    traffic->texts = mem_zalloc((size_t)traffic->subscriber_count * FILTERS_MAX * sizeof(char *));
    choose_window(traffic);
    build_workers(traffic, &shape);
    build_links(traffic, &shape);
    build_clients(traffic, &shape, base);
    return build_flows(traffic, &shape, base, error, error_size);
}

void traffic_fini(struct traffic *traffic)
{
    for (uint32_t i = 0; traffic->workers != NULL && i < traffic->worker_count; i++) {
        worker_fini(&traffic->workers[i]);
    }
    for (uint32_t i = 0; traffic->flows != NULL && i < traffic->flow_count; i++) {
        template_fini(&traffic->flows[i].template);
    }
    for (uint32_t i = 0; i < traffic->receiver_count && traffic->checks != NULL; i++) {
        for (uint32_t j = 0; j < traffic->receivers[i].flow_count; j++) {
            sequence_fini(&traffic->receivers[i].checks[j].sequence);
        }
    }
    for (uint32_t i = 0; i < traffic->text_count; i++) {
        mem_free(traffic->texts[i]);
    }
    mem_free(traffic->texts);
    mem_free(traffic->targets);
    mem_free(traffic->checks);
    mem_free(traffic->links);
    mem_free(traffic->flows);
    mem_free(traffic->receivers);
    mem_free(traffic->publishers);
    mem_free(traffic->workers);
}
