/* SPDX-License-Identifier: MIT
 *
 * plugins - the hooks of include/shardmq/plugin.h: who is asked and told, and the questions whose answer comes later.
 *
 * Loading is the machine's (shards/plugin_host.c); here a plug-in is a table of functions. Each shard has a desk: the
 * states that the plug-ins keep for it, and what waits.
 *
 *   authn.c, authz.c --link--> plugins_ask.c: plug-in 0, 1, ... until one decides
 *                                  | SMQ_DEFER: a wait, named by a ticket {shard, slot, generation}
 *                                  v
 *   a thread of the plug-in --plugins_complete()--> inbox of the shard --> the wait, if it is still there: goes on with
 *                                                                          the answer, or with the next plug-in
 *                                  the time is up: goes on with DENY
 *
 * Invariants
 *   P1  a wait ends once: by its answer, by its time, or with what it is about. It is freed then, and its ticket names
 *       nothing any more: whatever comes with it later is counted and dropped
 *   P2  a hook runs on the thread of its shard only, and none runs inside another
 *   P3  connect and disconnect hooks come in pairs
 *   P4  without plug-ins, or without one that has the hook, a call costs the look at broker->plugin_hooks
 *   P5  a plug-in that cannot be heard (no memory, too many waits, no answer in time, an answer that makes no sense) has
 *       said no
 *
 * A message is not changed by a plug-in: what subscribers get would no longer be what the retained store, the log and the
 * publisher's acknowledgement are about, and every size and validity check would have to be made again.
 */
#ifndef SHARDMQ_BROKER_PLUGINS_H
#define SHARDMQ_BROKER_PLUGINS_H

#include "base/span.h"
#include "mqtt/packet.h"
#include "shardmq/plugin.h"

#include <stdatomic.h>

struct author;
struct broker;
struct connection;
struct plugin_desk;
struct publication;
struct session;

/* One that is loaded. Class: boot. */
struct plugin {
    const char *name, *path; /* in the configuration */
    struct smq_plugin hooks; /* what its version does not have is NULL */
    void *self;              /* what init() made */
};

/* All of them, in the order in which they are asked. Class: boot, once the shards run; `desks` is shared: each shard
 * writes its own. */
struct plugins {
    unsigned count, shards;
    struct plugin *list;
    _Atomic(struct plugin_desk *) *desks; /* [shards]; NULL before a shard has entered */
};

/* Bits of broker->plugin_hooks: some plug-in has that hook. */
enum plugin_hook {
    PLUGIN_AUTHENTICATE = 1,
    PLUGIN_AUTHORIZE = 2,
    PLUGIN_PUBLISH = 4,
    PLUGIN_CONNECT = 8,
    PLUGIN_DISCONNECT = 16,
    PLUGIN_SUBSCRIBE = 32,
    PLUGIN_UNSUBSCRIBE = 64
};

/* Which of them a plug-in has. */
unsigned plugin_hooks_of(const struct plugin *plugin);

/* ---- for the machine ---- */

/* On the shard's thread, before its first client: has each plug-in begin. False, with a sentence. `plugins` must stay
 * until the broker is destroyed; NULL: there are none. */
bool plugins_enter(struct broker *broker, struct plugins *plugins, char *why, size_t size);
/* On the shard's thread, after its last client: gives up what still waits, and has each plug-in end. */
void plugins_leave(struct broker *broker);
/* When no thread of a plug-in is left either. */
void plugins_destroy(struct broker *broker);

/* What struct smq_host has of these. complete: any thread. */
uint64_t plugins_defer(struct smq_call *call);
bool plugins_complete(struct plugins *plugins, uint64_t ticket, enum smq_decision decision,
                      const struct smq_answer *answer);

/* ---- what happens; call them when broker->plugin_hooks has the bit ---- */

/* Whether the message may go out: MQTT_REASON_SUCCESS, or with which reason it is refused; then `rule` says by whom and why. */
enum mqtt_reason plugins_publish(struct broker *broker, const struct session *session,
                                 const struct connection *connection,
                                 const struct publication *publication, char *rule, size_t size);
/* The same for a will, whose client spoke that version of MQTT. */
enum mqtt_reason plugins_publish_will(struct broker *broker, const struct author *author,
                                      uint8_t version, const struct publication *publication,
                                      char *rule, size_t size);
void plugins_connected(struct broker *broker, const struct session *session, bool session_present);
void plugins_disconnected(struct broker *broker, const struct session *session,
                          const struct connection *connection);
void plugins_subscribed(struct broker *broker, const struct session *session, struct span filter,
                        uint8_t qos);
void plugins_unsubscribed(struct broker *broker, const struct session *session, struct span filter);

#endif
