/* SPDX-License-Identifier: MIT
 *
 * authn - the chain itself; the essay is in authn.h.
 *
 * A broker without any link that is configured, and open to everybody, never makes an attempt: authn_open() says so, and
 * CONNECT costs what it did before there was authentication.
 */
#include "broker/authn.h"

#include "broker/authn_priv.h"
#include "broker/broker_priv.h"
#include "broker/http_auth.h"
#include "broker/policy.h"
#include "mqtt/decode.h"

#define NO_SLOT       UINT32_MAX
#define SLOTS_AT_ONCE 64u
#define ROUNDS_MAX    16u /* CONTINUEs of one attempt */

static const struct authn_link links[] = {
#define AUTHN_LINK(link) {#link, authn_##link##_configured, authn_##link##_ask},
#include "broker/authn_links.def"
#undef AUTHN_LINK
};

/* ---- the link of certificates ---- */

bool authn_certificate_configured(const struct broker *broker)
{
    (void)broker;
    return true; /* whether there is one depends on the listener */
}

enum authn_answer authn_certificate_ask(struct broker *broker, struct authn_attempt *attempt)
{
    (void)broker;
    return attempt->username_verified && attempt->door.certified && attempt->method.len == 0
               ? AUTHN_ALLOW
               : AUTHN_IGNORE;
}

/* ---- attempts ---- */

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

static void drop_state(struct authn_attempt *attempt)
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
    drop_state(attempt);
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
    timer_init(&attempt->timer, NULL);
    timer_init(&attempt->deadline, NULL);
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

/* Takes a copy of what the client says. False when memory is gone. */
static bool hear(struct authn_attempt *attempt, struct span data)
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
    timer_init(&attempt->deadline, deadline_passed);
    timer_arm(&broker->timers, &attempt->deadline,
              broker->now_ms + (uint64_t)broker->conf->mqtt_connect_timeout_ms);
    if (hear(attempt, packet->props.authentication_data))
        return attempt;
    authn_abandon(broker, connection);
    return NULL;
}

/* ---- the chain ---- */

static bool anyone_configured(const struct broker *broker)
{
    for (size_t i = 0; i < ARRAY_LENGTH(links); i++)
        if (links[i].configured != authn_certificate_configured && links[i].configured(broker))
            return true;
    return false;
}

static bool anonymous_allowed(const struct broker *broker)
{
    return broker->policy == NULL || broker->policy->anonymous;
}

bool authn_open(const struct broker *broker, const struct connect_packet *packet)
{
    return anonymous_allowed(broker) && !anyone_configured(broker) &&
           !http_super_configured(broker) &&
           !props_has(&packet->props, MQTT_PROPERTY_AUTHENTICATION_METHOD);
}

/* Nobody knows the client. */
static enum authn_answer end_of_chain(const struct broker *broker, struct authn_attempt *attempt)
{
    attempt->link = NULL;
    if (attempt->method.len != 0) { /* [MQTT-4.12.0-1] */
        attempt->code = MQTT_REASON_BAD_AUTHENTICATION_METHOD;
        attempt->reason = "no such authentication method is supported";
        return AUTHN_DENY;
    }
    /* who shows a password that nobody takes is somebody, if not known */
    if (anonymous_allowed(broker) &&
        ((!attempt->has_username && !attempt->has_password) || !anyone_configured(broker)))
        return AUTHN_ALLOW;
    attempt->reason = attempt->has_username ? "nobody knows the user name and the password"
                                            : "a user name and a password are required";
    return AUTHN_DENY;
}

/* Asks `next` and those behind it. */
static enum authn_answer ask_from(struct broker *broker, struct authn_attempt *attempt,
                                  const struct authn_link *next)
{
    for (; next < links + ARRAY_LENGTH(links); next++) {
        enum authn_answer answer;

        if (!next->configured(broker))
            continue;
        drop_state(attempt);
        attempt->link = next;
        attempt->reason = NULL;
        attempt->code = MQTT_REASON_SUCCESS;
        answer = next->ask(broker, attempt);
        if (answer != AUTHN_IGNORE)
            return answer;
    }
    return end_of_chain(broker, attempt);
}

