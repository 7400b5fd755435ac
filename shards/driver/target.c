/* SPDX-License-Identifier: MIT */
#include "shards/driver/target.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

/* Takes the addresses of one family (AF_UNSPEC: those that are not IPv4). */
static void take_addresses(struct target *target, const struct addrinfo *found, bool v4)
{
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        struct target_address *to = &target->addresses[target->address_count];

        if ((at->ai_family == AF_INET) != v4 || target->address_count == TARGET_ADDRESSES_MAX)
            continue;
        memcpy(&to->address, at->ai_addr, at->ai_addrlen);
        to->len = at->ai_addrlen;
        target->address_count++;
    }
}

static bool take_path(struct target *target, const char *path, char *error, size_t error_size)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&target->addresses[0].address;

    if (strlen(path) >= sizeof(address->sun_path)) {
        snprintf(error, error_size, "the path of a UNIX socket has %zu bytes at most: %s",
                 sizeof(address->sun_path) - 1, path);
        return false;
    }
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, strlen(path) + 1);
    target->addresses[0].len = sizeof(*address);
    target->address_count = 1;
    return true;
}

bool target_resolve(struct target *target, const char *host, uint16_t port, char *error,
                    size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    bool v4_first = strcmp(host, "localhost") == 0;
    char service[16];
    int status;

    if (host[0] == '/')
        return take_path(target, host, error, error_size);
    snprintf(service, sizeof(service), "%u", port);
    status = getaddrinfo(host, service, &hints, &found);
    if (status != 0) {
        snprintf(error, error_size, "cannot find the host %s: %s", host, gai_strerror(status));
        return false;
    }
    target->address_count = 0;
    if (v4_first || found->ai_family == AF_INET) {
        take_addresses(target, found, true);
        take_addresses(target, found, false);
    } else {
        take_addresses(target, found, false);
        take_addresses(target, found, true);
    }
    freeaddrinfo(found);
    return true;
}

static bool parse_source(struct target_address *to, const char *text)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&to->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&to->address;

    memset(to, 0, sizeof(*to));
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        to->len = sizeof(*v4);
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        to->len = sizeof(*v6);
        return true;
    }
    return false;
}

static bool has_family(const struct target *target, sa_family_t family)
{
    for (uint32_t i = 0; i < target->address_count; i++) {
        if (target->addresses[i].address.ss_family == family)
            return true;
    }
    return false;
}

/* Addresses of the server that no source can reach would only be tried in vain. */
static void drop_other_families(struct target *target)
{
    sa_family_t family = target->sources[0].address.ss_family;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < target->address_count; i++) {
        if (target->addresses[i].address.ss_family == family)
            target->addresses[kept++] = target->addresses[i];
    }
    target->address_count = kept;
}

bool target_add_sources(struct target *target, const char *list, char *error, size_t error_size)
{
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        char text[INET6_ADDRSTRLEN];
        struct target_address source;

        snprintf(text, sizeof(text), "%.*s", (int)len, list);
        if (len >= sizeof(text) || !parse_source(&source, text)) {
            snprintf(error, error_size, "\"%.*s\" is not an IP address to send from",
                     (int)(len < 60 ? len : 60), list);
            return false;
        }
        if (!has_family(target, source.address.ss_family) ||
            (target->source_count > 0 &&
             target->sources[0].address.ss_family != source.address.ss_family)) {
            snprintf(error, error_size,
                     "the source address %s is of another family than the server's address", text);
            return false;
        }
        if (target->source_count == TARGET_SOURCES_MAX) {
            snprintf(error, error_size, "more than %u source addresses", TARGET_SOURCES_MAX);
            return false;
        }
        target->sources[target->source_count++] = source;
        list += len + (list[len] == ',');
    }
    if (target->source_count > 0)
        drop_other_families(target);
    return true;
}

void target_format(const struct target_address *address, char *to, size_t room)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->address;
    char text[INET6_ADDRSTRLEN] = "?";

    if (address->address.ss_family == AF_UNIX) {
        snprintf(to, room, "%s", ((const struct sockaddr_un *)&address->address)->sun_path);
    } else if (address->address.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
        snprintf(to, room, "[%s]:%u", text, ntohs(v6->sin6_port));
    } else {
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
        snprintf(to, room, "%s:%u", text, ntohs(v4->sin_port));
    }
}
