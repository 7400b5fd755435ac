/* SPDX-License-Identifier: MIT
 *
 * plugins - a shard's desk: begin and end, tickets, and the time that hooks take. The essay is in plugins.h.
 */
#include "broker/plugins_priv.h"

#include <netinet/in.h>
#include <stdio.h>

/* Two readings of the clock cost as much as a short hook. A prime: where there are several plug-ins, each has its turn. */
#define TIMED_ONE_IN 17u
#define SLOW_NS      1000000u
#define SLOTS_MIN    16u
#define NO_SLOT      UINT32_MAX

/* ---- begin and end ---- */

unsigned plugin_hooks_of(const struct plugin *plugin)
{
    const struct smq_plugin *hooks = &plugin->hooks;

    return (hooks->authenticate != NULL ? PLUGIN_AUTHENTICATE : 0u) |
           (hooks->authorize != NULL ? PLUGIN_AUTHORIZE : 0u) |
           (hooks->publish != NULL ? PLUGIN_PUBLISH : 0u) |
           (hooks->connect != NULL ? PLUGIN_CONNECT : 0u) |
           (hooks->disconnect != NULL ? PLUGIN_DISCONNECT : 0u) |
           (hooks->subscribe != NULL ? PLUGIN_SUBSCRIBE : 0u) |
           (hooks->unsubscribe != NULL ? PLUGIN_UNSUBSCRIBE : 0u);
}

/* The first `count` of them, in reverse order. */
static void end_shard(struct plugin_desk *desk, unsigned count)
{
    while (count-- > 0) {
        const struct plugin *plugin = &desk->plugins->list[count];

        if (plugin->hooks.end_shard != NULL)
            plugin->hooks.end_shard(plugin->self, desk->broker->shard, desk->states[count]);
    }
}

bool plugins_enter(struct broker *broker, struct plugins *plugins, char *why, size_t size)
{
    struct plugin_desk *desk;
    unsigned hooks = 0;

    if (plugins == NULL || plugins->count == 0)
        return true;
    desk = mem_zalloc(sizeof(*desk));
    desk->broker = broker;
    desk->plugins = plugins;
    desk->states = mem_zalloc(plugins->count * sizeof(*desk->states));
    desk->free_slot = NO_SLOT;
    broker->plugins = desk;
    for (unsigned i = 0; i < plugins->count; i++) {
        const struct plugin *plugin = &plugins->list[i];

        if (plugin->hooks.init_shard != NULL &&
            !plugin->hooks.init_shard(plugin->self, broker->shard, &desk->states[i])) {
            snprintf(why, size, "plugins.%s (%s) did not begin on shard %u", plugin->name,
                     plugin->path, broker->shard);
            end_shard(desk, i);
            return false;
        }
        hooks |= plugin_hooks_of(plugin);
    }
    broker->plugin_hooks = (uint8_t)hooks;
    authz_configure(broker);
    atomic_store_explicit(&plugins->desks[broker->shard], desk, memory_order_release);
    return true;
}

void plugins_leave(struct broker *broker)
{
    struct plugin_desk *desk = broker->plugins;

    /* without a place there it did not begin, and has ended what had begun already */
    if (desk == NULL ||
        atomic_load_explicit(&desk->plugins->desks[broker->shard], memory_order_relaxed) == NULL)
        return;
    broker->plugin_hooks = 0;
    atomic_store_explicit(&desk->plugins->desks[broker->shard], NULL, memory_order_release);
    for (uint32_t i = 0; i < desk->capacity; i++)
        if (desk->slots[i].wait != NULL)
            plugin_wait_end(desk->slots[i].wait);
    end_shard(desk, desk->plugins->count);
}

void plugins_destroy(struct broker *broker)
{
    struct plugin_desk *desk = broker->plugins;

    if (desk == NULL)
        return;
    ASSERT(desk->waiting == 0);
    mem_free(desk->slots);
    mem_free(desk->states);
    mem_free(desk);
    broker->plugins = NULL;
}

/* ---- the time they take ---- */

uint64_t plugin_hook_begins(void)
{
    return port_clock_ns();
}

uint64_t plugin_message_hook_begins(struct plugin_desk *desk)
{
    return desk->message_calls++ % TIMED_ONE_IN == 0 ? port_clock_ns() : 0;
}

