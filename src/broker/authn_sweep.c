/* SPDX-License-Identifier: MIT
 *
 * authn_sweep - a reload takes away what a client was let in with: its connection ends.
 *
 *   policy changes --> every session with a connection is looked at again, some in each turn:
 *     let in by the password link     its user must be there, with the same entry
 *     let in as nobody in particular  clients like it must still be welcome on its listener
 *     by another link                 stays: whoever vouched for it said for how long (identity.c)
 *
 * Whoever is not welcome any more hears 0x87. Its session stays, as after any loss of connection. A client that was let in, and
 * then had to wait for somebody else (is it a super user, may it publish its will?), is looked at when it goes on.
 */
#include "broker/authn_priv.h"
#include "broker/broker_priv.h"
#include "broker/policy.h"

#define SLOTS_AT_ONCE 1024u
#define ENDS_AT_ONCE  64u /* a DISCONNECT, perhaps a will: more than a look */

bool authn_superuser(const struct broker *broker, const struct identity *identity,
                     struct span username)
{
    if (identity == NULL)
        return false;
    return identity->superuser || /* a list of names is for those that somebody has vouched for */
           (identity->link != NULL && !identity->name_unproved && broker->policy != NULL &&
            policy_super_user(broker->policy, username));
}

static struct span username_of(const struct session *session)
{
    return session->username != NULL ? span_text(session->username) : (struct span){0};
}

bool authn_still_welcome(const struct broker *broker, const struct connection *connection,
                         const struct identity *identity, bool has_username, struct span username)
{
    struct peer_door door;

    if (identity == NULL || identity->link == NULL) {
        port_peer_door(connection, &door);
        return authn_nameless_welcome(broker, door.listener, has_username);
    }
    return identity->credential == 0 ||
           (has_username && authn_credential_good(broker, username, identity->credential));
}

static bool look_at(struct broker *broker, struct session *session)
{
    if (session == NULL || session->connection == NULL)
        return false;
    session->superuser =
        authn_superuser(broker, session->connection->identity, username_of(session));
    if (authn_still_welcome(broker, session->connection, session->connection->identity,
                            session->username != NULL, username_of(session)))
        return false;
    STAT_INC(broker->stats, authn_revoked);
    connection_end(broker, session->connection, MQTT_REASON_NOT_AUTHORIZED,
                   "the client would not be let in any more");
    return true;
}

bool authn_sweep(struct broker *broker)
{
    const struct session_table *table = &broker->sessions;
    uint32_t ended = 0;

    for (uint32_t looked = 0; looked < SLOTS_AT_ONCE && ended < ENDS_AT_ONCE; looked++) {
        if (broker->sweep_cursor >= table->slot_count)
            break;
        ended += look_at(broker, table->slots[broker->sweep_cursor++]);
    }
    broker->sweeping = broker->sweep_cursor < table->slot_count;
    return broker->sweeping;
}
