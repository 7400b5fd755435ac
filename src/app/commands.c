/* SPDX-License-Identifier: MIT */
#include "app/commands.h"

#include "app/cli.h"
#include "app/passwd.h"
#include "base/check.h"
#include "bench/options.h"
#include "bench/tool_options.h"

#include <string.h>

static struct command table[] = {
    {.words = "start",
     .page = "shardmq",
     .synopsis = "[options]",
     .purpose = "start the broker, in the foreground without -d"},
    {.words = "restart",
     .page = "shardmq",
     .synopsis = "[options]",
     .purpose = "end the running broker, if there is one, and start it"},
    {.words = "stop",
     .page = "shardmq",
     .synopsis = "[options]",
     .purpose = "end the running broker and wait until it is gone"},
    {.words = "reload",
     .page = "shardmq",
     .synopsis = "[options]",
     .purpose = "make the running broker read its configuration again"},
    {.words = "pub",
     .page = "shardmq-pub",
     .synopsis = "[start] [URL] -t TOPIC [options]",
     .purpose = "publish MQTT messages",
     .bit = TOOL_PUB},
    {.words = "sub",
     .page = "shardmq-sub",
     .synopsis = "[start] [URL] -t FILTER [options]",
     .purpose = "subscribe to MQTT topics and print the messages",
     .bit = TOOL_SUB},
    {.words = "conn",
     .page = "shardmq-conn",
     .synopsis = "[start] [URL] [options]",
     .purpose = "connect to an MQTT broker and stay connected",
     .bit = TOOL_CONN},
    {.words = "passwd",
     .page = "shardmq-passwd",
     .synopsis = "[options] FILE [USER [PASSWORD]]",
     .purpose = "manage the users of a password file",
     .bit = 1},
    {.words = "bench pub",
     .page = "shardmq-bench",
     .synopsis = "-t TOPIC [options]",
     .purpose = "load a broker with clients that publish",
     .bit = PUB},
    {.words = "bench sub",
     .page = "shardmq-bench",
     .synopsis = "-t FILTER [options]",
     .purpose = "load a broker with clients that subscribe",
     .bit = SUB},
    {.words = "bench conn",
     .page = "shardmq-bench",
     .synopsis = "[options]",
     .purpose = "load a broker with clients that only connect",
     .bit = CONN},
    {.words = "bench run",
     .page = "shardmq-bench",
     .synopsis = "SCENARIO [options]",
     .purpose = "run a self-contained measurement that checks every message",
     .bit = RUN},
};

static void fill(struct command *command)
{
    if (strncmp(command->words, "bench ", 6) == 0) {
        command->rows = options_rows((enum bench_command)command->bit, &command->count);
    } else if (strcmp(command->words, "passwd") == 0) {
        command->rows = passwd_rows(&command->count);
    } else if (strcmp(command->page, "shardmq") == 0) {
        bool starts =
            strcmp(command->words, "start") == 0 || strcmp(command->words, "restart") == 0;

        command->rows = cli_option_rows(starts, &command->count, &command->bit);
    } else {
        command->rows = tool_rows(&command->count);
    }
}

const struct command *commands(size_t *count)
{
    *count = ARRAY_LENGTH(table);
    for (size_t i = 0; i < *count; i++)
        fill(&table[i]);
    return table;
}

const char *command_heading(const struct command *command, size_t index)
{
    size_t tools;

    return command->rows == tool_rows(&tools) ? tool_heading(index) : NULL;
}
