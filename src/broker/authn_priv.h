/* SPDX-License-Identifier: MIT
 *
 * authn_priv - what on_connect.c, connection.c and the chain call of each other.
 */
#ifndef SHARDMQ_BROKER_AUTHN_PRIV_H
#define SHARDMQ_BROKER_AUTHN_PRIV_H

#include "broker/authn.h"
#include "mqtt/decode.h"

/* What CONNECT alone does not say. */
struct connect_facts {
    struct span client_identifier; /* the one that was assigned, when it was */
    struct span username;          /* the certificate's, when it is verified */
    bool assigned_identifier, username_verified;
};

#define AUTHN_LINK(link)                                                                           \
    bool authn_##link##_configured(const struct broker *broker);                                   \
    enum authn_answer authn_##link##_ask(struct broker *broker, struct authn_attempt *attempt);
#include "broker/authn_links.def"
#undef AUTHN_LINK

void authn_table_init(struct authn_table *table);
/* Every connection must be closed. */
void authn_table_fini(struct authn_table *table);

/* Whether this CONNECT gets in without a question: nobody is to be asked, and everybody may. */
bool authn_open(const struct broker *broker, const struct connection *connection,
                const struct connect_packet *packet);

/* A copy of everything; connection->attempt. NULL when memory is gone. */
struct authn_attempt *authn_create(struct broker *broker, struct connection *connection,
                                   const struct frame *frame, const struct connect_facts *facts);
/* Asks the chain. The attempt may be gone when it returns; connection->attempt tells. */
enum connection_verdict authn_begin(struct broker *broker, struct authn_attempt *attempt);
/* The same for a connection that authenticates again, as `packet` says, which is a valid AUTH. */
struct authn_attempt *authn_create_again(struct broker *broker, struct connection *connection,
                                         const struct ack_packet *packet);
/* The client answers a CONTINUE. */
enum connection_verdict authn_answered(struct broker *broker, struct authn_attempt *attempt,
                                       struct span data);
/* The chain is not asked any more: the client broke its rules. */
enum connection_verdict authn_break_off(struct broker *broker, struct authn_attempt *attempt,
                                        enum mqtt_reason code, const char *reason);

/* Nothing is read of the connection until the chain has decided (I2). */
static inline bool authn_holds(const struct connection *connection)
{
    return connection->attempt != NULL && !connection->attempt->again &&
           !connection->attempt->awaits_client;
}

/* The connection ends, or its attempt has been decided: wipes and frees it. Its handle is stale. */
void authn_abandon(struct broker *broker, struct connection *connection);

/* Somebody else whom the CONNECT waited for, because of its will, has answered. */
void authn_go_on(struct broker *broker, struct connection *connection);

/* What an attempt gained is the connection's from now on. False when memory is gone. */
bool identity_take(struct broker *broker, struct connection *connection,
                   struct authn_attempt *attempt);
/* It has authenticated again: what it gained now is in the place of what it gained before. */
void identity_renew(struct broker *broker, struct identity *identity,
                    struct authn_attempt *attempt);
/* Frees what it has, and leaves nothing. */
void identity_clear(struct broker *broker, struct identity *identity);
/* The same, and the connection has none. */
void identity_release(struct broker *broker, struct connection *connection);

/* Takes a copy of what the client says: its data from now on. False when memory is gone. */
bool authn_hear(struct authn_attempt *attempt, struct span data);
void authn_drop_state(struct authn_attempt *attempt);
/* The timer of an attempt whose answer was held back. */
void authn_held_long_enough(void *owner, struct timer *timer);

/* Whether somebody for whom no link vouches may come in by that listener: without a user name, or with one while there is
 * nobody who could check it. */
bool authn_nameless_welcome(const struct broker *broker, const char *listener, bool has_username);
/* Whether no rules hold for a client of that user name, which was let in with that; NULL: with nothing. */
bool authn_superuser(const struct broker *broker, const struct identity *identity,
                     struct span username);
/* It is refused without being looked at: too many refusals are held back (auth/slow_down.h). DENY. */
enum authn_answer authn_unchecked(struct broker *broker, struct authn_attempt *attempt);
/* Whether a link behind that one is configured. */
bool authn_any_behind(const struct broker *broker, const struct authn_link *link);

/* The policy is another one: ends the connections of those whom it would not let in as they came, some in each step. True
 * while there are more to look at. */
bool authn_sweep(struct broker *broker);
/* Whether what a client was let in with, which `identity` has, is still good. */
bool authn_still_welcome(const struct broker *broker, const struct connection *connection,
                         const struct identity *identity, bool has_username, struct span username);

/* ---- authn_password.c ---- */
/* Whether the link let somebody in with what the present policy has for that user. */
bool authn_credential_good(const struct broker *broker, struct span username, uint64_t credential);
bool authn_password_remembered(const struct broker *broker, const struct authn_attempt *attempt);

/* ---- on_auth.c ---- */
/* A packet that comes between CONNECT and CONNACK. */
enum connection_verdict auth_first(struct broker *broker, struct connection *connection,
                                   const struct frame *frame);
/* Sends AUTH with the attempt's method and answer. False: it is too large for the client, or memory is gone. */
bool auth_send(struct broker *broker, struct authn_attempt *attempt, enum mqtt_reason reason);
/* What the chain says of one that authenticates again. */
void auth_again_decided(struct broker *broker, struct authn_attempt *attempt, bool allowed);

/* ---- on_connect.c ---- */
enum connection_verdict connect_allowed(struct broker *broker, struct connection *connection,
                                        struct authn_attempt *attempt);
enum connection_verdict connect_denied(struct broker *broker, struct connection *connection,
                                       struct authn_attempt *attempt);
/* mqtt.connect_timeout passed while the attempt waited. */
void connect_undecided(struct broker *broker, struct connection *connection);

#endif
