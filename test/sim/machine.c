/* SPDX-License-Identifier: MIT
 *
 * machine - what shards/ does, with queues instead of rings and byte arrays instead of sockets.
 *
 * It keeps to the contract of broker/connection.h and broker/mesh.h and to nothing else: bytes are
 * cut anywhere, a send takes any part of the outbox, entries of one pair stay in order while the
 * pairs move independently, and a connection that asked to be closed may be closed late.
 */
#include "sim.h"

/* ---- bytes ---- */

static void bytes_reserve(struct bytes *bytes, uint32_t len)
{
    if (bytes->len + len <= bytes->capacity)
        return;
    bytes->capacity = (bytes->len + len) * 2;
    bytes->data = mem_realloc(bytes->data, bytes->capacity);
}

void bytes_append(struct bytes *bytes, const void *data, uint32_t len)
{
    if (len == 0)
        return;
    bytes_reserve(bytes, len);
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

void bytes_prepend(struct bytes *bytes, const void *data, uint32_t len)
{
    if (len == 0)
        return;
    bytes_reserve(bytes, len);
    memmove(bytes->data + len, bytes->data, bytes->len);
    memcpy(bytes->data, data, len);
    bytes->len += len;
}

void bytes_consume(struct bytes *bytes, uint32_t len)
{
    ASSERT(len <= bytes->len);
    if (len == 0)
        return;
    bytes->len -= len;
    memmove(bytes->data, bytes->data + len, bytes->len);
}

void bytes_free(struct bytes *bytes)
{
    mem_free(bytes->data);
    *bytes = (struct bytes){0};
}

/* ---- the mesh ---- */

static void queue_push(struct queue *queue, struct mesh_entry entry)
{
    if (queue->count == queue->capacity) {
        uint32_t capacity = queue->capacity == 0 ? 16 : queue->capacity * 2;
        struct mesh_entry *grown = mem_alloc(capacity * sizeof(*grown));

        for (uint32_t i = 0; i < queue->count; i++)
            grown[i] = queue->entries[(queue->first + i) % queue->capacity];
        mem_free(queue->entries);
        queue->entries = grown;
        queue->first = 0;
        queue->capacity = capacity;
    }
    queue->entries[(queue->first + queue->count++) % queue->capacity] = entry;
}

static struct mesh_entry queue_pop(struct queue *queue)
{
    struct mesh_entry entry = queue->entries[queue->first];

    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    return entry;
}

static unsigned index_of(const struct sim *sim, const struct broker *broker)
{
    unsigned i = 0;

    while (sim->brokers[i] != broker)
        i++;
    return i;
}

void port_post(struct broker *broker, unsigned to, struct mesh_entry entry)
{
    struct sim *sim = broker_machine(broker);
    unsigned from = index_of(sim, broker);

    ASSERT(to != from && to <= SIM_SHARDS(sim));
    queue_push(&sim->mesh[from][to], entry);
}

bool port_congested(struct broker *broker, unsigned to)
{
    struct sim *sim = broker_machine(broker);

    return sim->mesh[index_of(sim, broker)][to].count > sim->set.mesh_congested;
}

bool port_full(struct broker *broker, unsigned to)
{
    struct sim *sim = broker_machine(broker);

    return sim->mesh[index_of(sim, broker)][to].count > sim->set.mesh_full;
}

void port_peer_name(const struct connection *connection, char *to, size_t size)
{
    const struct socket *socket = CONTAINER_OF(connection, struct socket, mqtt);

    snprintf(to, size, "client %u", socket->client);
}

void port_random_bytes(struct broker *broker, void *to, size_t size)
{
    struct sim *sim = broker_machine(broker);

    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (uint8_t)pick(sim, 256);
}

bool machine_mesh_empty(const struct sim *sim)
{
    for (unsigned from = 0; from <= SIM_SHARDS(sim); from++)
        for (unsigned to = 0; to <= SIM_SHARDS(sim); to++)
            if (sim->mesh[from][to].count > 0)
                return false;
    return true;
}

static void arrive(struct sim *sim, unsigned to, struct socket *socket)
{
    ASSERT(socket->handing_off && socket->shard == to);
    socket->handing_off = false;
    socket->server_open = true;
    memset(&socket->mqtt, 0, sizeof(socket->mqtt));
    connection_open(sim->brokers[to], &socket->mqtt, true);
}

/* Interest that cannot be stored ends the process, by design: such an entry never meets a failure. */
static bool must_not_fail(const struct mesh_entry *entry)
{
    return entry->kind == MESH_INTEREST_EXACT || entry->kind == MESH_INTEREST_WILDCARD;
}

bool machine_move_mesh(struct sim *sim)
{
    unsigned threads = SIM_SHARDS(sim) + 1, start = pick(sim, threads * threads);

    for (unsigned i = 0; i < threads * threads; i++) {
        unsigned pair = (start + i) % (threads * threads);
        unsigned from = pair / threads, to = pair % threads;
        struct queue *queue = &sim->mesh[from][to];
        uint32_t moved = 1 + pick(sim, 8);

        if (queue->count == 0)
            continue;
        for (; moved > 0 && queue->count > 0; moved--) {
            struct mesh_entry entry = queue_pop(queue);

            if (entry.kind == MESH_HANDOFF) {
                arrive(sim, to, entry.pointer);
                continue;
            }
            if (sim->failing && must_not_fail(&entry)) {
                mem_fail_after(0);
                sim->failing = false;
            }
            broker_receive(sim->brokers[to], from, &entry);
        }
        machine_settle(sim);
        return true;
    }
    return false;
}

void machine_end_abandoned(struct sim *sim)
{
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        if (sim->sockets[i].used && !sim->sockets[i].client_open)
            sim->sockets[i].end_of_input = true;
}

void machine_discard_mesh(struct sim *sim)
{
    for (unsigned from = 0; from <= SIM_SHARDS(sim); from++)
        for (unsigned to = 0; to <= SIM_SHARDS(sim); to++) {
            struct queue *queue = &sim->mesh[from][to];

            while (queue->count > 0) {
                struct mesh_entry entry = queue_pop(queue);

                if (entry.kind != MESH_HANDOFF)
                    broker_discard(&entry);
            }
            mem_free(queue->entries);
            *queue = (struct queue){0};
        }
}

/* ---- sockets ---- */

struct socket *socket_open(struct sim *sim, unsigned client, unsigned shard)
{
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        struct socket *socket = &sim->sockets[i];

        if (socket->used)
            continue;
        *socket = (struct socket){.sim = sim,
                                  .client = client,
                                  .shard = shard,
                                  .used = true,
                                  .server_open = true,
                                  .client_open = true,
                                  .pipe_capacity = 256u << pick(sim, 10),
                                  .goodbye_to_will = UINT32_MAX};
        connection_open(sim->brokers[shard], &socket->mqtt, false);
        return socket;
    }
    sim_fail(sim, "no more sockets: the broker does not close its connections");
}

