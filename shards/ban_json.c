/* SPDX-License-Identifier: MIT
 *
 * ban_json - one ban as JSON, for the API and for the file.
 */
#include "shards/bans.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/refuse.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *as;
    enum ban_kind kind;
} names[] = {
    {"clientid", BAN_CLIENT_IDENTIFIER},
    {"username", BAN_USERNAME},
    {"peerhost", BAN_ADDRESS},
    {"peerhost_net", BAN_ADDRESS},
};

const char *ban_as(const struct ban *ban)
{
    if (ban->kind == BAN_ADDRESS)
        return names[ban->prefix == 8 * ban->address_len ? 2 : 3].as;
    return names[ban->kind == BAN_USERNAME].as;
}

cJSON *ban_show(const struct ban *ban)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "as", ban_as(ban));
    cJSON_AddStringToObject(json, "who", ban->who);
    cJSON_AddStringToObject(json, "by", ban->by);
    cJSON_AddStringToObject(json, "reason", ban->reason);
    cJSON_AddNumberToObject(json, "at", (double)ban->at_s);
    if (ban->until_s == BAN_FOREVER)
        cJSON_AddStringToObject(json, "until", "infinity");
    else
        cJSON_AddNumberToObject(json, "until", (double)ban->until_s);
    return json;
}

void ban_free(struct ban *ban)
{
    if (ban == NULL)
        return;
    mem_free(ban->who);
    mem_free(ban->by);
    mem_free(ban->reason);
    mem_free(ban);
}

/* ---- reading ---- */

static bool read_kind(const cJSON *json, enum ban_kind *kind, char *error, size_t size)
{
    const char *as = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "as"));

    for (size_t i = 0; as != NULL && i < ARRAY_LENGTH(names); i++) {
        if (strcmp(as, names[i].as) == 0) {
            *kind = names[i].kind;
            return true;
        }
    }
    return refuse_with(error, size, "as: takes clientid, username, peerhost or peerhost_net");
}

/* An optional string. */
static bool read_text(const cJSON *json, const char *member, size_t most, const char *otherwise,
                      char **to, char *error, size_t size)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, member);

    if (item != NULL && !cJSON_IsString(item))
        return refuse_with(error, size, "%s: takes a string", member);
    if (item != NULL && strlen(item->valuestring) > most)
        return refuse_with(error, size, "%s: must not be longer than %zu bytes", member, most);
    *to = mem_strdup(item != NULL ? item->valuestring : otherwise);
    return true;
}

/* "192.0.2.1", "192.0.2.0/24", "2001:db8::/32". */
static bool parse_network(const char *text, struct ban *ban)
{
    char host[64];
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    struct peer_address peer = {.family = AF_INET};
    unsigned long bits;
    char *end;

    if (len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, peer.bytes) != 1) {
        peer.family = AF_INET6;
        if (inet_pton(AF_INET6, host, peer.bytes) != 1)
            return false;
    }
    ban->address_len = (uint8_t)banned_address_bytes(&peer, ban->address);
    bits = 8 * ban->address_len;
    if (slash != NULL) {
        bits = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > 128)
            return false;
        if (peer.family == AF_INET6 &&
            ban->address_len == 4) { /* of an IPv4 address in IPv6's form */
            if (bits < 96)
                return false;
            bits -= 96;
        }
    }
    if (bits > 8u * ban->address_len)
        return false;
    ban->prefix = (uint8_t)bits;
    banned_mask(ban->address, ban->address_len, ban->prefix);
    return true;
}

/* In the one form that it is compared and shown in. */
static char *print_network(const struct ban *ban)
{
    char text[64] = "";
    size_t len;

    inet_ntop(ban->address_len == 4 ? AF_INET : AF_INET6, ban->address, text, sizeof(text));
    len = strlen(text);
    if (ban->prefix != 8 * ban->address_len)
        snprintf(text + len, sizeof(text) - len, "/%u", ban->prefix);
    return mem_strdup(text);
}

static bool read_who(const cJSON *json, struct ban *ban, char *error, size_t size)
{
    const char *who = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "who"));

    if (who == NULL)
        return refuse_with(error, size, "who: takes a string");
    if (ban->kind == BAN_ADDRESS) {
        if (!parse_network(who, ban))
            return refuse_with(error, size,
                               "who: takes an address or a network, as 192.0.2.1, 192.0.2.0/24 or "
                               "2001:db8::/32");
        ban->who = print_network(ban);
        return true;
    }
    if (strlen(who) > BAN_WHO_MAX)
        return refuse_with(error, size, "who: must not be longer than %u bytes", BAN_WHO_MAX);
    if (ban->kind == BAN_CLIENT_IDENTIFIER && who[0] == '\0')
        return refuse_with(error, size, "who: must not be empty");
    ban->who = mem_strdup(who);
    return true;
}

/* A time of RFC 3339: 2026-01-31T23:59:59Z, or with +01:00 behind it; fractions of a second are dropped. */
static bool parse_time(const char *text, uint64_t *seconds)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    int hours = 0, minutes = 0, used = 0;
    long long offset = 0, at;

    if (rest == NULL)
        return false;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if ((*rest == '+' || *rest == '-') &&
        sscanf(rest + 1, "%2d:%2d%n", &hours, &minutes, &used) == 2 && used == 5) {
        offset = (hours * 60LL + minutes) * (*rest == '-' ? -60 : 60);
        rest += 6;
    } else if (*rest == 'Z' || *rest == 'z') {
        rest++;
    } else {
        return false;
    }
    at = (long long)timegm(&tm) - offset;
    *seconds = at > 0 ? (uint64_t)at : 0;
    return *rest == '\0' && at >= 0;
}

static bool read_time(const cJSON *json, const char *member, uint64_t otherwise, uint64_t *to,
                      char *error, size_t size)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, member);

    *to = otherwise;
    if (item == NULL || cJSON_IsNull(item))
        return true;
    if (cJSON_IsString(item) && strcmp(item->valuestring, "infinity") == 0 &&
        strcmp(member, "until") == 0) {
        *to = BAN_FOREVER;
        return true;
    }
    if (cJSON_IsString(item) && parse_time(item->valuestring, to))
        return true;
    if (cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= 9e12 &&
        (double)(uint64_t)item->valuedouble == item->valuedouble) {
        *to = (uint64_t)item->valuedouble;
        return true;
    }
    return refuse_with(error, size,
                       "%s: takes seconds since 1970, or a time as 2026-01-31T23:59:59Z%s", member,
                       strcmp(member, "until") == 0 ? ", or \"infinity\"" : "");
}

static bool read_all(const cJSON *json, const char *by_default, uint64_t now_s, struct ban *ban,
                     char *error, size_t size)
{
    if (!cJSON_IsObject(json))
        return refuse_with(error, size, "a ban is an object");
    return read_kind(json, &ban->kind, error, size) && read_who(json, ban, error, size) &&
           read_text(json, "by", BAN_BY_MAX, by_default, &ban->by, error, size) &&
           read_text(json, "reason", BAN_REASON_MAX, "", &ban->reason, error, size) &&
           read_time(json, "at", now_s, &ban->at_s, error, size) &&
           read_time(json, "until", BAN_FOREVER, &ban->until_s, error, size);
}

struct ban *ban_read(const cJSON *json, const char *by_default, uint64_t now_s, char *error,
                     size_t size)
{
    struct ban *ban = mem_zalloc(sizeof(*ban));

    if (read_all(json, by_default, now_s, ban, error, size))
        return ban;
    ban_free(ban);
    return NULL;
}
