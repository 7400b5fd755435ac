/* SPDX-License-Identifier: MIT
 *
 * bans - see bans.h. The list is an array in the order in which the bans were made; operators change it rarely, and
 * what is asked often is the snapshot.
 *
 * The file is the list as the API shows it, {"banned":[...]}. It is written anew for every change, under another name
 * first (base/file_replace.h), and only the broker's own user may read it: it names people.
 */
#include "shards/bans.h"

#include "base/file_replace.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/ban_sweep.h"
#include "conf/conf.h"
#include "shards/control_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)1 << 30)
#define SWEEP_MS       60000u

/* Owner: shard (the control shard). */
struct bans {
    struct ban **rows;
    uint32_t count, capacity;
    struct banned *snapshot; /* NULL: of an empty list */
    char *file;              /* NULL: they are not kept */
};

/* ---- the list ---- */

static void append(struct bans *bans, struct ban *ban)
{
    if (bans->count == bans->capacity) {
        bans->capacity = bans->capacity == 0 ? 16 : 2 * bans->capacity;
        bans->rows = mem_realloc(bans->rows, bans->capacity * sizeof(*bans->rows));
    }
    bans->rows[bans->count++] = ban;
}

static bool same(const struct ban *a, const struct ban *b)
{
    return a->kind == b->kind && strcmp(a->who, b->who) == 0;
}

static int64_t find(const struct bans *bans, const struct ban *like)
{
    for (uint32_t i = 0; i < bans->count; i++) {
        if (same(bans->rows[i], like))
            return i;
    }
    return -1;
}

/* Those that have run out are forgotten; the file loses them with the next change. */
static void forget_old(struct bans *bans, uint64_t now_s)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < bans->count; i++) {
        if (bans->rows[i]->until_s <= now_s)
            ban_free(bans->rows[i]);
        else
            bans->rows[kept++] = bans->rows[i];
    }
    bans->count = kept;
}

uint32_t bans_count(struct bans *bans, uint64_t now_s)
{
    forget_old(bans, now_s);
    return bans->count;
}

const struct ban *bans_at(const struct bans *bans, uint32_t index)
{
    ASSERT(index < bans->count);
    return bans->rows[index];
}

/* What the shards look up. */
static struct banned *make_snapshot(struct ban *const *rows, uint32_t count)
{
    struct ban_key *keys = mem_alloc((count + 1) * sizeof(*keys));
    struct banned *banned;

    for (uint32_t i = 0; i < count; i++) {
        const struct ban *ban = rows[i];

        keys[i] = (struct ban_key){
            .kind = ban->kind,
            .prefix = ban->prefix,
            .bytes = ban->kind == BAN_ADDRESS ? span_of(ban->address, ban->address_len)
                                              : span_text(ban->who),
            .until_ms = ban->until_s > UINT64_MAX / 1000 ? BAN_FOREVER : ban->until_s * 1000};
    }
    banned = banned_create(keys, count);
    mem_free(keys);
    return banned;
}

struct banned *bans_snapshot(const struct bans *bans)
{
    return bans->snapshot;
}

/* ---- the file ---- */

static char *print(struct ban *const *rows, uint32_t count)
{
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "banned");
    char *text;

    for (uint32_t i = 0; i < count; i++)
        cJSON_AddItemToArray(list, ban_show(rows[i]));
    text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

/* The whole file, terminated; NULL with a sentence, or without one (*absent). mem_free() it. */
static char *read_file(const char *path, bool *absent, char *why, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    char *text = NULL;
    size_t len = 0;

    *absent = fd < 0 && errno == ENOENT;
    snprintf(why, size, "the bans cannot be read from %s: %s", path, strerror(errno));
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
        (size_t)status.st_size > FILE_BYTES_MAX) {
        snprintf(why, size, "the bans cannot be read from %s: it is no file, or too large", path);
    } else if ((status.st_uid != geteuid() && status.st_uid != 0) ||
               (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        snprintf(
            why, size,
            "the bans are not read from %s, which somebody else may write: make it the broker's "
            "own (chmod 600), or name another with banned.file",
            path);
    } else {
        text = mem_alloc((size_t)status.st_size + 1);
        while (len < (size_t)status.st_size) {
            ssize_t got = read(fd, text + len, (size_t)status.st_size - len);

            if (got <= 0)
                break;
            len += (size_t)got;
        }
        text[len] = '\0';
    }
    close(fd);
    return text;
}

