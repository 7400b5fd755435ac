/* SPDX-License-Identifier: MIT
 *
 * broker_priv - the state of one shard's broker and what its files call of each other.
 */
#ifndef SHARDMQ_BROKER_BROKER_PRIV_H
#define SHARDMQ_BROKER_BROKER_PRIV_H

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "broker/authn.h"
#include "broker/authz.h"
#include "broker/broker.h"
#include "broker/mount.h"
#include "broker/ports.h"
#include "broker/shared.h"
#include "conf/conf.h"
#include "session/session.h"
#include "topic/retained.h"
#include "topic/topic.h"
#include "topic/tree.h"

/* Output marks of a connection, in bytes. Queued QoS 1 and 2 deliveries go out until PUMP_MARK is
 * pending: enough to fill a socket, little enough to keep the memory in the queue, where it is
 * shared. A client whose answers pile up past READ_MARK is not read until it takes them. */
#define PUMP_MARK 262144u
#define READ_MARK 1048576u
/* Nor is one with more SUBSCRIBEs than this that wait for their SUBACK. (They wait for other shards
 * only, never for anything that the client has to send.) */
#define SUBSCRIBES_MARK 256u

/* Bits of subscription options (MQTT 5.0, 3.8.3.1). */
#define SUBSCRIBE_QOS                 0x03
#define SUBSCRIBE_NO_LOCAL            0x04
#define SUBSCRIBE_RETAIN_AS_PUBLISHED 0x08
#define SUBSCRIBE_RETAIN_HANDLING(o)  ((o) >> 4 & 3)

/* Announcements of interest that shards confirm in order (broker/interest.c). */
struct interest {
    uint32_t announced;                   /* number of the last announcement */
    uint32_t confirmed[TOPIC_SHARDS_MAX]; /* by each shard; own entry unused */
    uint32_t all_confirmed;               /* the minimum */
    uint32_t sys_filters;                 /* filters below $SYS with local subscribers */
};

/* What one step of a query may cost (see query_priv.h), and with how many bytes of records a batch is full; the record
 * that fills it may be longer. */
#define QUERY_STEP  2048u
#define QUERY_BATCH 16384u

struct plugin_desk;

#define SHARE_BUCKETS                                                                              \
    1024 /* of the table of share groups: chains stay short up to some thousand groups */

struct share_groups {
    struct share_group **buckets; /* by hash of "share name/filter"; made with the first group */
};

/* Packets that wait for an answer (authz.c), by slot - 1. */
struct authz_wait;

struct authz_waits {
    struct authz_wait **slots;
    uint32_t count, free; /* free: the first free slot, 0: none */
};

struct broker {
    /* read by every PUBLISH */
    uint64_t now_ns, now_ms, wall_ms;
    struct shard_stats *stats;
    const struct conf *conf;
    struct topic_tree *tree;
    struct connection *dirty;
    struct outbox_pool pool;
    unsigned shard, shard_count;
    bool is_control, route_congested;
    bool authz_active; /* somebody has to be asked whether a client may */
    bool
        authz_tokens; /* a client came with rules of its own: they hold whatever is configured later */
    uint32_t authz_generation;      /* of the policy; 0: there is none */
    uint32_t authz_memo_generation; /* the same while answers can be remembered; otherwise 0 */
    uint64_t authz_epoch;   /* grows with every change that can change who may receive what */
    bool authz_rules_alone; /* and nobody but rules, whose answers can be remembered */
    uint8_t plugin_hooks;   /* enum plugin_hook: which there are */
    uint64_t queue_bytes, queue_memory;

