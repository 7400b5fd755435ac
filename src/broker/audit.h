/* SPDX-License-Identifier: MIT
 *
 * audit - one log line in one form, and one counter, for everything that a client was refused.
 *
 *   refused: event=publish client="c1" user="u1" address=192.0.2.7:50123 listener=tcp topic="a/b" reason=publish_denied
 *   by="acl: rule 3 (line 7)"
 *
 * (one line). Members are always there and in this order; what does not apply is "-" without quotes. What a client chose
 * stands in quotes and is escaped (log_escape()), so nothing of it can look like a member, an address or a line of its
 * own. The log's rate limit counts for each event by itself: what it suppresses is told by the next line, and the
 * counters miss nothing. conf/fail2ban reads these lines.
 */
#ifndef SHARDMQ_BROKER_AUDIT_H
#define SHARDMQ_BROKER_AUDIT_H

#include "base/span.h"
#include "base/stats.h"
#include "broker/ports.h"

struct broker;
struct connection;

enum audit_event {
    AUDIT_ACCEPT, /* a network connection, by its listener or in its handshake (shards/refusal.h) */
    AUDIT_CONNECT,   /* a CONNECT, or a connection whose address is banned */
    AUDIT_PUBLISH,   /* a PUBLISH */
    AUDIT_SUBSCRIBE, /* a filter of a SUBSCRIBE */
    AUDIT_WILL,      /* a will, at CONNECT or when it was to be sent */
    AUDIT_EVENT_COUNT
};

struct audit_refusal {
    enum audit_event event;
    enum stat_id counter; /* the row of refusals_total: its label is the reason in the line */
    struct span client_identifier, username; /* no data: none is known */
    const struct connection *connection;     /* NULL: there is none, or not any more */
    struct peer_address peer;                /* when there is no connection, and */
    const char *listener;                    /* what the configuration calls it; NULL: not known */
    struct span topic;                       /* no data: it is not about a topic */
    const char *link,
        *rule; /* who decided and by what; NULL or "": nobody in particular. No secret */
};

/* The row of refusals_total for a CONNECT that is answered with that reason. */
enum stat_id audit_connect_counter(enum mqtt_reason reason);

/* Counts and logs. */
void audit_refusal(struct broker *broker, const struct audit_refusal *refusal);

#endif
