/* SPDX-License-Identifier: MIT
 *
 * on_connect - CONNECT: who is it, where is its home, may it come in. Which session it gets is in connect_session.c,
 * what it is told in connack.c.
 *
 * The shard that accepted the socket decodes CONNECT far enough to know the client identifier. When
 * its home is another shard, socket and bytes go there and CONNECT is decoded again: that costs a
 * microsecond, and nothing of a half-made connection has to cross between threads.
 *
 * Invariants
 *   I1  a client identifier is served by its home shard only, so take-over and resume are local
 *   I2  one CONNACK per connection, and nothing before it
 *   I3  a refused CONNECT changes no session
 */
#include "base/hash.h"
#include "broker/authn_priv.h"
#include "broker/banned.h"
#include "broker/connect.h"

#include <stdio.h>

#define USERNAME_VERIFIED_MAX 1024 /* with its terminator */

unsigned broker_home_shard(struct span client_identifier, unsigned shard_count)
{
    return (unsigned)((hash64(client_identifier.data, client_identifier.len) >> 24) % shard_count);
}

/* ---- checks ---- */

static enum mqtt_reason check_will(const struct broker *broker, const struct connection *connection,
                                   const struct connect_packet *packet, const char **why)
{
    const struct conf *conf = broker->conf;

    if (!packet->has_will)
        return MQTT_REASON_SUCCESS;
    if (!topic_name_valid(packet->will_topic, conf->mqtt_max_topic_levels)) {
        *why = "the will topic is not a topic name";
        return MQTT_REASON_TOPIC_NAME_INVALID;
    }
    if (span_starts_with(packet->will_topic, "$SYS") && port_mount_point(connection).len == 0) {
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
                                      const struct connection *connection,
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
    return check_will(broker, connection, packet, why);
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

static enum connection_verdict malformed(struct broker *broker, struct connection *connection,
                                         const struct connect_packet *packet,
                                         enum mqtt_reason reason)
{
    /* An unsupported version is told so [MQTT-3.1.2-2] [MQTT-3.1.2-1]; so is a 5.0 client. For
     * anything older the connection is closed without CONNACK [MQTT-3.1.4-1]. */
    if (reason == MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION || packet->version == MQTT_5)
        return connect_refuse(broker, connection, packet, reason, "malformed CONNECT");
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
        return connect_refuse(broker, connection, packet, MQTT_REASON_QUOTA_EXCEEDED,
                              "out of memory");
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
    reason = check_connect(broker, connection, &packet, &why);
    if (reason != MQTT_REASON_SUCCESS)
        return connect_refuse(broker, connection, &packet, reason, why);
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
        return connect_refuse(broker, connection, &packet, MQTT_REASON_NOT_AUTHORIZED,
                              "the client's certificate has no name for its user name");
    reason = check_door(broker, connection, &packet, client_identifier, &why);
    if (reason != MQTT_REASON_SUCCESS)
        return connect_refuse(broker, connection, &packet, reason, why);
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
    if (reason == MQTT_REASON_SUCCESS && attempt->policy_generation != broker->authz_generation &&
        !authn_still_welcome(broker, connection, connection->identity, packet->has_username,
                             packet->username)) {
        reason = MQTT_REASON_NOT_AUTHORIZED; /* a reload, while it waited: authn_sweep.c */
        why = "the client would not be let in any more";
    }
    if (reason != MQTT_REASON_SUCCESS)
        return connect_refuse(broker, connection, packet, reason, why);
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

    /* the same for all versions: what older ones are told is for them */
    refusal.counter = audit_connect_counter(
        reason == MQTT_REASON_SUCCESS ? MQTT_REASON_BAD_USER_NAME_OR_PASSWORD : reason);
    if (reason == MQTT_REASON_SUCCESS)
        reason = attempt->version == MQTT_5 || !attempt->has_username || !attempt->has_password
                     ? MQTT_REASON_BAD_USER_NAME_OR_PASSWORD
                     : MQTT_REASON_NOT_AUTHORIZED;
    /* [MQTT-4.12.0-4] */
    return connect_refuse_with(broker, connection, &attempt->packet, reason, "not let in",
                               &refusal);
}

void connect_undecided(struct broker *broker, struct connection *connection)
{
    (void)connect_refuse(
        broker, connection, &connection->attempt->packet, MQTT_REASON_SERVER_UNAVAILABLE,
        connection->attempt->awaits_client
            ? "it did not go on with its authentication within mqtt.connect_timeout"
            : "nobody decided about it within mqtt.connect_timeout");
}
