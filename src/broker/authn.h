/* SPDX-License-Identifier: MIT
 *
 * authn - who is it? The chain of those that may know: every CONNECT asks them in order until one does.
 *
 *   CONNECT, on its home shard, after the bans
 *      |  attempt: a copy of the packet, and what is known of the client
 *      v
 *   link 0 --IGNORE--> link 1 --IGNORE--> ... --IGNORE--> end of the chain: anonymous, or refused
 *      |                  |
 *      |                  WAIT: the connection is not read; everybody else goes on
 *      |                  ... authn_complete(handle, answer) goes on with that link's answer
 *      ALLOW: the session, CONNACK          DENY: CONNACK with the reason, the end
 *
 * With an Authentication Method (MQTT 5.0, 4.12) a link may need to hear more: CONTINUE sends `answer` in AUTH, and when the
 * client's next AUTH is here, the same link is asked again, with its state. Only AUTH and DISCONNECT are taken
 * meanwhile. A client that is online may authenticate again: the chain is asked the same way, while everything else
 * goes on. on_auth.c has both.
 *
 * The links are the rows of authn_links.def: a new one is a row and two functions. The rules of the house:
 *
 *   - A link IGNOREs what is not its business (no user name, no token, another method), never what it could not do: a
 *     backend that is down, a queue that is full, no memory are DENY. Nobody gets in because something is broken.
 *   - A link that needs time answers WAIT and takes attempt->handle with it. An answer for a handle whose attempt is gone
 *     (the client left, mqtt.connect_timeout passed) is counted and dropped.
 *   - Secrets live in the attempt only, and are wiped with it.
 *
 * Invariants
 *   I1  one attempt per connection, and one answer per attempt: CONNACK is sent once
 *   I2  while it waits the connection consumes nothing; its connect timeout goes on
 *   I3  an attempt is on the shard of its connection and named by {slot, generation} across time
 *   I4  no session is looked up, made or taken over before ALLOW
 */
#ifndef SHARDMQ_BROKER_AUTHN_H
#define SHARDMQ_BROKER_AUTHN_H

#include "auth/slow_down.h"
#include "base/timer.h"
#include "broker/ports.h"
#include "mqtt/packet.h"

enum authn_answer {
    AUTHN_IGNORE, /* not mine: ask the next */
    AUTHN_ALLOW,
    AUTHN_DENY,
    AUTHN_WAIT, /* authn_complete() will say; not an answer to that */
    AUTHN_CONTINUE /* with a method only: send `answer`, and ask me again with what the client says to it */
};

/* Names an attempt across threads and time. Of which shard it is its bearer knows: it has the broker. */
struct authn_handle {
    uint32_t slot, generation;
};

/* What a connection has gained by authentication; NULL for one that has nothing. Owner: shard; the connection's. */
struct identity {
    const struct authn_link *link; /* who let it in; NULL: nobody, it is anonymous */
    bool superuser;                /* no rules hold for it */
    bool name_unproved;  /* its user name is what CONNECT says, and nobody has vouched for it */
    uint64_t expires_ms; /* wall clock; the connection ends then (a token ran out); 0: never */
    char *method;        /* Authentication Method of its CONNECT, mem_alloc; NULL: none */
    struct acl *rules;   /* of its own (from a token), until its session has them; NULL: none */
    uint64_t credential; /* of the password link: the entry that was right; 0: another link's */
    struct connection *connection;
    struct timer expiry; /* for expires_ms */
};

/* One CONNECT, or one AUTH that authenticates again, that is being decided. Owner: shard. Spans are good for as long as it lives. */
struct authn_attempt {
    struct broker *broker;
    struct connection *connection;
    struct authn_handle handle;

    /* the question */
    struct span client_identifier, username, password;
    bool has_username, has_password;
    bool username_verified; /* it is what the client's certificate says */
    struct span method,
        data; /* Authentication Method and Data of 5.0; method.len 0: none. A link that knows only user
                                 names and passwords IGNOREs whoever has a method */
    unsigned round; /* how many AUTH have answered a CONTINUE */
    bool again;     /* it is online, and authenticates again: new_username must be what it is */
    enum mqtt_version version;
    struct peer_address peer;
    struct peer_door door;

    /* what the link that is asked keeps while it waits, or from one question to the next */
    void *state;
    void (*free_state)(void *state); /* called when another link is asked, and at the end */

    /* the answer; a link sets these before it answers */
    const char *reason;     /* DENY: for the log, constant text; never a secret */
    enum mqtt_reason code;  /* DENY: for CONNACK; 0: 0x86, bad user name or password */
    char *new_username;     /* ALLOW: instead of the client's; mem_alloc, the attempt's; NULL */
    struct identity result; /* ALLOW */
    struct span
        answer; /* CONTINUE, ALLOW with a method: Authentication Data for the client; the link's, valid until it is
                               asked again or its state is freed */

    /* the chain's own */
    const struct authn_link *link; /* the one that is asked; NULL: none yet */
    bool waiting;
    bool super_asked;   /* whether it is a super user (broker/http_auth.h) */
    bool awaits_client; /* its next AUTH decides how to go on */
    uint8_t *said;      /* what it said last, of said_len bytes; NULL: what CONNECT said */
    uint32_t said_len;
    struct timer deadline;      /* of `again` */
    uint32_t policy_generation; /* of the policy when it was let in; 0: it was not yet */
    bool allowed;               /* and its will is being decided (broker/authz.h) */
    struct slow_down_keys slow_down;
    struct slow_down_hold hold; /* it was wrong, and the answer is held back until `timer` fires */
    struct timer timer;
    bool assigned_identifier;
    struct connect_packet packet; /* views of `bytes` */
    uint32_t size;
    uint8_t bytes[]; /* CONNECT's body, the identifier and the user name if they are not in it */
};

/* A link of the chain; a row of authn_links.def. Class: boot. */
struct authn_link {
    const char *name; /* in log lines and in the audit */
    /* Whether it is to be asked at all, as the broker is configured now. */
    bool (*configured)(const struct broker *broker);
    enum authn_answer (*ask)(struct broker *broker, struct authn_attempt *attempt);
};

#define AUTHN_LINK(link)                                                                           \
    bool authn_##link##_configured(const struct broker *broker);                                   \
    enum authn_answer authn_##link##_ask(struct broker *broker, struct authn_attempt *attempt);
#include "broker/authn_links.def"
#undef AUTHN_LINK

/* The attempts of one shard that are under way. Owner: shard. */
struct authn_table {
    struct authn_slot {
        struct authn_attempt *attempt;
        uint32_t generation, next_free;
    } * slots;
    uint32_t capacity, free_slot, count;
};

/* The attempt that a handle names; NULL when it is gone. */
struct authn_attempt *authn_find(struct broker *broker, struct authn_handle handle);

/* The link that said WAIT has its answer: ALLOW, DENY, IGNORE or CONTINUE. On the shard's thread. Nothing happens, but for a counter, when
 * the handle is stale. */
void authn_complete(struct broker *broker, struct authn_handle handle, enum authn_answer answer);

#endif
