/* SPDX-License-Identifier: MIT
 *
 * client - what simulated clients do: connect, publish, subscribe, acknowledge, and leave in every
 * way there is. They keep to the specification: whatever the broker answers to them is checked.
 */
#include "mqtt/encode.h"
#include "mqtt/encode_client.h"
#include "sim.h"

#define PACKET_MAX   (1u << 17)
#define FLIGHTS_FEW  20 /* publications under way at a time */
#define SHORT_EXPIRY 8  /* seconds */

static uint8_t packet_bytes[PACKET_MAX];

void client_init(struct sim *sim, unsigned index)
{
    struct client *client = &sim->clients[index];
    static const uint8_t versions[] = {MQTT_5, MQTT_5, MQTT_5, MQTT_3_1_1, MQTT_3_1_1, MQTT_3_1};

    memset(client, 0, sizeof(*client));
    client->sim = sim;
    client->index = index;
    snprintf(client->identifier, sizeof(client->identifier), "c%u-%08x", index,
             (unsigned)random_next(&sim->random));
    client->version = versions[pick(sim, ARRAY_LENGTH(versions))];
    client->kind = (uint8_t)pick(sim, 3);
    if (client->version != MQTT_5 && client->kind == SESSION_SHORT)
        client->kind = SESSION_KEPT;
    client->group_member = chance(sim, 35);
    client->group = -1;
    client->stays = client->group_member && sim->set.stable_groups &&
                    (!sim->set.mixed_groups || index % 2 == 0);
    if (client->stays)
        client->kind = SESSION_KEPT;
    if (client->version == MQTT_5) {
        if (chance(sim, 50))
            client->receive_maximum = (uint16_t)(1 + pick(sim, 6));
        if (chance(sim, 25) && !(client->group_member && sim->set.stable_groups))
            client->packet_size_max = 64 + pick(sim, 400);
        if (chance(sim, 40))
            client->alias_max = (uint16_t)(1 + pick(sim, ALIASES_MAX - 1));
    }
    oracle_new_session(client);
}

void client_free(struct client *client)
{
    bytes_free(&client->incoming);
    for (unsigned i = 0; i < ALIASES_MAX; i++)
        mem_free((void *)(uintptr_t)client->aliases[i].data);
}

void client_send(struct client *client, const uint8_t *data, uint32_t len)
{
    ASSERT(len > 0);
    bytes_append(&client->socket->input, data, len);
}

static void clear_connection(struct client *client)
{
    client->incoming.len = 0;
    client->owed_count = 0;
    memset(client->alias_sent, 0, sizeof(client->alias_sent));
    for (unsigned i = 0; i < ALIASES_MAX; i++) {
        mem_free((void *)(uintptr_t)client->aliases[i].data);
        client->aliases[i] = (struct span){0};
    }
    for (unsigned i = 0; i < FILTERS_MAX; i++) {
        struct wanted *wanted = &client->wanted[i];

        /* Whether the broker took a SUBSCRIBE or UNSUBSCRIBE without an answer nobody knows. */
        if (wanted->pending || wanted->ending)
            wanted->established = wanted->pending = wanted->ending = false;
    }
    for (uint32_t i = 0; i < client->received_count; i++)
        client->received[i].counted = false;
    client->on_connection = 0;
}

void client_lost(struct client *client)
{
    struct socket *socket = client->socket;

    if (socket == NULL)
        return;
    sim_note(client->sim, "client %u is off", client->index);
    client->socket = NULL;
    client->state = OFFLINE;
    socket->client_open = false;
    clear_connection(client);
    if (client->connect_clean && client->version != MQTT_5) /* Clean Session: it ends here */
        client_forget_session(client);
}

void client_forget_session(struct client *client)
{
    for (uint32_t i = 0; i < client->flight_count; i++) {
        struct record *record = &client->sim->records[client->flights[i].record];

        if (record->status == PENDING)
            record->status = ABANDONED;
    }
    client->flight_count = 0;
    client->received_count = 0;
    memset(client->arrived, 0, sizeof(client->arrived));
    client->ever_online = false;
    memset(client->wanted, 0, sizeof(client->wanted));
    oracle_new_session(client);
}

/* ---- leaving ---- */

/* The client turns away from its connection. A connection that has not been answered goes with
 * everything that was written to it, so that an old CONNECT never comes after a newer one. */
