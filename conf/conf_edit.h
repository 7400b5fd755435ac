/* SPDX-License-Identifier: MIT
 *
 * conf_edit - changes options in the files of a configuration, and nothing else in them. The essay is in conf_edit.c.
 *
 *   struct conf_edit *edit = conf_edit_open(file, form, error, size);
 *   conf_edit_set(edit, "mqtt.max_qos", "1", error, size);      any number of them
 *   ... conf_load() with .files = conf_edit_files(edit): would it be good? ...
 *   conf_edit_stage(edit, error, size);                          everything that can fail, but one
 *   conf_edit_commit(edit, error, size);
 *   conf_edit_close(edit);
 */
#ifndef SHARDMQ_CONF_CONF_EDIT_H
#define SHARDMQ_CONF_CONF_EDIT_H

#include "conf/conf.h"

struct conf_edit;

/* Reads the file and what it includes. NULL, with a sentence in `error`, when it cannot be read. Errors in what it
 * holds are not told here: conf_edit_replace() is for such a file too. */
struct conf_edit *conf_edit_open(const char *file, enum conf_form form, char *error, size_t size);

/* The same for files that are in memory: the first is the main file. They are copied. */
struct conf_edit *conf_edit_of(const struct conf_files *files, enum conf_form form);

/* Makes `path` (an option of conf.def: "mqtt.max_qos", "shards.2.cpu", "listeners.tcp.bind") have `value`, which is
 * what conf_value_parse() takes: of a list, its words separated by commas. A value that the file has already changes
 * nothing. False, with a sentence in `error`, when there is no such option, or it does not take that value, or the
 * file has errors: the files are then as they were before this call. */
bool conf_edit_set(struct conf_edit *edit, const char *path, const char *value, char *error,
                   size_t size);

/* Makes `text`, of `len` bytes, the whole of the main file. False, with a sentence, when it is not UTF-8 text or
 * longer than a configuration file may be. What it includes must be files that the old one includes. */
bool conf_edit_replace(struct conf_edit *edit, const char *text, size_t len, char *error,
                       size_t size);

/* The files as they would be; valid until the next call with the edit. */
const struct conf_files *conf_edit_files(const struct conf_edit *edit);
/* How many of them differ from what is on the disk. */
unsigned conf_edit_changed(const struct conf_edit *edit);

/* Writes the files that differ to temporary files beside them. False, with a sentence: nothing was written. */
bool conf_edit_stage(struct conf_edit *edit, char *error, size_t size);
/* Makes them the files. False, with a sentence: of several, some may have been written. */
bool conf_edit_commit(struct conf_edit *edit, char *error, size_t size);
/* NULL is ignored. What was staged and not committed is removed. */
void conf_edit_close(struct conf_edit *edit);

#endif
