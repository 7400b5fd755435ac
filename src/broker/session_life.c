/* SPDX-License-Identifier: MIT
 *
 * session_life - what happens to a session between its connections.
 *
 *   connected --connection over--> disconnected --client is back--> connected
 *                                       | will delay passes: the will is published
 *                                       | expiry passes: the will is published if it is still there,
 *                                       v and the session ends
 *
 * One timer per session serves both: will_due_ms and expires_ms say what is pending, in whatever
 * order they come.
 *
 * Invariants
 *   I1  a will is published at most once, and never after its removal by DISCONNECT 0x00
 *       [MQTT-3.1.2-10]
 *   I2  the session's end publishes a will that waits for its delay [MQTT-3.1.2-8]
 *   I3  a session that ends leaves no subscription, delivery, timer or seat in a group behind
 */
#include "broker/audit.h"
#include "broker/deliver.h"
#include "broker/plugins.h"
#include "mqtt/encode.h"

void will_free(struct will *will)
{
    if (will == NULL)
        return;
    message_unref(will->message);
    mem_free(will);
}

void session_drop_will(struct session *session)
{
    will_free(session->will);
    session->will = NULL;
}

static void refuse_will(struct broker *broker, const struct session *session,
                        const struct publication *publication, const struct authz_reason *why)
{
    struct audit_refusal refusal = {
        .event = AUDIT_WILL,
        .counter = STAT_refused_will,
        .client_identifier = session_client_identifier(session),
        .username = session->username == NULL ? (struct span){0} : span_text(session->username),
        .peer = session->peer,
        .topic = publication->topic,
        .link = why->link,
        .rule = why->rule,
    };

    audit_refusal(broker, &refusal);
}

/* The client may have been allowed it when it connected, and may not be any more. */
static bool may_publish_will(struct broker *broker, struct session *session,
                             const struct publication *publication)
{
    struct authz_reason reason;

    if (authz_will(broker, session, publication->topic, publication->qos, publication->retain,
                   &reason))
        return true;
    refuse_will(broker, session, publication, &reason);
    return false;
}

static bool plugins_let_will_through(struct broker *broker, const struct session *session,
                                     const struct publication *publication)
{
    struct authz_reason why = {.link = "plugins"};

    if (plugins_publish(broker, session, NULL, publication, why.rule, sizeof(why.rule)) ==
        MQTT_REASON_SUCCESS)
        return true;
    refuse_will(broker, session, publication, &why);
    return false;
}

static void publish_will(struct broker *broker, struct session *session)
{
    struct will *will = session->will;
    struct publication publication;
    bool matched;

    session->will_due_ms = TIMER_NEVER;
    if (will == NULL)
        return;
    session->will = NULL; /* I1 */
    publication = will->message->publication;
    publication.received_ns = broker->now_ns;
    publication.publisher = session->handle;
    if (UNLIKELY(broker->authz_active) && !may_publish_will(broker, session, &publication)) {
        will_free(will);
        return;
    }
    if (UNLIKELY(broker->plugin_hooks & PLUGIN_PUBLISH) &&
        !plugins_let_will_through(broker, session, &publication)) {
        will_free(will);
        return;
    }
    if (will->has_expiry)
        publication.expires_ms = broker->now_ms + (uint64_t)will->expiry_s * 1000;
    STAT_INC(broker->stats, message_in);
    STAT_INC(broker->stats, will_published);
    /* retained or not as the client asked [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.2-16]
     * [MQTT-3.1.2-17] */
    if (publication.retain)
        publication.author = authz_author(session);
    if (publication.retain &&
        (publication.author == NULL || retain_allowed(broker, &publication) == RETAIN_REFUSED))
        publication.retain = false;
    if (!route_publication(broker, &publication, &matched))
        LOG_WARN("a will was not published: its topic is not valid any more");
    will_free(will);
}

