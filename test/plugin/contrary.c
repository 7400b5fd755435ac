/* SPDX-License-Identifier: MIT
 *
 * contrary - a plug-in for tests that does everything that a plug-in may do, and some that it should not. What it does
 * says the user name of a client, the topic, or the payload: its first word.
 *
 * Answers that are put off come from a thread of its own. Every hook that is told of something, and every exchange that is
 * over, is a line in the broker's log.
 *
 *     allow deny next     at once                      defer-allow, -deny, -next   later
 *     never               put off, and never answered  twice                       allowed later, then denied, then allowed
 *     early               answered before it returns   void                        a ticket is taken, and the answer is yes
 *     ticketless          put off without a ticket     nonsense                    something that is no decision
 *     rename super badname expire                      allowed, with what the name says
 *     slow                takes five milliseconds      late                        answered when the time is up, and more
 */
#include <shardmq/plugin.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An answer that is to be given at that time, of the monotonic clock in milliseconds. */
struct later {
    struct later *next;
    uint64_t ticket, due_ms;
    enum smq_decision decision;
};

static const struct smq_host *host;
static struct smq_context *context;
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t come;
static struct later *first;
static unsigned late_ms; /* longer than plugins.timeout in the test */
static bool ends;

static void say(const char *what, struct smq_text who, const char *more)
{
    char line[400];

    snprintf(line, sizeof(line), "%s %.*s %s", what, (int)who.len, who.data != NULL ? who.data : "",
             more);
    host->log(context, SMQ_LOG_INFO, line);
}

/* ---- the thread ---- */

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The one that is due next, or NULL; of two, the one that was there before. */
static struct later **next_due(void)
{
    struct later **best = &first;

    for (struct later **at = &first; *at != NULL; at = &(*at)->next)
        if ((*at)->due_ms < (*best)->due_ms)
            best = at;
    return best;
}

