/* SPDX-License-Identifier: MIT
 *
 * short_topics - the smallest plug-in, in C++: nobody uses a topic of more than 100 bytes.
 */
#include <shardmq/plugin.h>

static enum smq_decision authorize(void *, void *, const struct smq_authorization *question,
                                   struct smq_answer *answer)
{
    if (question->topic.len <= 100)
        return SMQ_NEXT;
    answer->text = "a long topic";
    return SMQ_DENY;
}

SMQ_PLUGIN_EXPORT const struct smq_plugin *shardmq_plugin(void)
{
    static struct smq_plugin plugin = SMQ_PLUGIN_INIT;

    plugin.name = "short-topics";
    plugin.version = "1.0";
    plugin.authorize = authorize;
    return &plugin;
}