    bool
        answered; /* a packet that waited can be run again: the loop may not sleep before its next turn */
    struct plugin_desk *plugins;     /* NULL: there are none */
    const struct banned *banned;     /* NULL: nobody */
    const struct policy *policy;     /* NULL: there is none, everybody may do everything */
    struct authn_table attempts;     /* CONNECTs that are being decided */
    struct list logins;              /* passwords that are being hashed (authn_password.c) */
    struct login_cache *login_cache; /* NULL until one was right */
    bool sweeping; /* the policy is another one: the clients that are there are looked at again */
    uint32_t sweep_cursor; /* slot of the session table */
    struct session_table sessions;
    uint32_t session_limit;
    struct timers timers;
    struct broker_shared *shared;
    struct retained_store *retained;
    uint32_t retain_taken[TOPIC_SHARDS_MAX]; /* RETAIN_SET entries taken from each shard */
    struct list retain_waiting;              /* queries that wait for retain_taken to catch up */
    struct list retain_jobs;                 /* local scans, continued every turn */
    struct interest interest;
    struct list subscribe_ops; /* SUBSCRIBEs whose SUBACK waits, oldest first */
    uint32_t subscribe_serial;
    struct share_groups groups;
    struct list share_joins; /* joins answered when the group's interest is confirmed */
    struct list errands, errands_waiting; /* of the control shard, to be done here (errand.c) */
    uint32_t query_step, query_batch;     /* QUERY_STEP and QUERY_BATCH; less in the simulation */
    struct errand_desk *desk; /* control shard: errands under way; made with the first one */
    struct list collectors;   /* control shard (broker/collector.c) */
    uint32_t collectors_running;
    uint64_t sys_shards; /* control shard: who has $SYS subscriptions */
    uint32_t connection_serials;
    struct mount_scratch *mount_scratch; /* made with the first connection that has a mount point */
    struct authz_waits authz_waits;
    struct list wills_waiting; /* wills that are due, and wait for a backend (will.c) */
    struct random random;
    bool shutting_down;
    void *machine;
};

/* publication->topic_hash, or what it would be. */
static inline uint64_t publication_hash(const struct publication *publication)
{
    return publication->topic_hash != 0 ? publication->topic_hash
                                        : hash64(publication->topic.data, publication->topic.len);
}

static inline bool shard_is_home(const struct broker *broker, unsigned shard)
{
    return shard == broker->shard;
}

/* ---- connection.c ---- */
void connection_mark_dirty(struct broker *broker, struct connection *connection);
/* Room for a control packet; NULL (and the connection is closing) when memory is gone. */
uint8_t *connection_reserve(struct broker *broker, struct connection *connection, uint32_t size);
/* Counts the packet and marks the connection dirty; size 0 writes nothing. */
void connection_commit(struct broker *broker, struct connection *connection, uint32_t size);
/* Ends the connection: says why to a 5.0 client (DISCONNECT), logs, detaches the session. `reason`
 * below 0x80 ends it without DISCONNECT and is not an error. */
void connection_end(struct broker *broker, struct connection *connection, enum mqtt_reason reason,
                    const char *why);
/* The same without a word to the client. */
void connection_drop(struct broker *broker, struct connection *connection, enum mqtt_reason reason,
                     const char *why);

/* False while the ring to another shard is congested. */
bool shards_keep_up(struct broker *broker);

/* Gives the connection up without touching its session now: the machine closes it at the end of the
 * turn. For the middle of a delivery, where sessions and subscriptions must stay as they are. */
void connection_abort(struct broker *broker, struct connection *connection);

/* ---- sent.c ---- */
/* The connection ends, and the kernel has accepted the first chunk->sent bytes of the chunk. */
void sent_in_part(struct broker *broker, struct connection *connection, struct outbox_chunk *chunk);
/* Drops what was not sent, and frees the chunks. */
void sent_never(struct broker *broker, struct connection *connection, struct outbox_chunk *chunk);

/* ---- dispatch.c ---- */
enum connection_verdict dispatch_packet(struct broker *broker, struct connection *connection,
                                        const struct frame *frame, unsigned *home_out);

/* ---- on_connect.c ---- */
enum connection_verdict on_connect(struct broker *broker, struct connection *connection,
                                   const struct frame *frame, unsigned *home_out);

