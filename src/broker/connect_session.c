/* SPDX-License-Identifier: MIT
 *
 * connect_session - the session that a CONNECT gets, and what it sets of session and connection.
 *
 * Everything that can fail comes before the first change: a refused CONNECT changes no session (I3 of on_connect.c).
 */
#include "broker/authz_priv.h"
#include "broker/connect.h"
#include "broker/plugins.h"
#include "broker/will.h"
#include "session/alias.h"

#define CERTIFICATE_TEXT_BYTES 1024 /* what a backend is told of a certificate */

/* ---- the session ---- */

static void take_over(struct broker *broker, struct session *session, bool clean_start)
{
    struct connection *older = session->connection;

    STAT_INC(broker->stats, session_taken_over);
    /* A will with a delay does not outlive the new connection [MQTT-3.1.3-9], unless the session
     * ends here; without a delay it is sent as for any lost connection. */
    if (!clean_start && session->will != NULL && session->will->delay_s > 0)
        session_drop_will(session);
    connection_end(broker, older,
                   MQTT_REASON_SESSION_TAKEN_OVER, /* [MQTT-3.1.4-3] [MQTT-3.1.4-2] */
                   "the client identifier connected again");
}

/* Backends and plug-ins are asked about a subscription, and not about each message that it brings: what they allowed one
 * user is not another's who comes with the same client identifier, nor his own when he was a super user. Rules are asked
 * about each message (broker/authz_client.c), so what they allow whom is no reason to end a session. */
static bool is_anothers(const struct broker *broker, const struct session *session,
                        const struct connect_packet *packet, const struct authz_grant *grant)
{
    bool same =
        session->username == NULL
            ? !packet->has_username
            : packet->has_username && span_equal(span_text(session->username), packet->username);

    return !broker->authz_rules_alone && !grant->superuser && (!same || session->superuser);
}

/* The session that this CONNECT gets; NULL when there can be none. */
static struct session *find_session(struct broker *broker, struct span client_identifier,
                                    const struct connect_packet *packet,
                                    const struct authz_grant *grant, struct connect_result *result)
{
    /* by the whole identifier, whatever its length and characters [MQTT-3.1.3-2] [MQTT-3.1.3-5] */
    struct session *session = session_table_find(&broker->sessions, client_identifier);

    bool clean_start =
        packet->clean_start || (session != NULL && is_anothers(broker, session, packet, grant));

    if (session != NULL && session->connection != NULL) {
        take_over(broker, session, clean_start);
        session = session_table_find(&broker->sessions, client_identifier);
    }
    if (session != NULL && clean_start) { /* [MQTT-3.1.2-4] [MQTT-3.1.2-6] */
        session_end(broker, session);
        session = NULL;
    }
    if (session != NULL) { /* [MQTT-3.1.2-5] */
        result->session_present = true;
        session->will_due_ms = session->expires_ms = TIMER_NEVER;
        timer_disarm(&broker->timers, &session->timer);
        session_drop_will(session); /* the client is back before its delay passed [MQTT-3.1.3-9] */
        return session;
    }
    if (broker->sessions.count >= broker->session_limit)
        return NULL;
    session = session_table_create(&broker->sessions, client_identifier);
    if (session == NULL)
        return NULL;
    session_init(session);
    STAT_INC(broker->stats, session_count);
    return session;
}

static uint32_t limited_expiry(const struct broker *broker, uint32_t expiry_s)
{
    uint64_t limit_s = (uint64_t)broker->conf->mqtt_max_session_expiry_ms / 1000;

    return limit_s > 0 && expiry_s > limit_s ? (uint32_t)limit_s : expiry_s;
}

static void set_expiry(const struct broker *broker, struct session *session,
                       const struct connect_packet *packet, struct connect_result *result)
{
    if (packet->version == MQTT_5)
        result->expiry_s = props_has(&packet->props, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL)
                               ? packet->props.session_expiry
                               : 0;
    else
        result->expiry_s = packet->clean_start ? 0 : SESSION_NEVER_EXPIRES;
    session->expiry_s = limited_expiry(broker, result->expiry_s);
}

/* What the client's certificate says, terminated, in *to; NULL when it says nothing. False when memory is gone. */
static bool keep_certificate(const struct connection *connection, enum port_certificate what,
                             char **to)
{
    char text[CERTIFICATE_TEXT_BYTES];
    size_t size;

    *to = NULL;
    if (!port_peer_certificate(connection, what, text, sizeof(text)))
        return true;
    size = strlen(text) + 1;
    *to = mem_try_alloc(size);
    if (*to == NULL)
        return false;
    memcpy(*to, text, size);
    return true;
}

/* For the question about the will when it is due. */
static bool keep_origin(const struct connection *connection, struct will *will)
{
    struct peer_door door;

    port_peer_door(connection, &door);
    will->port = door.port;
    will->protocol = door.protocol;
    will->mount_len = (uint16_t)mount_len(connection->mount);
    return keep_certificate(connection, PORT_CERTIFICATE_COMMON_NAME, &will->common_name) &&
           keep_certificate(connection, PORT_CERTIFICATE_SUBJECT, &will->subject);
}

