/* SPDX-License-Identifier: MIT
 *
 * plugins_ask - the link of plug-ins in the chains of authentication and authorisation, and the answers that come later.
 *
 * A question goes from plug-in to plug-in until one decides. One that puts off its answer holds it up there; with its
 * answer, NEXT, the question goes on behind it. What the next ones are to be asked of a PUBLISH or SUBSCRIBE is kept with
 * the wait, for the packet is not at hand then; what they are to be asked of a CONNECT, its attempt has.
 */
#include "base/utf8.h"
#include "broker/plugins_priv.h"

#define WHY_BYTES 192

/* What the plug-ins have of an attempt: authn_attempt.state. Owner: shard. */
struct exchange {
    struct plugin_desk *desk;
    const struct plugin *plugin;
    void *place;              /* smq_authentication.exchange */
    struct plugin_wait *wait; /* NULL: none */
    char *data;               /* for the client: of CONTINUE or ALLOW */
    char why[WHY_BYTES];      /* of a no, for the log */
};

/* ---- may it come in? ---- */

static void exchange_over(struct exchange *exchange)
{
    const struct plugin *plugin = exchange->plugin;
    uint64_t began_ns;

    if (exchange->wait != NULL)
        plugin_wait_end(exchange->wait);
    exchange->wait = NULL;
    if (exchange->place != NULL && plugin->hooks.authentication_over != NULL) {
        began_ns = plugin_hook_begins();
        plugin->hooks.authentication_over(
            plugin->self, exchange->desk->states[plugin - exchange->desk->plugins->list],
            exchange->place);
        plugin_hook_over(exchange->desk, plugin, "authentication_over", began_ns);
    }
    exchange->place = NULL;
}

static void free_exchange(void *state)
{
    struct exchange *exchange = state;

    exchange_over(exchange);
    mem_free(exchange->data);
    mem_free(exchange);
}

static enum authn_answer deny(struct authn_attempt *attempt, const struct plugin *plugin,
                              const char *text, unsigned reason)
{
    struct exchange *exchange = attempt->state;

    plugin_name_rule(plugin, text, exchange->why, sizeof(exchange->why));
    attempt->reason = exchange->why;
    attempt->code = reason >= MQTT_REASON_UNSPECIFIED_ERROR && reason <= UINT8_MAX
                        ? (enum mqtt_reason)reason
                        : MQTT_REASON_SUCCESS;
    return AUTHN_DENY;
}

static bool take_username(struct authn_attempt *attempt, struct smq_text username)
{
    if (username.len == 0)
        return true;
    if (username.len > UINT16_MAX || !utf8_valid((const uint8_t *)username.data, username.len))
        return false;
    attempt->new_username = mem_try_alloc(username.len + 1);
    if (attempt->new_username == NULL)
        return false;
    memcpy(attempt->new_username, username.data, username.len);
    attempt->new_username[username.len] = '\0';
    return true;
}

/* Authentication Data for the client. False: no memory, or too much for a packet. */
static bool take_data(struct authn_attempt *attempt, struct smq_text data)
{
    struct exchange *exchange = attempt->state;

    attempt->answer = (struct span){0};
    mem_free(exchange->data);
    exchange->data = NULL;
    if (data.len == 0 || attempt->method.len == 0)
        return true;
    if (data.len > UINT16_MAX)
        return false;
    exchange->data = mem_try_alloc(data.len);
    if (exchange->data == NULL)
        return false;
    memcpy(exchange->data, data.data, data.len);
    attempt->answer = span_of(exchange->data, data.len);
    return true;
}

static enum authn_answer settle(struct authn_attempt *attempt, const struct plugin *plugin,
                                enum smq_decision decision, const struct smq_answer *answer)
{
    switch (decision) {
    case SMQ_ALLOW:
        if (!take_username(attempt, answer->username))
            return deny(attempt, plugin, "the user name that it gave cannot be used", 0);
        if (!take_data(attempt, answer->data))
            return deny(attempt, plugin, "the data that it gave cannot be sent", 0);
        attempt->result.superuser = answer->superuser;
        if (answer->valid_s != 0)
            attempt->result.expires_ms =
                attempt->broker->wall_ms + (uint64_t)answer->valid_s * 1000u;
        return AUTHN_ALLOW;
    case SMQ_CONTINUE:
        if (attempt->method.len == 0)
            return deny(attempt, plugin, "it continues what has no method", 0);
        if (!take_data(attempt, answer->data))
            return deny(attempt, plugin, "the data that it gave cannot be sent", 0);
        return AUTHN_CONTINUE;
    case SMQ_DENY:
        return deny(attempt, plugin, answer->text, answer->reason);
    default:
        return deny(attempt, plugin, "an answer that has no meaning here", 0);
    }
}

