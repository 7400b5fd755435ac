/* SPDX-License-Identifier: MIT
 *
 * conf_priv - what the files of conf share.
 *
 *   file --conf_hocon.c or conf_kv.c--> cJSON tree --\
 *   environment --conf_env.c-------------------------+--> entries (path, value, where) --conf_bind.c--> struct conf
 *   command line ------------------------------------/
 *
 * In the tree every scalar is a string as it stands in the file; its valueint is the number of its place.
 */
#ifndef SHARDMQ_CONF_CONF_PRIV_H
#define SHARDMQ_CONF_CONF_PRIV_H

#include "base/check.h"
#include "base/refuse.h"
#include "conf/conf.h"

#include <cjson/cJSON.h>

#define CONF_FILE_BYTES_MAX 8000000
#define CONF_FILES_MAX      64
#define CONF_INCLUDE_MAX    8
#define CONF_NESTING_MAX    32
#define CONF_SETTINGS_MAX   400000
#define CONF_PLACES_MAX     800000 /* blocks and members, in lists too */
#define CONF_PATH_BYTES     256   /* a path, with its terminator */
#define CONF_NAME_BYTES     33    /* a listener's name */
#define CONF_SENTENCE_BYTES 2048

/* Where a member stands. They are numbered in the order of the text; what an included file holds comes where it is
 * included. */
struct conf_place {
    char *path; /* from the root; "" of the root itself, NULL inside of a list */
    unsigned file, line;
    size_t begin,
        end; /* of the value in the text of the file; of a block, of what is between its brackets */
    bool block;
};

enum conf_kind {
    CONF_KIND_SECTION, /* no option: begins a block */
    CONF_KIND_BOOL,
    CONF_KIND_COUNT,
    CONF_KIND_INTEGER,
    CONF_KIND_SIZE,
    CONF_KIND_DURATION,
    CONF_KIND_FIXED,
    CONF_KIND_CHOICE,
    CONF_KIND_CHOICES,
    CONF_KIND_TEXT,
    CONF_KIND_SECRET,
    CONF_KIND_MAP,
    CONF_KIND_HEADERS,
    CONF_KIND_ADDRESS,
    CONF_KIND_HOST
};

enum conf_when { CONF_WHEN_BOOT, CONF_WHEN_RELOAD };

/* Which struct a row is a field of. */
enum conf_scope { CONF_SCOPE_BROKER, CONF_SCOPE_SHARD, CONF_SCOPE_LISTENER };

/* One row of conf.def. boot. */
struct conf_row {
    const char *path; /* of a section: its name */
    enum conf_kind kind;
    enum conf_scope scope;
    enum conf_when when;
    unsigned kinds; /* of LISTENER: a bit for each enum conf_listener_kind that has it */
    size_t offset;
    const char *preset_text; /* TEXT, ADDRESS */
    int64_t preset, least, most;
    const char *unit, *help;
};

extern const struct conf_row conf_rows[];
extern const unsigned conf_row_count;

/* The row of that scope and path, or NULL. */
const struct conf_row *conf_row_find(enum conf_scope scope, const char *path);

/* The row of an option's path as files have it, shards and listeners included; NULL: there is none. */
const struct conf_row *conf_option_row(const char *path);

/* The row of that path, and the struct of `conf` that holds its field; NULL: there is none. */
const struct conf_row *conf_option_find(const struct conf *conf, const char *path,
                                        const void **object);

/* The number of the first line that is not text (UTF-8 without U+0000), or 0. */
unsigned conf_first_bad_line(const char *text, size_t len);

/* The names of a choice table, ended by NULL. */
const char *const *conf_choice_names(const char *table);

/* What stands for a secret wherever values are shown; no secret can have this value. */
#define CONF_SECRET_SHOWN "***"

/* True when the option of that path, as files have it, is a secret. */
bool conf_path_secret(const char *path);

/* What the shipped file has instead of the row's default, or NULL. */
const char *conf_shipped(const struct conf_row *row);

/* Sentences, one a line, in the caller's buffer; when it is full, the rest is counted and the count is
 * said in the end. */
struct conf_report {
    char *to;
    size_t size, used;
    unsigned count, left_out;
};

