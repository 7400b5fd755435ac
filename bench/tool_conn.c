/* SPDX-License-Identifier: MIT
 *
 * tool_conn - `shardmq conn`: connects and stays, until it is interrupted or --timeout has passed.
 */
#include "bench/tool_engine.h"

/* Once all are connected, the timeout is no failure but the time to go. */
static void conn_online(struct tool *tool, struct tool_client *client, bool first,
                        bool session_present)
{
    (void)client;
    (void)first;
    (void)session_present;
    for (uint64_t i = 0; i < tool->client_count; i++) {
        if (!tool->clients[i].was_online) {
            return;
        }
    }
    tool->timeout_is_good = true;
}

static const struct tool_role role = {.online = conn_online};

int tool_conn_main(int argc, char **argv)
{
    struct tool_options options;
    int status = tool_begin(&options, TOOL_CONN, argc, argv);

    if (status < 0) {
        status = tool_run(&options, &role, NULL);
    }
    tool_options_release(&options);
    return status;
}