static void leave(struct client *client, unsigned how)
{
    struct socket *socket = client->socket;

    if (socket == NULL)
        return;
    if (client->state == CONNECTING)
        how = 1;
    client_lost(client);
    if (how == 0)
        socket_leave(socket, true);
    else if (how == 1)
        socket_leave(socket, false);
    /* else the socket stays as it is, nobody reads it, and the broker finds out by itself */
}

static void say_goodbye(struct client *client)
{
    struct sim *sim = client->sim;
    struct socket *socket = client->socket;
    struct mqtt_props props = {0};
    bool ends_session = client->version == MQTT_5 && client->kind != SESSION_CLEAN &&
                        !client->stays && chance(sim, 10);
    bool with_will = client->version == MQTT_5 && chance(sim, 20);

    sim_note(sim, "client %u says goodbye%s", client->index, ends_session ? " for ever" : "");
    if (ends_session) {
        props.present = (uint64_t)1 << MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL;
        props.session_expiry = 0;
    }
    client_send(client, packet_bytes,
                mqtt_encode_client_disconnect(
                    packet_bytes, PACKET_MAX, (enum mqtt_version)client->version,
                    with_will ? MQTT_REASON_DISCONNECT_WITH_WILL : MQTT_REASON_NORMAL_DISCONNECTION,
                    ends_session ? &props : NULL));
    if (!with_will)
        socket->goodbye_to_will = client->will_record;
    leave(client, 0);
    if (ends_session) {
        client_forget_session(client);
        client->uncertain = true;
    }
}

/* ---- CONNECT ---- */

static void add_will(struct client *client, struct connect_packet *packet, uint8_t *payload,
                     char *topic)
{
    struct sim *sim = client->sim;
    struct record record = {.publisher = (uint8_t)client->index,
                            .topic = (uint8_t)(TOPICS + client->index),
                            .qos = (uint8_t)pick(sim, 3),
                            .status = ABANDONED,
                            .is_will = true,
                            .payload_len = 16,
                            .attempts = 1};

    client->will_record = UINT32_MAX;
    if (!sim->set.wills || chance(sim, 50) || sim->calm)
        return;
    client->will_record = oracle_new_record(sim, &record);
    if (client->will_record == UINT32_MAX)
        return;
    oracle_write_payload(sim, client->will_record, payload);
    packet->has_will = true;
    packet->will_qos = record.qos;
    packet->will_topic = topic_span(record.topic, topic);
    packet->will_payload = span_of(payload, 16);
    if (client->version == MQTT_5 && chance(sim, 50)) {
        packet->will_props.present = (uint64_t)1 << MQTT_PROPERTY_WILL_DELAY_INTERVAL;
        packet->will_props.will_delay = pick(sim, 20);
    }
}

static void add_properties(struct client *client, struct mqtt_props *props)
{
    if (client->kind != SESSION_CLEAN) {
        props->session_expiry = client->kind == SESSION_SHORT ? SHORT_EXPIRY : UINT32_MAX;
        props->present |= (uint64_t)1 << MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL;
    }
    if (client->receive_maximum != 0) {
        props->receive_maximum = client->receive_maximum;
        props->present |= (uint64_t)1 << MQTT_PROPERTY_RECEIVE_MAXIMUM;
    }
    if (client->packet_size_max != 0) {
        props->maximum_packet_size = client->packet_size_max;
        props->present |= (uint64_t)1 << MQTT_PROPERTY_MAXIMUM_PACKET_SIZE;
    }
    if (client->alias_max != 0) {
        props->topic_alias_maximum = client->alias_max;
        props->present |= (uint64_t)1 << MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM;
    }
}

void client_connect(struct client *client, bool clean)
{
    struct sim *sim = client->sim;
    uint8_t will[16];
    char will_topic[32];
    struct connect_packet packet = {
        .version = (enum mqtt_version)client->version,
        .client_identifier = span_text(client->identifier),
        .keep_alive_s = chance(sim, 20) ? 30 : 0,
    };

    leave(client, pick(sim, 3));
    clean = clean || client->uncertain || client->kind == SESSION_CLEAN;
    if (clean)
        client_forget_session(client);
    client->uncertain = clean || client->kind == SESSION_SHORT;
    client->connect_clean = clean;
    packet.clean_start = clean;
    add_will(client, &packet, will, will_topic);
    if (client->version == MQTT_5)
        add_properties(client, &packet.props);
    client->socket = socket_open(sim, client->index, pick(sim, SIM_SHARDS(sim)));
    sim_note(sim, "client %u (version %u, kind %u) connects to shard %u%s", client->index,
             client->version, client->kind, client->socket->shard, clean ? ", clean" : "");
    client->state = CONNECTING;
    client->server_receive_maximum = UINT16_MAX;
    client->server_alias_max = 0;
    oracle_new_connection(client);
    client_send(client, packet_bytes, mqtt_encode_connect(packet_bytes, PACKET_MAX, &packet));
}

