/* SPDX-License-Identifier: MIT
 *
 * schema - the types of members, in queries, bodies and answers, in a notation that fits a row of a
 * table. The same text checks what comes in and describes it in OpenAPI, so that neither can say
 * anything else than the other.
 *
 *   string int number bool null any object   JSON types; int is a number without fraction
 *   0..2                                     an int in these bounds
 *   connected|disconnected                   one of these strings
 *   string|null                              one of several types
 *   [T]                                      an array of T
 *   {a:T, b?:T, *:T}                         members; ? may be left out; * all others are of that type
 *   $Name                                    a row of schemas.def
 *   'any text'                               a string with odd characters, among alternatives
 */
#ifndef SHARDMQ_API_SCHEMA_H
#define SHARDMQ_API_SCHEMA_H

#include "base/span.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct schema;

/* The named ones. Class: boot. */
struct schemas;

/* Makes all of schemas.def. A text that is wrong is a mistake of the program: it panics. */
struct schemas *schemas_create(void);
void schemas_destroy(struct schemas *schemas);

/* Reads a type; names are looked up among `schemas`, which must outlive it. */
struct schema *schema_create(const struct schemas *schemas, const char *text);
void schema_destroy(struct schema *schema);

enum schema_verdict { SCHEMA_OK, SCHEMA_MISSING, SCHEMA_WRONG };

/* Compares a value with its type. When it does not fit, a sentence with the member's path is written. */
enum schema_verdict schema_check(const struct schema *schema, const cJSON *value, char *why,
                                 size_t size);

/* For a query, whose schema is one of members: the member of that name, NULL when there is none, and
 * whether the text is a value of its type. */
const char *schema_member_name(const struct schema *schema, struct span name);
enum schema_verdict schema_check_text(const struct schema *schema, const char *name,
                                      struct span value, char *why, size_t size);
/* The n-th member of such a schema; NULL behind the last. */
const char *schema_member(const struct schema *schema, unsigned n, const struct schema **type,
                          bool *optional);

/* As JSON Schema (2020-12), for OpenAPI. NULL when memory is gone. */
cJSON *schema_describe(const struct schema *schema);
/* {"Name": {...}, ...} */
cJSON *schemas_describe(const struct schemas *schemas);

#endif
