/* SPDX-License-Identifier: MIT
 *
 * authz - whether a client may publish to a topic, subscribe to a filter, and be sent what matches it.
 *
 * Every question goes along a chain of links (the table in authz.c), in this order:
 *
 *   super user -> plug-ins -> the token's own rules -> auth.acl, auth.acl_file -> auth.http_auth.acl_req -> auth.no_match
 *
 * A link allows, denies, does not mind (the next one is asked), or has to wait for somebody else. The packet that has to
 * wait is not consumed: its connection is not read meanwhile, the answer is remembered on the connection, and the packet
 * is run again from its beginning. Whatever a handler does before it has asked must therefore bear being done twice.
 *
 *   on_publish()     authz_ask() -> link: authz_wait_begin(), WAIT -> the packet stays where it is (awaits_answer)
 *   authz_complete() <- the link has its answer; it is remembered
 *   on_publish()     authz_ask() -> remembered -> ALLOW or DENY -> the packet is done; the answers are forgotten
 *
 * Invariants
 *   I1  one question of a connection waits at a time; an answer whose connection has gone, or that waits for nothing,
 *       is dropped and counted (stale_handle)
 *   I2  a link that cannot find out (no memory, a queue that is full, a backend that is down) denies
 *   I3  with nothing configured a question costs one branch
 */
#ifndef SHARDMQ_BROKER_AUTHZ_H
#define SHARDMQ_BROKER_AUTHZ_H

#include "base/address.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct acl;
struct author;
struct broker;
struct connection;
struct publication;
struct session;
struct topic_match;
struct will;
struct will_wait;

enum authz_action {
    AUTHZ_PUBLISH,
    AUTHZ_SUBSCRIBE,
    AUTHZ_RECEIVE /* a delivery, by its topic name; only links of rules are asked */
};

enum authz_answer {
    AUTHZ_ALLOW,
    AUTHZ_DENY,
    AUTHZ_IGNORE, /* of a link: not mine, ask the next one */
    AUTHZ_WAIT    /* the packet is to be left where it is */
};

/* Views that are valid during the call. */
struct authz_question {
    enum authz_action action;
    struct span topic; /* valid; a name, or a filter without $share/<share name>/ */
    uint8_t qos;
    bool retain;
    struct span client_identifier;
    struct span username; /* no data: there is none */
    struct peer_address peer;
    const struct acl *rules; /* its own, from a token; NULL: it has none */
    struct session *session; /* NULL: it has none yet */
    /* Whose packet waits; NULL: no packet can (a will that is sent later): a link that would have to denies. */
    struct connection *connection;
    /* A will that is due: a link that can answer will_decided() may let it wait. NULL: it is no such thing. */
    const struct will *will;
    struct will_wait *will_wait;
    bool at_once; /* it was asked before, and the answer is wanted again: nothing waits any more */
};

#define AUTHZ_RULE_MAX 128

/* Who decided, and by what; for the audit. Written when the answer is DENY. */
struct authz_reason {
    const char *link; /* its name in the table */
    char rule
        [AUTHZ_RULE_MAX]; /* "line 7: deny ...": no secret, no text of the client; may be empty */
};

/* A link of the chain: one row in authz.c. */
struct authz_link {
    const char *name;
    /* It answers at once, and the same as long as the policy and the client are the same: what it says is remembered, and
     * it is asked about deliveries too. */
    bool rules_alone;
    /* Whether it has anything to say for this configuration: asked at every (re)load, not for packets. */
    bool (*configured)(const struct broker *broker);
    enum authz_answer (*ask)(struct broker *broker, const struct authz_question *question,
                             struct authz_reason *reason);
};
extern const struct authz_link authz_plugins_link; /* plugins_ask.c */

/* What authentication has found out about a client that is let in, beyond its names. */
struct authz_grant {
    bool superuser;    /* may everything */
    struct acl *rules; /* its own, which are all that it may do; NULL: it has none */
};

extern const struct authz_link authz_token_link;

/* ---- for links that wait ---- */

/* Names the question that waits; value type, fit for other threads. */
struct authz_handle {
    uint32_t slot, generation;
};

/* Before a link answers WAIT. False: it cannot wait, and has to deny. */
bool authz_wait_begin(struct broker *broker, const struct authz_question *question,
                      struct authz_handle *handle);
/* The answer of the link that waits (ALLOW, DENY or IGNORE), on the shard where it was asked, from anywhere but inside
 * ask(). `rule` (copied; NULL: none) is for the audit. */
void authz_complete(struct broker *broker, struct authz_handle handle, enum authz_answer answer,
                    const char *rule);

/* ---- for the packet handlers ---- */

/* Finds out whether anything is configured, and keeps it in broker->authz_active: while it is false nobody needs to ask,
 * and nobody does. For the start and after every reload. */
void authz_configure(struct broker *broker);

/* The session's client was let in with that; takes the rules. */
void authz_admit(struct broker *broker, struct session *session, struct authz_grant *grant);
/* The session ends: nobody has these rules any more. */
void authz_retire(struct session *session);

/* The session's client asks. WAIT: connection->awaits_answer is set, and the handler returns at once. */
enum authz_answer authz_ask(struct broker *broker, struct connection *connection,
                            enum authz_action action, struct span topic, uint8_t qos, bool retain,
                            struct authz_reason *reason);
/* Asks again what was denied, for the reason. */
void authz_why(struct broker *broker, struct connection *connection, enum authz_action action,
               struct span topic, uint8_t qos, bool retain, struct authz_reason *reason);
/* The same for a client without a session: the will of a CONNECT. */
enum authz_answer authz_ask_question(struct broker *broker, const struct authz_question *question,
                                     struct authz_reason *reason);
/* Whether the client may subscribe, for somebody who subscribes in its place; nothing waits. */
bool authz_may_subscribe(struct broker *broker, struct connection *connection, struct span filter,
                         uint8_t qos, struct authz_reason *reason);

/* Whether all that a match has found may. It is found out once, and kept with the match for as long as it is right. False
 * says nothing. Only while broker->authz_active. */
bool authz_all_may_receive(struct broker *broker, const struct topic_match *match,
                           const struct publication *publication);
/* It has a subscription more. Only while broker->authz_active. */
void authz_subscribed(struct broker *broker, struct session *session, struct span filter);

/* Whether the session's will may be published now: ALLOW, DENY, or WAIT: will_decided() is called for `wait`. */
enum authz_answer authz_will(struct broker *broker, struct session *session,
                             const struct will *will, struct will_wait *wait,
                             struct authz_reason *reason);

/* The author of what the session's client publishes; the session's. NULL when memory is gone. */
const struct author *authz_author(struct session *session);
/* The client is somebody else from here on, or the session ends. */
void authz_author_drop(struct session *session);
/* Whether a retained message of that author (NULL: of nobody in particular) for that topic may be sent to subscribers now. */
bool authz_source_may(struct broker *broker, const struct author *author, struct span topic);

/* The packet is done, or its connection: forgets the answers. */
void authz_forget(struct broker *broker, struct connection *connection);
/* The end of the broker. */
void authz_clear(struct broker *broker);

#endif
