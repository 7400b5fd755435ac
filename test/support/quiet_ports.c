/* SPDX-License-Identifier: MIT
 *
 * quiet_ports - the effects of a broker (broker/ports.h) where there is no machine: there are none.
 *
 * A source of the micro-benchmarks, the simulation and the unit tests of src/broker. Each definition is a weak one:
 * who wants an effect to be seen defines that port, and no other.
 */
#include "broker/ports.h"

#include "broker/broker.h"

#include <stdio.h>
#include <string.h>

#define QUIET __attribute__((weak))

QUIET void port_post(struct broker *broker, unsigned to, struct mesh_entry entry)
{
    (void)broker;
    (void)to;
    broker_discard(&entry); /* to a shard that is not there */
}

QUIET bool port_congested(struct broker *broker, unsigned to)
{
    (void)broker;
    (void)to;
    return false;
}

QUIET bool port_full(struct broker *broker, unsigned to)
{
    (void)broker;
    (void)to;
    return false;
}

QUIET void port_peer_name(const struct connection *connection, char *to, size_t size)
{
    (void)connection;
    snprintf(to, size, "nobody");
}

QUIET enum port_username port_peer_username(const struct connection *connection, char *to,
                                            size_t size)
{
    (void)connection;
    (void)to;
    (void)size;
    return PORT_USERNAME_OWN;
}

QUIET struct span port_mount_point(const struct connection *connection)
{
    (void)connection;
    return (struct span){0};
}

QUIET uint32_t port_packet_size_max(const struct connection *connection)
{
    (void)connection;
    return UINT32_MAX;
}

QUIET void port_peer_address(const struct connection *connection, struct peer_address *to)
{
    (void)connection;
    *to = (struct peer_address){0};
}

QUIET void port_peer_door(const struct connection *connection, struct peer_door *to)
{
    (void)connection;
    *to = (struct peer_door){.listener = "tcp.default", .protocol = "mqtt"};
}

QUIET bool port_named_only(const struct connection *connection)
{
    (void)connection;
    return false;
}

QUIET bool port_peer_certificate(const struct connection *connection, enum port_certificate what,
                                 char *to, size_t size)
{
    (void)connection;
    (void)what;
    (void)to;
    (void)size;
    return false;
}

QUIET bool port_work(struct broker *broker, struct work *work)
{
    (void)broker;
    (void)work;
    return false; /* there are no workers */
}

QUIET void port_hand_in(struct broker *broker, struct inbox_item *item)
{
    item->run(broker, item); /* there is one thread */
}

QUIET uint64_t port_clock_ns(void)
{
    return 0; /* nothing takes time within a turn */
}

QUIET struct http_reply *port_http_ask(struct broker *broker, enum http_question_kind kind,
                                       const struct connection *connection,
                                       struct http_facts *facts, struct http_decision *decision)
{
    (void)broker;
    (void)kind;
    (void)connection;
    (void)facts;
    *decision =
        (struct http_decision){.verdict = HTTP_VERDICT_DENY, .failed = true, .why = "nobody"};
    return NULL; /* there is no backend */
}

QUIET void port_random_bytes(struct broker *broker, void *to, size_t size)
{
    (void)broker;
    memset(to, 7, size);
}
