/* SPDX-License-Identifier: MIT
 *
 * plugins_tell - the hooks that are told what happened, and the one that looks at messages.
 */
#include "broker/plugins_priv.h"

/* Calls `hook` of every plug-in that has it, with `argument`. */
#define TELL_ALL(desk, hook, argument)                                                             \
    for (unsigned i_ = 0; i_ < (desk)->plugins->count; i_++) {                                     \
        const struct plugin *plugin_ = &(desk)->plugins->list[i_];                                 \
        uint64_t began_;                                                                           \
                                                                                                   \
        if (plugin_->hooks.hook == NULL)                                                           \
            continue;                                                                              \
        began_ = plugin_hook_begins();                                                             \
        plugin_->hooks.hook(plugin_->self, (desk)->states[i_], argument);                          \
        plugin_hook_over(desk, plugin_, #hook, began_);                                            \
    }

/* Asks them all about the message of that client. */
static enum mqtt_reason ask_all(struct plugin_desk *desk, const struct smq_client *client,
                                const struct publication *publication, bool will, char *rule,
                                size_t size)
{
    const struct smq_publication message = {
        .struct_size = sizeof(message),
        .client = client,
        .topic = plugin_text(publication->topic),
        .payload = plugin_text(publication->payload),
        .properties = plugin_text(publication->props),
        .qos = publication->qos,
        .retain = publication->retain,
        .will = will,
    };

    for (unsigned i = 0; i < desk->plugins->count; i++) {
        const struct plugin *plugin = &desk->plugins->list[i];
        struct smq_answer answer = {.struct_size = sizeof(answer)};
        enum smq_decision decision;
        uint64_t began_ns;

        if (plugin->hooks.publish == NULL)
            continue;
        began_ns = plugin_message_hook_begins(desk);
        decision = plugin->hooks.publish(plugin->self, desk->states[i], &message, &answer);
        plugin_hook_over(desk, plugin, "publish", began_ns);
        if (decision == SMQ_NEXT || decision == SMQ_ALLOW)
            continue;
        plugin_name_rule(plugin, decision == SMQ_DENY ? answer.text : "it cannot put this off",
                         rule, size); /* P5 */
        return answer.reason >= MQTT_REASON_UNSPECIFIED_ERROR && answer.reason <= UINT8_MAX
                   ? (enum mqtt_reason)answer.reason
                   : MQTT_REASON_NOT_AUTHORIZED;
    }
    return MQTT_REASON_SUCCESS;
}

enum mqtt_reason plugins_publish(struct broker *broker, const struct session *session,
                                 const struct connection *connection,
                                 const struct publication *publication, char *rule, size_t size)
{
    struct smq_client client;

    plugin_describe_session(broker, session, connection, &client);
    return ask_all(broker->plugins, &client, publication, false, rule, size);
}

enum mqtt_reason plugins_publish_will(struct broker *broker, const struct author *author,
                                      uint8_t version, const struct publication *publication,
                                      char *rule, size_t size)
{
    struct smq_client client;

    plugin_describe(broker, NULL, &author->peer, author_client_identifier(author),
                    author_username(author), &client);
    client.version = version;
    return ask_all(broker->plugins, &client, publication, true, rule, size);
}

void plugins_connected(struct broker *broker, const struct session *session, bool session_present)
{
    struct plugin_desk *desk = broker->plugins;
    struct smq_client client;
    struct smq_connection event = {
        .struct_size = sizeof(event),
        .client = &client,
        .keep_alive_s = session->keep_alive_s,
        .clean_start = session->clean_start,
        .session_present = session_present,
    };

    plugin_describe_session(broker, session, session->connection, &client);
    TELL_ALL(desk, connect, &event);
}

void plugins_disconnected(struct broker *broker, const struct session *session,
                          const struct connection *connection)
{
    struct plugin_desk *desk = broker->plugins;
    struct smq_client client;
    struct smq_disconnection event = {
        .struct_size = sizeof(event),
        .client = &client,
        .reason = connection->lost ? MQTT_REASON_UNSPECIFIED_ERROR : connection->end_reason,
    };

    plugin_describe_session(broker, session, connection, &client);
    TELL_ALL(desk, disconnect, &event);
}

void plugins_subscribed(struct broker *broker, const struct session *session, struct span filter,
                        uint8_t qos)
{
    struct plugin_desk *desk = broker->plugins;
    struct smq_client client;
    struct smq_subscription event = {
        .struct_size = sizeof(event), .client = &client, .filter = plugin_text(filter), .qos = qos};

    plugin_describe_session(broker, session, session->connection, &client);
    TELL_ALL(desk, subscribe, &event);
}

void plugins_unsubscribed(struct broker *broker, const struct session *session, struct span filter)
{
    struct plugin_desk *desk = broker->plugins;
    struct smq_client client;
    struct smq_subscription event = {
        .struct_size = sizeof(event), .client = &client, .filter = plugin_text(filter)};

    plugin_describe_session(broker, session, session->connection, &client);
    TELL_ALL(desk, unsubscribe, &event);
}