/* ---- PUBLISH ---- */

static uint16_t free_identifier(struct client *client)
{
    for (;;) {
        bool taken = false;

        if (++client->last_identifier == 0)
            client->last_identifier = 1;
        for (uint32_t i = 0; i < client->flight_count; i++)
            taken |= client->flights[i].packet_identifier == client->last_identifier;
        for (unsigned i = 0; i < FILTERS_MAX; i++)
            taken |= (client->wanted[i].pending || client->wanted[i].ending) &&
                     client->wanted[i].packet_identifier == client->last_identifier;
        if (!taken)
            return client->last_identifier;
    }
}

/* Writes a PUBLISH of that record, with an alias now and then. */
static void write_publish(struct client *client, uint32_t index, uint16_t packet_identifier,
                          bool dup)
{
    struct sim *sim = client->sim;
    const struct record *record = &sim->records[index];
    uint8_t *payload = mem_alloc(record->payload_len + 1);
    char topic[32];
    struct publish_packet packet = {
        .qos = record->qos,
        .dup = dup,
        .retain = record->retain,
        .packet_identifier = packet_identifier,
        .topic = topic_span(record->topic, topic),
        .payload = span_of(payload, record->payload_len),
    };

    oracle_write_payload(sim, index, payload);
    if (client->version == MQTT_5 && record->expires) {
        packet.props.message_expiry = record->expiry_s;
        packet.props.present |= (uint64_t)1 << MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL;
    }
    if (record->topic < client->server_alias_max && record->topic < ALIASES_MAX &&
        chance(sim, 40)) {
        packet.props.topic_alias = (uint16_t)(record->topic + 1);
        packet.props.present |= (uint64_t)1 << MQTT_PROPERTY_TOPIC_ALIAS;
        if (client->alias_sent[record->topic] && chance(sim, 80))
            packet.topic = (struct span){0};
        client->alias_sent[record->topic] = true;
    }
    client_send(
        client, packet_bytes,
        mqtt_encode_publish(packet_bytes, PACKET_MAX, (enum mqtt_version)client->version, &packet));
    mem_free(payload);
}

uint32_t client_publish(struct client *client, unsigned topic, uint8_t qos, bool retain,
                        uint32_t payload_len)
{
    struct sim *sim = client->sim;
    struct record record = {.publisher = (uint8_t)client->index,
                            .topic = (uint8_t)topic,
                            .qos = qos,
                            .status = qos == 0 ? ABANDONED : PENDING,
                            .retain = retain,
                            .payload_len = payload_len,
                            .attempts = 1,
                            .sent_at = ++sim->clock};
    uint32_t limit =
        client->server_receive_maximum < FLIGHTS_FEW ? client->server_receive_maximum : FLIGHTS_FEW;
    uint16_t identifier = 0;
    uint32_t index;

    if (qos > 0 && client->flight_count >= limit)
        return UINT32_MAX;
    if (sim->set.expiry && client->version == MQTT_5 && !sim->calm && chance(sim, 25)) {
        record.expires = true;
        record.expiry_s = 1 + pick(sim, 10);
    }
    index = oracle_new_record(sim, &record);
    if (index == UINT32_MAX)
        return UINT32_MAX;
    if (qos > 0) {
        identifier = free_identifier(client);
        client->flights[client->flight_count++] =
            (struct flight){.record = index, .packet_identifier = identifier};
    }
    sim_note(sim, "client %u publishes %u to topic %u, QoS %u%s, %u bytes", client->index, index,
             topic, qos, retain ? ", retained" : "", payload_len);
    write_publish(client, index, identifier, false);
    return index;
}

