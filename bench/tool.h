/* SPDX-License-Identifier: MIT
 *
 * tool - `shardmq pub`, `sub` and `conn`: the client for the command line, for any MQTT broker.
 */
#ifndef SHARDMQ_BENCH_TOOL_H
#define SHARDMQ_BENCH_TOOL_H

/* How the tools end; part of their interface, as the manual has it. A status of 128 or more is the reason code of MQTT
 * 5.0 (2.4) with which the broker refused the connection, a subscription or a message, or ended the connection;
 * return codes of 3.1 and 3.1.1 come as the reason codes that say the same. */
enum tool_status {
#define STATUS(name, number, text) TOOL_##name = number,
#include "bench/tool_statuses.def"
#undef STATUS
};

/* Run a tool. argv[0] is its name; options follow. They return an enum tool_status or a reason code, to be used as
 * the exit status. */
int tool_pub_main(int argc, char **argv);
int tool_sub_main(int argc, char **argv);
int tool_conn_main(int argc, char **argv);

#endif