/* The link wants to hear more. False when that cannot be: the attempt is then to be refused. */
static bool continue_with(struct broker *broker, struct authn_attempt *attempt)
{
    attempt->code = MQTT_REASON_SUCCESS;
    if (attempt->method.len == 0 || attempt->round == ROUNDS_MAX)
        attempt->reason = "its authentication takes too many steps";
    else if (!auth_send(broker, attempt, MQTT_REASON_CONTINUE_AUTHENTICATION)) /* [MQTT-4.12.0-2] */
        attempt->reason = "a step of its authentication is larger than its Maximum Packet Size";
    else
        attempt->awaits_client = true;
    return attempt->awaits_client;
}

static enum connection_verdict settle(struct broker *broker, struct authn_attempt *attempt,
                                      enum authn_answer answer)
{
    struct connection *connection = attempt->connection;
    enum connection_verdict verdict = CONNECTION_CONTINUE;

    if (answer == AUTHN_ALLOW)
        answer = http_super_ask(broker, attempt);
    attempt->waiting = answer == AUTHN_WAIT;
    if (attempt->waiting) {
        STAT_INC(broker->stats, authn_waited);
        return CONNECTION_CONTINUE; /* it is paused: authn_holds() (I2) */
    }
    if (answer == AUTHN_CONTINUE) {
        if (continue_with(broker, attempt))
            return CONNECTION_CONTINUE;
        answer = AUTHN_DENY;
    }
    if (attempt->again) {
        auth_again_decided(broker, attempt, answer == AUTHN_ALLOW);
    } else {
        attempt->allowed = answer == AUTHN_ALLOW;
        verdict = answer == AUTHN_ALLOW ? connect_allowed(broker, connection, attempt)
                                        : connect_denied(broker, connection, attempt);
    }
    if (verdict != CONNECTION_PAUSE) /* else its will is being decided: authn_go_on() */
        authn_abandon(broker,
                      connection); /* I1; it may be gone already: the connection has ended */
    return verdict == CONNECTION_PAUSE ? CONNECTION_CONTINUE : verdict;
}

void authn_go_on(struct broker *broker, struct connection *connection)
{
    struct authn_attempt *attempt = connection->attempt;

    if (attempt != NULL && attempt->allowed)
        (void)settle(broker, attempt, AUTHN_ALLOW);
}

enum connection_verdict authn_begin(struct broker *broker, struct authn_attempt *attempt)
{
    return settle(broker, attempt, ask_from(broker, attempt, links));
}

enum connection_verdict authn_answered(struct broker *broker, struct authn_attempt *attempt,
                                       struct span data)
{
    ASSERT(attempt->awaits_client && attempt->link != NULL);
    attempt->awaits_client = false;
    attempt->round++;
    attempt->reason = NULL;
    if (!hear(attempt, data))
        return authn_break_off(broker, attempt, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
    return settle(broker, attempt, attempt->link->ask(broker, attempt));
}

enum connection_verdict authn_break_off(struct broker *broker, struct authn_attempt *attempt,
                                        enum mqtt_reason code, const char *reason)
{
    attempt->code = code;
    attempt->reason = reason;
    return settle(broker, attempt, AUTHN_DENY);
}

void authn_complete(struct broker *broker, struct authn_handle handle, enum authn_answer answer)
{
    struct authn_attempt *attempt = authn_find(broker, handle);

    if (attempt == NULL || !attempt->waiting) {
        STAT_INC(broker->stats, authn_stale);
        return;
    }
    attempt->waiting = false;
    if (answer == AUTHN_IGNORE)
        answer = ask_from(broker, attempt, attempt->link + 1);
    ASSERT(answer != AUTHN_WAIT || attempt->link != NULL);
    (void)settle(broker, attempt, answer);
}
