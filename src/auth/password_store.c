/* SPDX-License-Identifier: MIT */
#include "auth/password_store.h"

#include "auth/password_file.h"
#include "auth/password_store_priv.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/refuse.h"
#include "base/utf8.h"

#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#define WARNINGS_MAX      16384u /* bytes; more of them help nobody */
#define WARNING_BYTES     1536u
#define WARNINGS_SAID_MAX 50u

/* boot, once it is made. Each is a piece of memory of its own: nothing secret is moved and left behind. */
struct password_entry {
    struct password password;
    const char *where; /* of the store's */
    unsigned line;     /* 0: in no file */
    uint32_t user_len;
    uint8_t user[]; /* without terminator */
};

/* wire. */
struct password_store {
    atomic_uint references;
    uint32_t count, space, scram_count;
    uint32_t costliest;              /* the number of an entry */
    struct password_entry **entries; /* in the order of the sources */
    uint32_t *slots;                 /* 1 + the number of an entry, or 0; open addressing */
    uint32_t slot_mask;
    unsigned where_count;
    char **wheres;
    char *warnings; /* NULL: none */
    size_t warnings_len;
    unsigned warning_count;
};

struct password_store *password_store_create(void)
{
    struct password_store *store = mem_zalloc(sizeof(*store));

    atomic_init(&store->references, 1);
    store->slot_mask = 15;
    store->slots = mem_zalloc((store->slot_mask + 1) * sizeof(store->slots[0]));
    return store;
}

struct password_store *password_store_ref(struct password_store *store)
{
    atomic_fetch_add_explicit(&store->references, 1, memory_order_relaxed);
    return store;
}

void password_store_unref(struct password_store *store)
{
    if (store == NULL ||
        atomic_fetch_sub_explicit(&store->references, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < store->count; i++) {
        password_release(&store->entries[i]->password);
        mem_free(store->entries[i]);
    }
    for (unsigned i = 0; i < store->where_count; i++)
        mem_free(store->wheres[i]);
    mem_free(store->wheres);
    mem_free(store->entries);
    mem_free(store->slots);
    mem_free(store->warnings);
    mem_free(store);
}

void password_store_warn(struct password_store *store, const char *format, ...)
{
    char sentence[WARNING_BYTES];
    va_list arguments;
    size_t len;

    if (++store->warning_count > WARNINGS_SAID_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence) - 1, format, arguments);
    va_end(arguments);
    len = strlen(sentence);
    if (store->warnings_len + len + 2 > WARNINGS_MAX)
        return;
    sentence[len++] = '\n';
    store->warnings = mem_realloc(store->warnings, store->warnings_len + len + 1);
    memcpy(store->warnings + store->warnings_len, sentence, len);
    store->warnings_len += len;
    store->warnings[store->warnings_len] = '\0';
}

const char *password_store_warnings(const struct password_store *store)
{
    return store->warnings != NULL ? store->warnings : "";
}

size_t password_store_count(const struct password_store *store)
{
    return store->count;
}

/* ---- the table ---- */

/* The slot of the user, or the free one where it would be. */
static uint32_t find_slot(const struct password_store *store, struct span user)
{
    uint32_t at = (uint32_t)hash64(user.data, user.len) & store->slot_mask;

    while (store->slots[at] != 0) {
        const struct password_entry *entry = store->entries[store->slots[at] - 1];

        if (span_equal(span_of(entry->user, entry->user_len), user))
            break;
        at = (at + 1) & store->slot_mask;
    }
    return at;
}

/* Keeps at least half of the slots free. False when memory is gone. */
static bool make_room(struct password_store *store)
{
    if (store->count == store->space) {
        uint32_t space = store->space == 0 ? 16 : store->space * 2;
        struct password_entry **more =
            mem_try_realloc(store->entries, space * sizeof(store->entries[0]));

        if (more == NULL)
            return false;
        store->entries = more;
        store->space = space;
    }
    if ((store->count + 1) * 2 > store->slot_mask) {
        uint32_t slots = (store->slot_mask + 1) * 2;
        uint32_t *more = mem_try_zalloc(slots * sizeof(more[0]));

        if (more == NULL)
            return false;
        mem_free(store->slots);
        store->slots = more;
        store->slot_mask = slots - 1;
        for (uint32_t i = 0; i < store->count; i++) {
            const struct password_entry *entry = store->entries[i];

            store->slots[find_slot(store, span_of(entry->user, entry->user_len))] = i + 1;
        }
    }
    return true;
}