void conf_report_begin(struct conf_report *report, char *to, size_t size);
void conf_report_add(struct conf_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void conf_report_end(struct conf_report *report);

/* Holds the field of any row whose offset is made 0. */
union conf_scratch {
    struct conf_address address;
    char *text;
    uint64_t number;
};

/* Reads `text` into the field of `row` in `object` (a struct conf, conf_shard or conf_listener). Returns false and
 * writes what a value of this option is to `error`; the field is then as it was. */
bool conf_value_parse(const struct conf_row *row, const char *text, void *object, char *error,
                      size_t size);
/* Writes the field as the file would have it, without quotes; of a secret, CONF_SECRET_SHOWN. */
void conf_value_format(const struct conf_row *row, const void *object, char *to, size_t size);
bool conf_value_equal(const struct conf_row *row, const void *a, const void *b);
/* Makes the field in `to` that of `from`. */
void conf_value_copy(const struct conf_row *row, void *to, const void *from);
void conf_value_preset(const struct conf_row *row, void *object);
void conf_value_free(const struct conf_row *row, void *object);
/* "true", "yes" and "on" or their opposites, in any case. */
bool conf_value_bool(const char *text, bool *value);
/* Any "address:port", with or without a URL's prefix. */
bool conf_value_address(const char *text, struct conf_address *address, char *error, size_t size);

/* Where an entry comes from; the later ones prevail. */
enum conf_layer {
    CONF_LAYER_FILE,
    CONF_LAYER_ENVIRONMENT,
    CONF_LAYER_COMMAND_LINE,
    CONF_LAYER_RUN_TIME
};

/* One setting, not yet looked at. */
struct conf_entry {
    char *path;
    char *value;
    enum conf_layer layer;
    int at;            /* of a file: the number of its place */
    const char *where; /* of the other layers */
    bool complex;      /* an array that holds more than scalars: no option has such a value */
};

struct conf_loader {
    struct conf *conf;
    struct conf_report errors;
    char *warnings;
    size_t warnings_len;
    const struct conf_files *given; /* what is read instead of the disk, or NULL */
    struct conf_text files[CONF_FILES_MAX];
    unsigned file_count;
    unsigned include_depth;
    struct conf_place *places;
    unsigned place_count, place_space;
    unsigned list_depth;          /* of the lists around what is being read */
    char prefix[CONF_PATH_BYTES]; /* of the block that is being read, for messages: "mqtt." */
    unsigned setting_count;
    bool is_hocon; /* the form of the file that was named */
    struct conf_entry *entries;
    size_t entry_count, entry_space;
    bool shard_set[CONF_SHARDS_MAX][16]; /* by row, in the order of the table */
    bool listeners_replaced;             /* by those of the command line */
};

void conf_warn(struct conf_loader *loader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* With nothing in it, and no configuration. */
struct conf_loader *conf_loader_create(const struct conf_files *given);
/* Does not free the configuration. */
void conf_loader_free(struct conf_loader *loader);
/* A configuration of defaults. */
struct conf *conf_create(void);
/* Reads a file, and what it includes, into entries; errors are added. */
void conf_read_entries(struct conf_loader *loader, const char *path, enum conf_form form);

/* The number of a new place, whose end is to be completed; -1 after adding the error when there are too many. */
int conf_place_add(struct conf_loader *loader, const char *path, unsigned file, unsigned line,
                   size_t begin);

/* Reads a file, and what it includes, into `tree`. Returns false after adding the error. */
bool conf_read_file(struct conf_loader *loader, const char *path, enum conf_form form, cJSON *tree);

/* The two forms. `text` is terminated, valid UTF-8 and without U+0000. */
bool conf_hocon_parse(struct conf_loader *loader, unsigned file, const char *text, cJSON *tree);
bool conf_kv_parse(struct conf_loader *loader, unsigned file, const char *text, cJSON *tree);
/* True when the text can only be the old form: no blocks, key=value lines. */
bool conf_kv_detect(const char *text);

/* Puts a scalar or an array under a dotted path below `tree`. Takes the item in any case; NULL is out of memory.
 * False after adding the error. */
bool conf_tree_put(struct conf_loader *loader, cJSON *tree, const char *path, cJSON *item, int at);
/* The object under a dotted path, made when there is none. */
cJSON *conf_tree_object(struct conf_loader *loader, cJSON *tree, const char *path, int at);

void conf_entries_from_environment(struct conf_loader *loader, char *const *environment);
void conf_entry_add(struct conf_loader *loader, const struct conf_entry *entry);

/* Binds every entry to its field, then completes shards and listeners. */
void conf_bind(struct conf_loader *loader);

/* ---- conf_acl.c ---- */

#define CONF_ACL_RULES "auth.acl.rules"

/* Whether the key is a list of rules, or one of them. */
bool conf_acl_path(const char *path);
/* What a file has under such a key. */
void conf_acl_take(struct conf_loader *loader, const char *path, const cJSON *item);
/* The same from elsewhere, as JSON. False when it is another key. */
bool conf_acl_bind(struct conf_loader *loader, const struct conf_entry *entry);
void conf_acl_free(struct conf *conf);
bool conf_acl_equal(const struct conf *a, const struct conf *b);
/* As members of the block auth. */
void conf_acl_print(const struct conf *conf, FILE *to);
cJSON *conf_acl_json(const struct conf *conf);

/* NanoMQ's keys that are not options here. */
enum conf_legacy_kind {
    CONF_LEGACY_RENAMED,
    CONF_LEGACY_MOVED,
    CONF_LEGACY_SPLIT,
    CONF_LEGACY_IGNORED,
    CONF_LEGACY_ABSENT
};

struct conf_legacy {
    enum conf_legacy_kind kind;
    const char *path;
    /* RENAMED: the option; MOVED: the block; SPLIT: the option for the address; ABSENT: the harmless value, or NULL */
    const char *argument;
    const char *
        text; /* RENAMED: the unit of the old key; SPLIT: the option for the port; others: what is said about it */
};

/* The row for the path (of MOVED and ABSENT rows: the longest one that is the path or a prefix of it), or NULL. */
const struct conf_legacy *conf_legacy_find(const char *path);
/* A table of old keys for the nearest-key search; NULL after the last. */
const struct conf_legacy *conf_legacy_row(unsigned index);

/* Writes the known key nearest to `path` to `to`; false when none is near. */
bool conf_suggest(const char *path, char *to, size_t size);

/* ---- conf_plugin.c ---- */

/* `rest` is what follows "plugins.". False when that is nothing of a plug-in. */
bool conf_plugin_bind(struct conf_loader *loader, const struct conf_entry *entry, const char *rest,
                      const char *value);
void conf_plugins_check(const struct conf *conf, struct conf_report *report);
void conf_plugins_free(struct conf *conf);
/* Whether they are other ones, or configured otherwise; their names are in `before` and `after`. */
bool conf_plugins_differ(const struct conf *running, const struct conf *wanted, char *before,
                         char *after, size_t size);
/* Makes those of `to` what those of `from` are. */
void conf_plugins_copy(struct conf *to, const struct conf *from);

/* ---- conf_map.c ---- */

/* The row that a path lies below, "<row>.<name>", and the name; NULL: none of a MAP. */
const struct conf_row *conf_map_row(const char *path, const char **name);
/* Sets one member; all of them, from their text. False, and the reason in `error`, when one is not good. */
bool conf_map_set(const struct conf_row *row, const char *name, const char *value, void *object,
                  char *error, size_t size);
bool conf_map_parse(const struct conf_row *row, const char *text, void *object, char *error,
                    size_t size);
/* Writes all of them as one text, without what is not to be seen. */
void conf_map_format(const struct conf_row *row, const void *object, char *to, size_t size);
/* Adds a member to the text of a map, which is "" at first; false when it does not fit. */
bool conf_map_append(char *to, size_t size, const char *name, const char *value);
/* Whether outputs show the value of that member. */
bool conf_map_shown(const struct conf_row *row, const char *name);

/* ---- conf_auth.c ---- */

#define CONF_USERS_BLOCK "auth.password." /* what follows is the name of a user, which may have dots */

/* Whether the path is a user's, as "auth.password.<name>" or "auth.<n>.login"; *secret: its value is a password. */
bool conf_user_path(const char *path, bool *secret);
/* The same, and keeps it; false when it is none. */
bool conf_user_bind(struct conf_loader *loader, const struct conf_entry *entry, const char *path);
/* Adds an error for a list of users that is there and empty: a file that it includes is not whole. */
void conf_users_complete(struct conf_loader *loader);
/* Reads NanoMQ's file of auth.<n>.login and auth.<n>.password, in which nothing else may stand. */
void conf_users_read(struct conf_loader *loader, const char *path);
bool conf_users_equal(const struct conf *a, const struct conf *b);
void conf_users_free(struct conf *conf);
void conf_auth_check(const struct conf *conf, struct conf_report *report);

/* "file:line" of an entry, or what its layer calls it. Returns `to`. */
const char *conf_entry_where(const struct conf_loader *loader, const struct conf_entry *entry,
                             char *to, size_t size);

/* ---- conf_listener.c ---- */

/* Letters, digits, - and _, 1 to 32 of them: the names of listeners and plug-ins. */
bool conf_name_good(const char *name);

#define CONF_LISTENER_KINDS 5u

/* Where conf_diff_reload's rules, loading and printing find a listener by name. */
struct conf_listener *conf_listener_find(const struct conf *conf, const char *name);
/* What a row is at first in a listener of that kind. */
const char *conf_listener_preset(const struct conf_row *row, enum conf_listener_kind kind);
/* The kind that "ssl.bind" or "ssl.<name>.bind" is of, and the row; `rest` is what follows "listeners.". NULL when
 * there is no such option. `name` gets "ssl" or "ssl.<name>". */
const struct conf_row *conf_listener_row(const char *rest, enum conf_listener_kind *kind,
                                         char name[CONF_PATH_BYTES]);
/* Finds or makes the listener; NULL after adding the error. */
struct conf_listener *conf_listener_get(struct conf_loader *loader, const struct conf_entry *entry,
                                        enum conf_listener_kind kind, const char *name);
void conf_listeners_free(struct conf *conf);
/* The scheme of an address fits the kind of its listener, or has none. */
bool conf_listener_scheme_fits(enum conf_listener_kind kind, const char *scheme);
/* The kind that a scheme names; TCP without one. False when it names none. */
bool conf_listener_scheme_kind(const char *scheme, enum conf_listener_kind *kind);
/* Completes them when everything is bound: NanoMQ's old switches, and what wss takes from ssl. */
void conf_listeners_complete(struct conf_loader *loader);
/* What is wrong with them together. */
void conf_listeners_check(const struct conf *conf, struct conf_report *report);
void conf_entry_error(struct conf_loader *loader, const struct conf_entry *entry, const char *why);
/* The last entry of that path, or NULL. */
const struct conf_entry *conf_entry_find(const struct conf_loader *loader, const char *path);

#endif
