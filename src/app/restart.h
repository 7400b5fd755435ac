/* SPDX-License-Identifier: MIT
 *
 * restart - the broker ends and starts again as the same process, with the same command line.
 *
 * The process stays, so that whoever looks after it (a shell, a service manager, a container) need not know: the pid
 * file keeps its number, and a broker in the background needs no second fork. The program is looked up anew under
 * the path that it had, so that a new version of it takes over.
 */
#ifndef SHARDMQ_APP_RESTART_H
#define SHARDMQ_APP_RESTART_H

#include "app/cli.h"

/* Whether the broker would start again with this command line: the configuration is good as a whole, and nothing in it
 * needs rights that the process gave up, or never had. If not, a sentence is in `why`. */
bool restart_possible(const struct cli *cli, char *why, size_t size);

/* True when the configuration names another pid file now: the old one is then to be removed. */
bool restart_moves_pid_file(const struct cli *cli, const struct conf *running);

/* Runs the program again. Returns, with an exit status, only when that fails. */
int restart_now(int argc, char **argv);

/* True, once, in the process that restart_now() made. */
bool restart_was_asked(void);

#endif
