/* SPDX-License-Identifier: MIT
 *
 * oracle - what was published, and what follows for whoever receives.
 *
 * Every publication is a record with a number that grows in time; its payload names the number, so
 * a delivery says which publication it is. The properties:
 *
 *   P1  a delivery is what was published: topic, payload, QoS not above what was published
 *   P2  order: for one receiver, first deliveries of one publisher, topic, published and delivered
 *       QoS come with growing numbers; on one connection also repeated ones. What the publisher
 *       itself sent more than once may come again at any time
 *   P3  QoS 2 arrives once, by session and by share group
 *   P4  QoS 0 arrives at most once
 *   P5  what was published after a SUBACK and acknowledged arrives at a session that stays subscribed
 *   P6  an older retained message does not follow a newer live one, and is not older than what was
 *       acknowledged before SUBSCRIBE
 *   P7  at the end a new subscriber gets the last retained message of each topic and no other
 *   P8  a share group gives each message to one member
 *   P9  a will that DISCONNECT removed is not published
 *   P10 a client gets nothing of its own through subscriptions that are all No Local
 */
#include "base/endian.h"
#include "sim.h"

#define PAYLOAD_MAGIC     0x51d0c0deu
#define PUBLICATIONS_KEPT 64 /* for the end of the run */
#define PAYLOAD_HEAD      16u
#define SEEN_MAX          100
#define SEEN_SOMEHOW      0x80 /* as retained or live, nobody can tell */

const char *const topic_names[TOPICS] = {"t/0/0", "t/0/1", "t/0/2", "t/1/0", "t/1/1",
                                         "t/1/2", "t/2/0", "t/2/1", "t/2/2"};
const char *const group_filters[GROUPS] = {"t/#", "t/0/+", "t/1/1"};

struct span topic_span(unsigned topic, char *buffer)
{
    if (topic < TOPICS)
        return span_text(topic_names[topic]);
    return span_of(buffer, (size_t)sprintf(buffer, "w/%u", topic - TOPICS));
}

unsigned retained_publisher(const struct sim *sim, unsigned topic)
{
    return topic % sim->set.clients;
}

/* The number of the new record, UINT32_MAX when there is no more room (the run then goes on without
 * new publications). Number 0 is not used: it stands for "none". */
uint32_t oracle_new_record(struct sim *sim, const struct record *record)
{
    if (sim->record_count == 0)
        sim->record_count = 1;
    if (sim->record_count >= PUBLICATIONS_MAX - (sim->calm ? 0 : PUBLICATIONS_KEPT))
        return UINT32_MAX;
    sim->records[sim->record_count] = *record;
    return sim->record_count++;
}

static uint8_t filler(uint32_t record, uint32_t at)
{
    return (uint8_t)(record * 31 + at * 7);
}

void oracle_write_payload(const struct sim *sim, uint32_t record, uint8_t *to)
{
    uint32_t len = sim->records[record].payload_len;

    if (len == 0)
        return;
    put_be32(to, PAYLOAD_MAGIC);
    put_be32(to + 4, record);
    for (uint32_t i = 8; i < len; i++)
        to[i] = filler(record, i);
}

uint32_t oracle_identify(struct client *client, struct span topic, struct span payload)
{
    const struct sim *sim = client->sim;
    const struct record *record;
    char buffer[32];
    uint32_t index;

    if (payload.len == 0 || span_starts_with(topic, "$SYS"))
        return PUBLICATIONS_MAX;
    if (payload.len < PAYLOAD_HEAD || get_be32(payload.data) != PAYLOAD_MAGIC)
        sim_fail(sim, "client %u got a payload that nobody sent", client->index);
    index = get_be32(payload.data + 4);
    if (index == 0 || index >= sim->record_count)
        sim_fail(sim, "client %u got a publication that was never made", client->index);
    record = &sim->records[index];
    if (record->payload_len != payload.len || !span_equal(topic, topic_span(record->topic, buffer)))
        sim_fail(sim, "client %u got publication %u with another topic or length", client->index,
                 index);
    for (uint32_t i = 8; i < payload.len; i++)
        if (payload.data[i] != filler(index, i))
            sim_fail(sim, "client %u got publication %u with other bytes", client->index, index);
    return index;
}

void oracle_new_session(struct client *client)
{
    memset(client->seen, 0, sizeof(client->seen));
    memset(client->newest, 0, sizeof(client->newest));
    memset(client->newest_live_retained, 0, sizeof(client->newest_live_retained));
    memset(client->retained_floor, 0xff, sizeof(client->retained_floor));
    memset(client->own_wanted, 0, sizeof(client->own_wanted));
    client->session_since = client->sim->clock;
    client->ever_retain_as_published = false;
    oracle_new_connection(client);
}

