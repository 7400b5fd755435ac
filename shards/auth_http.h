/* SPDX-License-Identifier: MIT
 *
 * auth_http - the backends of auth.http_auth: asked with the HTTP client of the shard, remembered for cache_ttl.
 *
 *   control shard                                      data shards
 *   auth_http_set_create: reads options and files -->  MESH_AUTH_HTTP: auth_http_change(); what is under way
 *   (at the start and at every reload)                 goes on with the former set
 *
 *   broker: port_http_ask(kind, facts)
 *      |  the bytes of the request (auth/http_question.h)
 *      +--> answer cache --> decision, at once
 *      +--> backend (http_client.h): refused --> decision, at once: deny
 *                                    asked ----> reply->answered(), once, later
 *
 * Questions for the same server (scheme, host, port, certificates) share its connections and its breaker.
 */
#ifndef SHARDMQ_SHARDS_AUTH_HTTP_H
#define SHARDMQ_SHARDS_AUTH_HTTP_H

#include "broker/ports.h"

struct conf;
struct shard;

/* What is asked of whom. Class: wire; counted references. */
struct auth_http_set;

/* Of that configuration; reads certificates. NULL and a sentence in `why` when something is wrong: a URL, a
 * placeholder, a file, an address that is not allowed. */
struct auth_http_set *auth_http_set_create(const struct conf *conf, unsigned shards, char *why,
                                           size_t size);
struct auth_http_set *auth_http_set_ref(struct auth_http_set *set);
/* NULL is ignored. */
void auth_http_set_unref(struct auth_http_set *set);
/* On the control shard: gives one reference to every data shard, and its own away. */
void auth_http_set_post(struct shard *control, struct auth_http_set *set);

/* What a shard asks with. Owner: shard. */
struct auth_http;

/* On a shard: this set from now on; takes over the reference. NULL: none, at the end. */
void auth_http_change(struct shard *shard, struct auth_http_set *set);
/* port_http_ask(). */
struct http_reply *auth_http_ask(struct shard *shard, enum http_question_kind kind,
                                 const struct connection *connection, struct http_facts *facts,
                                 struct http_decision *decision);

#endif
