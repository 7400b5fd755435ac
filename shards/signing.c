/* SPDX-License-Identifier: MIT
 *
 * signing - a queue of the shard before that of the workers.
 *
 *   conn_filter.c: signing_begin --> [ first ... last ] --AT_ONCE at a time--> workers --> conn_filter_signed
 *
 * A storm of handshakes has thousands of signatures to be made; the workers have passwords to check for other clients as
 * well. So a shard gives them a few at a time, and the rest waits here. The queue has the limit of handshakes under way
 * (limits.max_handshakes): each has one signature at most.
 *
 * Invariants
 *   I1  while something waits here, something of this shard is with the workers: its return sends the next
 *   I2  the connection is named by slot and generation: it may be gone when the signature comes
 */
#include "shards/signing.h"

#include "shards/conn_filter.h"
#include "shards/machine_priv.h"
#include "shards/refusal.h"
#include "transport/transport.h"

#define AT_ONCE 4u

/* Class: wire. */
struct signing {
    struct work work;
    struct signing *next;
    struct transport_job *job;
    uint32_t slot, generation;
};

static void blocking(struct work *work)
{
    transport_job_run(CONTAINER_OF(work, struct signing, work)->job);
}

static void forget(struct shard *shard, struct signing *signing)
{
    STAT_DEC(shard->stats, signature_waiting);
    transport_job_free(signing->job);
    mem_free(signing);
}

/* No worker takes it, and nothing is under way whose return would try again. */
static void give_up(struct shard *shard, struct signing *signing)
{
    struct conn *conn = conns_get(&shard->conns, signing->slot, signing->generation);

    STAT_INC(shard->stats, signature_refused);
    if (conn != NULL) {
        refusal_of_conn(shard, conn, STAT_refused_limit, "no worker could sign (workers.queue)");
        conn_kill(shard, conn);
    }
    forget(shard, signing);
}

static void submit_some(struct shard *shard)
{
    struct signings *signings = &shard->conns.signings;

    while (signings->first != NULL && signings->under_way < AT_ONCE) {
        struct signing *signing = signings->first;
        bool taken;

        signings->first = signing->next;
        if (conns_get(&shard->conns, signing->slot, signing->generation) == NULL) {
            forget(shard, signing); /* nobody waits any more */
            continue;
        }
        taken = shard_work(shard, &signing->work);
        if (!taken && signings->under_way != 0) {
            signings->first = signing; /* I1: later */
            return;
        }
        if (taken)
            signings->under_way++;
        else
            give_up(shard, signing);
    }
}

static void done(struct broker *broker, struct work *work)
{
    struct signing *signing = CONTAINER_OF(work, struct signing, work);
    struct shard *shard = broker_machine(broker);
    struct conn *conn = conns_get(&shard->conns, signing->slot, signing->generation); /* I2 */

    shard->conns.signings.under_way--;
    if (work->abandoned) { /* the process ends */
        forget(shard, signing);
        return;
    }
    STAT_INC(shard->stats, signature_made);
    if (conn != NULL && conn->filter != NULL) {
        conn_filter_signed(shard, conn, signing->job);
        signing->job = NULL;
    }
    forget(shard, signing);
    submit_some(shard);
}

bool signing_begin(struct shard *shard, struct conn *conn, struct transport_job *job)
{
    struct signings *signings = &shard->conns.signings;
    struct signing *signing = mem_try_zalloc(sizeof(*signing));

    if (signing == NULL) {
        STAT_INC(shard->stats, signature_refused);
        transport_job_free(job);
        return false;
    }
    signing->work.blocking = blocking;
    signing->work.done = done;
    signing->job = job;
    signing->slot = conn->slot;
    signing->generation = conn->generation;
    if (signings->first == NULL)
        signings->first = signing;
    else
        signings->last->next = signing;
    signings->last = signing;
    STAT_INC(shard->stats, signature_waiting);
    submit_some(shard);
    return (conn->flags & CONN_DYING) == 0;
}

void signing_end(struct shard *shard)
{
    struct signings *signings = &shard->conns.signings;

    while (signings->first != NULL) {
        struct signing *signing = signings->first;

        signings->first = signing->next;
        forget(shard, signing);
    }
}