static void *thread_main(void *argument)
{
    struct smq_answer answer = SMQ_ANSWER_INIT;

    (void)argument;
    answer.text = "said later";
    pthread_mutex_lock(&lock);
    while (!ends) {
        struct later **at = next_due(), *later = *at;

        if (later == NULL) {
            pthread_cond_wait(&come, &lock);
        } else if (later->due_ms > now_ms()) {
            struct timespec until = {(time_t)(later->due_ms / 1000),
                                     (long)(later->due_ms % 1000) * 1000000};

            pthread_cond_timedwait(&come, &lock, &until);
        } else {
            *at = later->next;
            pthread_mutex_unlock(&lock);
            host->complete(context, later->ticket, later->decision, &answer);
            free(later);
            pthread_mutex_lock(&lock);
        }
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void add(uint64_t ticket, enum smq_decision decision, unsigned after_ms)
{
    struct later *later = calloc(1, sizeof(*later)), **at = &first;

    if (later == NULL || ticket == 0)
        abort();
    later->ticket = ticket;
    later->decision = decision;
    later->due_ms = now_ms() + after_ms;
    pthread_mutex_lock(&lock);
    while (*at != NULL)
        at = &(*at)->next;
    *at = later;
    pthread_cond_signal(&come);
    pthread_mutex_unlock(&lock);
}

static enum smq_decision put_off(struct smq_call *call, enum smq_decision decision,
                                 unsigned after_ms)
{
    uint64_t ticket = host->defer(call);

    if (ticket == 0) /* a will that is sent cannot wait */
        return SMQ_DENY;
    add(ticket, decision, after_ms);
    return SMQ_DEFER;
}

/* ---- what it says ---- */

static void be_slow(void)
{
    struct timespec pause = {0, 5000000};

    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

static bool is(struct smq_text text, const char *word)
{
    size_t len = strlen(word);

    return text.len >= len && memcmp(text.data, word, len) == 0 &&
           (text.len == len || text.data[len] == ' ' || text.data[len] == '/');
}

static enum smq_decision decide(struct smq_call *call, struct smq_text word,
                                struct smq_answer *answer)
{
    answer->text = "contrary says so";
    if (is(word, "allow") || is(word, "super") || is(word, "expire"))
        return SMQ_ALLOW;
    if (is(word, "deny"))
        return SMQ_DENY;
    if (is(word, "defer-allow"))
        return put_off(call, SMQ_ALLOW, 20);
    if (is(word, "defer-deny"))
        return put_off(call, SMQ_DENY, 20);
    if (is(word, "defer-next"))
        return put_off(call, SMQ_NEXT, 20);
    if (is(word, "late"))
        return put_off(call, SMQ_ALLOW, late_ms);
    if (is(word, "twice")) {
        uint64_t ticket = host->defer(call);

        add(ticket, SMQ_ALLOW, 20);
        add(ticket, SMQ_DENY, 20);
        add(ticket, SMQ_ALLOW, 40);
        return SMQ_DEFER;
    }
    if (is(word, "never"))
        return host->defer(call) != 0 ? SMQ_DEFER : SMQ_DENY;
    if (is(word, "early")) {
        host->complete(context, host->defer(call), SMQ_ALLOW, NULL);
        return SMQ_DEFER;
    }
    if (is(word, "void")) {
        put_off(call, SMQ_DENY, 20);
        return SMQ_ALLOW;
    }
    if (is(word, "fickle")) { /* yes, and then no, and so on */
        static atomic_uint asked;

        return atomic_fetch_add(&asked, 1) % 2 == 0 ? SMQ_ALLOW : SMQ_DENY;
    }
    if (is(word, "ticketless"))
        return SMQ_DEFER;
    if (is(word, "nonsense"))
        return (enum smq_decision)77;
    if (is(word, "slow"))
        be_slow();
    return is(word, "slow") ? SMQ_ALLOW : SMQ_NEXT;
}

/* ---- hooks ---- */

/* The method ECHO: the client says back what it is sent, three times, and its name the last time. At "not mine" it wants
 * others to go on, which is too late then. */
static enum smq_decision echo(const struct smq_authentication *question, struct smq_answer *answer)
{
    static const struct smq_text challenges[] = {{"one", 3}, {"two", 3}, {"three", 5}};

    if (question->step > 0 && is(question->data, "not mine"))
        return SMQ_NEXT;
    if (question->step > 0 && (question->data.len != challenges[question->step - 1].len ||
                               memcmp(question->data.data, challenges[question->step - 1].data,
                                      question->data.len) != 0)) {
        answer->text = "a wrong echo";
        return SMQ_DENY;
    }
    if (*question->exchange == NULL)
        *question->exchange = strdup("echo");
    if (question->step < 3) {
        answer->data = challenges[question->step];
        return SMQ_CONTINUE;
    }
    answer->data = (struct smq_text){"well said", 9};
    if (!question->again)
        answer->username = (struct smq_text){"echo", 4};
    else if (is(question->client->client_identifier, "turns"))
        answer->username = (struct smq_text){"somebody else", 13};
    return SMQ_ALLOW;
}

static enum smq_decision authenticate(void *self, void *state,
                                      const struct smq_authentication *question,
                                      struct smq_answer *answer)
{
    struct smq_text user = question->client->username;

    (void)self;
    (void)state;
    if (is(question->method, "ECHO"))
        return echo(question, answer);
    if (is(question->method, "ENDLESS"))
        return SMQ_CONTINUE;
    if (question->method.len != 0)
        return SMQ_NEXT;
    if (is(user, "rename")) {
        answer->username = (struct smq_text){"somebody", 8};
        return SMQ_ALLOW;
    }
    if (is(user, "badname")) {
        answer->username = (struct smq_text){"\xff\xfe", 2};
        return SMQ_ALLOW;
    }
    if (is(user, "quota"))
        answer->reason = MQTT_REASON_QUOTA_EXCEEDED;
    if (is(user, "quota"))
        return SMQ_DENY;
    answer->superuser = is(user, "super");
    answer->valid_s = is(user, "expire") ? 1 : 0;
    if (is(user, "never") || is(user, "defer-next"))
        *question->exchange = strdup("kept");
    return decide(question->call, user, answer);
}

static void authentication_over(void *self, void *state, void *exchange)
{
    (void)self;
    (void)state;
    say("over", (struct smq_text){exchange, strlen(exchange)}, "");
    free(exchange);
}

static enum smq_decision authorize(void *self, void *state,
                                   const struct smq_authorization *question,
                                   struct smq_answer *answer)
{
    (void)self;
    (void)state;
    return decide(question->call, question->topic, answer);
}

/* Names whose message it is, who may be gone. */
static void look_at(const struct smq_publication *message)
{
    struct smq_text name = message->client->username;
    char text[100];

    snprintf(text, sizeof(text), "%.*s", name.data != NULL ? (int)name.len : 1,
             name.data != NULL ? name.data : "-");
    say(message->will ? "will" : "message", message->topic, text);
}

static enum smq_decision publish(void *self, void *state, const struct smq_publication *message,
                                 struct smq_answer *answer)
{
    (void)self;
    (void)state;
    answer->text = "a word that is not said here";
    if (is(message->payload, "refuse-this"))
        return SMQ_DENY;
    if (is(message->payload, "wrong-format"))
        answer->reason = MQTT_REASON_PAYLOAD_FORMAT_INVALID;
    if (is(message->payload, "wrong-format"))
        return SMQ_DENY;
    if (is(message->payload, "put-this-off"))
        return SMQ_DEFER;
    if (is(message->payload, "look-at-me"))
        look_at(message);
    return SMQ_NEXT;
}

static void connected(void *self, void *state, const struct smq_connection *event)
{
    char more[80];

    (void)self;
    ++*(unsigned *)state;
    snprintf(more, sizeof(more), "version=%u address=%u.%u.%u.%u keep_alive=%u clean=%d present=%d",
             event->client->version, event->client->address[0], event->client->address[1],
             event->client->address[2], event->client->address[3], event->keep_alive_s,
             event->clean_start, event->session_present);
    say("connect", event->client->client_identifier, more);
}

static void disconnected(void *self, void *state, const struct smq_disconnection *event)
{
    char more[80];

    (void)self;
    --*(unsigned *)state;
    snprintf(more, sizeof(more), "reason=0x%02x", event->reason);
    say("disconnect", event->client->client_identifier, more);
}

static void subscribed(void *self, void *state, const struct smq_subscription *event)
{
    char more[20];

    (void)self;
    (void)state;
    snprintf(more, sizeof(more), "qos=%u", event->qos);
    say("subscribe", event->filter, more);
}

static void unsubscribed(void *self, void *state, const struct smq_subscription *event)
{
    (void)self;
    (void)state;
    say("unsubscribe", event->filter, "");
}

/* ---- begin and end ---- */

static bool init_shard(void *self, unsigned shard, void **state)
{
    (void)self;
    if (shard >= host->shards)
        return false;
    *state = calloc(1, sizeof(unsigned));
    return *state != NULL;
}

static void end_shard(void *self, unsigned shard, void *state)
{
    char line[60];

    (void)self;
    snprintf(line, sizeof(line), "shard %u ends with %u connected", shard, *(unsigned *)state);
    host->log(context, SMQ_LOG_INFO, line);
    free(state);
}

static bool init(const struct smq_host *given, struct smq_context *own, void **self, char *error,
                 size_t size)
{
    char line[300] = "options:";
    pthread_condattr_t clock;

    (void)self;
    host = given;
    context = own;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&come, &clock);
    pthread_condattr_destroy(&clock);
    for (unsigned i = 0; host->option_key(context, i) != NULL; i++)
        snprintf(line + strlen(line), sizeof(line) - strlen(line), " %s=%s",
                 host->option_key(context, i), host->option(context, host->option_key(context, i)));
    late_ms = host->option(context, "late_ms") != NULL
                  ? (unsigned)strtoul(host->option(context, "late_ms"), NULL, 10)
                  : 1000;
    if (host->option(context, "no such key") != NULL || host->abi != SMQ_PLUGIN_ABI ||
        pthread_create(&thread, NULL, thread_main, NULL) != 0) {
        snprintf(error, size, "it cannot begin");
        return false;
    }
    host->log(context, SMQ_LOG_INFO, line);
    host->log(context, SMQ_LOG_WARN, "a line\nand another\x1b[0m");
    return true;
}

static void end(void *self)
{
    (void)self;
    host->complete(context, 1, SMQ_ALLOW, NULL);
    host->complete(context, UINT64_C(1) << 56 | 1, SMQ_ALLOW, NULL);
    host->complete(context, UINT64_MAX, SMQ_ALLOW, NULL);
    pthread_mutex_lock(&lock);
    ends = true;
    pthread_cond_signal(&come);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    pthread_cond_destroy(&come);
    while (first != NULL) {
        struct later *next = first->next;

        free(first);
        first = next;
    }
    host->log(context, SMQ_LOG_INFO, "it ends");
}

SMQ_PLUGIN_EXPORT const struct smq_plugin *shardmq_plugin(void);

SMQ_PLUGIN_EXPORT const struct smq_plugin *shardmq_plugin(void)
{
    static const struct smq_plugin plugin = {
        .struct_size = sizeof(plugin),
        .abi = SMQ_PLUGIN_ABI,
        .name = "contrary",
        .version = "0.9",
        .init = init,
        .end = end,
        .init_shard = init_shard,
        .end_shard = end_shard,
        .authenticate = authenticate,
        .authentication_over = authentication_over,
        .authorize = authorize,
        .publish = publish,
        .connect = connected,
        .disconnect = disconnected,
        .subscribe = subscribed,
        .unsubscribe = unsubscribed,
    };

    return &plugin;
}