static void send_ack_packet(struct client *client, enum mqtt_packet_type type,
                            uint16_t packet_identifier)
{
    client_send(client, packet_bytes,
                mqtt_encode_ack(packet_bytes, PACKET_MAX, (enum mqtt_version)client->version, type,
                                packet_identifier, MQTT_REASON_SUCCESS, (struct span){0}, 0));
}

void client_answer_pubrec(struct client *client, uint16_t packet_identifier)
{
    send_ack_packet(client, MQTT_PUBREL, packet_identifier);
}

void client_resend(struct client *client)
{
    for (uint32_t i = 0; i < client->flight_count; i++) {
        struct flight *flight = &client->flights[i];

        if (flight->released) {
            send_ack_packet(client, MQTT_PUBREL, flight->packet_identifier);
            continue;
        }
        sim_note(client->sim, "client %u publishes %u again", client->index, flight->record);
        client->sim->records[flight->record].attempts++;
        write_publish(client, flight->record, flight->packet_identifier, true);
    }
}

static void publish_some(struct client *client)
{
    struct sim *sim = client->sim;
    unsigned burst = 1 + pick(sim, 6);
    unsigned topic = pick(sim, TOPICS);

    for (unsigned i = 0; i < burst; i++) {
        bool retain = retained_publisher(sim, topic) == client->index && chance(sim, 50);
        uint32_t len = 16 + (chance(sim, 30) ? pick(sim, sim->set.payload_max) : 0);

        if (retain && chance(sim, 15))
            len = 0;
        client_publish(client, topic, (uint8_t)pick(sim, 3), retain, len);
        if (chance(sim, 30))
            topic = pick(sim, TOPICS);
    }
}

/* ---- SUBSCRIBE and UNSUBSCRIBE ---- */

static struct wanted *wanted_for(struct client *client, const char *filter)
{
    struct wanted *unused = NULL;

    for (unsigned i = 0; i < FILTERS_MAX; i++) {
        if (client->wanted[i].used && strcmp(client->wanted[i].filter, filter) == 0)
            return &client->wanted[i];
        if (!client->wanted[i].used && unused == NULL)
            unused = &client->wanted[i];
    }
    return unused;
}

void client_subscribe(struct client *client, const char *filter, uint8_t options)
{
    struct sim *sim = client->sim;
    struct wanted *wanted = wanted_for(client, filter);
    struct mqtt_props props = {0};
    struct filter_view view;

    if (wanted == NULL || wanted->pending || wanted->ending)
        return;
    snprintf(wanted->filter, sizeof(wanted->filter), "%s", filter);
    wanted->used = wanted->pending = true;
    wanted->established = false;
    wanted->options = client->version == MQTT_5 ? options : options & 3;
    wanted->packet_identifier = free_identifier(client);
    if (wanted->options & SUBSCRIBE_RETAIN_AS_PUBLISHED)
        client->ever_retain_as_published = true;
    oracle_subscribing(client, filter, wanted->options);
    view = (struct filter_view){.filter = span_text(wanted->filter), .options = wanted->options};
    if (client->version == MQTT_5 && chance(sim, 30)) {
        props.subscription_identifier = 1 + pick(sim, 1000);
        props.present = (uint64_t)1 << MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER;
    }
    sim_note(sim, "client %u subscribes to %s with options 0x%02x", client->index, filter,
             wanted->options);
    client_send(client, packet_bytes,
                mqtt_encode_subscribe(packet_bytes, PACKET_MAX, (enum mqtt_version)client->version,
                                      wanted->packet_identifier, &view, 1, &props));
}

static void subscribe_some(struct client *client)
{
    static const char *const filters[] = {
        "t/0/0", "t/0/1", "t/1/2", "t/2/2", "t/0/+", "t/+/1",  "t/1/#",
        "t/#",   "#",     "w/+",   "+/2/#", "t/2/0", "$SYS/#", "$SYS/broker/step"};
    struct sim *sim = client->sim;
    uint8_t qos = (uint8_t)pick(sim, 3);

    if (client->group_member) {
        char filter[48];

        if (client->group < 0)
            client->group = (int)pick(sim, GROUPS);
        snprintf(filter, sizeof(filter), "$share/g%d/%s", client->group,
                 group_filters[client->group]);
        if (sim->set.stable_groups && qos == 0)
            qos = 1;
        if (client->stays && client->wanted[0].established)
            return;
        client_subscribe(client, filter, qos);
        return;
    }
    client_subscribe(client, filters[pick(sim, ARRAY_LENGTH(filters))],
                     (uint8_t)(qos | (chance(sim, 15) ? SUBSCRIBE_NO_LOCAL : 0) |
                               (chance(sim, 10) ? SUBSCRIBE_RETAIN_AS_PUBLISHED : 0) |
                               pick(sim, 3) << 4));
}

