/* SPDX-License-Identifier: MIT */
#include "shards/refusal.h"

#include "broker/audit.h"
#include "shards/conn_mqtt.h"
#include "shards/machine_priv.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static void address_of(int fd, struct peer_address *peer)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);

    if (getpeername(fd, (struct sockaddr *)&name, &size) != 0)
        return;
    peer->family = name.ss_family;
    if (name.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&name;

        peer->port = ntohs(v4->sin_port);
        memcpy(peer->bytes, &v4->sin_addr, 4);
    } else if (name.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&name;

        peer->port = ntohs(v6->sin6_port);
        memcpy(peer->bytes, &v6->sin6_addr, 16);
    }
}

static struct audit_refusal refusal(const struct door *door, enum stat_id counter, const char *why)
{
    return (struct audit_refusal){
        .event = AUDIT_ACCEPT, .counter = counter, .listener = door->conf->name, .rule = why};
}

void refusal_of_socket(struct shard *shard, const struct door *door, int fd, enum stat_id counter,
                       const char *why)
{
    struct audit_refusal what = refusal(door, counter, why);

    if (door->service)
        return;
    address_of(fd, &what.peer);
    audit_refusal(shard->broker, &what);
}

void refusal_of_peer(struct shard *shard, const struct door *door, const struct conn_peer *peer,
                     enum stat_id counter, const char *why)
{
    struct audit_refusal what = refusal(door, counter, why);

    if (door->service)
        return;
    what.peer.family = peer->family;
    what.peer.port = peer->port;
    memcpy(what.peer.bytes, peer->address, sizeof(what.peer.bytes));
    audit_refusal(shard->broker, &what);
}

void refusal_of_conn(struct shard *shard, const struct conn *conn, enum stat_id counter,
                     const char *why)
{
    struct audit_refusal what = refusal(conn->door, counter, why);

    if (conn->door->service)
        return;
    what.connection = conn_mqtt_of(conn);
    audit_refusal(shard->broker, &what);
}
