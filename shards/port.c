/* SPDX-License-Identifier: MIT
 *
 * port - the effects of src/broker/ports.h, on this machine, and the machine's own posts.
 */
#include "broker/ports.h"

#include "conf/conf.h"
#include "shards/auth_http.h"
#include "shards/conn_filter.h"
#include "shards/conn_mqtt.h"
#include "shards/door.h"
#include "shards/loop.h"
#include "shards/machine_priv.h"
#include "shards/worker.h"

#include <errno.h>
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

bool shard_work(struct shard *shard, struct work *work)
{
    struct worker_pool *workers =
        shard->machine->workers; /* NULL at the end, when the last calls come back */

    if (workers != NULL && worker_submit(workers, &shard->inbox, work)) {
        STAT_INC(shard->stats, work_submitted);
        return true;
    }
    STAT_INC(shard->stats, work_refused);
    return false;
}

bool port_work(struct broker *broker, struct work *work)
{
    return shard_work(broker_machine(broker), work);
}

void port_hand_in(struct broker *broker, struct inbox_item *item)
{
    struct shard *shard = broker_machine(broker);

    inbox_post(&shard->inbox, item);
}

void port_peer_name(const struct connection *connection, char *to, size_t size)
{
    conn_peer_name(conn_of_mqtt(connection), to, size);
}

enum port_username port_peer_username(const struct connection *connection, char *to, size_t size)
{
    static const enum transport_name names[] = {[CONF_PEER_USERNAME_CN] = TRANSPORT_NAME_CN,
                                                [CONF_PEER_USERNAME_SAN] = TRANSPORT_NAME_SAN,
                                                [CONF_PEER_USERNAME_SUBJECT] =
                                                    TRANSPORT_NAME_SUBJECT};
    const struct conn_filter *filter = conn_of_mqtt(connection)->filter;

    if (filter == NULL || filter->peer_username == CONF_PEER_USERNAME_NONE)
        return PORT_USERNAME_OWN;
    return transport_peer_name(filter->transport, names[filter->peer_username], to, size)
               ? PORT_USERNAME_VERIFIED
               : PORT_USERNAME_MISSING;
}

bool port_peer_certificate(const struct connection *connection, enum port_certificate what,
                           char *to, size_t size)
{
    const struct conn_filter *filter = conn_of_mqtt(connection)->filter;

    return filter != NULL &&
           transport_peer_name(filter->transport,
                               what == PORT_CERTIFICATE_SUBJECT ? TRANSPORT_NAME_SUBJECT
                                                                : TRANSPORT_NAME_CN,
                               to, size);
}

/* The port that the socket really has: the kernel's choice, when the configuration says 0. */
static uint16_t local_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return 0;
    if (address.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&address)->sin_port);
    if (address.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
    return 0;
}

void port_peer_door(const struct connection *connection, struct peer_door *to)
{
    const struct conn *conn = conn_of_mqtt(connection);

    door_describe(conn->door, to);
    if (to->port == 0)
        to->port = local_port(conn->fd);
}

struct span port_mount_point(const struct connection *connection)
{
    return door_mount_point(conn_of_mqtt(connection)->door);
}

bool port_named_only(const struct connection *connection)
{
    return conn_of_mqtt(connection)->door->named_only;
}

uint32_t port_packet_size_max(const struct connection *connection)
{
    return door_packet_size_max(conn_of_mqtt(connection)->door);
}

void port_peer_address(const struct connection *connection, struct peer_address *to)
{
    const struct conn *conn = conn_of_mqtt(connection);

    *to = (struct peer_address){.family = conn->family, .port = conn->port};
    memcpy(to->bytes, conn->address, sizeof(to->bytes));
}

uint64_t port_clock_ns(void)
{
    return loop_clock_ns();
}

struct http_reply *port_http_ask(struct broker *broker, enum http_question_kind kind,
                                 const struct connection *connection, struct http_facts *facts,
                                 struct http_decision *decision)
{
    return auth_http_ask(broker_machine(broker), kind, connection, facts, decision);
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