void oracle_subscribing(struct client *client, const char *filter, uint8_t options)
{
    char buffer[32];

    for (unsigned topic = 0; topic < ALL_TOPICS; topic++)
        if (!(options & SUBSCRIBE_NO_LOCAL) &&
            filter_matches(span_text(filter), topic_span(topic, buffer)))
            client->own_wanted[topic] = true;
    for (unsigned topic = 0; topic < TOPICS; topic++)
        if (client->retained_floor[topic] == UINT32_MAX &&
            filter_matches(span_text(filter), span_text(topic_names[topic])))
            client->retained_floor[topic] = client->sim->retained_acknowledged[topic];
}

void oracle_new_connection(struct client *client)
{
    memset(client->newest_on_connection, 0, sizeof(client->newest_on_connection));
    client->last_resent_arrival = 0;
    client->any_first_delivery = false;
}

static uint8_t *count_seen(uint8_t *seen)
{
    if ((*seen & ~SEEN_SOMEHOW) < SEEN_MAX)
        ++*seen;
    return seen;
}

/* ---- share groups ---- */

static void group_delivery(struct client *client, uint32_t index, uint8_t qos)
{
    struct sim *sim = client->sim;
    struct record *record = &sim->records[index];
    uint8_t *seen = count_seen(&sim->group_seen[client->group][index]);

    if (record->qos == 0 && *seen > 1) /* P8 */
        sim_fail(sim, "share group %d got publication %u of QoS 0 twice", client->group, index);
    if (qos == 2 && *count_seen(&sim->group_seen_qos2[client->group][index]) > 1)
        sim_fail(sim, "share group %d got publication %u of QoS 2 twice", client->group, index);
    count_seen(&client->seen[index]);
}

/* ---- plain subscriptions ---- */

static void check_order(struct client *client, uint32_t index, uint8_t qos, bool first)
{
    const struct sim *sim = client->sim;
    const struct record *record = &sim->records[index];
    unsigned lane = record->qos * 3u + qos;
    uint32_t *newest = &client->newest[record->publisher][record->topic][lane];
    uint32_t *here = &client->newest_on_connection[record->publisher][record->topic][lane];

    if (index <= *here && record->attempts < 2) /* P2, P4 */
        sim_fail(sim, "client %u got publication %u after %u (QoS %u as %u) on one connection",
                 client->index, index, *here, record->qos, qos);
    *here = index;
    if (!first)
        return;
    if (index <= *newest && record->attempts < 2)
        sim_fail(sim, "client %u got publication %u for the first time after %u (QoS %u as %u)",
                 client->index, index, *newest, record->qos, qos);
    if (index > *newest)
        *newest = index;
}

static void retained_delivery(struct client *client, uint32_t index, uint8_t qos)
{
    const struct sim *sim = client->sim;
    const struct record *record = &sim->records[index];

    if (!record->retain || record->topic >= TOPICS)
        sim_fail(sim, "client %u got publication %u as retained, which was not", client->index,
                 index);
    if (client->observer && client->retained_seen[record->topic] != 0)
        sim_fail(sim, "observer %u got two retained messages of topic %u: %u and %u", client->index,
                 record->topic, client->retained_seen[record->topic], index);
    client->retained_seen[record->topic] = index;
    if (record->attempts > 1 ||
        sim->set.memory) /* an older one stays when a newer cannot be stored */
        return;
    if (index < client->newest_live_retained[record->topic][qos]) /* P6 */
        sim_fail(sim, "client %u got retained publication %u after live %u", client->index, index,
                 client->newest_live_retained[record->topic][qos]);
    if (index < client->retained_floor[record->topic])
        sim_fail(sim, "client %u got retained publication %u, and %u was acknowledged before",
                 client->index, index, client->retained_floor[record->topic]);
}

static void live_delivery(struct client *client, uint32_t index, uint8_t qos)
{
    struct sim *sim = client->sim;
    struct record *record = &sim->records[index];
    bool first = (client->seen[index] & ~SEEN_SOMEHOW) == 0;

    count_seen(&client->seen[index]);
    if (qos == 2 && !first) /* P3 */
        sim_fail(sim, "client %u got publication %u of QoS 2 twice", client->index, index);
    check_order(client, index, qos, first);
    if (record->retain && record->topic < TOPICS &&
        index > client->newest_live_retained[record->topic][qos])
        client->newest_live_retained[record->topic][qos] = index;
}

