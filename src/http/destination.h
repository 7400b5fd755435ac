/* SPDX-License-Identifier: MIT
 *
 * destination - where requests of the broker's own may go, by address.
 *
 * A URL in a configuration, or a name that its owner lets point elsewhere, must not make the broker ask services that
 * only this machine can reach: those on loopback, and the metadata services of clouds, which give credentials to
 * whoever asks from inside (server-side request forgery). What counts is the address that is connected to, so it is
 * looked at after every resolution, whatever the URL looked like.
 *
 * Private networks (RFC 1918, fc00::/7) are where backends are: they are allowed.
 */
#ifndef SHARDMQ_HTTP_DESTINATION_H
#define SHARDMQ_HTTP_DESTINATION_H

#include "base/network.h"

struct sockaddr;

#define DESTINATION_NETWORKS_MAX 32u

/* What is allowed in spite of that. Class: boot. Zeroed: nothing. */
struct destination_policy {
    unsigned count;
    struct network allowed[DESTINATION_NETWORKS_MAX];
};

/* NULL when that address, AF_INET or AF_INET6, may be connected to; else what it is, "a loopback address". */
const char *destination_refused(const struct destination_policy *policy,
                                const struct sockaddr *address);

#endif