/* ---- on_*.c: one per packet family; an error ends the connection inside ---- */
void on_publish(struct broker *broker, struct connection *connection, const struct frame *frame);
/* Goes on with a publication that waited for the owner of its topic. */
void publish_decided(struct broker *broker, struct connection *connection,
                     const struct publication *publication, uint16_t packet_identifier,
                     bool allowed);
/* The same when its connection is gone. The client sends QoS 0 and 1 again, or knows that they may be
 * lost; QoS 2 is remembered (or even answered already, when it was repeated) and goes on. */
void publish_unanswered(struct broker *broker, struct session *session,
                        const struct publication *publication, uint16_t packet_identifier,
                        bool allowed);
/* Publishes what came with no connection; the topic is valid, and this shard its owner. Below 0x80: done and
 * counted. */
enum mqtt_reason publish_ordered(struct broker *broker, const struct publication *publication,
                                 bool payload_is_text);
void on_subscribe(struct broker *broker, struct connection *connection, const struct frame *frame);
void on_unsubscribe(struct broker *broker, struct connection *connection,
                    const struct frame *frame);
void on_puback(struct broker *broker, struct connection *connection, const struct frame *frame);
void on_pubrec(struct broker *broker, struct connection *connection, const struct frame *frame);
void on_pubrel(struct broker *broker, struct connection *connection, const struct frame *frame);
void on_pubcomp(struct broker *broker, struct connection *connection, const struct frame *frame);
void on_pingreq(struct broker *broker, struct connection *connection, const struct frame *frame);
void on_disconnect(struct broker *broker, struct connection *connection, const struct frame *frame);
void on_auth(struct broker *broker, struct connection *connection, const struct frame *frame);
/* An acknowledgement (PUBACK, PUBREC, PUBREL, PUBCOMP) to the client. */
void send_ack(struct broker *broker, struct connection *connection, enum mqtt_packet_type type,
              uint16_t packet_identifier, enum mqtt_reason reason, const char *reason_string);

/* ---- session_life.c ---- */
/* The session's connection is over (its unconfirmed deliveries have been settled): will, expiry,
 * share groups. The will has been removed before when the client said DISCONNECT 0x00. Ends the
 * session when its expiry is 0. */
void session_detach(struct broker *broker, struct session *session);
/* Ends the session: subscriptions, deliveries, will. */
void session_end(struct broker *broker, struct session *session);
/* The session has a new connection, after its CONNACK: PUBREL and PUBLISH that were not
 * acknowledged, then the queue. */
void session_resume(struct broker *broker, struct session *session);
void session_init(struct session *session);
void session_drop_will(struct session *session);
/* on_unsubscribe.c: removes one subscription (by index in session->subscriptions). */
void session_unsubscribe_at(struct broker *broker, struct session *session, uint32_t index);

/* ---- route.c ---- */
/* Routes a publication to everybody. False when the topic is invalid (nothing happened).
 * *matched_out: somebody gets it. */
bool route_publication(struct broker *broker, const struct publication *publication,
                       bool *matched_out);
/* A message that another shard routed here: local deliveries only. Takes the reference. */
void route_from_peer(struct broker *broker, struct message *message);
/* True when a publication since the last call went to a shard whose ring is congested. */
bool route_congested(struct broker *broker);

/* ---- interest.c ---- */
void interest_announce(struct broker *broker, struct topic_filter *filter);
void interest_withdraw(struct broker *broker, struct span filter, uint64_t hash, bool wildcard);
void interest_on_entry(struct broker *broker, unsigned from, const struct mesh_entry *entry);
/* True when every shard has confirmed that announcement. */
bool interest_confirmed(const struct broker *broker, uint32_t announcement);

/* ---- subscribe_op.c ---- */
/* Called when something an operation may wait for has happened. */
void subscribe_ops_advance(struct broker *broker);
void subscribe_op_share_ready(struct broker *broker, uint32_t serial, bool failed);
void subscribe_ops_cancel(struct broker *broker, const struct session *session);

/* ---- on_subscribe.c, on_unsubscribe.c: orders ---- */
struct subscribe_order;
/* Subscribes for the client of a session that is connected. False: the order is kept, and goes back with
 * errand_return() when all shards know. */