static bool load(struct bans *bans, const cJSON *root, uint64_t now_s, char *why, size_t size)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "banned"), *item;
    unsigned number = 0;

    if (!cJSON_IsArray(list)) {
        snprintf(why, size, "%s is no list of bans: correct it, or remove it", bans->file);
        return false;
    }
    cJSON_ArrayForEach(item, list)
    {
        char error[256];
        struct ban *ban = ban_read(item, "", now_s, error, sizeof(error));

        number++;
        if (ban == NULL) {
            snprintf(why, size, "%s: ban %u: %s; correct it, or remove it", bans->file, number,
                     error);
            return false;
        }
        if (find(bans, ban) >= 0)
            ban_free(ban);
        else
            append(bans, ban);
    }
    return true;
}

struct bans *bans_open(const struct conf *conf, uint64_t now_s, char *why, size_t size)
{
    struct bans *bans = mem_zalloc(sizeof(*bans));
    char path[4096], *text = NULL;
    bool absent = true, good = true;

    if (conf->banned_keep) {
        conf_banned_file(conf, path, sizeof(path));
        bans->file = mem_strdup(path);
        text = read_file(path, &absent, why, size);
        good = text != NULL || absent;
    }
    if (text != NULL) {
        cJSON *root = cJSON_Parse(text);

        good = load(bans, root, now_s, why, size);
        cJSON_Delete(root);
        mem_free(text);
    }
    if (!good) {
        bans_close(bans);
        return NULL;
    }
    forget_old(bans, now_s);
    if (bans->count > 0)
        bans->snapshot = make_snapshot(bans->rows, bans->count);
    return bans;
}

void bans_close(struct bans *bans)
{
    if (bans == NULL)
        return;
    for (uint32_t i = 0; i < bans->count; i++)
        ban_free(bans->rows[i]);
    banned_destroy(bans->snapshot);
    mem_free(bans->rows);
    mem_free(bans->file);
    mem_free(bans);
}

/* ---- changes ---- */

static void retire(struct shard *control, void *former)
{
    (void)control;
    banned_destroy(former);
}

static void swept(void *argument, struct errand *errand)
{
    struct control *control = argument;

    if (errand != NULL && ban_sweep_of(errand)->ended > 0)
        LOG_INFO("%u clients of shard %u were banned", ban_sweep_of(errand)->ended, errand->shard);
    errand_free(control->shard.broker, errand);
}

/* Clients that are connected learn of it too, some in a turn of their shard. */
static void sweep(struct control *control)
{
    for (unsigned i = 0; i < control->shard.machine->limits.shards; i++) {
        struct ban_sweep *errand = ban_sweep_create();

        if (errand == NULL ||
            !errand_send(control->shard.broker, i, &errand->errand, SWEEP_MS, swept, control, NULL))
            LOG_ERROR("banned clients of shard %u stay connected: too much is under way", i);
    }
}

/* Writes the list as it is to be (I1). */
static bool write_rows(const struct bans *bans, struct ban *const *rows, uint32_t count, char *why,
                       size_t size)
{
    struct file_replace file = {0};
    char *text = bans->file != NULL ? print(rows, count) : NULL;
    bool good;

    if (bans->file == NULL)
        return true;
    if (text == NULL) {
        snprintf(why, size, "%s cannot be written: no memory", bans->file);
        return false;
    }
    good = file_replace_stage(&file, bans->file, text, strlen(text), 0600, why, size) &&
           file_replace_commit(&file, why, size);
    file_replace_abandon(&file);
    cJSON_free(text);
    return good;
}

