/* SPDX-License-Identifier: MIT
 *
 * port - the effects of src/broker/ports.h, on this machine, and the machine's own posts.
 */
#include "broker/ports.h"

#include "shards/machine_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

void port_post(struct broker *broker, unsigned to, struct mesh_entry entry)
{
    struct shard *shard = broker_machine(broker);

    mesh_post(&shard->mesh, to, entry);
}

bool port_congested(struct broker *broker, unsigned to)
{
    const struct shard *shard = broker_machine(broker);

    return shard->mesh.peers[to].congested;
}

bool port_full(struct broker *broker, unsigned to)
{
    const struct shard *shard = broker_machine(broker);

    return shard->mesh.peers[to].full;
}

void port_peer_name(const struct connection *connection, char *to, size_t size)
{
    const struct conn *conn = CONTAINER_OF(connection, struct conn, mqtt);
    char text[INET6_ADDRSTRLEN];

    if ((conn->family != AF_INET && conn->family != AF_INET6) ||
        inet_ntop(conn->family, conn->address, text, sizeof(text)) == NULL)
        snprintf(to, size, "unknown");
    else
        snprintf(to, size, conn->family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, conn->port);
}

void port_peer_address(const struct connection *connection, struct peer_address *to)
{
    const struct conn *conn = CONTAINER_OF(connection, struct conn, mqtt);

    *to = (struct peer_address){.family = conn->family, .port = conn->port};
    memcpy(to->bytes, conn->address, sizeof(to->bytes));
}

void port_random_bytes(struct broker *broker, void *to, size_t size)
{
    uint8_t *next = to;

    (void)broker;
    while (size != 0) {
        ssize_t got = getrandom(next, size, 0);

        if (got < 0 && errno != EINTR)
            panic(__FILE__, __LINE__, "no random bytes: %s", strerror(errno));
        if (got > 0) {
            next += got;
            size -= (size_t)got;
        }
    }
}

void shard_post(struct shard *shard, unsigned to, enum mesh_kind kind, uint16_t small,
                void *pointer)
{
    mesh_post(&shard->mesh, to,
              (struct mesh_entry){.kind = (uint8_t)kind, .small = small, .pointer = pointer});
}