/* The store's own copy of `where`: as a rule that of the entry before. */
static const char *keep_where(struct password_store *store, const char *where)
{
    if (store->where_count > 0 && strcmp(store->wheres[store->where_count - 1], where) == 0)
        return store->wheres[store->where_count - 1];
    store->wheres = mem_realloc(store->wheres, (store->where_count + 1) * sizeof(store->wheres[0]));
    store->wheres[store->where_count] = mem_strdup(where);
    return store->wheres[store->where_count++];
}

/* ---- adding ---- */

/* "file:3", or "auth.password". */
static const char *place(char *to, size_t size, const char *where, unsigned line)
{
    if (line > 0)
        snprintf(to, size, "%s:%u", where, line);
    else
        snprintf(to, size, "%s", where);
    return to;
}

const char *password_user_fault(struct span user)
{
    if (user.len == 0)
        return "the user name is empty";
    if (user.len > PASSWORD_USER_MAX)
        return "the user name is longer than 1023 bytes";
    if (!utf8_valid(user.data, user.len))
        return "the user name is not UTF-8";
    for (uint32_t i = 0; i < user.len; i++) {
        if (user.data[i] < 0x20 || user.data[i] == 0x7F)
            return "there is a control character in the user name";
    }
    return NULL;
}

static bool insert(struct password_store *store, struct span user, const struct password *password,
                   const char *where, unsigned line, char *error, size_t size)
{
    char here[1100], there[1100], shown[128];
    struct password_entry *entry;
    uint32_t slot;

    place(here, sizeof(here), where, line);
    if (store->count == PASSWORD_USERS_MAX)
        return refuse_with(error, size, "%s: there are more than %u users", here,
                           PASSWORD_USERS_MAX);
    entry = make_room(store) ? mem_try_zalloc(sizeof(*entry) + user.len) : NULL;
    if (entry == NULL)
        return refuse_with(error, size, "%s: out of memory", here);
    slot = find_slot(store, user);
    if (store->slots[slot] != 0) { /* I1 */
        const struct password_entry *first = store->entries[store->slots[slot] - 1];

        mem_free(entry);
        return refuse_with(error, size, "%s: the user \"%s\" is there already: %s", here,
                           log_escape(shown, sizeof(shown), user),
                           place(there, sizeof(there), first->where, first->line));
    }
    *entry = (struct password_entry){.password = *password,
                                     .where = keep_where(store, where),
                                     .line = line,
                                     .user_len = user.len};
    memcpy(entry->user, user.data, user.len);
    if (store->count != 0 &&
        password_work(password) > password_work(&store->entries[store->costliest]->password))
        store->costliest = store->count;
    store->entries[store->count++] = entry;
    store->slots[slot] = store->count;
    store->scram_count += password->has_scram || password->kind == PASSWORD_CLEAR;
    return true;
}

static void warn_of_kind(struct password_store *store, struct span user,
                         const struct password *password, const char *here)
{
    char shown[128];

    log_escape(shown, sizeof(shown), user);
    if (password->kind == PASSWORD_CLEAR)
        password_store_warn(
            store, "%s: the password of \"%s\" is in clear text; `shardmq passwd` hashes it", here,
            shown);
    else if (password->kind == PASSWORD_SHA512)
        password_store_warn(
            store,
            "%s: the password of \"%s\" is hashed once only ($6$), which is quickly "
            "tried out; `shardmq passwd` gives it a better one",
            here, shown);
}

bool password_store_insert(struct password_store *store, struct span user, struct span text,
                           const char *where, unsigned line, char *error, size_t size)
{
    const char *why = password_user_fault(user);
    struct password password;
    char here[1100];

    place(here, sizeof(here), where, line);
    if (why != NULL || !password_parse(&password, text, &why)) /* I2 */
        return refuse_with(error, size, "%s: %s", here, why);
    if (!insert(store, user, &password, where, line, error, size)) {
        password_release(&password);
        return false;
    }
    warn_of_kind(store, user, &password, here);
    OPENSSL_cleanse(&password, sizeof(password)); /* the entry has it now */
    return true;
}

bool password_store_add(struct password_store *store, struct span user, struct span password,
                        const char *where, char *error, size_t size)
{
    return password_store_insert(store, user, password, where, 0, error, size);
}

/* ---- asking ---- */

