/* SPDX-License-Identifier: MIT
 *
 * ban_sweep - walks through the session table, some slots in a step. A client that connects meanwhile was looked at by
 * its CONNECT: the snapshot was there before the errand.
 */
#include "broker/ban_sweep.h"

#include "broker/banned.h"
#include "broker/broker_priv.h"

#define SLOTS_AT_ONCE 1024u
#define ENDS_AT_ONCE  64u /* a DISCONNECT, perhaps a will: more than a look */

static bool end_if_banned(struct broker *broker, struct session *session)
{
    struct peer_address peer;
    const char *why;

    if (session == NULL || session->connection == NULL)
        return false;
    port_peer_address(session->connection, &peer);
    why = banned_client(broker->banned, session_client_identifier(session),
                        session->username != NULL ? span_text(session->username) : (struct span){0},
                        &peer, broker->wall_ms);
    if (why == NULL)
        return false;
    STAT_INC(broker->stats, connection_banned);
    connection_end(broker, session->connection, MQTT_REASON_ADMINISTRATIVE_ACTION, why);
    return true;
}

static enum errand_step sweep_run(struct broker *broker, struct errand *errand)
{
    struct ban_sweep *sweep = ban_sweep_of(errand);
    const struct session_table *table = &broker->sessions;
    uint32_t ended = 0;

    for (uint32_t looked = 0; looked < SLOTS_AT_ONCE && ended < ENDS_AT_ONCE; looked++) {
        if (sweep->cursor >= table->slot_count)
            break;
        ended += end_if_banned(broker, table->slots[sweep->cursor++]);
    }
    sweep->ended += ended;
    return sweep->cursor >= table->slot_count ? ERRAND_DONE : ERRAND_AGAIN;
}

static void sweep_release(struct errand *errand)
{
    mem_free(ban_sweep_of(errand));
}

static const struct errand_kind sweep_kind = {
    .name = "the end of banned clients", .run = sweep_run, .release = sweep_release, .heavy = true};

struct ban_sweep *ban_sweep_create(void)
{
    struct ban_sweep *sweep = mem_try_zalloc(sizeof(*sweep));

    if (sweep != NULL)
        sweep->errand.kind = &sweep_kind;
    return sweep;
}
