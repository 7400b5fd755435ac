/* SPDX-License-Identifier: MIT
 *
 * on_connect - CONNECT: who is it, where is its home, which session does it get.
 *
 * The shard that accepted the socket decodes CONNECT far enough to know the client identifier. When
 * its home is another shard, socket and bytes go there and CONNECT is decoded again: that costs a
 * microsecond, and nothing of a half-made connection has to cross between threads.
 *
 * Invariants
 *   I1  a client identifier is served by its home shard only, so take-over and resume are local
 *   I2  one CONNACK per connection, and nothing before it [MQTT-3.2.0-1] [MQTT-3.2.0-2]
 *   I3  a refused CONNECT changes no session
 */
#include "base/hash.h"
#include "broker/audit.h"
#include "broker/authn_priv.h"
#include "broker/banned.h"
#include "broker/broker_priv.h"
#include "broker/plugins.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"
#include "session/alias.h"

#include <stdio.h>

#define USERNAME_VERIFIED_MAX 1024  /* with its terminator */
#define CONNACK_MAX           2048u /* room besides the response information and the reason string */

struct connect_result {
    bool session_present;
    bool assigned_identifier;
    uint16_t server_keep_alive;
    bool has_server_keep_alive;
    uint32_t expiry_s;
    struct span method, answer; /* Authentication Method and Data; method.len 0: none */
};

unsigned broker_home_shard(struct span client_identifier, unsigned shard_count)
{
    return (unsigned)((hash64(client_identifier.data, client_identifier.len) >> 24) % shard_count);
}

/* ---- CONNACK ---- */

/* False when there is none for it: no return code fits, or it is larger than the client takes. */
static bool send_connack(struct broker *broker, struct connection *connection,
                         enum mqtt_version version, const struct connack_fields *fields)
{
    uint32_t room = CONNACK_MAX + fields->props.response_information.len +
                    fields->props.assigned_client_identifier.len + fields->props.reason_string.len +
                    fields->props.authentication_method.len + fields->props.authentication_data.len;
    uint8_t *to = connection_reserve(broker, connection, room);
    uint32_t size = to == NULL ? 0 : mqtt_encode_connack(to, room, version, fields);

    connection_commit(broker, connection, size);
    return size > 0;
}

/* Refuses: CONNACK with the reason, where the version has a code for it, and the end [MQTT-3.2.2-7]
 * [MQTT-3.2.2-5] [MQTT-3.2.2-4] [MQTT-3.2.2-6]; what the client sent behind CONNECT is not looked
 * at [MQTT-3.1.4-5] [MQTT-3.1.4-6]. */
static enum connection_verdict refuse_with(struct broker *broker, struct connection *connection,
                                           const struct connect_packet *packet,
                                           enum mqtt_reason reason, const char *why,
                                           const struct audit_refusal *refusal)
{
    struct connack_fields fields = {.reason = reason};

    if (packet->version == MQTT_5) {
        fields.props.reason_string = span_text(why);
        fields.props.present = (uint64_t)1 << MQTT_PROPERTY_REASON_STRING;
        if (props_has(&packet->props, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE))
            fields.packet_size_max = packet->props.maximum_packet_size;
    }
    audit_refusal(broker, refusal);
    STAT_INC(broker->stats, connection_refused);
    (void)send_connack(broker, connection, packet->version, &fields);
    connection_drop(broker, connection, reason, why);
    return CONNECTION_STOP;
}

static enum connection_verdict refuse(struct broker *broker, struct connection *connection,
                                      const struct connect_packet *packet, enum mqtt_reason reason,
                                      const char *why)
{
    struct audit_refusal refusal = {
        .event = AUDIT_CONNECT,
        .counter = audit_connect_counter(reason),
        .client_identifier = packet->client_identifier,
        .username = packet->has_username ? packet->username : (struct span){0},
        .connection = connection,
        .rule = why,
    };

    return refuse_with(broker, connection, packet, reason, why, &refusal);
}

static void set_bool(struct mqtt_props *props, enum mqtt_property id, uint8_t *member)
{
    *member = 0;
    props->present |= (uint64_t)1 << id;
}

static void set_present(struct mqtt_props *props, enum mqtt_property id)
{
    props->present |= (uint64_t)1 << id;
}

/* What a 5.0 client must know of this server (MQTT 5.0, 3.2.2.3). */
static void describe_server(const struct broker *broker, const struct connect_packet *packet,
                            const struct session *session, const struct connect_result *result,
                            struct mqtt_props *props)
{
    const struct conf *conf = broker->conf;

