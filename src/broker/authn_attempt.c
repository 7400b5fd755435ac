/* SPDX-License-Identifier: MIT
 *
 * authn_attempt - the table of attempts: a slot for each CONNECT that is being decided, and what is in it.
 */
#include "broker/authn_priv.h"
#include "broker/broker_priv.h"
#include "mqtt/decode.h"

#define NO_SLOT       UINT32_MAX
#define SLOTS_AT_ONCE 64u

void authn_table_init(struct authn_table *table)
{
    *table = (struct authn_table){.free_slot = NO_SLOT};
}

void authn_table_fini(struct authn_table *table)
{
    ASSERT(table->count == 0);
    mem_free(table->slots);
}

static bool grow(struct authn_table *table)
{
    uint32_t capacity = table->capacity == 0 ? SLOTS_AT_ONCE : table->capacity * 2;
    struct authn_slot *slots = mem_try_realloc(table->slots, capacity * sizeof(*slots));

    if (slots == NULL)
        return false;
    for (uint32_t i = capacity; i-- > table->capacity;) {
        slots[i] = (struct authn_slot){.generation = 1, .next_free = table->free_slot};
        table->free_slot = i;
    }
    table->slots = slots;
    table->capacity = capacity;
    return true;
}

static bool enter_table(struct authn_table *table, struct authn_attempt *attempt)
{
    struct authn_slot *slot;

    if (table->free_slot == NO_SLOT && !grow(table))
        return false;
    attempt->handle.slot = table->free_slot;
    slot = &table->slots[attempt->handle.slot];
    table->free_slot = slot->next_free;
    table->count++;
    slot->attempt = attempt;
    attempt->handle.generation = slot->generation;
    return true;
}

static void leave_table(struct authn_table *table, struct authn_handle handle)
{
    struct authn_slot *slot = &table->slots[handle.slot];

    slot->attempt = NULL;
    slot->generation++; /* I3 */
    slot->next_free = table->free_slot;
    table->free_slot = handle.slot;
    table->count--;
}

struct authn_attempt *authn_find(struct broker *broker, struct authn_handle handle)
{
    const struct authn_table *table = &broker->attempts;

    if (handle.slot >= table->capacity || table->slots[handle.slot].generation != handle.generation)
        return NULL;
    return table->slots[handle.slot].attempt;
}

static void drop_said(struct authn_attempt *attempt)
{
    if (attempt->said != NULL)
        mem_wipe(attempt->said, attempt->said_len);
    mem_free(attempt->said);
    attempt->said = NULL;
}

void authn_drop_state(struct authn_attempt *attempt)
{
    if (attempt->state != NULL && attempt->free_state != NULL)
        attempt->free_state(attempt->state);
    attempt->state = NULL;
    attempt->free_state = NULL;
}

void authn_abandon(struct broker *broker, struct connection *connection)
{
    struct authn_attempt *attempt = connection->attempt;

    if (attempt == NULL)
        return;
    connection->attempt = NULL;
    leave_table(&broker->attempts, attempt->handle);
    timer_disarm(&broker->timers, &attempt->timer);
    timer_disarm(&broker->timers, &attempt->deadline);
    drop_said(attempt);
    slow_down_release(broker->shared->slow_down, &attempt->hold);
    authn_drop_state(attempt);
    identity_clear(broker, &attempt->result);
    mem_free(attempt->new_username);
    mem_wipe(attempt->bytes, attempt->size);
    mem_free(attempt);
}

/* Room behind the packet's bytes. */
static struct span append(struct authn_attempt *attempt, struct span text)
{
    uint8_t *to = attempt->bytes + attempt->size;

    memcpy(to, text.data, text.len);
    attempt->size += text.len;
    return span_of(to, text.len);
}

