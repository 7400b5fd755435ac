/* SPDX-License-Identifier: MIT
 *
 * traffic_build - who publishes what to whom, laid out for the threads.
 *
 * Publisher i belongs to thread i mod threads; so does subscriber i, but for a shared group, whose
 * members share one sequence check and so one thread.
 */
#include <stdio.h>

#include "base/mem.h"
#include "bench/traffic.h"

#define OVERLAP_TOPICS  1000u
#define OVERLAP_FILTERS 10u
#define OVERLAP_LEVELS  3u
#define WINDOW_LEAST    4u
#define WINDOW_MOST     2000u
#define WINDOW_BYTES    (4u * 1024u * 1024u) /* of one publisher, unless --window says more */
#define PACKET_OVERHEAD 1024u                /* topic, identifier and properties, generously */

/* The filters of subscriber d below the run's prefix: d stands for its digit. Of the topics 0/0/0
 * to 9/9/9 they match 271, and those two times on average. */
static const char overlap_filters[OVERLAP_FILTERS][OVERLAP_LEVELS + 1] = {
    "d#", "d++", "+d+", "+d#", "++d", "dd+", "+dd", "d+d", "dd#", "ddd"};

static uint32_t choose(uint64_t option, uint32_t preset)
{
    return option > 0 ? (uint32_t)option : preset;
}

static uint32_t count_publishers(const struct scenario *scenario,
                                 const struct bench_options *options)
{
    return choose(scenario->pairs ? options->pairs : options->publishers, scenario->publishers);
}

static uint32_t count_subscribers(const struct scenario *scenario,
                                  const struct bench_options *options)
{
    return choose(scenario->pairs ? options->pairs : options->subscribers, scenario->subscribers);
}