static void free_if_over(struct socket *socket)
{
    if (socket->server_open || socket->client_open || socket->handing_off)
        return;
    bytes_free(&socket->input);
    bytes_free(&socket->pipe);
    socket->used = false;
}

void socket_leave(struct socket *socket, bool orderly)
{
    socket->client_open = false;
    socket->end_of_input = true;
    if (!orderly) {
        socket->reset = true;
        socket->input.len = 0;
    }
    socket->pipe.len = 0;
    free_if_over(socket);
}

/* What made a broker end a connection of a client that keeps to the rules. */
static void check_end_reason(const struct socket *socket)
{
    const struct sim *sim = socket->sim;

    switch (socket->mqtt.end_reason) {
    case MQTT_REASON_SUCCESS:
    case MQTT_REASON_DISCONNECT_WITH_WILL:
    case MQTT_REASON_SESSION_TAKEN_OVER:
    case MQTT_REASON_KEEP_ALIVE_TIMEOUT:
    case MQTT_REASON_ADMINISTRATIVE_ACTION: /* operator.c */
        return;
    case MQTT_REASON_QUOTA_EXCEEDED:
    case MQTT_REASON_TOPIC_FILTER_INVALID: /* a 3.1 client whose subscription is refused */
        if (sim->set.memory)
            return;
        break;
    default:
        break;
    }
    sim_fail(sim, "client %u kept to the rules and was disconnected for reason 0x%02x",
             socket->client, socket->mqtt.end_reason);
}

