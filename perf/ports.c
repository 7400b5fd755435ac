/* SPDX-License-Identifier: MIT
 *
 * The effects of a broker (broker/ports.h) for cases with one shard and no machine: there are none.
 */
#include "broker/ports.h"

#include "broker/broker.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void port_post(struct broker *broker, unsigned to, struct mesh_entry entry)
{
    (void)broker;
    (void)to;
    broker_discard(&entry); /* to the control shard, which is not there */
}

bool port_congested(struct broker *broker, unsigned to)
{
    (void)broker;
    (void)to;
    return false;
}

bool port_full(struct broker *broker, unsigned to)
{
    (void)broker;
    (void)to;
    return false;
}

void port_peer_name(const struct connection *connection, char *to, size_t size)
{
    (void)connection;
    snprintf(to, size, "nobody");
}

enum port_username port_peer_username(const struct connection *connection, char *to, size_t size)
{
    (void)connection;
    (void)to;
    (void)size;
    return PORT_USERNAME_OWN;
}

struct span port_mount_point(const struct connection *connection)
{
    (void)connection;
    return (struct span){0};
}

uint32_t port_packet_size_max(const struct connection *connection)
{
    (void)connection;
    return UINT32_MAX;
}

void port_peer_address(const struct connection *connection, struct peer_address *to)
{
    (void)connection;
    *to = (struct peer_address){0};
}

void port_peer_door(const struct connection *connection, struct peer_door *to)
{
    (void)connection;
    *to = (struct peer_door){.listener = "tcp.default", .protocol = "mqtt"};
}

bool port_named_only(const struct connection *connection)
{
    (void)connection;
    return false;
}

bool port_peer_certificate(const struct connection *connection, enum port_certificate what,
                           char *to, size_t size)
{
    (void)connection;
    (void)what;
    (void)to;
    (void)size;
    return false;
}

bool port_work(struct broker *broker, struct work *work)
{
    (void)broker;
    (void)work;
    return false; /* there are no workers */
}

void port_hand_in(struct broker *broker, struct inbox_item *item)
{
    item->run(broker, item); /* there is one thread */
}

uint64_t port_clock_ns(void) /* what it costs is measured, too */
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct http_reply *port_http_ask(struct broker *broker, enum http_question_kind kind,
                                 const struct connection *connection, struct http_facts *facts,
                                 struct http_decision *decision)
{
    (void)broker;
    (void)kind;
    (void)connection;
    (void)facts;
    *decision =
        (struct http_decision){.verdict = HTTP_VERDICT_DENY, .failed = true, .why = "nobody"};
    return NULL; /* there is no backend */
}

void port_random_bytes(struct broker *broker, void *to, size_t size)
{
    (void)broker;
    memset(to, 7, size);
}