/* In the file, then in force. `rows` become the list's, with `count` of them. */
static enum bans_result put_in_force(struct control *control, struct ban **rows, uint32_t count,
                                     char *why, size_t size)
{
    struct bans *bans = control->bans;
    struct banned *former = bans->snapshot;

    if (!snapshot_room(&control->snapshots, 1))
        return BANS_BUSY;
    if (!write_rows(bans, rows, count, why, size))
        return BANS_NOT_WRITTEN;
    mem_free(bans->rows);
    bans->rows = rows;
    bans->count = bans->capacity = count;
    bans->snapshot = make_snapshot(rows, count);
    snapshot_post(&control->shard, &control->snapshots, MESH_BANNED, bans->snapshot, former,
                  retire);
    return BANS_DONE;
}

static struct ban **copy_rows(const struct bans *bans, uint32_t more)
{
    struct ban **rows = mem_alloc((bans->count + more + 1) * sizeof(struct ban *));

    if (bans->count > 0)
        memcpy(rows, bans->rows, bans->count * sizeof(struct ban *));
    return rows;
}

static uint64_t now_s(const struct control *control)
{
    return control->shard.wall_ms / 1000;
}

struct bans *control_bans(struct control *control)
{
    return control->bans;
}

static void log_ban(const char *what, const struct ban *ban)
{
    char who[128], by[128], reason[256];

    log_escape(who, sizeof(who), span_text(ban->who));
    log_escape(by, sizeof(by), span_text(ban->by));
    log_escape(reason, sizeof(reason), span_text(ban->reason));
    LOG_WARN("%s: %s \"%s\", by \"%s\": %s", what, ban_as(ban), who, by, reason);
}

enum bans_result control_ban(struct control *control, struct ban *ban, char *why, size_t size)
{
    struct bans *bans = control->bans;
    enum bans_result result = BANS_FULL;
    struct ban **rows, *former = NULL;
    uint32_t count;
    int64_t at;

    forget_old(bans, now_s(control));
    at = find(bans, ban);
    count = bans->count + (at < 0);
    if (count <= control->conf->banned_max_entries || at >= 0) {
        rows = copy_rows(bans, 1);
        former = at >= 0 ? rows[at] : NULL;
        rows[at >= 0 ? at : bans->count] = ban;
        result = put_in_force(control, rows, count, why, size);
        if (result != BANS_DONE)
            mem_free(rows);
    }
    if (result == BANS_DONE) {
        log_ban("banned", ban);
        ban_free(former);
        sweep(control);
    } else {
        ban_free(ban);
    }
    return result;
}

static enum bans_result remove_all(struct control *control, char *why, size_t size)
{
    struct bans *bans = control->bans;
    struct ban **gone = copy_rows(bans, 0), **rows = mem_alloc(sizeof(struct ban *));
    uint32_t count = bans->count;
    enum bans_result result = put_in_force(control, rows, 0, why, size);

    for (uint32_t i = 0; result == BANS_DONE && i < count; i++)
        ban_free(gone[i]);
    if (result == BANS_DONE)
        LOG_WARN("all bans were lifted, %u of them", count);
    else
        mem_free(rows);
    mem_free(gone);
    return result;
}

enum bans_result control_unban(struct control *control, const char *as, struct span who, char *why,
                               size_t size)
{
    struct bans *bans = control->bans;
    cJSON *json = cJSON_CreateObject();
    char *text = mem_zalloc(who.len + 1u);
    enum bans_result result = BANS_UNKNOWN;
    struct ban *like = NULL, *gone;
    struct ban **rows;
    int64_t at;

    forget_old(bans, now_s(control));
    if (as != NULL) {
        memcpy(text, who.data, who.len);
        cJSON_AddStringToObject(json, "as", as);
        cJSON_AddStringToObject(json, "who", text);
        like = ban_read(json, "", 0, why, size);
    }
    cJSON_Delete(json);
    mem_free(text);
    if (as == NULL)
        return remove_all(control, why, size);
    at = like != NULL ? find(bans, like) : -1;
    ban_free(like);
    if (at < 0)
        return BANS_UNKNOWN;
    rows = copy_rows(bans, 0);
    gone = rows[at];
    memmove(rows + at, rows + at + 1, (bans->count - (size_t)at - 1) * sizeof(*rows));
    result = put_in_force(control, rows, bans->count - 1, why, size);
    if (result != BANS_DONE) {
        mem_free(rows);
        return result;
    }
    log_ban("ban lifted", gone);
    ban_free(gone);
    return result;
}
