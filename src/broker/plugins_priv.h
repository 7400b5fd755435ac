/* SPDX-License-Identifier: MIT
 *
 * plugins_priv - the desk of one shard, for the files that ask and tell plug-ins.
 */
#ifndef SHARDMQ_BROKER_PLUGINS_PRIV_H
#define SHARDMQ_BROKER_PLUGINS_PRIV_H

#include "broker/authn.h"
#include "broker/authz.h"
#include "broker/broker_priv.h"
#include "broker/plugins.h"

#define PLUGIN_TEXT_BYTES 128 /* of smq_answer.text, with its terminator */

enum plugin_question { PLUGIN_ASKS_AUTHN, PLUGIN_ASKS_AUTHZ };

/* The answer to a question that was put off, on its way to the shard. Class: wire. */
struct plugin_completion {
    struct inbox_item item;
    uint64_t ticket;
    enum smq_decision decision;
    struct smq_answer answer; /* points into `bytes` and `text` */
    char text[PLUGIN_TEXT_BYTES];
    char bytes[];
};

/* A question that waits. Owner: shard. */
struct plugin_wait {
    struct timer timer;
    struct plugin_desk *desk;
    uint32_t slot;
    unsigned asked; /* the plug-in that is to answer */
    enum plugin_question about;
    struct authn_handle authn;
    struct authz_handle authz;
    /* of PLUGIN_ASKS_AUTHZ: what the next plug-in is to be asked; its texts are in `bytes` */
    struct smq_client client;
    struct smq_authorization question;
    char *bytes;
};

/* Owner: shard. */
struct plugin_desk {
    struct broker *broker;
    struct plugins *plugins;
    void **states; /* what init_shard() of each made */
    struct plugin_slot {
        struct plugin_wait *wait;
        uint32_t generation, next_free;
    } * slots;
    uint32_t capacity, free_slot, waiting;
    uint32_t message_calls; /* of hooks that come with every message */
};

/* A question while its hook runs. */
struct smq_call {
    struct plugin_desk *desk;
    bool may_wait;
    uint64_t ticket; /* 0: none was taken */
    struct plugin_wait *wait;
};

static inline struct smq_text plugin_text(struct span span)
{
    return (struct smq_text){(const char *)span.data, span.len};
}

/* ---- plugins.c ---- */

/* Around each call of a hook: tells, and counts, who holds up the shard. */
uint64_t plugin_hook_begins(void);
/* The same for hooks that come with every message: 0 for most of them, which are not timed. */
uint64_t plugin_message_hook_begins(struct plugin_desk *desk);
void plugin_hook_over(struct plugin_desk *desk, const struct plugin *plugin, const char *hook,
                      uint64_t began_ns);

/* Who the client is; the text members point at what was given. `connection` is NULL when it has gone. */
void plugin_describe(const struct broker *broker, const struct connection *connection,
                     const struct peer_address *peer, struct span client_identifier,
                     struct span username, struct smq_client *to);
void plugin_describe_session(const struct broker *broker, const struct session *session,
                             const struct connection *connection, struct smq_client *to);

/* After a hook that may put off its answer: what it decided, made sense of. SMQ_DEFER: call->wait is to be filled in, and
 * waits. Anything else: a ticket that was taken is void. */
enum smq_decision plugin_decided(struct smq_call *call, const struct plugin *plugin,
                                 enum smq_decision decision);
/* "doorman: on the list", for the audit: who said no, and his words, which may be NULL. */
void plugin_name_rule(const struct plugin *plugin, const char *text, char *to, size_t size);
/* The wait is over, one way or another (P1); frees it. */
void plugin_wait_end(struct plugin_wait *wait);

/* ---- plugins_ask.c ---- */

/* The link of plug-ins in the chain of authentication (authn_links.def). */
bool authn_plugins_configured(const struct broker *broker);
enum authn_answer authn_plugins_ask(struct broker *broker, struct authn_attempt *attempt);

/* The answer of a wait, which is freed. */
void plugin_answered(struct plugin_wait *wait, enum smq_decision decision,
                     const struct smq_answer *answer);

#endif
