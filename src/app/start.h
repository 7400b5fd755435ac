/* SPDX-License-Identifier: MIT
 *
 * start - the commands of the broker. Each takes the command's name as argv[0] and returns the exit status.
 */
#ifndef SHARDMQ_APP_START_H
#define SHARDMQ_APP_START_H

int command_start(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_restart(int argc, char **argv);
int command_reload(int argc, char **argv);

#endif
