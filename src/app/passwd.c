/* SPDX-License-Identifier: MIT
 *
 * passwd - the command line, and what each of its actions does. A mistake in the order of the words must not become a
 * user or a password: each action takes exactly its words, FILE must be a password file, and USER must not be a file.
 */
#include "app/passwd.h"

#include "app/passwd_ask.h"
#include "app/passwd_edit.h"
#include "app/passwd_import.h"
#include "auth/password_file.h"
#include "auth/password_store.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/refuse.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DONE, FAILED, USAGE };

#define THIS_COMMAND 1u

struct options {
#define FLAG(member, name, letter, help)                                bool member;
#define TEXT(member, name, letter, argument, preset, help)              const char *member;
#define NUMBER(member, name, letter, argument, preset, low, high, help) uint64_t member;
#include "app/passwd.def"
#undef FLAG
#undef TEXT
#undef NUMBER
    struct option_list words;
};

static const struct option_row rows[] = {
#define FLAG(member, long_name, short_name, text_of_help)                                          \
    {.kind = OPTION_FLAG,                                                                          \
     .name = long_name,                                                                            \
     .letter = short_name,                                                                         \
     .help = text_of_help,                                                                         \
     .offset = offsetof(struct options, member),                                                   \
     .commands = THIS_COMMAND},
#define TEXT(member, long_name, short_name, shown, preset_text, text_of_help)                      \
    {.kind = OPTION_TEXT,                                                                          \
     .name = long_name,                                                                            \
     .letter = short_name,                                                                         \
     .argument = shown,                                                                            \
     .text = preset_text,                                                                          \
     .help = text_of_help,                                                                         \
     .offset = offsetof(struct options, member),                                                   \
     .commands = THIS_COMMAND},
#define NUMBER(member, long_name, short_name, shown, number, least, most, text_of_help)            \
    {.kind = OPTION_NUMBER,                                                                        \
     .name = long_name,                                                                            \
     .letter = short_name,                                                                         \
     .argument = shown,                                                                            \
     .preset = number,                                                                             \
     .low = least,                                                                                 \
     .high = most,                                                                                 \
     .help = text_of_help,                                                                         \
     .offset = offsetof(struct options, member),                                                   \
     .commands = THIS_COMMAND},
#include "app/passwd.def"
#undef FLAG
#undef TEXT
#undef NUMBER
    /* FILE, USER and PASSWORD: the parser's, but no option */
    {.kind = OPTION_LIST,
     .name = "",
     .offset = offsetof(struct options, words),
     .commands = THIS_COMMAND},
};
#define OPTIONS (ARRAY_LENGTH(rows) - 1)

const struct option_row *passwd_rows(size_t *count)
{
    *count = OPTIONS;
    return rows;
}

/* One sentence, or several that have their ends already. */
static int complain(int status, const char *sentence)
{
    size_t len = strlen(sentence);

    fprintf(stderr, "shardmq passwd: %s%s", sentence,
            len > 0 && sentence[len - 1] == '\n' ? "" : "\n");
    return status;
}

static const char *shown(char *to, size_t size, struct span text)
{
    return log_escape(to, size, text);
}

/* ---- what the broker will say of the file ---- */

static void warn_of_rows(const struct passwd_edit *edit)
{
    char name[128];

    for (size_t i = 0; i < edit->count; i++) {
        const struct passwd_row *row = &edit->rows[i];
        struct password password;
        const char *why = row->why;

        if (why == NULL && row->user.len > 0 && row->number > 0 && row->own == NULL) {
            if (password_parse(&password, row->password, &why))
                password_release(&password);
        }
        if (why != NULL)
            fprintf(stderr, "%s:%u: %s; the broker does not take the file until this is changed\n",
                    edit->path, row->number, why);
        if (row->user.len > 0 && passwd_edit_find(edit, row->user) != row)
            fprintf(stderr, "%s:%u: \"%s\" is there twice; the broker does not take the file\n",
                    edit->path, row->number, shown(name, sizeof(name), row->user));
    }
}

