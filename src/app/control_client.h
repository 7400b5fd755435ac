/* SPDX-License-Identifier: MIT
 *
 * control_client - asks a running broker through its control socket.
 */
#ifndef SHARDMQ_APP_CONTROL_CLIENT_H
#define SHARDMQ_APP_CONTROL_CLIENT_H

/* Has the broker read its configuration again (`file`: another one; NULL: the one it has) and prints what came
 * of it. Returns the exit status. */
int ask_reload(const char *socket_path, const char *file);

/* Asks a running broker to start again in its place. 1: it does; 0: it says why it does not, which is printed; -1: nobody
 * answers. */
int ask_restart(const char *socket_path);

#endif