static void describe(struct authn_attempt *attempt)
{
    const struct connect_packet *packet = &attempt->packet;

    attempt->username = packet->username;
    attempt->password = packet->password;
    attempt->has_username = packet->has_username;
    attempt->has_password = packet->has_password;
    attempt->version = packet->version;
    if (props_has(&packet->props, MQTT_PROPERTY_AUTHENTICATION_METHOD))
        attempt->method = packet->props.authentication_method;
    if (props_has(&packet->props, MQTT_PROPERTY_AUTHENTICATION_DATA))
        attempt->data = packet->props.authentication_data;
    port_peer_address(attempt->connection, &attempt->peer);
    port_peer_door(attempt->connection, &attempt->door);
    attempt->slow_down = slow_down_keys_of(&attempt->peer, attempt->username);
}

bool authn_hear(struct authn_attempt *attempt, struct span data)
{
    drop_said(attempt);
    attempt->said = mem_try_alloc(data.len + 1u);
    if (attempt->said == NULL)
        return false;
    if (data.len > 0)
        memcpy(attempt->said, data.data, data.len);
    attempt->said_len = data.len;
    attempt->data = span_of(attempt->said, data.len);
    return true;
}

static void deadline_passed(void *owner, struct timer *timer)
{
    struct authn_attempt *attempt = CONTAINER_OF(timer, struct authn_attempt, deadline);

    (void)authn_break_off(owner, attempt, MQTT_REASON_NOT_AUTHORIZED,
                          "it did not authenticate again within mqtt.connect_timeout");
}

/* With room for that many bytes, and in the table; NULL when memory is gone. */
static struct authn_attempt *create(struct broker *broker, struct connection *connection,
                                    size_t room)
{
    struct authn_attempt *attempt = mem_try_alloc(sizeof(*attempt) + room);

    if (attempt == NULL)
        return NULL;
    memset(attempt, 0, sizeof(*attempt));
    if (!enter_table(&broker->attempts, attempt)) {
        mem_free(attempt);
        return NULL;
    }
    attempt->broker = broker;
    attempt->connection = connection;
    timer_init(&attempt->timer, authn_held_long_enough);
    timer_init(&attempt->deadline, deadline_passed);
    return attempt;
}

struct authn_attempt *authn_create(struct broker *broker, struct connection *connection,
                                   const struct frame *frame, const struct connect_facts *facts)
{
    struct authn_attempt *attempt =
        create(broker, connection,
               (size_t)frame->body_len + facts->client_identifier.len + facts->username.len);
    struct frame copy = *frame;

    if (attempt == NULL)
        return NULL;
    copy.body = append(attempt, span_of(frame->body, frame->body_len)).data;
    if (mqtt_decode_connect(&copy, &attempt->packet) != MQTT_REASON_SUCCESS)
        UNREACHABLE("these bytes were a CONNECT before");
    attempt->client_identifier = attempt->packet.client_identifier;
    attempt->assigned_identifier = facts->assigned_identifier;
    if (facts->assigned_identifier)
        attempt->client_identifier = append(attempt, facts->client_identifier);
    attempt->username_verified = facts->username_verified;
    if (facts->username_verified) {
        attempt->packet.username = append(attempt, facts->username);
        attempt->packet.has_username = true;
    }
    describe(attempt);
    connection->attempt = attempt;
    return attempt;
}

struct authn_attempt *authn_create_again(struct broker *broker, struct connection *connection,
                                         const struct ack_packet *packet)
{
    const struct session *session = connection->session;
    struct span method = packet->props.authentication_method;
    struct authn_attempt *attempt = create(broker, connection, method.len);

    if (attempt == NULL)
        return NULL;
    connection->attempt = attempt;
    attempt->again = true;
    attempt->version = attempt->packet.version = MQTT_5;
    attempt->client_identifier = session_client_identifier(session);
    attempt->has_username = session->username != NULL;
    if (attempt->has_username)
        attempt->username = span_text(session->username);
    attempt->packet.has_username = attempt->has_username;
    attempt->packet.username = attempt->username;
    describe(attempt);
    attempt->method = append(attempt, method);
    timer_arm(&broker->timers, &attempt->deadline,
              broker->now_ms + (uint64_t)broker->conf->mqtt_connect_timeout_ms);
    if (authn_hear(attempt, packet->props.authentication_data))
        return attempt;
    authn_abandon(broker, connection);
    return NULL;
}
