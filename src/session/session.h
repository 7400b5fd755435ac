/* SPDX-License-Identifier: MIT
 *
 * session - the state of one client that may outlive its connection (MQTT 5.0, 4.1).
 *
 * Owner: shard. Made by the CONNECT of a client identifier that has none, destroyed when it ends.
 * Rings carry struct session_handle, never a pointer: session_table_get() resolves it or says that
 * it is gone.
 */
#ifndef SHARDMQ_SESSION_SESSION_H
#define SHARDMQ_SESSION_SESSION_H

#include "base/address.h"
#include "base/timer.h"
#include "session/inbound.h"
#include "session/window.h"

struct acl;
struct author;
struct authz_client;
struct connection;
struct topic_filter;
struct membership;
struct hold;

#define SESSION_NEVER_EXPIRES UINT32_MAX

/* One subscription as the session remembers it: a filter of the shard's tree, or a seat in a share
 * group. */
struct session_subscription {
    struct topic_filter *filter; /* NULL for a shared subscription */
    struct membership *membership;
};

struct will {
    struct message *message;
    uint32_t delay_s;
    uint32_t expiry_s; /* Message Expiry Interval; counts from the moment it is published */
    bool has_expiry;
    /* Where its client came from, for whoever is asked about it when it is due. */
    uint16_t port;
    uint16_t mount_len;          /* of its topic: the mount point */
    const char *protocol;        /* stays valid */
    char *common_name, *subject; /* of the client's certificate; NULL: none */
};

struct session {
    struct connection *connection; /* NULL while disconnected */
    struct window window;          /* outgoing QoS 1 and 2 */
    struct inbound *inbound;       /* incoming QoS 2; NULL until used */
    struct session_subscription *subscriptions;
    struct will *will;
    struct hold *hold;                /* deliveries that wait behind retained messages */
    struct acl *rules;                /* the client's own (broker/authz.h); NULL: it has none */
    char *username;                   /* of the last CONNECT, for events; NULL without one */
    struct authz_client *authz;       /* what its rules came to (broker/authz_client.c) */
    struct author *author;            /* of its retained messages; NULL: it has sent none */
    struct timer timer;               /* while disconnected: will delay, then session expiry */
    uint64_t will_due_ms, expires_ms; /* while disconnected; TIMER_NEVER: not pending */
    uint64_t serial;                  /* grows with every session that is made on this shard */
    uint64_t changed_ms;              /* wall clock: when it was connected or disconnected last */
    struct session_handle handle;
    uint32_t subscription_count, subscription_capacity;
    uint32_t expiry_s;        /* Session Expiry Interval; SESSION_NEVER_EXPIRES */
    uint32_t share_ids;       /* last membership id given */
    uint16_t receive_maximum; /* the client's, limited by mqtt.max_inflight_window */
    uint16_t client_identifier_len;
    uint16_t keep_alive_s; /* of the last CONNECT, as are: */
    bool clean_start;
    bool superuser;           /* may everything: said by authentication */
    uint8_t version;          /* enum mqtt_version */
    struct peer_address peer; /* where the last CONNECT came from */
    char client_identifier[]; /* not terminated */
};

static inline struct span session_client_identifier(const struct session *session)
{
    return span_of(session->client_identifier, session->client_identifier_len);
}

/* The sessions of one shard, by client identifier and by handle. */
struct session_table {
    struct session **slots; /* by handle.slot */
    uint16_t *generations;
    uint32_t *free_slots;
    uint32_t slot_count, slot_capacity, free_count;
    uint64_t
        *index; /* open addressing: upper half of the hash, slot + 1 in the lower half; 0 empty */
    uint32_t index_capacity; /* power of two */
    uint32_t count;
    uint16_t shard;
    uint64_t serial; /* of the newest session */
};

void session_table_init(struct session_table *table, uint16_t shard);
/* All sessions must be gone. */
void session_table_fini(struct session_table *table);

/* The whole identifier is compared after a hash hit. */
struct session *session_table_find(const struct session_table *table,
                                   struct span client_identifier);
struct session *session_table_get(const struct session_table *table, struct session_handle handle);

/* Makes a session with its handle; NULL when memory is gone. There must be none with this
 * identifier. */
struct session *session_table_create(struct session_table *table, struct span client_identifier);
/* Takes it out and frees the struct; everything it refers to has been released by the caller. */
void session_table_destroy(struct session_table *table, struct session *session);

/* The n-th session in slot order at or after *cursor, which is advanced past it; NULL at the end.
 */
struct session *session_table_next(const struct session_table *table, uint32_t *cursor);

/* The list of subscriptions. False when memory is gone. */
bool session_add_subscription(struct session *session, struct topic_filter *filter,
                              struct membership *membership);
/* Removes the element that has this filter or membership (the other is NULL). */
void session_remove_subscription(struct session *session, const struct topic_filter *filter,
                                 const struct membership *membership);

#endif