static void unsubscribe_some(struct client *client)
{
    struct sim *sim = client->sim;
    struct wanted *wanted = &client->wanted[pick(sim, FILTERS_MAX)];
    struct filter_view view = {.filter = span_text(wanted->filter)};

    if (!wanted->used || wanted->pending || wanted->ending ||
        (client->group_member && sim->set.stable_groups)) /* what it has not begun stays with it */
        return;
    wanted->ending = true;
    wanted->established = false;
    wanted->packet_identifier = free_identifier(client);
    client_send(client, packet_bytes,
                mqtt_encode_unsubscribe(packet_bytes, PACKET_MAX,
                                        (enum mqtt_version)client->version,
                                        wanted->packet_identifier, &view, 1, NULL));
}

/* ---- acknowledgements ---- */

static void forget_received(struct client *client, uint32_t at)
{
    if (client->received[at].counted)
        client->on_connection--;
    memmove(&client->received[at], &client->received[at + 1],
            (client->received_count - at - 1) * sizeof(client->received[0]));
    client->received_count--;
}

static void acknowledged(struct client *client, const struct owed *owed)
{
    for (uint32_t i = 0; i < client->received_count; i++) {
        if (client->received[i].packet_identifier != owed->packet_identifier)
            continue;
        if (owed->type == MQTT_PUBREC)
            client->received[i].released = true;
        else
            forget_received(client, i);
        return;
    }
}

bool client_acknowledge(struct client *client, uint32_t limit)
{
    struct sim *sim = client->sim;
    bool any = false;

    if (client->state != ONLINE)
        return false;
    for (; limit > 0 && client->owed_count > 0; limit--) {
        /* a careless client acknowledges out of order */
        uint32_t at = client->careless && chance(sim, 20) ? pick(sim, client->owed_count) : 0;
        struct owed owed = client->owed[at];

        memmove(&client->owed[at], &client->owed[at + 1],
                (client->owed_count - at - 1) * sizeof(client->owed[0]));
        client->owed_count--;
        acknowledged(client, &owed);
        send_ack_packet(client, (enum mqtt_packet_type)owed.type, owed.packet_identifier);
        any = true;
    }
    return any;
}

/* ---- what next ---- */

static void trouble(struct client *client)
{
    struct sim *sim = client->sim;

    switch (pick(sim, 5)) {
    case 0:
        say_goodbye(client);
        break;
    case 1:
        leave(client, pick(sim, 2));
        break;
    case 2:
        leave(client, 2);
        break;
    case 3:
        client_connect(client, !client->stays && chance(sim, 20));
        break;
    default:
        client->slow = !client->slow;
        break;
    }
}

void client_act(struct client *client)
{
    struct sim *sim = client->sim;

    client->careless = client->version != MQTT_5 && client->index % 3 == 0;
    if (client->state == OFFLINE) {
        if (chance(sim, 40))
            client_connect(client, !client->stays && chance(sim, 10));
        return;
    }
    if (chance(sim, sim->set.trouble) && (client->state == ONLINE || chance(sim, 20))) {
        if (client->state == ONLINE)
            trouble(client);
        else
            leave(client, 1);
        return;
    }
    if (client->state != ONLINE)
        return;
    switch (pick(sim, 10)) {
    case 0:
    case 1:
        subscribe_some(client);
        break;
    case 2:
        unsubscribe_some(client);
        break;
    case 3:
        client_send(client, packet_bytes, mqtt_encode_pingreq(packet_bytes, PACKET_MAX));
        break;
    case 4:
    case 5:
        client_acknowledge(client, 1 + pick(sim, 8));
        break;
    default:
        publish_some(client);
        break;
    }
}

bool client_calm(struct client *client)
{
    if (client->absent)
        return false;
    if (client->slow) {
        client->slow = false;
        return true;
    }
    if (client->state == OFFLINE) {
        client_connect(client, false);
        return true;
    }
    return client_acknowledge(client, UINT32_MAX);
}
