/* SPDX-License-Identifier: MIT
 *
 * author - who published a retained message, for as long as somebody has the message: whether he may still publish it
 * is asked again whenever it is sent (broker/authz_source.c).
 *
 * One for each client that publishes retained messages, shared by all that it publishes until it connects again.
 *
 * Class: wire.
 */
#ifndef SHARDMQ_SESSION_AUTHOR_H
#define SHARDMQ_SESSION_AUTHOR_H

#include "base/address.h"
#include "base/span.h"

#include <stdatomic.h>
#include <stdbool.h>

struct author {
    _Atomic uint32_t references;
    struct peer_address peer;
    bool superuser; /* no rules held for it, whatever its name was */
    bool
        vouched; /* somebody had authenticated it: it may be among those that auth.super_users names */
    bool own_rules;    /* its token said what it may do */
    bool has_username; /* the name may be empty */
    uint16_t client_identifier_len, username_len;
    char bytes[]; /* the client identifier, then the user name */
};

/* With one reference, the names copied; NULL when memory is gone. `username` without data: there is none. What else it
 * is, the caller puts in before anybody else has it. */
struct author *author_create(struct span client_identifier, struct span username,
                             const struct peer_address *peer);

/* One reference more; NULL is passed through. */
const struct author *author_ref(const struct author *author);
/* The last one frees; NULL is ignored. */
void author_unref(const struct author *author);

static inline struct span author_client_identifier(const struct author *author)
{
    return span_of(author->bytes, author->client_identifier_len);
}

/* No data: it has none. */
static inline struct span author_username(const struct author *author)
{
    return author->has_username
               ? span_of(author->bytes + author->client_identifier_len, author->username_len)
               : (struct span){0};
}

#endif
