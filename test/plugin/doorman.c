/* SPDX-License-Identifier: MIT
 *
 * doorman - an example of a plug-in: a list of who is kept out, and of topics that are nobody's.
 *
 *     plugins.doorman {
 *         path = "/usr/lib/shardmq/doorman.so"
 *         config { file = "/etc/doorman.list", delay_ms = 20 }
 *     }
 *
 * The list has a line for each: "user NAME", "client IDENTIFIER", or "topic PREFIX", nobody being allowed to publish or
 * subscribe to what begins with it. Everything else is left to the broker's own means.
 *
 * Topics are looked up at once, for the list is in memory and never changes. Users and clients are looked up by a thread of
 * its own, as they would be in a data base; `delay_ms` is how long that one would take. Only the client who is being looked
 * up waits.
 */
#include <shardmq/plugin.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_BYTES  512
#define QUEUE_BYTES 1024 /* of both names together */

struct entry {
    struct entry *next;
    const char *kind; /* "user", "client", "topic" */
    char text[];
};

/* Somebody to be looked up. */
struct visitor {
    struct visitor *next;
    uint64_t ticket;
    char user[QUEUE_BYTES / 2], client[QUEUE_BYTES / 2];
};

struct doorman {
    const struct smq_host *host;
    struct smq_context *context;
    struct entry *entries; /* never changes once the broker runs */
    long delay_ms;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t come;
    struct visitor *first, **last;
    bool end;
};

/* ---- the list ---- */

static bool add_line(struct doorman *doorman, char *line)
{
    static const char *const kinds[] = {"user", "client", "topic"};
    char *rest = strchr(line, ' ');

    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#')
        return true;
    for (size_t i = 0; rest != NULL && rest[1] != '\0' && i < sizeof(kinds) / sizeof(kinds[0]);
         i++) {
        struct entry *entry;

        if (strlen(kinds[i]) != (size_t)(rest - line) ||
            strncmp(line, kinds[i], strlen(kinds[i])) != 0)
            continue;
        entry = malloc(sizeof(*entry) + strlen(rest + 1) + 1);
        if (entry == NULL)
            return false;
        entry->kind = kinds[i];
        strcpy(entry->text, rest + 1);
        entry->next = doorman->entries;
        doorman->entries = entry;
        return true;
    }
    return false;
}

static bool read_list(struct doorman *doorman, const char *path, char *error, size_t size)
{
    FILE *file = fopen(path, "r");
    char line[LINE_BYTES];
    unsigned number = 0;
    bool good = file != NULL;

    if (file == NULL)
        snprintf(error, size, "%s cannot be read", path);
    while (good && fgets(line, sizeof(line), file) != NULL) {
        number++;
        good = add_line(doorman, line);
        if (!good)
            snprintf(error, size,
                     "%s:%u: this is not \"user NAME\", \"client IDENTIFIER\" or \"topic PREFIX\"",
                     path, number);
    }
    if (file != NULL)
        fclose(file);
    return good;
}

static bool listed(const struct doorman *doorman, const char *kind, const char *text)
{
    for (const struct entry *entry = doorman->entries; entry != NULL; entry = entry->next)
        if (strcmp(entry->kind, kind) == 0 && strcmp(entry->text, text) == 0)
            return true;
    return false;
}

/* ---- the thread ---- */

static void look_up(struct doorman *doorman, const struct visitor *visitor)
{
    struct smq_answer answer = SMQ_ANSWER_INIT;
    struct timespec delay = {doorman->delay_ms / 1000, doorman->delay_ms % 1000 * 1000000L};
    enum smq_decision decision = SMQ_NEXT;

    clock_nanosleep(CLOCK_MONOTONIC, 0, &delay, NULL); /* the data base thinks */
    if (listed(doorman, "user", visitor->user) || listed(doorman, "client", visitor->client)) {
        decision = SMQ_DENY;
        answer.reason = MQTT_REASON_BANNED;
        answer.text = "on the list";
    }
    doorman->host->complete(doorman->context, visitor->ticket, decision, &answer);
}

static void *thread_main(void *argument)
{
    struct doorman *doorman = argument;

    pthread_mutex_lock(&doorman->lock);
    while (!doorman->end) {
        struct visitor *visitor = doorman->first;

        if (visitor == NULL) {
            pthread_cond_wait(&doorman->come, &doorman->lock);
            continue;
        }
        doorman->first = visitor->next;
        if (doorman->first == NULL)
            doorman->last = &doorman->first;
        pthread_mutex_unlock(&doorman->lock);
        look_up(doorman, visitor);
        free(visitor);
        pthread_mutex_lock(&doorman->lock);
    }
    pthread_mutex_unlock(&doorman->lock);
    return NULL;
}

/* ---- the hooks ---- */

