/* SPDX-License-Identifier: MIT */
#include "session/message.h"

#include "base/check.h"
#include "base/mem.h"

static struct span copy_span(uint8_t **to, struct span from)
{
    struct span copy = {.data = *to, .len = from.len};

    if (from.len > 0)
        memcpy(*to, from.data, from.len);
    *to += from.len;
    return copy;
}

struct message *message_create(const struct publication *publication, uint32_t references)
{
    size_t size = message_size(publication);
    struct message *message = mem_try_alloc(size);
    uint8_t *to;

    if (UNLIKELY(message == NULL))
        return NULL;
    message->publication = *publication;
    to = message->bytes;
    message->publication.topic = copy_span(&to, publication->topic);
    message->publication.props = copy_span(&to, publication->props);
    message->publication.payload = copy_span(&to, publication->payload);
    author_ref(publication->author);
    message->size = (uint32_t)size;
    atomic_init(&message->references, references);
    return message;
}

void message_unref_many(struct message *message, uint32_t references)
{
    /* the release orders this owner's reads before the free by whoever is last */
    uint32_t before =
        atomic_fetch_sub_explicit(&message->references, references, memory_order_acq_rel);

    ASSERT(before >= references);
    if (before != references)
        return;
    author_unref(message->publication.author);
    mem_free(message);
}