static enum smq_decision ask_one(struct authn_attempt *attempt, const struct plugin *plugin,
                                 struct smq_authentication *question, struct smq_answer *answer)
{
    struct exchange *exchange = attempt->state;
    struct smq_call call = {.desk = exchange->desk, .may_wait = true};
    enum smq_decision decision;
    uint64_t began_ns;

    exchange->plugin = plugin;
    question->call = &call;
    question->exchange = &exchange->place;
    began_ns = plugin_hook_begins();
    decision = plugin->hooks.authenticate(
        plugin->self, exchange->desk->states[plugin - exchange->desk->plugins->list], question,
        answer);
    plugin_hook_over(exchange->desk, plugin, "authenticate", began_ns);
    decision = plugin_decided(&call, plugin, decision);
    if (decision == SMQ_DEFER) {
        call.wait->about = PLUGIN_ASKS_AUTHN;
        call.wait->authn = attempt->handle;
        exchange->wait = call.wait;
    }
    return decision;
}

/* Asks the plug-ins from that index on. */
static enum authn_answer ask_authn(struct broker *broker, struct authn_attempt *attempt,
                                   unsigned from)
{
    struct plugin_desk *desk = broker->plugins;
    struct smq_client client;
    char name[1024], subject[1024];
    struct smq_authentication question = {
        .struct_size = sizeof(question),
        .client = &client,
        .password = plugin_text(attempt->password),
        .method = plugin_text(attempt->method),
        .data = plugin_text(attempt->data),
        .step = attempt->round,
        .again = attempt->again,
    };

    plugin_describe(broker, attempt->connection, &attempt->peer, attempt->client_identifier,
                    attempt->username, &client);
    client.version = (uint8_t)attempt->version;
    if (port_peer_certificate(attempt->connection, PORT_CERTIFICATE_COMMON_NAME, name,
                              sizeof(name)))
        question.certificate_common_name = plugin_text(span_text(name));
    if (port_peer_certificate(attempt->connection, PORT_CERTIFICATE_SUBJECT, subject,
                              sizeof(subject)))
        question.certificate_subject = plugin_text(span_text(subject));
    for (unsigned i = from; i < desk->plugins->count; i++) {
        const struct plugin *plugin = &desk->plugins->list[i];
        struct smq_answer answer = {.struct_size = sizeof(answer)};
        enum smq_decision decision;

        if (plugin->hooks.authenticate == NULL)
            continue;
        decision = ask_one(attempt, plugin, &question, &answer);
        if (decision == SMQ_DEFER)
            return AUTHN_WAIT;
        if (decision != SMQ_NEXT ||
            attempt->round > 0) /* who has continued cannot leave it to others */
            return settle(attempt, plugin, decision, &answer);
        exchange_over(attempt->state);
    }
    return AUTHN_IGNORE;
}

bool authn_plugins_configured(const struct broker *broker)
{
    return (broker->plugin_hooks & PLUGIN_AUTHENTICATE) != 0;
}

enum authn_answer authn_plugins_ask(struct broker *broker, struct authn_attempt *attempt)
{
    struct exchange *exchange = attempt->state;

    if (exchange != NULL) /* the client's next AUTH is for who has continued */
        return ask_authn(broker, attempt,
                         (unsigned)(exchange->plugin - broker->plugins->plugins->list));
    exchange = mem_try_zalloc(sizeof(*exchange));
    if (exchange == NULL) {
        attempt->reason = "out of memory";
        attempt->code = MQTT_REASON_QUOTA_EXCEEDED;
        return AUTHN_DENY; /* P5 */
    }
    exchange->desk = broker->plugins;
    attempt->state = exchange;
    attempt->free_state = free_exchange;
    return ask_authn(broker, attempt, 0);
}

static void authn_answered(struct plugin_desk *desk, struct authn_attempt *attempt, unsigned asked,
                           enum smq_decision decision, const struct smq_answer *answer)
{
    struct authn_handle handle = attempt->handle;
    enum authn_answer result;

    if (decision == SMQ_NEXT && attempt->round == 0) {
        exchange_over(attempt->state);
        result = ask_authn(desk->broker, attempt, asked + 1);
    } else {
        result = settle(attempt, &desk->plugins->list[asked], decision, answer);
    }
    if (result != AUTHN_WAIT)
        authn_complete(desk->broker, handle, result);
}

/* ---- may it do that? ---- */

static char *append(char *at, struct smq_text *text)
{
    if (text->len != 0) /* one that is not there stays so */
        memcpy(at, text->data, text->len);
    if (text->data != NULL)
        text->data = at;
    return at + text->len;
}