    if (conf->mqtt_receive_maximum < UINT16_MAX) {
        props->receive_maximum = (uint16_t)conf->mqtt_receive_maximum;
        set_present(props, MQTT_PROPERTY_RECEIVE_MAXIMUM);
    }
    if (conf->mqtt_max_qos < 2) { /* [MQTT-3.2.2-9] */
        props->maximum_qos = (uint8_t)conf->mqtt_max_qos;
        set_present(props, MQTT_PROPERTY_MAXIMUM_QOS);
    }
    if (!conf->mqtt_retain_available)
        set_bool(props, MQTT_PROPERTY_RETAIN_AVAILABLE, &props->retain_available);
    if (!conf->mqtt_wildcard_subscription)
        set_bool(props, MQTT_PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE, &props->wildcard_available);
    if (!conf->mqtt_shared_subscription)
        set_bool(props, MQTT_PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE, &props->shared_available);
    if ((uint64_t)conf->mqtt_max_packet_size < MQTT_PACKET_SIZE_MAX) {
        props->maximum_packet_size = (uint32_t)conf->mqtt_max_packet_size;
        set_present(props, MQTT_PROPERTY_MAXIMUM_PACKET_SIZE);
    }
    if (conf->mqtt_max_topic_alias > 0) { /* [MQTT-3.3.2-12] */
        props->topic_alias_maximum = (uint16_t)conf->mqtt_max_topic_alias;
        set_present(props, MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM);
    }
    if (result->has_server_keep_alive) {
        props->server_keep_alive = result->server_keep_alive;
        set_present(props, MQTT_PROPERTY_SERVER_KEEP_ALIVE);
    }
    if (result->assigned_identifier) { /* [MQTT-3.1.3-7] [MQTT-3.2.2-16] */
        props->assigned_client_identifier = session_client_identifier(session);
        set_present(props, MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER);
    }
    if (result->method.len > 0) { /* [MQTT-4.12.0-5] [MQTT-4.12.0-6] */
        props->authentication_method = result->method;
        set_present(props, MQTT_PROPERTY_AUTHENTICATION_METHOD);
    }
    if (result->answer.len > 0) {
        props->authentication_data = result->answer;
        set_present(props, MQTT_PROPERTY_AUTHENTICATION_DATA);
    }
    if (session->expiry_s != result->expiry_s) { /* not what the client asked for */
        props->session_expiry = session->expiry_s;
        set_present(props, MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL);
    }
    if (props_has(&packet->props,
                  MQTT_PROPERTY_REQUEST_RESPONSE_INFORMATION) && /* [MQTT-3.1.2-28] */
        packet->props.request_response_information == 1 &&
        conf->mqtt_response_information != NULL && conf->mqtt_response_information[0] != '\0') {
        props->response_information = span_text(conf->mqtt_response_information);
        set_present(props, MQTT_PROPERTY_RESPONSE_INFORMATION);
    }
}