void plugin_hook_over(struct plugin_desk *desk, const struct plugin *plugin, const char *hook,
                      uint64_t began_ns)
{
    uint64_t took_ns;

    if (LIKELY(began_ns == 0))
        return;
    took_ns = port_clock_ns() - began_ns;
    if (LIKELY(took_ns <= SLOW_NS))
        return;
    STAT_INC(desk->broker->stats, plugin_slow);
    LOG_WARN("plugins.%s: %s took %llu ms, in which nobody on the shard was served", plugin->name,
             hook, (unsigned long long)(took_ns / 1000000u));
}

/* ---- who it is about ---- */

void plugin_describe(const struct broker *broker, const struct connection *connection,
                     const struct peer_address *peer, struct span client_identifier,
                     struct span username, struct smq_client *to)
{
    struct peer_door door;

    *to = (struct smq_client){
        .struct_size = sizeof(*to),
        .shard = broker->shard,
        .client_identifier = plugin_text(client_identifier),
        .username = plugin_text(username),
        .port = peer->port,
    };
    if (peer->family == AF_INET)
        to->address_family = 4;
    else if (peer->family == AF_INET6)
        to->address_family = 6;
    if (to->address_family != 0)
        memcpy(to->address, peer->bytes, to->address_family == 4 ? 4 : sizeof(to->address));
    if (connection == NULL)
        return;
    port_peer_door(connection, &door);
    to->listener = plugin_text(span_text(door.listener));
    to->version = connection->version;
}

void plugin_describe_session(const struct broker *broker, const struct session *session,
                             const struct connection *connection, struct smq_client *to)
{
    plugin_describe(broker, connection, &session->peer, session_client_identifier(session),
                    session->username == NULL ? (struct span){0} : span_text(session->username),
                    to);
    to->version = session->version;
}

/* ---- tickets ---- */

static uint64_t ticket_of(const struct plugin_desk *desk, uint32_t slot)
{
    return (uint64_t)(desk->broker->shard + 1) << 56 | (uint64_t)slot << 32 |
           desk->slots[slot].generation;
}

/* The wait that a ticket names; NULL when there is none any more. */
static struct plugin_wait *find_wait(const struct plugin_desk *desk, uint64_t ticket)
{
    uint32_t slot = (uint32_t)(ticket >> 32) & 0xffffffu;

    return slot < desk->capacity && desk->slots[slot].wait != NULL &&
                   desk->slots[slot].generation == (uint32_t)ticket
               ? desk->slots[slot].wait
               : NULL;
}

static bool grow(struct plugin_desk *desk)
{
    uint32_t capacity = desk->capacity == 0 ? SLOTS_MIN : 2 * desk->capacity;
    struct plugin_slot *slots = mem_try_realloc(desk->slots, capacity * sizeof(*slots));

    if (slots == NULL)
        return false;
    for (uint32_t i = desk->capacity; i < capacity; i++)
        slots[i] =
            (struct plugin_slot){.generation = 1, .next_free = i + 1 < capacity ? i + 1 : NO_SLOT};
    desk->slots = slots;
    desk->free_slot = desk->capacity;
    desk->capacity = capacity;
    return true;
}

static void wait_timed_out(void *owner, struct timer *timer)
{
    struct broker *broker = owner;
    struct plugin_wait *wait = CONTAINER_OF(timer, struct plugin_wait, timer);
    const struct plugin *plugin = &wait->desk->plugins->list[wait->asked];

    STAT_INC(broker->stats, plugin_timeout);
    LOG_WARN("plugins.%s has not answered in time (plugins.timeout): the answer is no",
             plugin->name);
    plugin_answered(wait, SMQ_DENY,
                    &(struct smq_answer){.struct_size = sizeof(struct smq_answer),
                                         .text = "it has not answered in time"});
}

uint64_t plugins_defer(struct smq_call *call)
{
    struct plugin_desk *desk = call->desk;
    const struct conf *conf = desk->broker->conf;
    struct plugin_wait *wait;

    if (!call->may_wait || call->wait != NULL)
        return call->ticket;
    if (desk->waiting >= conf->plugins_max_waiting || (desk->free_slot == NO_SLOT && !grow(desk)))
        return 0;
    wait = mem_try_zalloc(sizeof(*wait));
    if (wait == NULL)
        return 0;
    wait->desk = desk;
    wait->slot = desk->free_slot;
    timer_init(&wait->timer, wait_timed_out);
    desk->free_slot = desk->slots[wait->slot].next_free;
    desk->slots[wait->slot].wait = wait;
    desk->waiting++;
    call->wait = wait;
    call->ticket = ticket_of(desk, wait->slot);
    return call->ticket;
}

