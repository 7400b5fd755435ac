/* SPDX-License-Identifier: MIT
 *
 * list - the answer to a request that is a list of all shards. The essay is in list.c.
 */
#ifndef SHARDMQ_API_LIST_H
#define SHARDMQ_API_LIST_H

#include "api/api.h"
#include "api/json_text.h"
#include "broker/collector.h"

#define LIST_PAGE_DEFAULT 100u   /* records of a page when only its number is given */
#define LIST_PAGE_MAX     10000u /* and at most; without page and limit a list has all records */

struct list_reply;

/* How a list looks. Class: boot. */
struct list_style {
    /* Appends one record to list_text(): a whole element of the array, or a part of it. */
    void (*write)(struct list_reply *reply, const struct query *query, const void *record);
    /* Appends what closes the last element, or everything when nothing was written before; NULL: nothing. */
    void (*finish)(struct list_reply *reply);
    /* Frees list_state(); NULL: there is none. */
    void (*release)(void *state);
    /* A single thing: its element without the array around it. absent() is called when there is none. */
    bool single;
    void (*absent)(struct list_reply *reply);
    bool meta; /* behind the array: {"page":..,"limit":..,"count":..,"hasnext":..} */
};

/* Begins to answer with what the terms say, in the request's page. `state` is the style's, passes to the list, and
 * may be NULL; it is freed with style->release. */
void list_answer(struct api_request *request, const struct query_terms *terms,
                 const struct list_style *style, void *state);
/* Answers with an empty list: what is asked for contradicts itself. */
void list_answer_nothing(struct api_request *request, const struct list_style *style);

struct json_text *list_text(struct list_reply *reply);
void *list_state(struct list_reply *reply);
const struct api *list_api(const struct list_reply *reply);
/* The list is given up, and the request answered with this, if nothing of it was sent; with 503 by list_fail(). For
 * the style's functions. `sentence` is static text. */
void list_fail_with(struct list_reply *reply, unsigned status, enum api_code code,
                    const char *sentence);
void list_fail(struct list_reply *reply, const char *sentence);
/* A comma, unless this is the first element of the array. */
void list_comma(struct list_reply *reply);

#endif
