/* SPDX-License-Identifier: MIT
 *
 * login - enhanced authentication of the tools' clients: --auth-method SCRAM-SHA-256 (auth/scram.h). The password that
 * is given is then not sent; whether the broker knows it is checked as well.
 */
#ifndef SHARDMQ_BENCH_LOGIN_H
#define SHARDMQ_BENCH_LOGIN_H

#include "shards/driver/client.h"

/* One exchange of one connection. Touched by one thread only. */
struct login;

/* What is wrong with these options, a sentence; NULL: nothing. `method` NULL: it is not asked for. */
const char *login_fault(const char *method, const char *username, const char *password,
                        bool is_version_5);

/* Begins an exchange: adds method and data to the packet, which refer to the login and are good until its next call, and
 * takes the password out. *login is made when it is NULL, and is the caller's. */
void login_begin(struct login **login, const char *username, struct connect_packet *packet);

/* Takes the broker's AUTH and CONNACK (and ignores other events). False: it was not what it should be, and the client was given up. */
bool login_event(struct login *login, struct client *client, const char *password,
                 const struct client_event *event);

/* Overwrites and frees; NULL is ignored. */
void login_end(struct login *login);

#endif