static void arm(struct broker *broker, struct session *session)
{
    uint64_t next =
        session->will_due_ms < session->expires_ms ? session->will_due_ms : session->expires_ms;

    if (next == TIMER_NEVER)
        timer_disarm(&broker->timers, &session->timer);
    else
        timer_arm(&broker->timers, &session->timer, next);
}

static void timer_fired(void *owner, struct timer *timer)
{
    struct broker *broker = owner;
    struct session *session = CONTAINER_OF(timer, struct session, timer);

    if (session->will_due_ms <= broker->now_ms)
        publish_will(broker, session);
    if (session->expires_ms <= broker->now_ms) { /* [MQTT-4.1.0-2] */
        STAT_INC(broker->stats, session_expired);
        session_end(broker, session);
        return;
    }
    arm(broker, session);
}

void session_init(struct session *session)
{
    timer_init(&session->timer, timer_fired);
    session->will_due_ms = session->expires_ms = TIMER_NEVER;
}

void session_detach(struct broker *broker, struct session *session)
{
    if (session->will != NULL && session->will->message->publication.retain)
        authz_author(session); /* while it is known who let it in */
    retain_abandon(broker, session);
    subscribe_ops_cancel(broker, session);
    session->connection = NULL;
    session->changed_ms = broker->wall_ms;
    STAT_DEC(broker->stats, session_connected);
    if (session->subscription_count != 0)
        STAT_DEC(broker->stats, session_subscribed);
    session_break_hold(broker, session, session->expiry_s == 0);
    if (session->expiry_s == 0) { /* [MQTT-3.1.2-6] [MQTT-4.1.0-2] */
        session_end(broker, session);
        return;
    }
    /* from here on the state lives without a connection [MQTT-4.1.0-1] */
    share_set_connected(broker, session, false);
    if (session->will != NULL) {
        if (session->will->delay_s == 0)
            publish_will(broker, session); /* [MQTT-3.1.2-8] */
        else
            session->will_due_ms = broker->now_ms + (uint64_t)session->will->delay_s * 1000;
    }
    session->expires_ms =
        session->expiry_s == SESSION_NEVER_EXPIRES /* [MQTT-3.1.2-23] [MQTT-3.1.2-4] */
            ? TIMER_NEVER
            : broker->now_ms + (uint64_t)session->expiry_s * 1000;
    arm(broker, session);
}

void session_end(struct broker *broker, struct session *session)
{
    uint32_t unsent;

    ASSERT(session->connection == NULL);
    publish_will(broker, session); /* I2 */
    timer_disarm(&broker->timers, &session->timer);
    share_leave_all(broker, session);
    while (session->subscription_count > 0)
        session_unsubscribe_at(broker, session, session->subscription_count - 1);
    broker->queue_bytes -= session->window.queued_bytes;
    unsent = window_clear(&session->window);
    STAT_ADD(broker->stats, delivery_queued, -(int64_t)unsent);
    STAT_ADD(broker->stats, drop_session_end, unsent);
    if (session->inbound != NULL) {
        inbound_clear(session->inbound);
        mem_free(session->inbound);
    }
    authz_retire(session);
    STAT_DEC(broker->stats, session_count);
    session_table_destroy(&broker->sessions, session);
}

/* PUBREL of every QoS 2 delivery that got its PUBREC before [MQTT-4.4.0-1]: not subject to the
 * quota [MQTT-4.9.0-3] */
static void send_pubrels(struct broker *broker, struct session *session)
{
    struct window *window = &session->window;

    for (uint64_t i = window->head; i < window->tail; i++)
        if (window_at(window, i)->state == DELIVERY_RELEASED)
            send_ack(broker, session->connection, MQTT_PUBREL, window_packet_identifier(i),
                     MQTT_REASON_SUCCESS, NULL);
}

void session_resume(struct broker *broker, struct session *session)
{
    share_set_connected(broker, session, true);
    send_pubrels(broker, session);
    session_pump(broker, session);
}
