/* SPDX-License-Identifier: MIT
 *
 * will - a will that is due: may it be published, and then it is.
 *
 *   session_life.c: it is due --> will_publish() --> the chain of authz.h --> ALLOW, DENY
 *                                                       | WAIT: a backend over HTTP is asked; the session goes on, or ends
 *                                                       v
 *                                              struct will_wait ... the answer --> published, or refused and audited
 *
 * The client was asked about at CONNECT; rules may have changed since, or a backend may have been configured that was never
 * asked. Then nobody is connected who could wait, so the will waits by itself, with all that a question, the audit and
 * plug-ins need to know of its client: the author, and where the client had come from.
 *
 * Invariants
 *   I1  a will that is due is published once, or refused once: what fails, or is still waiting at the end of the broker, is
 *       refused
 *   I2  each that waits has one question under way, and those have a limit (auth.http_auth.pool_size and max_waiting): one
 *       too many is denied at once
 */
#include "broker/will.h"

#include "broker/audit.h"
#include "broker/deliver.h"
#include "broker/plugins.h"

/* What a will needs when its session has gone. Owner: shard. */
struct will_wait {
    struct list node; /* broker->wills_waiting */
    struct will *will;
    const struct author *author;
    struct session_handle session;
    uint8_t version;
};

void will_free(struct will *will)
{
    if (will == NULL)
        return;
    if (will->message != NULL)
        message_unref(will->message);
    mem_free(will->common_name);
    mem_free(will->subject);
    mem_free(will);
}

static void free_wait(struct will_wait *wait)
{
    will_free(wait->will);
    author_unref(wait->author);
    mem_free(wait);
}

static void refuse(struct broker *broker, const struct will_wait *wait, const char *link,
                   const char *rule)
{
    struct audit_refusal refusal = {
        .event = AUDIT_WILL,
        .counter = STAT_refused_will,
        .client_identifier = author_client_identifier(wait->author),
        .username = author_username(wait->author),
        .peer = wait->author->peer,
        .topic = wait->will->message->publication.topic,
        .link = link,
        .rule = rule,
    };

    audit_refusal(broker, &refusal);
}

static bool plugins_let_through(struct broker *broker, const struct will_wait *wait,
                                const struct publication *publication)
{
    char rule[AUTHZ_RULE_MAX];

    if (LIKELY(!(broker->plugin_hooks & PLUGIN_PUBLISH)) ||
        plugins_publish_will(broker, wait->author, wait->version, publication, rule,
                             sizeof(rule)) == MQTT_REASON_SUCCESS)
        return true;
    refuse(broker, wait, "plugins", rule);
    return false;
}

/* It may be published. */
static void publish(struct broker *broker, const struct will_wait *wait)
{
    const struct will *will = wait->will;
    struct publication publication = will->message->publication;
    bool matched;

    publication.received_ns = broker->now_ns;
    publication.publisher = wait->session;
    if (!plugins_let_through(broker, wait, &publication))
        return;
    if (will->has_expiry)
        publication.expires_ms = broker->now_ms + (uint64_t)will->expiry_s * 1000;
    STAT_INC(broker->stats, message_in);
    STAT_INC(broker->stats, will_published);
    /* retained or not as the client asked [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.2-16]
     * [MQTT-3.1.2-17] */
    if (publication.retain)
        publication.author = wait->author;
    if (publication.retain && retain_allowed(broker, &publication) == RETAIN_REFUSED)
        publication.retain = false;
    if (!route_publication(broker, &publication, &matched))
        LOG_WARN("a will was not published: its topic is not valid any more");
}

void will_publish(struct broker *broker, struct session *session)
{
    struct will *will = session->will;
    struct authz_reason reason = {.link = "authz", .rule = "out of memory"};
    struct will_wait *wait;
    enum authz_answer answer = AUTHZ_ALLOW;

    if (will == NULL)
        return;
    session->will = NULL; /* I1 */
    wait = mem_try_zalloc(sizeof(*wait));
    if (wait == NULL || authz_author(session) == NULL) {
        LOG_WARN("a will was not published: out of memory");
        mem_free(wait);
        will_free(will);
        return;
    }
    *wait = (struct will_wait){.will = will,
                               .author = author_ref(authz_author(session)),
                               .session = session->handle,
                               .version = session->version};
    list_init(&wait->node);
    if (UNLIKELY(broker->authz_active))
        answer = authz_will(broker, session, will, wait, &reason);
    if (answer == AUTHZ_WAIT) {
        list_append(&broker->wills_waiting, &wait->node);
        STAT_INC(broker->stats, will_waiting);
        return;
    }
    if (answer == AUTHZ_ALLOW)
        publish(broker, wait);
    else
        refuse(broker, wait, reason.link, reason.rule);
    free_wait(wait);
}

void will_decided(struct broker *broker, struct will_wait *wait, bool allowed, const char *link,
                  const char *rule)
{
    list_remove(&wait->node);
    STAT_DEC(broker->stats, will_waiting);
    if (allowed && !broker->shutting_down)
        publish(broker, wait);
    else if (allowed)
        refuse(broker, wait, "authz", "the broker ends");
    else
        refuse(broker, wait, link, rule);
    free_wait(wait);
}

void will_clear(struct broker *broker)
{
    while (!list_empty(&broker->wills_waiting))
        will_decided(broker, LIST_ENTRY(broker->wills_waiting.next, struct will_wait, node), false,
                     "authz", "the broker ends");
}