static bool any_user(const struct passwd_edit *edit)
{
    for (size_t i = 0; i < edit->count; i++) {
        if (edit->rows[i].user.len > 0)
            return true;
    }
    return false;
}

static int save(struct passwd_edit *edit)
{
    struct stat status;
    char error[1200];

    if (!passwd_edit_save(edit, error, sizeof(error)))
        return complain(FAILED, error);
    warn_of_rows(edit);
    if (stat(edit->path, &status) == 0 && (status.st_mode & 027) != 0)
        fprintf(stderr,
                "%s: its mode %04o lets others read or change passwords; chmod 600 does not\n",
                edit->path, (unsigned)status.st_mode & 07777u);
    if (!any_user(edit))
        fprintf(stderr,
                "%s: there is no user in it any more; the broker does not take such a file\n",
                edit->path);
    return DONE;
}

/* ---- the actions; each has `edit` open ---- */

static struct password_cost cost_of(const struct options *options)
{
    struct password_cost cost = PASSWORD_COST_DEFAULT;
    bool pbkdf2 = strcmp(options->hash, "sha512-pbkdf2") == 0;

    cost.kind = pbkdf2 ? PASSWORD_PBKDF2 : PASSWORD_SCRYPT;
    cost.log_n = (uint8_t)options->cost;
    cost.iterations = (uint32_t)options->iterations;
    /* Mosquitto does not read lines that have them */
    cost.scram_iterations = options->no_scram || pbkdf2 ? 0 : (uint32_t)options->scram_iterations;
    return cost;
}

static bool get_password(const struct options *options, bool twice, struct asked_password *to,
                         char *error, size_t size)
{
    if (options->batch)
        return passwd_take(to, (char *)(uintptr_t)options->words.items[2], error, size);
    if (options->password_file != NULL)
        return passwd_read(to, options->password_file, error, size);
    return passwd_ask(to, twice, error, size);
}

static bool make(const struct options *options, struct span password, char *to)
{
    struct password_cost cost = cost_of(options);

    if (password_make(password, &cost, to))
        return true;
    complain(FAILED, "out of memory");
    return false;
}

static int set_user(const struct options *options, struct passwd_edit *edit)
{
    char error[1200], stored[PASSWORD_TEXT_MAX];
    struct asked_password password;
    int status = FAILED;

    if (!get_password(options, true, &password, error, sizeof(error))) {
        complain(FAILED, error);
    } else if (make(options, span_of(password.bytes, password.len), stored)) {
        passwd_edit_set(edit, span_text(options->words.items[1]), stored);
        status = save(edit);
    }
    passwd_forget(&password);
    return status;
}

static int no_such_user(const struct options *options)
{
    char error[1400], name[128];

    snprintf(error, sizeof(error), "there is no user \"%s\" in %s",
             shown(name, sizeof(name), span_text(options->words.items[1])),
             options->words.items[0]);
    return complain(FAILED, error);
}

static int delete_user(const struct options *options, struct passwd_edit *edit)
{
    if (!passwd_edit_remove(edit, span_text(options->words.items[1])))
        return no_such_user(options);
    return save(edit);
}

static int verify_user(const struct options *options, struct passwd_edit *edit)
{
    const struct passwd_row *row = passwd_edit_find(edit, span_text(options->words.items[1]));
    struct asked_password given;
    struct password stored;
    char error[1200];
    const char *why;
    bool right = false;

    if (row == NULL)
        return no_such_user(options);
    if (!password_parse(&stored, row->password, &why))
        return complain(FAILED, why);
    if (!get_password(options, false, &given, error, sizeof(error))) {
        complain(FAILED, error);
    } else {
        right = password_verify(&stored, span_of(given.bytes, given.len));
        puts(right ? "The password is right." : "The password is wrong.");
    }
    passwd_forget(&given);
    password_release(&stored);
    return right ? DONE : FAILED;
}

