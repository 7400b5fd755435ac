/* SPDX-License-Identifier: MIT
 *
 * connect - what the three parts of a CONNECT call of each other: on_connect.c (who is it, where is its home, may it
 * come in), connect_session.c (which session does it get), connack.c (what is it told).
 */
#ifndef SHARDMQ_BROKER_CONNECT_H
#define SHARDMQ_BROKER_CONNECT_H

#include "broker/audit.h"
#include "broker/authz.h"
#include "broker/broker_priv.h"
#include "mqtt/decode.h"

/* Owner: shard, on the stack. What has been decided about a CONNECT, for its CONNACK. */
struct connect_result {
    bool session_present;
    bool assigned_identifier;
    uint16_t server_keep_alive;
    bool has_server_keep_alive;
    uint32_t expiry_s;          /* what the client asked for */
    struct span method, answer; /* Authentication Method and Data; method.len 0: none */
};

/* ---- connack.c ---- */
/* Refuses: CONNACK with the reason, where the version has a code for it, and the end [MQTT-3.2.2-7]
 * [MQTT-3.2.2-5] [MQTT-3.2.2-4] [MQTT-3.2.2-6]; what the client sent behind CONNECT is not looked
 * at [MQTT-3.1.4-5] [MQTT-3.1.4-6]. A client of 5.0 hears `why`, the log what `refusal` says. */
enum connection_verdict connect_refuse_with(struct broker *broker, struct connection *connection,
                                            const struct connect_packet *packet,
                                            enum mqtt_reason reason, const char *why,
                                            const struct audit_refusal *refusal);
/* The same, where the log hears what the client hears. */
enum connection_verdict connect_refuse(struct broker *broker, struct connection *connection,
                                       const struct connect_packet *packet, enum mqtt_reason reason,
                                       const char *why);
/* Sends the CONNACK of a connection that has its session. False when the connection has been ended instead. */
bool connect_accept(struct broker *broker, struct connection *connection,
                    const struct connect_packet *packet, const struct session *session,
                    const struct connect_result *result);

/* ---- connect_session.c ---- */
/* The client may come in: it gets its session and CONNACK, or is refused for its will or for want of room. The grant's
 * rules are taken when the session has them. PAUSE: the will has to wait for an answer, and nothing has been done. */
enum connection_verdict connect_session(struct broker *broker, struct connection *connection,
                                        const struct connect_packet *packet,
                                        struct span client_identifier, struct authz_grant *grant,
                                        struct connect_result *result);

#endif