void oracle_delivery(struct client *client, const struct publish_packet *packet, struct span topic)
{
    struct sim *sim = client->sim;
    uint32_t index = oracle_identify(client, topic, packet->payload);
    const struct record *record;

    sim->clock++;
    if (index == PUBLICATIONS_MAX)
        return;
    record = &sim->records[index];
    sim_note(sim, "client %u gets %u, QoS %u%s%s, identifier %u", client->index, index, packet->qos,
             packet->retain ? ", retained" : "", packet->dup ? ", again" : "",
             packet->packet_identifier);
    if (packet->qos > record->qos) /* P1 */
        sim_fail(sim, "client %u got publication %u with QoS %u, published with %u", client->index,
                 index, packet->qos, record->qos);
    if (record->forbidden) /* P9 */
        sim_fail(sim, "client %u got will %u, which DISCONNECT had removed", client->index, index);
    if (props_has(&packet->props, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL) &&
        (!record->expires || packet->props.message_expiry > record->expiry_s))
        sim_fail(sim, "client %u got publication %u with an expiry of %u s", client->index, index,
                 packet->props.message_expiry);
    if (!client->group_member && record->publisher == client->index &&
        record->sent_at > client->session_since && !client->own_wanted[record->topic]) /* P10 */
        sim_fail(sim, "client %u got its own publication %u and has No Local", client->index,
                 index);
    if (client->group_member)
        group_delivery(client, index, packet->qos);
    else if (!packet->retain)
        live_delivery(client, index, packet->qos);
    else if (client->ever_retain_as_published)
        client->seen[index] |= SEEN_SOMEHOW;
    else if (!packet->dup)
        retained_delivery(client, index, packet->qos);
}

/* ---- the end ---- */

/* What P5 does not promise: it was not accepted for certain, it may expire, or it is too large. */
static bool promised(const struct client *client, const struct record *record)
{
    return record->status == ACKNOWLEDGED && !record->expires && record->payload_len > 0 &&
           (client->packet_size_max == 0 || record->payload_len + 64 <= client->packet_size_max);
}

static void check_subscription(struct client *client, const struct wanted *wanted)
{
    const struct sim *sim = client->sim;
    char buffer[32];

    for (uint32_t i = 1; i < sim->record_count; i++) {
        const struct record *record = &sim->records[i];

        if (client->seen[i] > 0 || record->sent_at <= wanted->established_at ||
            !promised(client, record) ||
            ((wanted->options & SUBSCRIBE_NO_LOCAL) && record->publisher == client->index) ||
            !filter_matches(span_text(wanted->filter), topic_span(record->topic, buffer)))
            continue;
        sim_fail(sim,
                 "client %u never got publication %u (QoS %u, topic %s), made after its SUBACK of "
                 "%s",
                 client->index, i, record->qos, topic_names[record->topic], wanted->filter);
    }
}

/* Publications of that QoS or less must have reached a member. */
static void check_group(struct sim *sim, int group, uint8_t qos_max)
{
    char buffer[32];

    for (uint32_t i = 1; i < sim->record_count; i++) {
        const struct record *record = &sim->records[i];

        if (sim->group_seen[group][i] == 0 && record->sent_at > sim->group_since[group] &&
            record->status == ACKNOWLEDGED && record->qos <= qos_max && !record->expires &&
            record->payload_len > 0 &&
            filter_matches(span_text(group_filters[group]), topic_span(record->topic, buffer)))
            sim_fail(sim, "share group %d never got publication %u (QoS %u)", group, i,
                     record->qos);
    }
}

void oracle_final(struct sim *sim)
{
    if (sim->set.lossy || sim->set.memory)
        return;
    for (unsigned i = 0; i < sim->set.clients; i++) {
        struct client *client = &sim->clients[i];

        if (client->group_member || client->kind == SESSION_CLEAN)
            continue;
        for (unsigned j = 0; j < FILTERS_MAX; j++)
            if (client->wanted[j].established && client->wanted[j].granted > 0)
                check_subscription(client, &client->wanted[j]);
    }
    for (int group = 0; sim->set.stable_groups && group < GROUPS; group++)
        if (sim->group_since[group] != 0)
            check_group(sim, group, sim->set.mixed_groups ? 1 : 2);
}

static bool group_is_there(const struct sim *sim, int group)
{
    for (unsigned i = 0; i < sim->set.clients; i++)
        if (sim->clients[i].group == group && sim->clients[i].state == ONLINE &&
            sim->clients[i].wanted[0].established)
            return true;
    return false;
}

/* What a member that is away has not acknowledged goes to another; QoS 2 may have to stay with it. */
void oracle_check_present_groups(struct sim *sim)
{
    for (int group = 0; group < GROUPS; group++)
        if (sim->group_since[group] != 0 && group_is_there(sim, group))
            check_group(sim, group, 1);
}

void oracle_check_retained(struct sim *sim, struct client *observer)
{
    for (unsigned topic = 0; topic < TOPICS; topic++) {
        uint32_t last = sim->retained_acknowledged[topic];
        uint32_t expected = last == 0 || sim->records[last].payload_len == 0 ? 0 : last;

        if (observer->retained_seen[topic] != expected) /* P7 */
            sim_fail(sim, "observer %u got retained publication %u of %s, not %u", observer->index,
                     observer->retained_seen[topic], topic_names[topic], expected);
    }
}