static const struct password_entry *find_entry(const struct password_store *store, struct span user)
{
    uint32_t number = store->slots[find_slot(store, user)];

    return number == 0 ? NULL : store->entries[number - 1];
}

/* What answers for names that are not there are made of: what nobody knows, and what seldom changes. */
static void secret_of(const struct password_store *store, uint8_t to[SHA256_DIGEST_LENGTH])
{
    const struct password *first = &store->entries[0]->password;
    SHA256_CTX context;

    SHA256_Init(&context);
    SHA256_Update(&context, "nobody", 6);
    SHA256_Update(&context, first->hash, first->hash_len);
    if (first->clear != NULL)
        SHA256_Update(&context, first->clear, first->clear_len);
    if (first->has_scram)
        SHA256_Update(&context, first->scram.server_key, SCRAM_KEY_BYTES);
    SHA256_Final(to, &context);
    OPENSSL_cleanse(&context, sizeof(context));
}

/* Bytes that belong to a name, before a restart and after it; a store that is not empty. */
static void bytes_of(const struct password_store *store, struct span user,
                     uint8_t to[SHA512_DIGEST_LENGTH])
{
    uint8_t secret[SHA256_DIGEST_LENGTH];
    unsigned size = SHA512_DIGEST_LENGTH;

    secret_of(store, secret);
    if (HMAC(EVP_sha512(), secret, sizeof(secret), user.data, user.len, to, &size) == NULL)
        memset(to, 0, SHA512_DIGEST_LENGTH); /* out of memory: still a name's own answer is none */
    OPENSSL_cleanse(secret, sizeof(secret));
}

/* Somebody's entry, always the same one for the same name. */
static uint32_t pick(const struct password_store *store, struct span user)
{
    uint8_t bytes[SHA512_DIGEST_LENGTH];
    uint32_t number;

    bytes_of(store, user, bytes);
    memcpy(&number, bytes + sizeof(bytes) - sizeof(number), sizeof(number));
    return (uint32_t)((uint64_t)number * store->count >> 32);
}

const struct password *password_store_find(const struct password_store *store, struct span user)
{
    const struct password_entry *entry = find_entry(store, user);

    return entry == NULL ? NULL : &entry->password;
}

const struct password *password_store_costliest(const struct password_store *store)
{
    return store->count == 0 ? NULL : &store->entries[store->costliest]->password; /* I3 */
}

static bool can_scram(const struct password *password)
{
    return password->has_scram || password->kind == PASSWORD_CLEAR;
}

/* An entry that can use SCRAM, chosen by the name; there is one. */
static const struct password *pick_scram(const struct password_store *store, struct span user)
{
    uint32_t at = pick(store, user);

    while (!can_scram(&store->entries[at]->password))
        at = (at + 1) % store->count;
    return &store->entries[at]->password;
}

static void make_salt(const struct password_store *store, struct span user, uint32_t len,
                      uint8_t *salt)
{
    uint8_t bytes[SHA512_DIGEST_LENGTH];

    ASSERT(len <= sizeof(bytes));
    bytes_of(store, user, bytes);
    memcpy(salt, bytes, len);
}

enum scram_source password_store_scram(const struct password_store *store, struct span user,
                                       struct scram_keys *keys, struct span *clear, bool *known)
{
    const struct password_entry *entry = find_entry(store, user);
    const struct password *password = entry == NULL ? NULL : &entry->password;

    *known = password != NULL && can_scram(password);
    *clear = span_of(NULL, 0);
    *keys = (struct scram_keys){0};
    if (store->scram_count == 0)
        return SCRAM_NONE;
    if (!*known)
        password = pick_scram(store, user);
    if (password->has_scram) {
        *keys = password->scram;
        if (!*known)
            make_salt(store, user, keys->salt_len, keys->salt);
        return SCRAM_READY;
    }
    keys->iterations = SCRAM_ITERATIONS_MIN;
    keys->salt_len = SCRAM_SALT_BYTES;
    make_salt(store, user, SCRAM_SALT_BYTES, keys->salt);
    *clear = span_of(password->clear, password->clear_len);
    return SCRAM_DERIVE;
}

void password_store_visit(const struct password_store *store,
                          bool (*visit)(struct span user, const struct password *password,
                                        unsigned line, void *argument),
                          void *argument)
{
    for (uint32_t i = 0; i < store->count; i++) {
        const struct password_entry *entry = store->entries[i];

        if (!visit(span_of(entry->user, entry->user_len), &entry->password, entry->line, argument))
            return;
    }
}