static int list_users(const struct options *options, struct passwd_edit *edit)
{
    (void)options;
    for (size_t i = 0; i < edit->count; i++) {
        const struct passwd_row *row = &edit->rows[i];
        struct password password;
        const char *why;
        char name[256];

        if (row->user.len == 0)
            continue;
        shown(name, sizeof(name), row->user);
        if (!password_parse(&password, row->password, &why)) {
            printf("%s\tnot good: %s\n", name, why);
            continue;
        }
        printf("%s\t%s%s\n", name, password_kind_name(password.kind),
               password.has_scram && password.kind != PASSWORD_SCRAM ? ", scram-sha-256" : "");
        password_release(&password);
    }
    warn_of_rows(edit);
    return DONE;
}

static int update_users(const struct options *options, struct passwd_edit *edit)
{
    char stored[PASSWORD_TEXT_MAX];
    unsigned changed = 0;

    for (size_t i = 0; i < edit->count; i++) {
        struct passwd_row *row = &edit->rows[i];

        if (row->user.len == 0 || row->password.len == 0 || password_is_hash(row->password))
            continue;
        if (row->password.len > PASSWORD_BYTES_MAX)
            continue; /* told when it is saved */
        if (!make(options, row->password, stored))
            return FAILED;
        passwd_edit_set(edit, row->user, stored);
        changed++;
    }
    printf("%u %s hashed.\n", changed, changed == 1 ? "password" : "passwords");
    return changed > 0 ? save(edit) : DONE;
}

struct importing {
    const struct options *options;
    struct passwd_edit *edit;
    unsigned count;
    bool failed;
};

static bool import_user(struct span user, struct span password, void *argument)
{
    struct importing *importing = argument;
    char stored[PASSWORD_TEXT_MAX], name[128];
    const char *why = password_file_user_fault(user);

    if (why == NULL && passwd_edit_find(importing->edit, user) != NULL)
        why = "is there already";
    if (why != NULL) {
        fprintf(stderr, "shardmq passwd: \"%s\": %s\n", shown(name, sizeof(name), user), why);
        importing->failed = true;
        return true; /* tell of the others, too */
    }
    if (password_is_hash(password))
        snprintf(stored, sizeof(stored), "%.*s", (int)password.len, (const char *)password.data);
    else if (!make(importing->options, password, stored))
        return false;
    passwd_edit_set(importing->edit, user, stored);
    mem_wipe(stored, sizeof(stored));
    importing->count++;
    return true;
}

static int import_users(const struct options *options, struct passwd_edit *edit)
{
    struct importing importing = {.options = options, .edit = edit};
    char error[4096];
    int status;

    if (!passwd_import(options->import, import_user, &importing, error, sizeof(error)))
        return complain(FAILED, error);
    if (importing.failed)
        return complain(FAILED, "nothing was imported");
    status = save(edit);
    if (status == DONE)
        printf("%u %s imported.\n", importing.count, importing.count == 1 ? "user" : "users");
    return status;
}

/* ---- the command line ---- */

static const struct action {
    const char *option; /* NULL: none of the others */
    unsigned words;     /* how many it takes */
    int (*run)(const struct options *options, struct passwd_edit *edit);
} actions[] = {
    {"delete", 2, delete_user}, {"update", 1, update_users}, {"list", 1, list_users},
    {"verify", 2, verify_user}, {"import", 1, import_users}, {NULL, 2, set_user},
};

static bool is_given(const bool *given, const char *name)
{
    return given[option_find(rows, OPTIONS, name, strlen(name)) - rows];
}

/* NULL with a sentence when two contradict each other. */
static const struct action *choose(const bool *given, char *error, size_t size)
{
    const struct action *chosen = NULL;

    for (size_t i = 0; i < ARRAY_LENGTH(actions); i++) {
        const struct action *action = &actions[i];

        if (action->option == NULL)
            return chosen != NULL ? chosen : action;
        if (!is_given(given, action->option))
            continue;
        if (chosen != NULL) {
            refuse_with(error, size, "--%s and --%s contradict each other", chosen->option,
                        action->option);
            return NULL;
        }
        chosen = action;
    }
    UNREACHABLE("the last action has no option");
}