/* The will of a CONNECT that has one. NULL when memory is gone. */
static struct will *make_will(const struct connection *connection,
                              const struct connect_packet *packet)
{
    const struct mount_point *mount = connection->mount;
    const struct mqtt_props *props = &packet->will_props;
    uint8_t *forwarded = NULL;
    uint32_t len;
    struct publication publication = {
        .topic = packet->will_topic,
        .payload = packet->will_payload,
        .publisher = SESSION_HANDLE_NONE, /* the session, once it is published */
        .qos = packet->will_qos,
        .retain = packet->will_retain,
    };
    struct will *will = mem_try_zalloc(sizeof(*will));

    if (will == NULL)
        return NULL;
    if (packet->version == MQTT_5 && props->raw.len > 0) {
        forwarded = mem_try_alloc(props->raw.len + mount_len(mount));
        if (forwarded == NULL) {
            mem_free(will);
            return NULL;
        }
        ASSERT(mount_props(mount, props, forwarded, &len)); /* mount_settle() has measured it */
        publication.props = span_of(forwarded, len);        /* [MQTT-3.1.3-10] */
        will->delay_s = props_has(props, MQTT_PROPERTY_WILL_DELAY_INTERVAL) ? props->will_delay : 0;
        will->has_expiry = props_has(props, MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL);
        will->expiry_s = will->has_expiry ? props->message_expiry : 0;
    }
    will->message = message_create(&publication, 1);
    mem_free(forwarded);
    if (will->message != NULL && keep_origin(connection, will))
        return will;
    will_free(will);
    return NULL;
}

/* A copy of the user name, terminated; NULL when there is none. False when memory is gone: without its name no rule that
 * denies would find the client. */
static bool copy_username(const struct connect_packet *packet, char **username)
{
    *username = NULL;
    if (!packet->has_username)
        return true;
    *username = mem_try_alloc(packet->username.len + 1u);
    if (*username == NULL)
        return false;
    memcpy(*username, packet->username.data, packet->username.len);
    (*username)[packet->username.len] = '\0';
    return true;
}

/* ---- the connection ---- */

static void set_keep_alive(struct broker *broker, struct connection *connection,
                           const struct connect_packet *packet, struct connect_result *result)
{
    uint64_t limit_s = (uint64_t)broker->conf->mqtt_max_keep_alive_ms / 1000;

    connection->keep_alive_s = packet->keep_alive_s; /* [MQTT-3.2.2-22] */
    if (limit_s > UINT16_MAX)
        limit_s = UINT16_MAX;
    if (limit_s > 0 && (packet->keep_alive_s == 0 || packet->keep_alive_s > limit_s)) {
        connection->keep_alive_s = (uint16_t)limit_s;
        result->server_keep_alive = (uint16_t)limit_s;
        result->has_server_keep_alive = true;
    }
    if (connection->keep_alive_s == 0)
        timer_disarm(&broker->timers, &connection->timer);
    else
        timer_arm(&broker->timers, &connection->timer,
                  broker->now_ms +
                      (uint64_t)connection->keep_alive_s * broker->conf->mqtt_keepalive_multiplier);
}

static bool set_aliases(const struct broker *broker, struct connection *connection,
                        const struct connect_packet *packet)
{
    uint32_t outbound = 0;

    if (packet->version == MQTT_5 && props_has(&packet->props, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM))
        outbound =
            packet->props.topic_alias_maximum; /* [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-11] */
    if (outbound > broker->conf->mqtt_max_topic_alias_out)
        outbound = broker->conf->mqtt_max_topic_alias_out;
    if (outbound == 0)
        return true;
    connection->aliases =
        alias_create((uint16_t)broker->conf->mqtt_max_topic_alias, (uint16_t)outbound);
    connection->has_outbound_alias = connection->aliases != NULL;
    connection->encodes_alone |= connection->has_outbound_alias;
    return connection->aliases != NULL;
}

/* Fixes what describe_server() announces. */
static void set_limits(const struct conf *conf, struct connection *connection)
{
    connection->packet_size_limit = (uint64_t)conf->mqtt_max_packet_size < MQTT_PACKET_SIZE_MAX
                                        ? (uint32_t)conf->mqtt_max_packet_size
                                        : MQTT_PACKET_SIZE_MAX;
    if (connection->packet_size_limit > port_packet_size_max(connection))
        connection->packet_size_limit = port_packet_size_max(connection);
    connection->receive_maximum = (uint16_t)conf->mqtt_receive_maximum;
    connection->topic_alias_max = (uint16_t)conf->mqtt_max_topic_alias;
    connection->qos_max = (uint8_t)conf->mqtt_max_qos;
    connection->retain_available = conf->mqtt_retain_available;
}

