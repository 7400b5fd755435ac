/* SPDX-License-Identifier: MIT
 *
 * proxy - the PROXY protocol (haproxy.org, doc/proxy-protocol.txt, sections 2.1 and 2.2).
 *
 *   1   "PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\n", at most 107 bytes
 *   2   signature, version and command, family, length; addresses; more that is not looked at
 */
#include "shards/proxy.h"

#include "base/endian.h"
#include "conf/conf.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define LINE_MAX_1 107u
#define HEAD_2     16u

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* ---- who is a proxy ---- */

bool proxy_list_read(struct proxy_list *list, const char *text)
{
    char item[64];

    list->count = 0;
    while (conf_list_next(&text, item, sizeof(item))) {
        if (list->count == PROXIES_MAX || !network_parse(item, &list->networks[list->count]))
            return false;
        list->count++;
    }
    return *text == '\0';
}

bool proxy_list_has(const struct proxy_list *list, uint8_t family, const uint8_t *address)
{
    uint8_t mapped[16];

    if (!network_map(family, address, mapped))
        return false;
    for (unsigned i = 0; i < list->count; i++)
        if (network_has(&list->networks[i], mapped))
            return true;
    return false;
}

bool proxy_known(const struct proxy_list *list, int fd)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);

    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0)
        return false;
    if (peer.ss_family == AF_INET)
        return proxy_list_has(list, AF_INET,
                              (const uint8_t *)&((const struct sockaddr_in *)&peer)->sin_addr);
    return proxy_list_has(list, (uint8_t)peer.ss_family,
                          (const uint8_t *)&((const struct sockaddr_in6 *)&peer)->sin6_addr);
}

/* ---- version 1 ---- */

/* The n-th word of a line, 0 is the first; false when it is empty or too long. */
static bool word(const char *line, unsigned n, char *to, size_t size)
{
    size_t len;

    for (; n != 0; n--) {
        line = strchr(line, ' ');
        if (line == NULL)
            return false;
        line++;
    }
    len = strcspn(line, " ");
    if (len == 0 || len >= size)
        return false;
    memcpy(to, line, len);
    to[len] = '\0';
    return true;
}

static bool read_port(const char *text, uint16_t *port)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    *port = (uint16_t)number;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && number <= UINT16_MAX;
}

static enum proxy_found read_line(const char *line, struct conn_peer *peer)
{
    char protocol[8], address[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN], ports[2][8],
        more[2];
    struct conn_peer from = {0};
    uint8_t ignored[16];
    uint16_t port;

    if (!word(line, 1, protocol, sizeof(protocol)))
        return PROXY_REFUSED;
    if (strcmp(protocol, "UNKNOWN") == 0)
        return PROXY_COMPLETE;
    from.family = strcmp(protocol, "TCP4") == 0 ? AF_INET : AF_INET6;
    if ((from.family == AF_INET6 && strcmp(protocol, "TCP6") != 0) ||
        !word(line, 2, address, sizeof(address)) ||
        !word(line, 3, destination, sizeof(destination)) ||
        !word(line, 4, ports[0], sizeof(ports[0])) || !word(line, 5, ports[1], sizeof(ports[1])) ||
        word(line, 6, more, sizeof(more)) || inet_pton(from.family, address, from.address) != 1 ||
        inet_pton(from.family, destination, ignored) != 1 || !read_port(ports[0], &from.port) ||
        !read_port(ports[1], &port))
        return PROXY_REFUSED;
    *peer = from;
    return PROXY_COMPLETE;
}

static enum proxy_found read_version_1(const uint8_t *data, size_t len, size_t *used,
                                       struct conn_peer *peer)
{
    size_t looked = len < LINE_MAX_1 ? len : LINE_MAX_1;
    const uint8_t *end = memmem(data, looked, "\r\n", 2);
    char line[LINE_MAX_1 + 1];

    if (memcmp(data, "PROXY ", len < 6 ? len : 6) != 0)
        return PROXY_REFUSED;
    if (end == NULL)
        return looked == LINE_MAX_1 ? PROXY_REFUSED : PROXY_INCOMPLETE;
    *used = (size_t)(end - data) + 2;
    memcpy(line, data, *used - 2);
    line[*used - 2] = '\0';
    return strlen(line) == *used - 2 ? read_line(line, peer) : PROXY_REFUSED;
}

/* ---- version 2 ---- */

/* What comes behind the addresses: elements of type, length and value. Nothing here makes use of one (the names in a
 * proxy's TLS element are whatever its peer sent), but a length that does not fit is no header. */
static bool elements_fit(const uint8_t *data, size_t len)
{
    while (len >= 3) {
        size_t size = 3 + (size_t)get_be16(data + 1);

        if (size > len)
            return false;
        data += size;
        len -= size;
    }
    return len == 0;
}

static enum proxy_found read_version_2(const uint8_t *data, size_t len, size_t *used,
                                       struct conn_peer *peer)
{
    unsigned version = data[12] >> 4, command = data[12] & 15, protocol = data[13];
    size_t size = get_be16(data + 14);
    const uint8_t *body = data + HEAD_2;

    if (version != 2 || command > 1 || HEAD_2 + size > PROXY_HEADER_MAX)
        return PROXY_REFUSED;
    if (len < HEAD_2 + size)
        return PROXY_INCOMPLETE;
    *used = HEAD_2 + size;
    if (command == 0 || protocol >> 4 == 0) /* LOCAL, or a family of its own */
        return PROXY_COMPLETE;
    if (protocol == 0x11 && size >= 12 && elements_fit(body + 12, size - 12)) {
        *peer = (struct conn_peer){.family = AF_INET, .port = get_be16(body + 8)};
        memcpy(peer->address, body, 4);
        return PROXY_COMPLETE;
    }
    if (protocol == 0x21 && size >= 36 && elements_fit(body + 36, size - 36)) {
        *peer = (struct conn_peer){.family = AF_INET6, .port = get_be16(body + 32)};
        memcpy(peer->address, body, 16);
        return PROXY_COMPLETE;
    }
    return PROXY_REFUSED;
}

enum proxy_found proxy_read(const uint8_t *data, size_t len, size_t *used, struct conn_peer *peer)
{
    if (len == 0)
        return PROXY_INCOMPLETE;
    if (memcmp(data, signature, len < sizeof(signature) ? len : sizeof(signature)) != 0)
        return read_version_1(data, len, used, peer);
    return len < HEAD_2 ? PROXY_INCOMPLETE : read_version_2(data, len, used, peer);
}
