/* SPDX-License-Identifier: MIT
 *
 * conf_json - options as JSON, by the table: what the HTTP API shows of them and takes for them.
 *
 *   BOOL                     true, false
 *   COUNT, INTEGER, FIXED    a number
 *   SIZE                     "10MB"; taken also: a number of bytes
 *   DURATION                 "10s"; taken also: a number of seconds
 *   CHOICE                   "warn"
 *   CHOICES                  ["file", "console"]
 *   TEXT, ADDRESS, HOST      a string; of TEXT taken also: an array of strings, which is a list of words
 *   SECRET                   "***"
 */
#ifndef SHARDMQ_CONF_CONF_JSON_H
#define SHARDMQ_CONF_CONF_JSON_H

#include "conf/conf.h"

#include <cjson/cJSON.h>

/* The name of the n-th section of the table, or NULL behind the last. */
const char *conf_json_section_name(unsigned n);

/* The options of a section, nested as a file has them: {"level":"warn","rotation":{"size":"10MB",...},...}. The caller
 * owns it. NULL when there is no such section. */
cJSON *conf_json_section(const struct conf *conf, const char *section);

/* One option; NULL when there is none of that path. */
cJSON *conf_json_option(const struct conf *conf, const char *path);

/* Adds a value under a dotted path, with the objects in between, unless there is one already. Takes the value. */
void conf_json_add(cJSON *root, const char *path, cJSON *value);

/* True when `path` is an option's. */
bool conf_json_is_option(const char *path);

/* Writes what a file would have for that JSON value of an option, unquoted. False, with a sentence that begins with a
 * verb ("takes a string"), when the value has not the type that the option shows. Its bounds are not looked at. */
bool conf_json_text(const char *path, const cJSON *value, char *to, size_t to_size, char *error,
                    size_t size);

#endif
