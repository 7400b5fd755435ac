/* SPDX-License-Identifier: MIT
 *
 * proxy - the PROXY protocol of HAProxy, versions 1 and 2: who a client is that a proxy connects for.
 */
#ifndef SHARDMQ_SHARDS_PROXY_H
#define SHARDMQ_SHARDS_PROXY_H

#include "base/network.h"
#include "shards/conn_io.h"

#define PROXY_HEADER_MAX                                                                           \
    1040u /* of a header; version 2 may have so much of things that are not looked at */
#define PROXIES_MAX 32u

/* Networks. Class: boot. */
struct proxy_list {
    unsigned count;
    struct network networks[PROXIES_MAX];
};

/* Reads "10.0.0.0/8, ::1". False when one is not an address or a network, or there are too many. */
bool proxy_list_read(struct proxy_list *list, const char *text);
/* Whether the address, AF_INET or AF_INET6, is in one of them. */
bool proxy_list_has(const struct proxy_list *list, uint8_t family, const uint8_t *address);
/* Whether a socket's peer is. */
bool proxy_known(const struct proxy_list *list, int fd);

enum proxy_found { PROXY_INCOMPLETE, PROXY_COMPLETE, PROXY_REFUSED };

/* Reads the header that data[0 .. len) begins with: *used bytes. Sets *peer when it says who the client is; for a
 * connection of the proxy's own (LOCAL, UNKNOWN) it stays as it was. */
enum proxy_found proxy_read(const uint8_t *data, size_t len, size_t *used, struct conn_peer *peer);

#endif