/* Keeps what the next plug-ins are to be asked. False: no memory. */
static bool keep_question(struct plugin_wait *wait, const struct smq_authorization *question)
{
    const struct smq_client *client = question->client;
    char *at = mem_try_alloc(client->client_identifier.len + client->username.len +
                             client->listener.len + question->topic.len + 1);

    if (at == NULL)
        return false;
    wait->bytes = at;
    wait->client = *client;
    wait->question = *question;
    wait->question.client = &wait->client;
    wait->question.call = NULL;
    at = append(at, &wait->client.client_identifier);
    at = append(at, &wait->client.username);
    at = append(at, &wait->client.listener);
    append(at, &wait->question.topic);
    return true;
}

/* Asks the plug-ins from that index on. `handle`: of the question if it waits already, or NULL; then `begin` makes it
 * wait, if it can. */
static enum authz_answer ask_authz(struct plugin_desk *desk, struct smq_authorization *question,
                                   unsigned from, const struct authz_question *begin,
                                   const struct authz_handle *handle, struct authz_reason *reason)
{
    for (unsigned i = from; i < desk->plugins->count; i++) {
        const struct plugin *plugin = &desk->plugins->list[i];
        struct smq_answer answer = {.struct_size = sizeof(answer)};
        struct smq_call call = {.desk = desk,
                                .may_wait = handle != NULL ||
                                            (begin->connection != NULL && !begin->at_once)};
        enum smq_decision decision;
        uint64_t began_ns;

        if (plugin->hooks.authorize == NULL)
            continue;
        question->call = &call;
        began_ns = plugin_message_hook_begins(desk);
        decision = plugin->hooks.authorize(plugin->self, desk->states[i], question, &answer);
        plugin_hook_over(desk, plugin, "authorize", began_ns);
        decision = plugin_decided(&call, plugin, decision);
        if (decision == SMQ_NEXT)
            continue;
        if (decision == SMQ_ALLOW)
            return AUTHZ_ALLOW;
        if (decision == SMQ_DEFER) {
            call.wait->about = PLUGIN_ASKS_AUTHZ;
            if (handle != NULL)
                call.wait->authz = *handle;
            if (keep_question(call.wait, question) &&
                (handle != NULL || authz_wait_begin(desk->broker, begin, &call.wait->authz)))
                return AUTHZ_WAIT;
            plugin_wait_end(call.wait);
            answer.text = "there is no memory for waiting"; /* P5 */
        }
        plugin_name_rule(plugin, answer.text, reason->rule, sizeof(reason->rule));
        return AUTHZ_DENY;
    }
    return AUTHZ_IGNORE;
}

static bool authz_configured(const struct broker *broker)
{
    return (broker->plugin_hooks & PLUGIN_AUTHORIZE) != 0;
}

static enum authz_answer authz_ask_plugins(struct broker *broker,
                                           const struct authz_question *question,
                                           struct authz_reason *reason)
{
    struct smq_client client;
    struct smq_authorization asked = {
        .struct_size = sizeof(asked),
        .client = &client,
        .action = question->action == AUTHZ_PUBLISH ? SMQ_PUBLISH : SMQ_SUBSCRIBE,
        .topic = plugin_text(question->topic),
        .qos = question->qos,
        .retain = question->retain,
    };

    plugin_describe(broker, question->connection, &question->peer, question->client_identifier,
                    question->username, &client);
    return ask_authz(broker->plugins, &asked, 0, question, NULL, reason);
}

const struct authz_link authz_plugins_link = {
    .name = "plugins", .configured = authz_configured, .ask = authz_ask_plugins};

static void authz_answered(struct plugin_desk *desk, struct plugin_wait *wait,
                           enum smq_decision decision, const struct smq_answer *answer)
{
    struct authz_reason reason = {0};
    struct authz_handle handle = wait->authz;
    enum authz_answer result;

    switch (decision) {
    case SMQ_ALLOW:
        result = AUTHZ_ALLOW;
        break;
    case SMQ_NEXT:
        result = ask_authz(desk, &wait->question, wait->asked + 1, NULL, &handle, &reason);
        break;
    default:
        result = AUTHZ_DENY;
        plugin_name_rule(&desk->plugins->list[wait->asked], answer->text, reason.rule,
                         sizeof(reason.rule));
        break;
    }
    plugin_wait_end(wait);
    if (result != AUTHZ_WAIT)
        authz_complete(desk->broker, handle, result, reason.rule);
}

void plugin_answered(struct plugin_wait *wait, enum smq_decision decision,
                     const struct smq_answer *answer)
{
    struct plugin_desk *desk = wait->desk;
    struct authn_handle handle = wait->authn;
    unsigned asked = wait->asked;
    struct authn_attempt *attempt;

    if (wait->about == PLUGIN_ASKS_AUTHZ) {
        authz_answered(desk, wait, decision, answer);
        return;
    }
    attempt = authn_find(desk->broker, handle);
    ASSERT(attempt != NULL); /* its end would have been the wait's */
    ((struct exchange *)attempt->state)->wait = NULL;
    plugin_wait_end(wait);
    authn_answered(desk, attempt, asked, decision, answer);
}
