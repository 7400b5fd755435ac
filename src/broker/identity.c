/* SPDX-License-Identifier: MIT
 *
 * identity - what a connection has gained by authentication, until it ends or the credential does.
 *
 * A token names an end in wall-clock time, the timers have a clock of their own, which nobody sets: when the timer fires
 * too early, or more than EXPIRY_STEP_MS lie ahead, the wall clock is looked at again.
 */
#include "auth/acl.h"
#include "broker/authn_priv.h"
#include "broker/broker_priv.h"

#define EXPIRY_STEP_MS 60000u

static void watch(struct broker *broker, struct identity *identity)
{
    uint64_t left_ms =
        identity->expires_ms > broker->wall_ms ? identity->expires_ms - broker->wall_ms : 0;

    timer_arm(&broker->timers, &identity->expiry,
              broker->now_ms + (left_ms < EXPIRY_STEP_MS ? left_ms : EXPIRY_STEP_MS));
}

static void expiry_fired(void *owner, struct timer *timer)
{
    struct broker *broker = owner;
    struct identity *identity = CONTAINER_OF(timer, struct identity, expiry);

    if (broker->wall_ms < identity->expires_ms) {
        watch(broker, identity);
        return;
    }
    if (identity->connection->state == CONNECTION_CLOSING)
        return;
    STAT_INC(broker->stats, authn_expired);
    connection_end(broker, identity->connection, MQTT_REASON_MAXIMUM_CONNECT_TIME,
                   "its token has expired");
}

/* What it has to authenticate again with. */
static bool keep_method(struct identity *identity, struct span method)
{
    if (method.len == 0)
        return true;
    identity->method = mem_try_alloc(method.len + 1u);
    if (identity->method == NULL)
        return false;
    memcpy(identity->method, method.data, method.len);
    identity->method[method.len] = '\0';
    return true;
}

static void fill(struct broker *broker, struct identity *identity, struct connection *connection,
                 struct authn_attempt *attempt)
{
    *identity = attempt->result;
    attempt->result = (struct identity){0};
    identity->link = attempt->link;
    identity->connection = connection;
    timer_init(&identity->expiry, expiry_fired);
    if (identity->expires_ms != 0)
        watch(broker, identity);
}

bool identity_take(struct broker *broker, struct connection *connection,
                   struct authn_attempt *attempt)
{
    connection->identity = mem_try_alloc(sizeof(*connection->identity));
    if (connection->identity == NULL)
        return false;
    fill(broker, connection->identity, connection, attempt);
    return keep_method(connection->identity, attempt->method);
}

void identity_renew(struct broker *broker, struct identity *identity, struct authn_attempt *attempt)
{
    attempt->result.method = identity->method;
    identity->method = NULL;
    identity_clear(broker, identity);
    fill(broker, identity, attempt->connection, attempt);
}

void identity_clear(struct broker *broker, struct identity *identity)
{
    if (identity->connection != NULL)
        timer_disarm(&broker->timers, &identity->expiry);
    acl_free(identity->rules);
    mem_free(identity->method);
    *identity = (struct identity){0};
}

void identity_release(struct broker *broker, struct connection *connection)
{
    if (connection->identity == NULL)
        return;
    identity_clear(broker, connection->identity);
    mem_free(connection->identity);
    connection->identity = NULL;
}