static bool words_good(const struct options *options, const struct action *action, char *error,
                       size_t size)
{
    const struct option_list *words = &options->words;
    unsigned wanted = action->words + options->batch;
    const char *why;

    if (options->batch && action->words < 2)
        return refuse_with(error, size, "-b has no meaning with --%s", action->option);
    if (words->count != wanted)
        return refuse_with(error, size, "%s expected, and %u %s given%s",
                           wanted == 1   ? "FILE is"
                           : wanted == 2 ? "FILE and USER are"
                                         : "FILE, USER and PASSWORD are",
                           words->count, words->count == 1 ? "word is" : "words are",
                           words->count == 3 && wanted == 2 ? "; a PASSWORD there needs -b" : "");
    if (wanted == 1)
        return true;
    why = password_file_user_fault(span_text(words->items[1]));
    if (why != NULL)
        return refuse_with(error, size, "%s", why);
    if ((options->create || strchr(words->items[1], '/') != NULL) &&
        access(words->items[1], F_OK) == 0)
        return refuse_with(error, size, "%s is a file, not a user: FILE comes before USER",
                           words->items[1]);
    return true;
}

static bool options_good(const struct options *options, const struct action *action,
                         const bool *given, char *error, size_t size)
{
    bool makes = action->run == set_user || action->run == import_users;

    if (strcmp(options->hash, "scrypt") != 0 && strcmp(options->hash, "sha512-pbkdf2") != 0)
        return refuse_with(error, size, "--hash is scrypt or sha512-pbkdf2%s",
                           strcmp(options->hash, "sha512") == 0
                               ? "; sha512 is read, but too weak to be written"
                               : "");
    if (options->create && !makes)
        return refuse_with(error, size, "-c has no meaning with --%s", action->option);
    if (options->batch && options->password_file != NULL)
        return refuse_with(error, size, "-b and --password-file contradict each other");
    if (options->no_scram && is_given(given, "scram-iterations"))
        return refuse_with(error, size, "--no-scram and --scram-iterations contradict each other");
    return words_good(options, action, error, size);
}

static int help(FILE *to)
{
    fputs("usage: shardmq passwd [options] FILE USER             add USER, or change the password\n"
          "       shardmq passwd [options] -b FILE USER PASSWORD\n"
          "       shardmq passwd -D FILE USER                    remove USER\n"
          "       shardmq passwd -U FILE                         hash what is in clear text\n"
          "       shardmq passwd --import FROM FILE              add the users of another file\n"
          "       shardmq passwd --list FILE\n"
          "       shardmq passwd --verify FILE USER\n\n"
          "The password is asked for on a terminal; from a pipe its first line is read.\n\n",
          to);
    option_help(to, rows, OPTIONS, THIS_COMMAND);
    return DONE;
}

static int run(const struct options *options, const bool *given)
{
    char error[1400];
    const struct action *action = choose(given, error, sizeof(error));
    struct passwd_edit edit;
    int status;

    if (action == NULL || !options_good(options, action, given, error, sizeof(error)))
        return complain(USAGE, error);
    if (!passwd_edit_open(&edit, options->words.items[0], options->create, error, sizeof(error)))
        return complain(FAILED, error);
    status = action->run(options, &edit);
    passwd_edit_close(&edit);
    return status;
}

int command_passwd(int argc, char **argv)
{
    struct options options = {0};
    bool given[ARRAY_LENGTH(rows)] = {false};
    const struct option_parser parser = {.rows = rows,
                                         .count = OPTIONS,
                                         .command = THIS_COMMAND,
                                         .values = &options,
                                         .given = given,
                                         .stray = &rows[OPTIONS]};
    char error[512];
    int parsed;

    option_preset(&parser);
    parsed = option_parse(&parser, argc - 1, argv + 1, error, sizeof(error));
    if (parsed != 0)
        return parsed > 0 ? help(stdout) : complain(USAGE, error);
    if (options.words.count == 0) {
        help(stderr);
        return USAGE;
    }
    parsed = run(&options, given);
    mem_free(options.words.items);
    return parsed;
}