static bool copy(struct smq_text text, char *to, size_t size)
{
    if (text.len >= size)
        return false;
    if (text.len > 0)
        memcpy(to, text.data, text.len);
    to[text.len] = '\0';
    return true;
}

static enum smq_decision authenticate(void *self, void *state,
                                      const struct smq_authentication *question,
                                      struct smq_answer *answer)
{
    struct doorman *doorman = self;
    struct visitor *visitor = malloc(sizeof(*visitor));

    (void)state;
    answer->text = "it cannot be looked up";
    if (visitor == NULL ||
        !copy(question->client->username, visitor->user, sizeof(visitor->user)) ||
        !copy(question->client->client_identifier, visitor->client, sizeof(visitor->client)) ||
        (visitor->ticket = doorman->host->defer(question->call)) == 0) {
        free(visitor);
        return SMQ_DENY;
    }
    visitor->next = NULL;
    pthread_mutex_lock(
        &doorman->lock); /* held for a few instructions only, by the thread as well */
    *doorman->last = visitor;
    doorman->last = &visitor->next;
    pthread_cond_signal(&doorman->come);
    pthread_mutex_unlock(&doorman->lock);
    return SMQ_DEFER;
}

static enum smq_decision authorize(void *self, void *state,
                                   const struct smq_authorization *question,
                                   struct smq_answer *answer)
{
    const struct doorman *doorman = self;

    (void)state;
    for (const struct entry *entry = doorman->entries; entry != NULL; entry = entry->next) {
        size_t len = strlen(entry->text);

        if (strcmp(entry->kind, "topic") == 0 && question->topic.len >= len &&
            memcmp(question->topic.data, entry->text, len) == 0) {
            answer->text = "nobody's topic";
            return SMQ_DENY;
        }
    }
    return SMQ_NEXT;
}

static void connected(void *self, void *state, const struct smq_connection *event)
{
    (void)self;
    (void)event;
    ++*(unsigned long *)state; /* of this shard alone: no lock */
}

static bool init_shard(void *self, unsigned shard, void **state)
{
    (void)self;
    (void)shard;
    *state = calloc(1, sizeof(unsigned long));
    return *state != NULL;
}

static void end_shard(void *self, unsigned shard, void *state)
{
    const struct doorman *doorman = self;
    char line[80];

    snprintf(line, sizeof(line), "shard %u: %lu were let in", shard, *(unsigned long *)state);
    doorman->host->log(doorman->context, SMQ_LOG_INFO, line);
    free(state);
}

/* ---- begin and end ---- */

static void destroy(struct doorman *doorman)
{
    while (doorman->first != NULL) {
        struct visitor *next = doorman->first->next;

        free(doorman->first);
        doorman->first = next;
    }
    while (doorman->entries != NULL) {
        struct entry *next = doorman->entries->next;

        free(doorman->entries);
        doorman->entries = next;
    }
    pthread_cond_destroy(&doorman->come);
    pthread_mutex_destroy(&doorman->lock);
    free(doorman);
}

static bool init(const struct smq_host *host, struct smq_context *context, void **self, char *error,
                 size_t size)
{
    struct doorman *doorman = calloc(1, sizeof(*doorman));
    const char *file = host->option(context, "file"), *delay = host->option(context, "delay_ms");

    if (doorman == NULL || file == NULL) {
        snprintf(error, size, "it needs a list: set config.file");
        free(doorman);
        return false;
    }
    doorman->host = host;
    doorman->context = context;
    doorman->delay_ms = delay != NULL ? strtol(delay, NULL, 10) : 0;
    doorman->last = &doorman->first;
    pthread_mutex_init(&doorman->lock, NULL);
    pthread_cond_init(&doorman->come, NULL);
    if (!read_list(doorman, file, error, size)) {
        destroy(doorman);
        return false;
    }
    if (pthread_create(&doorman->thread, NULL, thread_main, doorman) != 0) {
        snprintf(error, size, "it cannot have a thread");
        destroy(doorman);
        return false;
    }
    *self = doorman;
    return true;
}

static void end(void *self)
{
    struct doorman *doorman = self;

    pthread_mutex_lock(&doorman->lock);
    doorman->end = true;
    pthread_cond_signal(&doorman->come);
    pthread_mutex_unlock(&doorman->lock);
    pthread_join(doorman->thread, NULL);
    destroy(doorman);
}

SMQ_PLUGIN_EXPORT const struct smq_plugin *shardmq_plugin(void);

SMQ_PLUGIN_EXPORT const struct smq_plugin *shardmq_plugin(void)
{
    static const struct smq_plugin plugin = {
        .struct_size = sizeof(plugin),
        .abi = SMQ_PLUGIN_ABI,
        .name = "doorman",
        .version = "1.0",
        .init = init,
        .end = end,
        .init_shard = init_shard,
        .end_shard = end_shard,
        .authenticate = authenticate,
        .authorize = authorize,
        .connect = connected,
    };

    return &plugin;
}
