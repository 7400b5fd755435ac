/* SPDX-License-Identifier: MIT
 *
 * orders - the small errands of operators, at the shard that they are for.
 */
#include "broker/orders.h"

#include "broker/broker_priv.h"
#include "mqtt/tables.h"

/* ---- kick ---- */

static enum errand_step kick_run(struct broker *broker, struct errand *errand)
{
    struct kick *kick = kick_of(errand);
    struct span identifier = span_of(kick->client_identifier, kick->client_identifier_len);
    struct session *session = session_table_find(&broker->sessions, identifier);

    kick->known = session != NULL;
    if (session != NULL && session->connection != NULL) {
        kick->was_connected = true;
        STAT_INC(broker->stats, session_kicked);
        connection_end(broker, session->connection, (enum mqtt_reason)kick->reason,
                       "ended by an operator");
        session = session_table_find(&broker->sessions, identifier); /* it may have ended with it */
    }
    if (session != NULL && kick->end_session) {
        session_end(broker, session);
        session = NULL;
    }
    kick->session_kept = session != NULL;
    return ERRAND_DONE;
}

static void kick_release(struct errand *errand)
{
    mem_free(kick_of(errand));
}

static const struct errand_kind kick_kind = {
    .name = "the end of a client", .run = kick_run, .release = kick_release};

struct kick *kick_create(struct span client_identifier, uint8_t reason, bool end_session)
{
    struct kick *kick = mem_try_zalloc(sizeof(*kick) + client_identifier.len);

    if (kick == NULL)
        return NULL;
    kick->errand.kind = &kick_kind;
    kick->reason = reason;
    kick->end_session = end_session;
    kick->client_identifier_len = client_identifier.len;
    memcpy(kick->client_identifier, client_identifier.data, client_identifier.len);
    return kick;
}

bool kick_reason_valid(unsigned reason)
{
    return reason >= MQTT_REASON_UNSPECIFIED_ERROR && reason <= UINT8_MAX &&
           reason_from_server(MQTT_DISCONNECT, (enum mqtt_reason)reason);
}

/* ---- forget ---- */

static enum errand_step forget_run(struct broker *broker, struct errand *errand)
{
    struct forget *forget = forget_of(errand);

    forget->known = retain_forget(broker, span_of(forget->topic, forget->topic_len));
    return ERRAND_DONE;
}

static void forget_release(struct errand *errand)
{
    mem_free(forget_of(errand));
}

static const struct errand_kind forget_kind = {
    .name = "the end of a retained message", .run = forget_run, .release = forget_release};

struct forget *forget_create(struct span topic)
{
    struct forget *forget = mem_try_zalloc(sizeof(*forget) + topic.len);

    if (forget == NULL)
        return NULL;
    forget->errand.kind = &forget_kind;
    forget->topic_len = topic.len;
    memcpy(forget->topic, topic.data, topic.len);
    return forget;
}