static void go_online(struct broker *broker, struct connection *connection,
                      const struct connect_packet *packet, struct session *session)
{
    uint32_t receive_maximum = UINT16_MAX;

    connection->state = CONNECTION_ONLINE;
    connection->session = session;
    connection->timed_from_ns = broker->now_ns;
    set_limits(broker->conf, connection);
    connection->version = (uint8_t)packet->version;
    connection->problem_information =
        packet->version == MQTT_5 &&
        (!props_has(&packet->props, MQTT_PROPERTY_REQUEST_PROBLEM_INFORMATION) ||
         packet->props.request_problem_information != 0); /* [MQTT-3.1.2-29] */
    if (packet->version == MQTT_5) {
        if (props_has(&packet->props, MQTT_PROPERTY_RECEIVE_MAXIMUM))
            receive_maximum = packet->props.receive_maximum;
        if (props_has(&packet->props, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE))
            connection->packet_size_max = packet->props.maximum_packet_size;
    }
    if (receive_maximum > broker->conf->mqtt_max_inflight_window)
        receive_maximum = broker->conf->mqtt_max_inflight_window;
    session->receive_maximum = (uint16_t)receive_maximum;
    session->version = (uint8_t)packet->version;
    session->clean_start = packet->clean_start;
    session->keep_alive_s = packet->keep_alive_s;
    port_peer_address(connection, &session->peer);
    session->changed_ms = broker->wall_ms;
    session->connection = connection;
    STAT_INC(broker->stats, session_connected);
    if (session->subscription_count != 0)
        STAT_INC(broker->stats, session_subscribed);
}

/* ---- all of it ---- */

/* Whether the client may publish its will. Not CONTINUE: it has to wait, or it has been refused. */
static enum connection_verdict admit_will(struct broker *broker, struct connection *connection,
                                          const struct connect_packet *packet,
                                          struct span client_identifier, const struct acl *rules)
{
    struct authz_question question = {
        .action = AUTHZ_PUBLISH,
        .topic = packet->will_topic,
        .qos = packet->will_qos,
        .retain = packet->will_retain,
        .client_identifier = client_identifier,
        .username = packet->has_username ? packet->username : (struct span){0},
        .rules = rules,
        .connection = connection,
    };
    struct authz_reason reason;
    struct audit_refusal refusal = {
        .event = AUDIT_WILL,
        .counter = STAT_refused_will,
        .client_identifier = client_identifier,
        .username = question.username,
        .connection = connection,
        .topic = packet->will_topic,
        .rule = reason.rule,
    };

    port_peer_address(connection, &question.peer);
    switch (authz_ask_question(broker, &question, &reason)) {
    case AUTHZ_WAIT:
        return CONNECTION_PAUSE;
    case AUTHZ_DENY:
        refusal.link = reason.link;
        return connect_refuse_with(broker, connection, packet, MQTT_REASON_NOT_AUTHORIZED,
                                   "the client may not publish its will", &refusal);
    default:
        return CONNECTION_CONTINUE;
    }
}

enum connection_verdict connect_session(struct broker *broker, struct connection *connection,
                                        const struct connect_packet *packet,
                                        struct span client_identifier, struct authz_grant *grant,
                                        struct connect_result *result)
{
    struct connect_packet whole = *packet; /* with whole topics */
    const char *why = "";
    enum mqtt_reason reason = mount_settle(broker, connection, &whole, client_identifier, &why);
    struct will *will;
    struct session *session;
    char *username;

    if (reason != MQTT_REASON_SUCCESS)
        return connect_refuse(broker, connection, packet, reason, why);
    packet = &whole;
    connection->version = (uint8_t)packet->version; /* links ask for it */
    if (UNLIKELY(broker->authz_active) && packet->has_will && !grant->superuser) {
        enum connection_verdict verdict =
            admit_will(broker, connection, packet, client_identifier, grant->rules);

        if (verdict != CONNECTION_CONTINUE)
            return verdict;
    }
    authz_forget(broker, connection);
    will = packet->has_will ? make_will(connection, packet) : NULL; /* [MQTT-3.1.2-12] */
    /* what needs memory comes before any session is touched (I3) */
    if ((packet->has_will && will == NULL) || !set_aliases(broker, connection, packet) ||
        !copy_username(packet, &username)) {
        will_free(will);
        return connect_refuse(broker, connection, packet, MQTT_REASON_QUOTA_EXCEEDED,
                              "out of memory");
    }
    session = find_session(broker, client_identifier, packet, grant, result);
    if (session == NULL) {
        will_free(will);
        mem_free(username);
        return connect_refuse(broker, connection, packet, MQTT_REASON_QUOTA_EXCEEDED,
                              "no more sessions are allowed");
    }
    go_online(broker, connection, packet, session);
    set_expiry(broker, session, packet, result);
    mem_free(session->username);
    session->username = username;
    authz_admit(broker, session, grant);
    set_keep_alive(broker, connection, packet, result);
    if (UNLIKELY(broker->plugin_hooks & PLUGIN_CONNECT))
        plugins_connected(broker, session, result->session_present);
    if (!connect_accept(broker, connection, packet, session, result)) {
        will_free(will);
        return CONNECTION_STOP;
    }
    session->will = will; /* [MQTT-3.1.2-7] [MQTT-3.1.2-8] */
    sys_event_connected(broker, session, connection, packet->clean_start);
    if (result->session_present)
        session_resume(broker, session);
    return connection->closing == CLOSING_NO ? CONNECTION_CONTINUE : CONNECTION_STOP;
}
