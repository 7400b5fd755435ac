/* SPDX-License-Identifier: MIT
 *
 * listen - the listening sockets: one per address and shard, joined by SO_REUSEPORT; of a UNIX socket the shards have
 * copies of one.
 */
#ifndef SHARDMQ_SHARDS_LISTEN_H
#define SHARDMQ_SHARDS_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "shards/listen_unix.h"

struct conf;
struct conf_listener;
struct door;
struct machine;

/* An address that is listened on. Class: boot once its set is given out, but for `sockets`. */
struct listener_place {
    uint64_t serial; /* its name as long as its sockets are open; never used again */
    struct door *door;
    struct sockaddr_storage address; /* with the port that the kernel chose, if it did */
    socklen_t address_size;
    struct listen_file file; /* of a UNIX socket */
    unsigned socket_count;
    int *
        sockets; /* that shards are to take: n is for shard n % shards. -1: there is none, or it was taken */
};

/* All of them. Class: boot once it is given out. */
struct listener_set {
    unsigned first, shards; /* for the shards first .. first + shards - 1 */
    uint64_t next_serial;
    unsigned count;
    struct listener_place places[];
};

/* Opens what the configuration wants and `former` has not: the sockets listen, and nobody accepts yet. `former` is NULL
 * at the start; it stays as it is, its places go on with the same address whatever their names and rules are now. NULL
 * and a sentence in `why` when a port cannot be had or a file is not good: nothing has changed then. */
struct listener_set *listeners_open(const struct machine *machine, const struct conf *conf,
                                    const struct listener_set *former, char *why, size_t size);
/* The same for the HTTP API, on the control shard alone; empty when http_server.enable is false. */
struct listener_set *listeners_open_service(const struct machine *machine, const struct conf *conf,
                                            const struct listener_set *former, char *why,
                                            size_t size);
/* Closes the sockets that no shard has taken over. NULL is ignored. */
void listeners_close(struct listener_set *set);

/* The set gives way to `next` (NULL: to none): removes the files of its UNIX sockets that are not in that one, and gives the
 * others the owner and mode that they are to have now. */
void listeners_settle_files(const struct listener_set *set, const struct listener_set *next);

/* "listening on tcp://127.0.0.1:1883", "listening on ws://127.0.0.1:8083/mqtt", a line each (http and https of the API), for
 * those that `former` has not: to the log, and to the file unless it is NULL. */
void listeners_print(const struct listener_set *set, const struct listener_set *former, FILE *to);
/* Writes that URL. */
void listener_describe(const struct listener_place *place, char *to, size_t size);

/* Gives an open socket the options of a listener, also those that are back to their defaults: its connections inherit
 * them. 0, or -1 with errno. */
int listen_again(int socket, const struct conf_listener *options);

/* Before a restart, when the shards have ended: leaves a socket open for the program that is executed next. */
void listeners_pass(const struct door *door, unsigned number, int socket);
/* All listeners are open: closes what was left by the program that ran before in this process and is not wanted. */
void listeners_opened(void);

#endif