void plugin_wait_end(struct plugin_wait *wait)
{
    struct plugin_desk *desk = wait->desk;
    struct plugin_slot *slot = &desk->slots[wait->slot];

    ASSERT(slot->wait == wait);
    timer_disarm(&desk->broker->timers, &wait->timer);
    slot->wait = NULL;
    slot->generation++; /* P1 */
    slot->next_free = desk->free_slot;
    desk->free_slot = wait->slot;
    desk->waiting--;
    mem_free(wait->bytes);
    mem_free(wait);
}

void plugin_name_rule(const struct plugin *plugin, const char *text, char *to, size_t size)
{
    snprintf(to, size, "%s%s%.*s", plugin->name, text != NULL && text[0] != '\0' ? ": " : "",
             PLUGIN_TEXT_BYTES - 1, text != NULL ? text : "");
}

enum smq_decision plugin_decided(struct smq_call *call, const struct plugin *plugin,
                                 enum smq_decision decision)
{
    struct plugin_desk *desk = call->desk;

    if (decision == SMQ_DEFER && call->wait != NULL) {
        call->wait->asked = (unsigned)(plugin - desk->plugins->list);
        timer_arm(&desk->broker->timers, &call->wait->timer,
                  desk->broker->now_ms + desk->broker->conf->plugins_timeout_ms);
        STAT_INC(desk->broker->stats, plugin_deferred);
        return decision;
    }
    if (call->wait != NULL)
        plugin_wait_end(call->wait);
    call->wait = NULL;
    if (decision <= SMQ_DENY || decision == SMQ_CONTINUE)
        return decision;
    LOG_ERROR("plugins.%s has put off an answer without a ticket: the answer is no", plugin->name);
    return SMQ_DENY; /* P5 */
}

/* ---- answers from other threads ---- */

/* On the shard. */
static void completion_run(struct broker *broker, struct inbox_item *item)
{
    struct plugin_completion *completion = CONTAINER_OF(item, struct plugin_completion, item);
    struct plugin_wait *wait =
        broker->plugins == NULL ? NULL : find_wait(broker->plugins, completion->ticket);

    if (wait != NULL)
        plugin_answered(wait, completion->decision, &completion->answer);
    else
        STAT_INC(broker->stats, plugin_stale); /* P1 */
    mem_free(completion);
}

static struct smq_text copy_text(char *to, struct smq_text text)
{
    if (text.len == 0)
        return (struct smq_text){NULL, 0};
    memcpy(to, text.data, text.len);
    return (struct smq_text){to, text.len};
}

/* The plug-in's answer as this version has it: what an older one does not know stays 0. */
static void read_answer(const struct smq_answer *from, struct smq_answer *to)
{
    *to = (struct smq_answer){0};
    if (from != NULL)
        memcpy(to, from, from->struct_size < sizeof(*to) ? from->struct_size : sizeof(*to));
    to->struct_size = sizeof(*to);
}

bool plugins_complete(struct plugins *plugins, uint64_t ticket, enum smq_decision decision,
                      const struct smq_answer *answer)
{
    unsigned shard = (unsigned)(ticket >> 56);
    struct plugin_completion *completion;
    struct plugin_desk *desk;
    struct smq_answer given;

    if (shard == 0 || shard > plugins->shards)
        return false;
    desk = atomic_load_explicit(&plugins->desks[shard - 1], memory_order_acquire);
    read_answer(answer, &given);
    if (desk == NULL || given.username.len > UINT16_MAX || given.data.len > UINT16_MAX)
        return false;
    completion = mem_try_zalloc(sizeof(*completion) + given.username.len + given.data.len);
    if (completion == NULL)
        return false;
    completion->item.run = completion_run;
    completion->ticket = ticket;
    completion->decision = decision > SMQ_CONTINUE || decision == SMQ_DEFER ? SMQ_DENY : decision;
    completion->answer = given;
    completion->answer.username = copy_text(completion->bytes, given.username);
    completion->answer.data = copy_text(completion->bytes + given.username.len, given.data);
    snprintf(completion->text, sizeof(completion->text), "%s",
             given.text != NULL ? given.text : "");
    completion->answer.text = completion->text;
    port_hand_in(desk->broker, &completion->item);
    return true;
}