uint64_t traffic_connections(const struct scenario *scenario, const struct bench_options *options)
{
    return (uint64_t)count_publishers(scenario, options) + count_subscribers(scenario, options);
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

static void format_topic(char *to, size_t room, const struct scenario *scenario, const char *base,
                         uint32_t flow)
{
    if (scenario->overlap) {
        snprintf(to, room, "%s/%u/%u/%u", base, flow / 100, flow / 10 % 10, flow % 10);
    } else if (scenario->pairs) {
        snprintf(to, room, "%s/%u", base, flow);
    } else {
        snprintf(to, room, "%s", base);
    }
}

static bool build_flows(struct traffic *traffic, const struct scenario *scenario, const char *base,
                        char *error, size_t error_size)
{
    const struct bench_options *options = traffic->load->options;

    for (uint32_t i = 0; i < traffic->flow_count; i++) {
        char topic[512];

        format_topic(topic, sizeof(topic), scenario, base, i);
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

/* Subscriptions of one subscriber. */
static void set_filters(struct traffic *traffic, const struct scenario *scenario, const char *base,
                        uint32_t subscriber, struct client *client)
{
    char **first = &traffic->texts[traffic->text_count];
    char text[600];

    client->filter_count = 1;
    if (scenario->overlap) {
        for (uint32_t i = 0; i < OVERLAP_FILTERS; i++) {
            overlap_filter(traffic, base, subscriber % 10, overlap_filters[i]);
        }
        client->filter_count = OVERLAP_FILTERS;
    } else if (scenario->group) {
        snprintf(text, sizeof(text), "$share/bench/%s", base);
        keep_text(traffic, text);
    } else {
        format_topic(text, sizeof(text), scenario, base, subscriber);
        keep_text(traffic, text);
    }
    client->filters = (const char *const *)first;
}

/* Links, checks and the links that each flow feeds. */
static void build_links(struct traffic *traffic, const struct scenario *scenario)
{
    uint32_t target = 0, check = 0;
    uint32_t per_publisher = traffic->flow_count / traffic->publisher_count;

    for (uint32_t i = 0; i < traffic->receiver_count; i++) {
        struct receiver *receiver = &traffic->receivers[i];

        receiver->traffic = traffic;
        receiver->any_order = scenario->group;
        receiver->flow_first = scenario->pairs ? i : 0;
        receiver->flow_count = scenario->pairs ? 1 : traffic->flow_count;
        receiver->checks = &traffic->checks[check];
        check += receiver->flow_count;
    }
    for (uint32_t i = 0; i < traffic->flow_count; i++) {
        struct flow *flow = &traffic->flows[i];
        uint32_t publisher = i / per_publisher;

        flow->first_target = target;
        for (uint32_t j = 0; j < traffic->receiver_count; j++) {
            struct receiver *receiver = &traffic->receivers[j];
            uint32_t matches = scenario->overlap ? count_matches(j % 10, i) : 1;
            struct link *link = scenario->pairs
                                    ? &traffic->links[i]
                                    : &traffic->links[publisher * traffic->receiver_count + j];

            if (i - receiver->flow_first >= receiver->flow_count || matches == 0) {
                continue;
            }
            receiver->checks[i - receiver->flow_first].copies_max = (uint16_t)matches;
            receiver->checks[i - receiver->flow_first].link = link;
            traffic->targets[target++] = link;
        }
        flow->target_count = target - flow->first_target;
    }
}

/* Hands the next unused client of a worker out. */
static struct client *take_client(struct worker *worker, uint32_t number)
{
    struct client *client = &worker->clients[worker->opened++];

    client->number = number;
    return client;
}

static void build_clients(struct traffic *traffic, const struct scenario *scenario,
                          const char *base)
{
    uint32_t links = traffic->link_count / traffic->publisher_count;
    uint32_t flows = traffic->flow_count / traffic->publisher_count;

    for (uint32_t i = 0; i < traffic->subscriber_count; i++) {
        uint32_t at = scenario->group ? 0 : i % traffic->worker_count;
        struct client *client = take_client(&traffic->workers[at], i);

        client->events = &receiver_events;
        client->owner = &traffic->receivers[scenario->group ? 0 : i];
        set_filters(traffic, scenario, base, i, client);
    }
    for (uint32_t i = 0; i < traffic->publisher_count; i++) {
        struct publisher *publisher = &traffic->publishers[i];
        struct client *client = take_client(&traffic->workers[i % traffic->worker_count],
                                            traffic->subscriber_count + i);

        client->events = &publisher_events;
        client->owner = publisher;
        *publisher = (struct publisher){.client = client,
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

static void build_workers(struct traffic *traffic, const struct scenario *scenario)
{
    uint32_t workers = traffic->worker_count;
    uint32_t packet_size = (uint32_t)traffic->load->options->size + PACKET_OVERHEAD;

    traffic->workers = mem_zalloc_aligned(workers * sizeof(struct worker));
    for (uint32_t i = 0; i < workers; i++) {
        uint32_t publishers = (traffic->publisher_count + workers - 1 - i) / workers;
        uint32_t subscribers = (traffic->subscriber_count + workers - 1 - i) / workers;

        if (scenario->group) {
            subscribers = i == 0 ? traffic->subscriber_count : 0;
        }
        worker_init(&traffic->workers[i], traffic->load, i, publishers + subscribers, packet_size);
        traffic->workers[i].owner = traffic;
        traffic->workers[i].on_turn = traffic_turn;
        traffic->workers[i].tally.unfinished = publishers;
    }
}

static void choose_window(struct traffic *traffic, const struct scenario *scenario)
{
    const struct bench_options *options = traffic->load->options;
    uint64_t window = scenario->window_budget / traffic->publisher_count;
    uint64_t rate = options->rate > 0 ? options->rate : scenario->rate;

    window = window > WINDOW_BYTES / options->size ? WINDOW_BYTES / options->size : window;
    window = window < WINDOW_LEAST ? WINDOW_LEAST : window > WINDOW_MOST ? WINDOW_MOST : window;
    traffic->window = options->unbounded || rate > 0 ? UINT64_MAX
                      : options->window > 0          ? options->window
                                                     : window;
    if (rate > 0) {
        traffic->pace_gap_ns = traffic->publisher_count * NANOSECONDS / rate;
    }
}

bool traffic_build(struct traffic *traffic, struct load *load, const struct scenario *scenario,
                   char *error, size_t error_size)
{
    const struct bench_options *options = load->options;
    char base[512];

    traffic->load = load;
    traffic->mark = PAYLOAD_MARK ^ load->mark;
    traffic->worker_count = (uint32_t)options->threads;
    traffic->publisher_count = count_publishers(scenario, options);
    traffic->subscriber_count = count_subscribers(scenario, options);
    traffic->receiver_count = scenario->group ? 1 : traffic->subscriber_count;
    traffic->flow_count = traffic->publisher_count;
    if (scenario->overlap && traffic->publisher_count > OVERLAP_TOPICS) {
        snprintf(error, error_size, "--publishers: at most %u, one for each topic", OVERLAP_TOPICS);
        return false;
    }
    if (scenario->overlap) {
        traffic->flow_count *= OVERLAP_TOPICS / traffic->publisher_count;
    }
    traffic->link_count =
        traffic->publisher_count * (scenario->pairs ? 1 : traffic->receiver_count);
    snprintf(base, sizeof(base), "%.400s/%08x", options->prefix, load->mark);

    size_t targets = (size_t)traffic->flow_count * (scenario->pairs ? 1 : traffic->receiver_count);
    traffic->publishers = mem_zalloc(traffic->publisher_count * sizeof(struct publisher));
    traffic->receivers = mem_zalloc(traffic->receiver_count * sizeof(struct receiver));
    traffic->flows = mem_zalloc(traffic->flow_count * sizeof(struct flow));
    traffic->links = mem_zalloc_aligned(traffic->link_count * sizeof(struct link));
    traffic->checks = mem_zalloc(targets * sizeof(struct check));
    traffic->targets = mem_zalloc(targets * sizeof(struct link *));
    traffic->texts = mem_zalloc(traffic->subscriber_count * OVERLAP_FILTERS * sizeof(char *));
    choose_window(traffic, scenario);
    build_workers(traffic, scenario);
    build_links(traffic, scenario);
    build_clients(traffic, scenario, base);
    return build_flows(traffic, scenario, base, error, error_size);
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
