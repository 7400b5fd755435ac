/* SPDX-License-Identifier: MIT
 *
 * query - lists of clients, subscriptions and retained messages, read out of one shard in batches. The essay is in
 * query.c; who wants a list of all shards uses a collector (broker/collector.h).
 */
#ifndef SHARDMQ_BROKER_QUERY_H
#define SHARDMQ_BROKER_QUERY_H

#include "broker/connection.h"
#include "broker/errand.h"
#include "broker/ports.h"
#include "session/message.h"

enum query_list { QUERY_CLIENTS, QUERY_SUBSCRIPTIONS, QUERY_RETAINED };

#define QUERY_ALL UINT64_MAX

/* What is listed. Every term that is given must hold. */
struct query_terms {
    enum query_list list;
    /* clients and subscriptions; data == NULL: any */
    struct span client_identifier, username;
    struct span
        filter; /* subscriptions: as subscribed; retained messages: a valid filter, required */
    /* clients */
    enum query_choice { QUERY_EITHER, QUERY_YES, QUERY_NO } connected, clean_start;
    uint8_t versions; /* bit per enum mqtt_version; 0: all */
    /* subscriptions */
    uint8_t qos; /* bit per QoS; 0: all */
};

/* One client, as it was when its batch was made. */
struct client_record {
    uint32_t size; /* to the next record */
    uint32_t client_identifier_len, username_len, will_topic_len, will_payload_len;
    uint32_t peer_path_len;     /* of a UNIX socket; 0: there is none */
    uint32_t expiry_s;          /* Session Expiry Interval; UINT32_MAX: never */
    uint32_t subscriptions;     /* shared ones included */
    uint32_t queued, in_flight; /* deliveries of QoS 1 and 2: waiting; sent and not acknowledged */
    uint32_t unreleased;        /* QoS 2 publications of the client that wait for PUBREL */
    uint16_t keep_alive_s, receive_maximum;
    uint8_t version; /* enum mqtt_version */
    bool connected, clean_start, has_username, has_will;
    uint64_t queued_bytes;
    uint64_t changed_ms;               /* wall clock: connected or disconnected since */
    uint64_t expires_in_ms;            /* disconnected: until the session ends; UINT64_MAX: never */
    struct connection_traffic traffic; /* of this connection; 0 while disconnected */
    struct peer_address peer;          /* likewise */
    uint8_t text[]; /* client identifier, user name, topic and payload of the will */
};

struct subscription_record {
    uint32_t size;
    uint32_t client_identifier_len, filter_len;
    uint32_t identifier; /* Subscription Identifier, 0: none */
    uint8_t qos, options;
    uint8_t text[]; /* client identifier, filter as subscribed: $share/<name>/<filter> */
};

struct retained_record {
    uint32_t size;
    struct message *message; /* a reference of the query's */
};

/* Class: wire, as every errand. */
struct query {
    struct errand errand;
    struct query_terms terms; /* its spans point into text[] */
    bool count_only;          /* counts what there is and copies nothing */
    uint64_t skip;            /* to be passed over before the first copy; counts down */
    uint64_t limit;           /* still wanted; counts down */
    /* the answer */
    uint64_t count; /* count_only: how many there are */
    uint8_t *records;
    uint32_t records_len, records_capacity;
    bool complete, no_memory;
    /* where the walk is; the shard's */
    bool begun;
    uint64_t newest; /* serial of the newest session when it began */
    uint32_t slot, part, parts;
    uint32_t steps;
    struct retained_scan *scan;
    uint8_t text[];
};

/* A query that lists everything under these terms, which are copied. NULL when memory is gone. Sent with
 * errand_send(); when it is back, go through its records, then query_next() and send it again unless it is
 * complete. Freed by errand_free(). */
struct query *query_create(const struct query_terms *terms);
/* Forgets the records it came back with. */
void query_next(struct query *query);
/* Counted; now it lists what it counted (less what has gone meanwhile). */
void query_rewind(struct query *query);

static inline struct query *query_of(struct errand *errand)
{
    return CONTAINER_OF(errand, struct query, errand);
}

/* The first record of a batch, and the one behind `record`; NULL at the end. */
static inline const void *query_record(const struct query *query, const void *record)
{
    const uint8_t *at = record;

    at = at == NULL ? query->records : at + *(const uint32_t *)(const void *)at;
    return at == NULL || at == query->records + query->records_len ? NULL : at;
}

/* Whether retained messages can be asked for with that: a topic filter without a share name; and whether a topic can
 * have one. Both valid UTF-8. */
bool query_filter_valid(struct span filter);
bool query_topic_valid(struct span topic);

/* One of the 5.0 properties that a retained message is forwarded with. */
struct retained_property {
    enum mqtt_property id;
    uint32_t number;
    struct span name, value; /* name: the key of a User Property */
};

/* Takes the next property off `props`, which are publication.props at first; false at the end. */
bool query_next_property(struct span *props, struct retained_property *out);

/* The data shard that has the retained message of a topic. */
unsigned query_retained_owner(struct span topic, unsigned shard_count);

#endif
