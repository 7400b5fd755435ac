/* SPDX-License-Identifier: MIT
 *
 * tool_url - the address of a broker in one word.
 *
 *   scheme://[user[:password]@]host[:port][/rest]
 *   unix:///path                                    the host is then the path
 *
 * The schemes are those of NanoMQ (mqtt-tcp, tls+mqtt-tcp, nmq-ws ...), of mosquitto (mqtt, mqtts, ws, wss) and the
 * usual others (tcp, ssl, tls). User, password and rest are percent-decoded (RFC 3986, 2.1); an IPv6 address stands
 * in brackets.
 */
#ifndef SHARDMQ_BENCH_TOOL_URL_H
#define SHARDMQ_BENCH_TOOL_URL_H

#include "bench/tool_options.h"

/* The parts, decoded, each with a final NUL. NULL: the address does not have it. */
struct tool_url {
    enum transport_kind transport;
    const char *username, *password, *host, *rest; /* rest without the first slash */
    uint16_t port;                                 /* 0: not named */
};

/* Takes `text` apart into spaces of to[0 .. size), which is to be as long as the text with 5 more. False with a
 * sentence in `error`. */
bool tool_url_parse(const char *text, struct tool_url *url, char *to, size_t size, char *error,
                    size_t error_size);

#endif
