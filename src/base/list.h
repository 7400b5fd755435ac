/* SPDX-License-Identifier: MIT
 *
 * list - an intrusive, circular, doubly linked list. A node that is in no list points at itself.
 */
#ifndef SHARDMQ_BASE_LIST_H
#define SHARDMQ_BASE_LIST_H

#include "base/check.h"

#include <stdbool.h>

struct list {
    struct list *next, *previous;
};

static inline void list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_append(struct list *list, struct list *node)
{
    node->previous = list->previous;
    node->next = list;
    list->previous->next = node;
    list->previous = node;
}

/* Takes the node out of the list it is in; harmless when it is in none. */
static inline void list_remove(struct list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

static inline struct list *list_first(const struct list *list)
{
    return list_empty(list) ? NULL : list->next;
}

/* Moves everything from `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

#endif
