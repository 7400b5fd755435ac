/* SPDX-License-Identifier: MIT
 *
 * url - the URL of a request that is to be made (RFC 3986): http or https, and nothing else.
 */
#ifndef SHARDMQ_HTTP_URL_H
#define SHARDMQ_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define URL_HOST_BYTES   256u /* with its terminator */
#define URL_TARGET_BYTES 1024u

/* Class: boot. */
struct http_url {
    bool tls;                      /* https */
    bool ipv6;                     /* the host is an IPv6 address, here without its brackets */
    uint16_t port;                 /* 80 or 443 when the URL names none */
    char host[URL_HOST_BYTES];     /* a name or an address */
    char target[URL_TARGET_BYTES]; /* path and query as they are sent; at least "/" */
    bool query;                    /* `target` has one */
};

/* Reads a URL. False, with a sentence without the URL in `why`, when it is none, is of another scheme, has a user name (a
 * password in a URL is seen by whoever sees the configuration) or a fragment, or has a character that must be encoded. */
bool http_url_parse(const char *text, struct http_url *url, char *why, size_t size);

#endif