static void close_server(struct socket *socket)
{
    struct outbox_chunk *unsent = socket->sending;

    ASSERT(socket->server_open && !socket->mqtt.dirty);
    check_end_reason(socket);
    socket->sending = NULL;
    if (unsent != NULL)
        unsent->sent = socket->sending_offset;
    connection_closed(socket->sim->brokers[socket->shard], &socket->mqtt, unsent);
    socket->server_open = false;
    socket->input.len = 0;
    machine_settle(socket->sim);
    free_if_over(socket);
}

void machine_settle(struct sim *sim)
{
    for (unsigned i = 0; i <= SIM_SHARDS(sim); i++) {
        struct connection *connection = broker_take_dirty(sim->brokers[i]);

        while (connection != NULL) {
            struct socket *socket = CONTAINER_OF(connection, struct socket, mqtt);

            connection->dirty = false;
            socket->wants_flush = true;
            connection = connection->dirty_next;
        }
    }
}

static void hand_off(struct socket *socket, unsigned home)
{
    struct sim *sim = socket->sim;
    struct broker *broker = sim->brokers[socket->shard];

    bytes_prepend(&socket->input, socket->mqtt.input, socket->mqtt.input_len);
    connection_forget(broker, &socket->mqtt);
    port_post(broker, home, (struct mesh_entry){.kind = MESH_HANDOFF, .pointer = socket});
    socket->shard = home;
    socket->server_open = false;
    socket->handing_off = true;
}

static void feed(struct socket *socket)
{
    struct sim *sim = socket->sim;
    struct broker *broker = sim->brokers[socket->shard];
    uint32_t len = socket->input.len, consumed;
    unsigned home = UINT32_MAX;
    uint8_t *exact;

    if (chance(sim, 60)) {
        uint32_t most = 1u << pick(sim, 12);

        len = 1 + pick(sim, len < most ? len : most);
    }
    exact = mem_alloc(len); /* so that a look behind the end is seen */
    memcpy(exact, socket->input.data, len);
    socket->paused = false;
    switch (connection_receive(broker, &socket->mqtt, exact, len, &consumed, &home)) {
    case CONNECTION_CONTINUE:
        if (consumed != len)
            sim_fail(sim, "connection_receive() left bytes without a pause");
        break;
    case CONNECTION_PAUSE:
        socket->paused = true;
        break;
    case CONNECTION_HANDOFF:
        machine_settle(sim);
        bytes_consume(&socket->input, consumed);
        hand_off(socket, home);
        mem_free(exact);
        return;
    case CONNECTION_STOP:
        socket->stopped = true;
        consumed = len;
        if (socket->goodbye_to_will != UINT32_MAX && socket->mqtt.closing == CLOSING_AFTER_FLUSH &&
            socket->mqtt.end_reason == MQTT_REASON_SUCCESS)
            sim->records[socket->goodbye_to_will].forbidden = true;
        break;
    }
    mem_free(exact);
    bytes_consume(&socket->input, consumed);
    if (socket->stopped)
        socket->input.len = 0;
}