/* False when the connection has been ended instead. */
static bool accept_connect(struct broker *broker, struct connection *connection,
                           const struct connect_packet *packet, const struct session *session,
                           const struct connect_result *result)
{
    struct connack_fields fields = {
        .reason = MQTT_REASON_SUCCESS, /* [MQTT-3.1.4-5] [MQTT-3.1.4-4] */
        .session_present =
            result->session_present, /* [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] */
        .packet_size_max = connection->packet_size_max,
    };

    if (packet->version == MQTT_5)
        describe_server(broker, packet, session, result, &fields.props);
    if (send_connack(broker, connection, packet->version, &fields))
        return true;
    if (connection->closing == CLOSING_NOW)
        connection_drop(broker, connection, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
    else
        connection_drop(broker, connection, MQTT_REASON_PACKET_TOO_LARGE, /* [MQTT-3.1.2-24] */
                        "a CONNACK larger than the client's Maximum Packet Size");
    return false;
}

/* ---- checks ---- */

static enum mqtt_reason check_will(const struct broker *broker, const struct connect_packet *packet,
                                   const char **why)
{
    const struct conf *conf = broker->conf;

    if (!packet->has_will)
        return MQTT_REASON_SUCCESS;
    if (!topic_name_valid(packet->will_topic, conf->mqtt_max_topic_levels)) {
        *why = "the will topic is not a topic name";
        return MQTT_REASON_TOPIC_NAME_INVALID;
    }
    if (span_starts_with(packet->will_topic, "$SYS")) {
        *why = "the will topic is the broker's";
        return MQTT_REASON_NOT_AUTHORIZED;
    }
    if (packet->will_qos > conf->mqtt_max_qos) { /* [MQTT-3.2.2-12] */
        *why = "the QoS of the will is not supported";
        return MQTT_REASON_QOS_NOT_SUPPORTED;
    }
    if (packet->will_retain && !conf->mqtt_retain_available) { /* [MQTT-3.2.2-13] */
        *why = "a retained will is not supported";
        return MQTT_REASON_RETAIN_NOT_SUPPORTED;
    }
    return MQTT_REASON_SUCCESS;
}

static enum mqtt_reason check_connect(const struct broker *broker,
                                      const struct connect_packet *packet, const char **why)
{
    if (packet->client_identifier.len == 0) {
        /* 3.1 has no empty identifiers; 3.1.1 only with Clean Session 1 [MQTT-3.1.3-6]
         * [MQTT-3.1.3-7] [MQTT-3.1.3-8] */
        if (!broker->conf->mqtt_allow_empty_client_id || packet->version == MQTT_3_1 ||
            (packet->version == MQTT_3_1_1 && !packet->clean_start)) {
            *why = "an empty client identifier is not allowed"; /* [MQTT-3.1.3-9] */
            return MQTT_REASON_CLIENT_IDENTIFIER_NOT_VALID;
        }
    }
    return check_will(broker, packet, why);
}

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

/* The session that this CONNECT gets; NULL when there can be none. */
static struct session *find_session(struct broker *broker, struct span client_identifier,
                                    bool clean_start, struct connect_result *result)
{
    /* by the whole identifier, whatever its length and characters [MQTT-3.1.3-2] [MQTT-3.1.3-5] */
    struct session *session = session_table_find(&broker->sessions, client_identifier);

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

/* The will of a CONNECT that has one. NULL when memory is gone. */
static struct will *make_will(const struct mount_point *mount, const struct connect_packet *packet)
{
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
    if (will->message == NULL) {
        mem_free(will);
        return NULL;
    }
    return will;
}

static void set_username(struct session *session, const struct connect_packet *packet)
{
    mem_free(session->username);
    session->username = NULL;
    if (!packet->has_username)
        return;
    session->username = mem_try_alloc(packet->username.len + 1u);
    if (session->username == NULL)
        return; /* only events miss it */
    memcpy(session->username, packet->username.data, packet->username.len);
    session->username[packet->username.len] = '\0';
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

/* An identifier that no session has, and whose home is this shard. */
static struct span assign_identifier(struct broker *broker, char *to, size_t size)
{
    struct span identifier;
    uint64_t random[2];

    do { /* 96 random bits; the loop is for the home shard */
        port_random_bytes(broker, random, sizeof(random));
        identifier = span_of(to, (size_t)snprintf(to, size, "shardmq-%016llx%08llx",
                                                  (unsigned long long)random[0],
                                                  (unsigned long long)(random[1] >> 32)));
    } while (broker_home_shard(identifier, broker->shard_count) != broker->shard ||
             session_table_find(&broker->sessions, identifier) != NULL);
    return identifier;
}

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
        return refuse_with(broker, connection, packet, MQTT_REASON_NOT_AUTHORIZED,
                           "the client may not publish its will", &refusal);
    default:
        return CONNECTION_CONTINUE;
    }
}

static enum connection_verdict connect_session(struct broker *broker, struct connection *connection,
                                               const struct connect_packet *packet,
                                               struct span client_identifier,
                                               struct authz_grant *grant,
                                               struct connect_result *result)
{
    struct connect_packet whole = *packet; /* with whole topics */
    const char *why = "";
    enum mqtt_reason reason = mount_settle(broker, connection, &whole, client_identifier, &why);
    struct will *will;
    struct session *session;

    if (reason != MQTT_REASON_SUCCESS)
        return refuse(broker, connection, packet, reason, why);
    packet = &whole;
    connection->version = (uint8_t)packet->version; /* links ask for it */
    if (UNLIKELY(broker->authz_active) && packet->has_will && !grant->superuser) {
        enum connection_verdict verdict =
            admit_will(broker, connection, packet, client_identifier, grant->rules);

        if (verdict != CONNECTION_CONTINUE)
            return verdict;
    }
    authz_forget(broker, connection);
    will = packet->has_will ? make_will(connection->mount, packet) : NULL; /* [MQTT-3.1.2-12] */
    /* what needs memory comes before any session is touched (I3) */
    if ((packet->has_will && will == NULL) || !set_aliases(broker, connection, packet)) {
        will_free(will);
        return refuse(broker, connection, packet, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
    }
    session = find_session(broker, client_identifier, packet->clean_start, result);
    if (session == NULL) {
        will_free(will);
        return refuse(broker, connection, packet, MQTT_REASON_QUOTA_EXCEEDED,
                      "no more sessions are allowed");
    }
    go_online(broker, connection, packet, session);
    set_expiry(broker, session, packet, result);
    set_username(session, packet);
    authz_admit(broker, session, grant);
    set_keep_alive(broker, connection, packet, result);
    if (UNLIKELY(broker->plugin_hooks & PLUGIN_CONNECT))
        plugins_connected(broker, session, result->session_present);
    if (!accept_connect(broker, connection, packet, session, result)) {
        will_free(will);
        return CONNECTION_STOP;
    }
    session->will = will; /* [MQTT-3.1.2-7] [MQTT-3.1.2-8] */
    sys_event_connected(broker, session, connection, packet->clean_start);
    if (result->session_present)
        session_resume(broker, session);
    return connection->closing == CLOSING_NO ? CONNECTION_CONTINUE : CONNECTION_STOP;
}

static enum connection_verdict malformed(struct broker *broker, struct connection *connection,
                                         const struct connect_packet *packet,
                                         enum mqtt_reason reason)
{
    /* An unsupported version is told so [MQTT-3.1.2-2] [MQTT-3.1.2-1]; so is a 5.0 client. For
     * anything older the connection is closed without CONNACK [MQTT-3.1.4-1]. */
    if (reason == MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION || packet->version == MQTT_5)
        return refuse(broker, connection, packet, reason, "malformed CONNECT");
    audit_refusal(broker, &(struct audit_refusal){.event = AUDIT_CONNECT,
                                                  .counter = STAT_refused_protocol,
                                                  .connection = connection,
                                                  .rule = "malformed CONNECT"});
    STAT_INC(broker->stats, connection_refused);
    connection_drop(broker, connection, reason, "malformed CONNECT");
    return CONNECTION_STOP;
}

/* What the certificate says prevails over what the client says. False when it should say something and does not. */
static bool settle_username(const struct connection *connection, struct connect_packet *packet,
                            struct connect_facts *facts, char *to, size_t size)
{
    switch (port_peer_username(connection, to, size)) {
    case PORT_USERNAME_MISSING:
        return false;
    case PORT_USERNAME_VERIFIED:
        packet->has_username = true;
        packet->username = facts->username = span_text(to);
        facts->username_verified = true;
        break;
    case PORT_USERNAME_OWN:
        break;
    }
    return true;
}

static const char *find_ban(const struct broker *broker, const struct connection *connection,
                            const struct connect_packet *packet, struct span client_identifier)
{
    struct peer_address peer;

    port_peer_address(connection, &peer);
    return banned_client(broker->banned, client_identifier,
                         packet->has_username ? packet->username : (struct span){0}, &peer,
                         broker->wall_ms);
}

/* What does not depend on who the client is; asked again when that took time. */
static enum mqtt_reason check_door(struct broker *broker, const struct connection *connection,
                                   const struct connect_packet *packet,
                                   struct span client_identifier, const char **why)
{
    if (broker->shutting_down) {
        *why = "the server is shutting down";
        return MQTT_REASON_SERVER_SHUTTING_DOWN;
    }
    if (UNLIKELY(broker->banned != NULL)) {
        const char *ban = find_ban(broker, connection, packet, client_identifier);

        if (ban != NULL) {
            STAT_INC(broker->stats, connection_banned);
            *why = ban;
            return MQTT_REASON_BANNED;
        }
    }
    return MQTT_REASON_SUCCESS;
}

/* What the receive buffer holds of it is of no more use. */
static void wipe_password(const struct connect_packet *packet)
{
    if (packet->has_password)
        mem_wipe((uint8_t *)(uintptr_t)packet->password.data, packet->password.len);
}

static enum connection_verdict authenticate(struct broker *broker, struct connection *connection,
                                            const struct frame *frame,
                                            const struct connect_packet *packet,
                                            const struct connect_facts *facts)
{
    struct authn_attempt *attempt = authn_create(broker, connection, frame, facts);

    wipe_password(packet);
    if (attempt == NULL)
        return refuse(broker, connection, packet, MQTT_REASON_QUOTA_EXCEEDED, "out of memory");
    return authn_begin(broker, attempt);
}

enum connection_verdict on_connect(struct broker *broker, struct connection *connection,
                                   const struct frame *frame, unsigned *home_out)
{
    struct connect_packet packet;
    struct connect_facts facts = {0};
    enum mqtt_reason reason = mqtt_decode_connect(frame, &packet);
    const char *why = "";
    struct span client_identifier;
    char assigned[64], username[USERNAME_VERIFIED_MAX];

    if (reason != MQTT_REASON_SUCCESS)
        return malformed(broker, connection, &packet, reason);
    reason = check_connect(broker, &packet, &why);
    if (reason != MQTT_REASON_SUCCESS)
        return refuse(broker, connection, &packet, reason, why);
    client_identifier = packet.client_identifier;
    if (client_identifier.len == 0) {
        client_identifier = assign_identifier(broker, assigned, sizeof(assigned));
        facts.client_identifier = client_identifier;
        facts.assigned_identifier = true;
    } else if (!connection->adopted) {
        *home_out = broker_home_shard(client_identifier, broker->shard_count);
        if (*home_out != broker->shard) { /* I1 */
            STAT_INC(broker->stats, handoff_out);
            return CONNECTION_HANDOFF;
        }
    } else {
        STAT_INC(broker->stats, handoff_in);
    }
    STAT_INC(broker->stats, packet_in);
    if (!settle_username(connection, &packet, &facts, username, sizeof(username)))
        return refuse(broker, connection, &packet, MQTT_REASON_NOT_AUTHORIZED,
                      "the client's certificate has no name for its user name");
    reason = check_door(broker, connection, &packet, client_identifier, &why);
    if (reason != MQTT_REASON_SUCCESS)
        return refuse(broker, connection, &packet, reason, why);
    if (UNLIKELY(!authn_open(broker, connection, &packet)))
        return authenticate(broker, connection, frame, &packet, &facts);
    wipe_password(&packet);
    return connect_session(
        broker, connection, &packet, client_identifier, &(struct authz_grant){0},
        &(struct connect_result){.assigned_identifier = facts.assigned_identifier});
}

/* ---- the chain has decided (broker/authn.h) ---- */

enum connection_verdict connect_allowed(struct broker *broker, struct connection *connection,
                                        struct authn_attempt *attempt)
{
    struct connect_packet *packet = &attempt->packet;
    enum connection_verdict verdict;
    struct authz_grant grant;
    const char *why = "";
    enum mqtt_reason reason;

    if (attempt->new_username != NULL) {
        packet->has_username = true;
        packet->username = span_text(attempt->new_username);
    }
    reason = check_door(broker, connection, packet, attempt->client_identifier, &why);
    if (reason == MQTT_REASON_SUCCESS && connection->identity == NULL &&
        !identity_take(broker, connection, attempt)) {
        reason = MQTT_REASON_QUOTA_EXCEEDED;
        why = "out of memory";
    }
    if (reason != MQTT_REASON_SUCCESS)
        return refuse(broker, connection, packet, reason, why);
    grant = (struct authz_grant){authn_superuser(broker, connection->identity, packet->username),
                                 connection->identity->rules};
    verdict = connect_session(
        broker, connection, packet, attempt->client_identifier, &grant,
        &(struct connect_result){.assigned_identifier = attempt->assigned_identifier,
                                 .method = attempt->method,
                                 .answer = attempt->answer});
    connection->identity->rules = grant.rules; /* the session has them, or nobody has yet */
    return verdict;
}

/* A client of 5.0 hears 0x86 or what the link says; an older one 4 when it gave no user name or password, else 5.
 * Nobody hears more than that: the rest is for the log. */
enum connection_verdict connect_denied(struct broker *broker, struct connection *connection,
                                       struct authn_attempt *attempt)
{
    enum mqtt_reason reason = attempt->code;
    struct audit_refusal refusal = {
        .event = AUDIT_CONNECT,
        .client_identifier = attempt->client_identifier,
        .username = attempt->has_username ? attempt->username : (struct span){0},
        .connection = connection,
        .link = attempt->link != NULL ? attempt->link->name : NULL,
        .rule = attempt->reason,
    };

    if (reason == MQTT_REASON_SUCCESS)
        reason = attempt->version == MQTT_5 || !attempt->has_username || !attempt->has_password
                     ? MQTT_REASON_BAD_USER_NAME_OR_PASSWORD
                     : MQTT_REASON_NOT_AUTHORIZED;
    refusal.counter = audit_connect_counter(reason);
    /* [MQTT-4.12.0-4] */
    return refuse_with(broker, connection, &attempt->packet, reason, "not let in", &refusal);
}

void connect_undecided(struct broker *broker, struct connection *connection)
{
    (void)refuse(broker, connection, &connection->attempt->packet, MQTT_REASON_SERVER_UNAVAILABLE,
                 connection->attempt->awaits_client
                     ? "it did not go on with its authentication within mqtt.connect_timeout"
                     : "nobody decided about it within mqtt.connect_timeout");
}