bool subscribe_ordered(struct broker *broker, struct session *session,
                       struct subscribe_order *order);
enum mqtt_reason unsubscribe_ordered(struct broker *broker, struct session *session,
                                     struct span filter);

/* ---- retain_flow.c ---- */
/* Whether the limits allow this retained message. Replacing one is always allowed, and only the owner of the topic
 * knows whether there is one: RETAIN_OWNER_KNOWS when the limits are reached and the owner is another shard. */
enum retain_verdict { RETAIN_ALLOWED, RETAIN_REFUSED, RETAIN_OWNER_KNOWS };
enum retain_verdict retain_allowed(const struct broker *broker,
                                   const struct publication *publication);
/* Asks the owner; publish_decided() is called with the answer, on this connection or not at all. False when
 * memory is gone. */
bool retain_ask(struct broker *broker, struct connection *connection,
                const struct publication *publication, uint16_t packet_identifier);
/* Stores or deletes at the owner. `message` is a reference for it, or NULL: made when needed. */
void retain_publish(struct broker *broker, const struct publication *publication,
                    struct message *message);
/* Starts sending the retained messages of a subscription to its session; every shard's part counts
 * in session->hold until it is complete. */
void retain_fetch(struct broker *broker, struct session *session, struct span filter,
                  const struct subscription *subscription);
void retain_on_entry(struct broker *broker, unsigned from, const struct mesh_entry *entry);
bool retain_run(struct broker *broker);
/* The connection has room again: goes on with the queries that waited for it. */
void retain_resume(struct broker *broker, struct session *session);
/* The session's connection is over: its queries are given up. */
void retain_abandon(struct broker *broker, struct session *session);
/* The message of what the store has for a topic. */
struct message *retain_stored_message(void *stored);
/* At the owner: removes what is retained under the topic; nobody is told. False when there was nothing. */
bool retain_forget(struct broker *broker, struct span topic);
void retain_discard(const struct mesh_entry *entry);
void retain_clear(struct broker *broker);

/* ---- share.c ---- */
struct share_group;
struct share_delivery;
void share_join(struct broker *broker, struct session *session, struct membership *membership,
                uint32_t op_serial);
/* The session gives up its seat (UNSUBSCRIBE): what is queued for it through the group goes to other members. */
void share_give_up(struct broker *broker, struct session *session, struct membership *membership);
void share_set_connected(struct broker *broker, struct session *session, bool connected);
/* Gives up every seat of a session that ends; what it has not begun goes back to the groups. */
void share_leave_all(struct broker *broker, struct session *session);
/* A delivery that came through a membership, and that its member may not have: goes to another one. False: it cannot, and is
 * to be dropped. */
bool share_refuse(struct broker *broker, struct session *session, struct delivery *delivery);
/* A delivery of QoS 1 or 2 that came through that membership is over, however it ended. */
void share_done(struct broker *broker, const struct session *session, uint32_t membership_id);
void share_on_entry(struct broker *broker, unsigned from, const struct mesh_entry *entry);
void share_joins_advance(struct broker *broker);
void share_discard(const struct mesh_entry *entry);
void share_clear(struct broker *broker);

/* ---- errand.c ---- */
void errand_on_entry(struct broker *broker, const struct mesh_entry *entry);
/* The steps of one turn. True while there is more. */
bool errand_run(struct broker *broker);
void errand_discard(const struct mesh_entry *entry);
/* Before the stores and sessions that errands may hold something of. */
void errand_clear(struct broker *broker);

/* ---- mount.c ---- */
void mount_clear(struct broker *broker);

/* ---- collector.c ---- */
/* The end of the process: gives up what is under way. */
void collectors_clear(struct broker *broker);

/* ---- sys_events.c ---- */
void sys_event_connected(struct broker *broker, const struct session *session,
                         const struct connection *connection, bool clean_start);
void sys_event_disconnected(struct broker *broker, const struct session *session, uint8_t reason);

#endif
