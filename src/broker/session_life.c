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
#include "broker/deliver.h"
#include "broker/will.h"
#include "mqtt/encode.h"

void session_drop_will(struct session *session)
{
    will_free(session->will);
    session->will = NULL;
}

static void publish_will(struct broker *broker, struct session *session)
{
    session->will_due_ms = TIMER_NEVER;
    will_publish(broker, session); /* I1 */
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
    if (session->will != NULL)
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
