/* SPDX-License-Identifier: MIT */
#include "session/author.h"

#include "base/check.h"
#include "base/mem.h"

struct author *author_create(struct span client_identifier, struct span username,
                             const struct peer_address *peer)
{
    struct author *author =
        mem_try_alloc(sizeof(*author) + client_identifier.len + (size_t)username.len);

    if (author == NULL)
        return NULL;
    *author = (struct author){.peer = *peer,
                              .has_username = username.data != NULL,
                              .client_identifier_len = (uint16_t)client_identifier.len,
                              .username_len = (uint16_t)username.len};
    atomic_init(&author->references, 1);
    if (client_identifier.len != 0)
        memcpy(author->bytes, client_identifier.data, client_identifier.len);
    if (username.len != 0)
        memcpy(author->bytes + client_identifier.len, username.data, username.len);
    return author;
}

/* Immutable but for its count. */
static _Atomic uint32_t *count_of(const struct author *author)
{
    return &((struct author *)(uintptr_t)author)->references;
}

const struct author *author_ref(const struct author *author)
{
    if (author != NULL)
        atomic_fetch_add_explicit(count_of(author), 1, memory_order_relaxed);
    return author;
}

void author_unref(const struct author *author)
{
    /* the release orders this owner's reads before the free by whoever is last */
    if (author == NULL || atomic_fetch_sub_explicit(count_of(author), 1, memory_order_acq_rel) != 1)
        return;
    mem_free((struct author *)(uintptr_t)author);
}