bool machine_read(struct sim *sim)
{
    unsigned start = pick(sim, SOCKETS_MAX);

    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        struct socket *socket = &sim->sockets[(start + i) % SOCKETS_MAX];

        if (!socket->used || !socket->server_open)
            continue;
        if (socket->paused && !connection_may_read(sim->brokers[socket->shard], &socket->mqtt))
            continue;
        if (socket->input.len > 0 && !socket->stopped) {
            feed(socket);
            machine_settle(sim);
            return true;
        }
        if (socket->end_of_input && (socket->input.len == 0 || socket->stopped)) {
            close_server(socket);
            return true;
        }
    }
    return false;
}

/* Gives up to `room` bytes to the pipe. Whole chunks are confirmed. */
static bool send_some(struct socket *socket, uint32_t room)
{
    struct broker *broker = socket->sim->brokers[socket->shard];
    bool moved = false;

    while (room > 0 && socket->sending != NULL) {
        struct outbox_chunk *chunk = socket->sending;
        uint32_t len = chunk->len - socket->sending_offset;

        if (len > room)
            len = room;
        if (!socket->reset && socket->client_open)
            bytes_append(&socket->pipe, chunk->data + socket->sending_offset, len);
        socket->sending_offset += len;
        room -= len;
        moved = true;
        if (socket->sending_offset < chunk->len)
            break;
        socket->sending = chunk->next;
        socket->sending_offset = 0;
        connection_sent(broker, &socket->mqtt, chunk);
    }
    return moved;
}

static bool flush(struct socket *socket)
{
    struct sim *sim = socket->sim;
    uint32_t room;
    bool moved;

    if (socket->mqtt.closing == CLOSING_NOW) {
        close_server(socket);
        return true;
    }
    if (socket->sending == NULL) {
        socket->sending = socket->mqtt.out.head;
        socket->mqtt.out.head = socket->mqtt.out.tail = NULL;
        socket->sending_offset = 0;
    }
    if (socket->sending == NULL) {
        socket->wants_flush = false;
        if (socket->mqtt.closing == CLOSING_NO)
            return false;
        close_server(socket);
        return true;
    }
    room = socket->pipe.len < socket->pipe_capacity ? socket->pipe_capacity - socket->pipe.len : 0;
    if (room > 0 && chance(sim, 50))
        room = 1 + pick(sim, room);
    moved = send_some(socket, room);
    /* a peer that takes nothing is not waited for when the broker wants to close */
    if (!moved && socket->mqtt.closing != CLOSING_NO) {
        close_server(socket);
        return true;
    }
    machine_settle(sim);
    return moved;
}

bool machine_write(struct sim *sim)
{
    unsigned start = pick(sim, SOCKETS_MAX);

    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        struct socket *socket = &sim->sockets[(start + i) % SOCKETS_MAX];

        if (socket->used && socket->server_open &&
            (socket->wants_flush || socket->sending != NULL || socket->mqtt.out.head != NULL) &&
            flush(socket))
            return true;
    }
    return false;
}

bool machine_run_batches(struct sim *sim)
{
    bool more = false;
    unsigned start = pick(sim, SIM_SHARDS(sim));

    for (unsigned i = 0; i < SIM_SHARDS(sim) && !more; i++) {
        struct broker *broker = sim->brokers[(start + i) % SIM_SHARDS(sim)];

        more = !list_empty(&broker->retain_jobs) || !list_empty(&broker->errands);
        broker_run_batches(broker);
    }
    machine_settle(sim);
    return more;
}

void machine_run_timers(struct sim *sim, unsigned shard)
{
    struct broker *broker = sim->brokers[shard];
    bool due = broker_next_deadline(broker) <= sim->now_ms;

    if (broker_run_timers(broker, 1 + pick(sim, 16)) > 0 && !due)
        sim_fail(sim, "a timer of shard %u fired before the deadline that was told", shard);
    machine_settle(sim);
}

void machine_close_all(struct sim *sim)
{
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        client_lost(&sim->clients[i]);
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        struct socket *socket = &sim->sockets[i];

        if (!socket->used)
            continue;
        socket->client_open = socket->handing_off = false;
        if (socket->server_open)
            close_server(socket);
        else
            free_if_over(socket);
    }
}
