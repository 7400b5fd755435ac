/* SPDX-License-Identifier: MIT
 *
 * handoff - a connection goes to the shard that owns its session.
 *
 * What it is: SO_REUSEPORT lands a socket on any shard; the session of its client lives on the
 * shard that the client identifier hashes to. The accepting shard reads until CONNECT is complete
 * and then gives the socket away, with the bytes that came so far. From then on everything about
 * the session is local to one thread.
 *
 *   accepting shard                                    home shard
 *   receive, singly armed --> CONNECT complete
 *   connection_forget, slot freed
 *   MESH_HANDOFF {fd, peer, filter, bytes} ----------> conn_open(adopted), feed bytes, arm
 *
 * Invariants
 *   I1  nothing is in flight on the socket when it is handed over: receives before CONNECT are
 *       armed singly, and a connection that has not sent CONNECT has no output; one with TLS or
 *       WebSocket below MQTT is fed only when what those had to say is sent (conn_filter.c)
 *   I2  the descriptor belongs to exactly one of: a slot, a struct handoff
 *   I3  bytes arrive at the home shard in the order in which they came: those kept from earlier
 *       receives, then the rest of the last one; what is still in the socket comes behind them
 *
 * Rejected: handing over the decoded CONNECT (the bytes behind it must go along anyway, and one
 * decoder is enough), and a second listener per shard that clients are redirected to (3.1.1 has no
 * redirection).
 */
#include "shards/conn_filter.h"
#include "shards/conn_mqtt.h"
#include "shards/door.h"
#include "shards/machine_priv.h"
#include "shards/refusal.h"

#include <unistd.h>

void handoff_discard(struct handoff *handoff)
{
    close(handoff->fd);
    conn_filter_destroy(handoff->filter);
    door_unref(handoff->door);
    mem_wipe(handoff->bytes, handoff->len);
    mem_free(handoff);
}

void conn_hand_over(struct shard *shard, struct conn *conn, unsigned home, const uint8_t *data,
                    uint32_t len)
{
    struct connection *mqtt = conn_mqtt_of(conn);
    uint32_t kept = mqtt->input_len;
    struct handoff *handoff = mem_try_alloc(sizeof(*handoff) + kept + len);

    ASSERT(home < shard->machine->limits.shards && home != shard->index);
    if (handoff == NULL) {
        STAT_INC(shard->stats, connection_refused);
        refusal_of_conn(shard, conn, STAT_refused_limit, "out of memory");
        conn_kill(shard, conn);
        return;
    }
    handoff->peer.family = conn->family;
    handoff->peer.port = conn->port;
    memcpy(handoff->peer.address, conn->address, sizeof(conn->address));
    handoff->len = kept + len;
    if (kept != 0)
        memcpy(handoff->bytes, mqtt->input, kept);
    if (len != 0)
        memcpy(handoff->bytes + kept, data, len); /* I3 */
    mem_wipe(mqtt->input, kept);                  /* there may be a password in it */
    mem_wipe((uint8_t *)(uintptr_t)data, len);
    connection_forget(shard->broker, mqtt);
    handoff->door = door_ref(conn->door);
    handoff->filter = conn_filter_detach(conn);
    handoff->fd = conn_give_away(shard, conn); /* I1, I2 */
    shard_post(shard, home, MESH_HANDOFF, 0, handoff);
}

void conn_adopt(struct shard *shard, struct handoff *handoff)
{
    conn_open(shard, handoff->fd, &handoff->peer, span_of(handoff->bytes, handoff->len),
              handoff->filter, handoff->door);
    mem_wipe(handoff->bytes, handoff->len);
    door_unref(handoff->door);
    mem_free(handoff);
}
