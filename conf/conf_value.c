/* SPDX-License-Identifier: MIT
 *
 * conf_value - one value: from text to its field and back.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: a value is printed with the first that divides it. */
static const struct unit size_units[] = {
    {"TB", INT64_C(1) << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1},
    {"T", INT64_C(1) << 40},  {"G", 1 << 30},  {"M", 1 << 20},  {"K", 1 << 10},  {"", 1},
};
static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {"", 1000},
};

static bool is_map(const struct conf_row *row)
{
    return row->kind == CONF_KIND_MAP || row->kind == CONF_KIND_HEADERS;
}

/* Kept as a string of its own. */
static bool is_text(const struct conf_row *row)
{
    return row->kind == CONF_KIND_TEXT || row->kind == CONF_KIND_SECRET || is_map(row);
}

static bool is_address(const struct conf_row *row)
{
    return row->kind == CONF_KIND_ADDRESS || row->kind == CONF_KIND_HOST;
}

/* Decimal digits at *text, which moves behind them. False when there is none or the number is too large. */
static bool digits(const char **text, int64_t *value)
{
    const char *at = *text;

    *value = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (*value > (INT64_MAX - 9) / 10)
            return false;
        *value = *value * 10 + (*at - '0');
    }
    if (at == *text)
        return false;
    *text = at;
    return true;
}

static bool parse_integer(const char *text, int64_t *value)
{
    bool negative = *text == '-';

    text += negative;
    if (!digits(&text, value) || *text != '\0')
        return false;
    *value = negative ? -*value : *value;
    return true;
}

static bool parse_with_unit(const char *text, const struct unit *units, size_t count,
                            int64_t *value)
{
    if (!digits(&text, value))
        return false;
    while (*text == ' ')
        text++;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(text, units[i].name) == 0) {
            if (*value > INT64_MAX / units[i].factor)
                return false;
            *value *= units[i].factor;
            return true;
        }
    }
    return false;
}

uint64_t conf_size_bytes(const char *text)
{
    int64_t value;

    return parse_with_unit(text, size_units, ARRAY_LENGTH(size_units), &value) ? (uint64_t)value
                                                                               : 0;
}

uint64_t conf_duration_ms(const char *text)
{
    int64_t value;

    return parse_with_unit(text, duration_units, ARRAY_LENGTH(duration_units), &value)
               ? (uint64_t)value
               : 0;
}

/* "1", "1.5", "1.125": thousandths. */
static bool parse_fixed(const char *text, int64_t *value)
{
    int64_t scale = 100;

    if (!digits(&text, value) || *value > INT64_MAX / 2000)
        return false;
    *value *= 1000;
    if (*text == '\0')
        return true;
    if (*text++ != '.' || *text == '\0')
        return false;
    for (; *text >= '0' && *text <= '9' && scale > 0; text++, scale /= 10)
        *value += (*text - '0') * scale;
    return *text == '\0';
}

bool conf_value_bool(const char *text, bool *value)
{
    static const char *const names[] = {"false", "true", "no", "yes", "off", "on"};

    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++) {
        if (strcasecmp(text, names[i]) == 0) {
            *value = (i & 1) != 0;
            return true;
        }
    }
    return false;
}

static int choice_of(const char *const *names, const char *text, size_t len)
{
    for (int i = 0; names[i] != NULL; i++) {
        if (strlen(names[i]) == len && strncasecmp(names[i], text, len) == 0)
            return i;
    }
    return -1;
}

/* Words separated by commas and blanks; an empty text is an empty list. */
static bool parse_choices(const char *const *names, const char *text, int64_t *value)
{
    *value = 0;
    while (*(text += strspn(text, ", \t")) != '\0') {
        size_t len = strcspn(text, ", \t");
        int choice = choice_of(names, text, len);

        if (choice < 0)
            return false;
        *value |= INT64_C(1) << choice;
        text += len;
    }
    return true;
}

/* Takes "nmq-tcp://" off the front of *text. False when it is no scheme of a listener's URL. */
static bool take_scheme(const char **text, struct conf_address *address)
{
    const char *end = strstr(*text, "://");
    enum conf_listener_kind kind;

    if (end == NULL)
        return true;
    if ((size_t)(end - *text) >= sizeof(address->scheme))
        return false;
    for (size_t i = 0; *text + i < end; i++)
        address->scheme[i] = (char)tolower((unsigned char)(*text)[i]);
    *text = end + 3;
    return conf_listener_scheme_kind(address->scheme, &kind);
}

/* Takes "/mqtt" off the end. False when it is no path of a URL. */
static bool take_path(const char *text, size_t *len, struct conf_address *address)
{
    const char *slash = memchr(text, '/', *len);
    size_t path_len = slash == NULL ? 0 : *len - (size_t)(slash - text);

    if (slash == NULL)
        return true;
    if (path_len >= sizeof(address->path))
        return false;
    for (size_t i = 0; i < path_len; i++)
        if (slash[i] <= ' ' || slash[i] > '~' || slash[i] == '?' || slash[i] == '#')
            return false;
    memcpy(address->path, slash, path_len);
    *len = (size_t)(slash - text);
    return true;
}

static bool parse_host(const char *text, size_t len, struct conf_address *address)
{
    unsigned char bytes[16];

    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return false; /* IPv6 needs its brackets, or the port is anybody's guess */
    }
    if (len == 9 && strncasecmp(text, "localhost", 9) == 0) {
        text = "127.0.0.1";
    } else if (len == 1 && *text == '*') {
        text = "0.0.0.0";
        len = 7;
    }
    if (len >= sizeof(address->host))
        return false;
    memcpy(address->host, text, len);
    address->host[len] = '\0';
    address->ipv6 = inet_pton(AF_INET6, address->host, bytes) == 1;
    return address->ipv6 || inet_pton(AF_INET, address->host, bytes) == 1;
}

static bool parse_unix(const char *path, struct conf_address *address, char *error, size_t size)
{
    size_t len = strlen(path), printed = 0;

    while (printed < len && (unsigned char)path[printed] >= ' ' && path[printed] != 0x7f)
        printed++;
    if (path[0] != '/' || printed < len || len > CONF_UNIX_PATH_MAX)
        return refuse_with(
            error, size,
            "the path of a socket begins with a slash, has %d bytes at most and no control "
            "characters: "
            "\"%.200s\"",
            CONF_UNIX_PATH_MAX, path);
    *address = (struct conf_address){.scheme = "unix"};
    memcpy(address->path, path, len);
    return true;
}

bool conf_value_address(const char *text, struct conf_address *address, char *error, size_t size)
{
    const char *host = text, *colon;
    struct conf_address parsed = {0};
    char port_text[8] = "";
    int64_t port;
    size_t len;

    if (!take_scheme(&host, &parsed))
        return refuse_with(
            error, size,
            "a listener's URL begins with nmq-tcp://, nmq-tls://, nmq-ws://, nmq-wss:// or "
            "unix://, not %.*s://",
            (int)(strstr(text, "://") - text), text);
    if (strcmp(parsed.scheme, "unix") == 0 || (parsed.scheme[0] == '\0' && host[0] == '/'))
        return parse_unix(host, address, error, size);
    len = strlen(host);
    colon = take_path(host, &len, &parsed) ? memrchr(host, ':', len) : NULL;
    if (colon != NULL && (size_t)(host + len - colon) <= sizeof(port_text))
        snprintf(port_text, sizeof(port_text), "%.*s", (int)(host + len - colon - 1), colon + 1);
    if (colon == NULL || !parse_host(host, (size_t)(colon - host), &parsed) ||
        !parse_integer(port_text, &port) || port < 0 || port > 65535)
        return refuse_with(
            error, size,
            "takes a numeric address and a port, as 127.0.0.1:1883 or [::1]:1883, not "
            "\"%.200s\"",
            text);
    parsed.port = (uint16_t)port;
    *address = parsed;
    return true;
}

static bool conf_value_host(const char *text, struct conf_address *address, char *error,
                            size_t size)
{
    char bracketed[64];
    const char *colon = strchr(text, ':');
    bool bare_ipv6 = text[0] != '[' && colon != NULL && strchr(colon + 1, ':') != NULL;
    struct conf_address parsed = {0};
    int len = snprintf(bracketed, sizeof(bracketed), bare_ipv6 ? "[%s]" : "%s", text);

    if (len >= (int)sizeof(bracketed) || !parse_host(bracketed, (size_t)len, &parsed))
        return refuse_with(
            error, size,
            "takes a numeric address without a port, as 127.0.0.1 or ::1, not \"%.200s\"", text);
    *address = parsed;
    return true;
}

bool conf_address_loopback(const struct conf_address *address)
{
    unsigned char bytes[16];

    if (address->host[0] == '\0') /* a path */
        return true;
    if (!address->ipv6)
        return inet_pton(AF_INET, address->host, bytes) == 1 && bytes[0] == 127;
    if (inet_pton(AF_INET6, address->host, bytes) != 1)
        return false;
    if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)bytes))
        return bytes[12] == 127;
    return IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)(const void *)bytes);
}

/* Words for a list of choices: "a, b or c". */
static void name_choices(const char *const *names, char *to, size_t size)
{
    size_t used = 0;

    to[0] = '\0';
    for (int i = 0; names[i] != NULL && used < size; i++) {
        const char *glue = i == 0 ? "" : names[i + 1] == NULL ? " or " : ", ";

        used += (size_t)snprintf(to + used, size - used, "%s%s", glue, names[i]);
    }
}

static bool parse_number(const struct conf_row *row, const char *text, int64_t *value)
{
    bool flag = false;

    switch (row->kind) {
    case CONF_KIND_BOOL:
        if (!conf_value_bool(text, &flag))
            return false;
        *value = flag;
        return true;
    case CONF_KIND_COUNT:
    case CONF_KIND_INTEGER:
        return parse_integer(text, value);
    case CONF_KIND_SIZE:
        return parse_with_unit(text, size_units, ARRAY_LENGTH(size_units), value);
    case CONF_KIND_DURATION:
        return parse_with_unit(text, duration_units, ARRAY_LENGTH(duration_units), value);
    case CONF_KIND_FIXED:
        return parse_fixed(text, value);
    case CONF_KIND_CHOICE:
        *value = choice_of(conf_choice_names(row->unit), text, strlen(text));
        return *value >= 0;
    case CONF_KIND_CHOICES:
        return parse_choices(conf_choice_names(row->unit), text, value);
    case CONF_KIND_SECTION:
    case CONF_KIND_TEXT:
    case CONF_KIND_SECRET:
    case CONF_KIND_MAP:
    case CONF_KIND_HEADERS:
    case CONF_KIND_ADDRESS:
    case CONF_KIND_HOST:
        break;
    }
    UNREACHABLE("not a number");
}

static void store_number(const struct conf_row *row, int64_t value, void *object)
{
    char *field = (char *)object + row->offset;

    switch (row->kind) {
    case CONF_KIND_BOOL:
        *(CONF_TYPE_BOOL *)field = value != 0;
        break;
    case CONF_KIND_COUNT:
    case CONF_KIND_FIXED:
    case CONF_KIND_CHOICES:
        *(uint32_t *)(void *)field = (uint32_t)value;
        break;
    case CONF_KIND_INTEGER:
        *(CONF_TYPE_INTEGER *)(void *)field = (int32_t)value;
        break;
    case CONF_KIND_SIZE:
    case CONF_KIND_DURATION:
        *(uint64_t *)(void *)field = (uint64_t)value;
        break;
    case CONF_KIND_CHOICE:
        *(CONF_TYPE_CHOICE *)field = (uint8_t)value;
        break;
    case CONF_KIND_SECTION:
    case CONF_KIND_TEXT:
    case CONF_KIND_SECRET:
    case CONF_KIND_MAP:
    case CONF_KIND_HEADERS:
    case CONF_KIND_ADDRESS:
    case CONF_KIND_HOST:
        UNREACHABLE("not a number");
    }
}

static int64_t load_number(const struct conf_row *row, const void *object)
{
    const char *field = (const char *)object + row->offset;

    switch (row->kind) {
    case CONF_KIND_BOOL:
        return *(const CONF_TYPE_BOOL *)field;
    case CONF_KIND_COUNT:
    case CONF_KIND_FIXED:
    case CONF_KIND_CHOICES:
        return *(const uint32_t *)(const void *)field;
    case CONF_KIND_INTEGER:
        return *(const CONF_TYPE_INTEGER *)(const void *)field;
    case CONF_KIND_SIZE:
    case CONF_KIND_DURATION:
        return (int64_t) * (const uint64_t *)(const void *)field;
    case CONF_KIND_CHOICE:
        return *(const CONF_TYPE_CHOICE *)field;
    case CONF_KIND_SECTION:
    case CONF_KIND_TEXT:
    case CONF_KIND_SECRET:
    case CONF_KIND_MAP:
    case CONF_KIND_HEADERS:
    case CONF_KIND_ADDRESS:
    case CONF_KIND_HOST:
        break;
    }
    UNREACHABLE("not a number");
}

static void format_with_unit(int64_t value, const struct unit *units, const char *zero, char *to,
                             size_t size)
{
    if (value == 0) {
        snprintf(to, size, "%s", zero);
        return;
    }
    while (value % units->factor != 0)
        units++;
    snprintf(to, size, "%" PRId64 "%s", value / units->factor, units->name);
}

static void format_choices(const char *const *names, int64_t value, char *to, size_t size)
{
    size_t used = (size_t)snprintf(to, size, "[");
    const char *glue = "";

    for (int i = 0; names[i] != NULL && used < size; i++) {
        if (value >> i & 1) {
            used += (size_t)snprintf(to + used, size - used, "%s%s", glue, names[i]);
            glue = ", ";
        }
    }
    if (used < size)
        snprintf(to + used, size - used, "]");
}

static void format_number(const struct conf_row *row, int64_t value, char *to, size_t size)
{
    switch (row->kind) {
    case CONF_KIND_BOOL:
        snprintf(to, size, "%s", value != 0 ? "true" : "false");
        break;
    case CONF_KIND_COUNT:
    case CONF_KIND_INTEGER:
        snprintf(to, size, "%" PRId64, value);
        break;
    case CONF_KIND_SIZE:
        format_with_unit(value, size_units, "0", to, size);
        break;
    case CONF_KIND_DURATION:
        format_with_unit(value, duration_units, "0s", to, size);
        break;
    case CONF_KIND_FIXED:
        snprintf(to, size, "%" PRId64 ".%03" PRId64, value / 1000, value % 1000);
        for (size_t end = strlen(to) - 1; to[end] == '0' && to[end - 1] != '.'; end--)
            to[end] = '\0';
        break;
    case CONF_KIND_CHOICE:
        snprintf(to, size, "%s", conf_choice_names(row->unit)[value]);
        break;
    case CONF_KIND_CHOICES:
        format_choices(conf_choice_names(row->unit), value, to, size);
        break;
    case CONF_KIND_SECTION:
    case CONF_KIND_TEXT:
    case CONF_KIND_SECRET:
    case CONF_KIND_MAP:
    case CONF_KIND_HEADERS:
    case CONF_KIND_ADDRESS:
    case CONF_KIND_HOST:
        UNREACHABLE("not a number");
    }
}

static bool refuse_form(const struct conf_row *row, const char *text, char *error, size_t size)
{
    char names[200];

    switch (row->kind) {
    case CONF_KIND_BOOL:
        return refuse_with(error, size, "takes true or false, not \"%.200s\"", text);
    case CONF_KIND_SIZE:
        return refuse_with(error, size, "takes a size, as 512, 64KB, 10MB or 1GB, not \"%.200s\"",
                           text);
    case CONF_KIND_DURATION:
        return refuse_with(error, size, "takes a time, as 500ms, 10s, 5m, 2h or 1d, not \"%.200s\"",
                           text);
    case CONF_KIND_FIXED:
        return refuse_with(error, size,
                           "takes a number with at most three decimals, not \"%.200s\"", text);
    case CONF_KIND_CHOICE:
        name_choices(conf_choice_names(row->unit), names, sizeof(names));
        return refuse_with(error, size, "takes %s, not \"%.200s\"", names, text);
    case CONF_KIND_CHOICES:
        name_choices(conf_choice_names(row->unit), names, sizeof(names));
        return refuse_with(error, size, "takes a list of %s, not \"%.200s\"", names, text);
    default:
        return refuse_with(error, size, "takes a whole number, not \"%.200s\"", text);
    }
}

static bool parse_text(const struct conf_row *row, const char *text, void *object, char *error,
                       size_t size)
{
    char **field = (char **)(void *)((char *)object + row->offset);
    size_t len = strlen(text);

    if (row->kind == CONF_KIND_SECRET && strcmp(text, CONF_SECRET_SHOWN) == 0)
        return refuse_with(error, size,
                           "*** stands for a value that was not shown; give the value itself");
    if ((int64_t)len < row->least)
        return refuse_with(error, size, "must not be empty");
    if ((int64_t)len > row->most)
        return refuse_with(error, size, "must not be longer than %" PRId64 " bytes", row->most);
    mem_free(*field);
    *field = mem_strdup(text);
    return true;
}

bool conf_value_parse(const struct conf_row *row, const char *text, void *object, char *error,
                      size_t size)
{
    char low[32], high[32];
    int64_t value = 0;

    if (is_map(row))
        return conf_map_parse(row, text, object, error, size);
    if (is_text(row))
        return parse_text(row, text, object, error, size);
    if (is_address(row)) {
        struct conf_address *address = (void *)((char *)object + row->offset);

        return row->kind == CONF_KIND_HOST ? conf_value_host(text, address, error, size)
                                           : conf_value_address(text, address, error, size);
    }
    if (!parse_number(row, text, &value))
        return refuse_form(row, text, error, size);
    if (value < row->least || value > row->most) {
        format_number(row, row->least, low, sizeof(low));
        format_number(row, row->most, high, sizeof(high));
        return refuse_with(error, size, "must be from %s to %s, not %.200s", low, high, text);
    }
    store_number(row, value, object);
    return true;
}

void conf_value_format(const struct conf_row *row, const void *object, char *to, size_t size)
{
    const char *field = (const char *)object + row->offset;

    if (is_map(row)) {
        conf_map_format(row, object, to, size);
    } else if (row->kind == CONF_KIND_SECRET) { /* an empty one is none */
        snprintf(to, size, "%s",
                 **(char *const *)(const void *)field != '\0' ? CONF_SECRET_SHOWN : "");
    } else if (row->kind == CONF_KIND_TEXT) {
        snprintf(to, size, "%s", *(char *const *)(const void *)field);
    } else if (row->kind == CONF_KIND_HOST) {
        snprintf(to, size, "%s", ((const struct conf_address *)(const void *)field)->host);
    } else if (row->kind == CONF_KIND_ADDRESS) {
        const struct conf_address *address = (const void *)field;

        if (address->host[0] == '\0')
            snprintf(to, size, "%s", address->path);
        else
            snprintf(to, size, address->ipv6 ? "[%s]:%u%s" : "%s:%u%s", address->host,
                     (unsigned)address->port, address->path);
    } else {
        format_number(row, load_number(row, object), to, size);
    }
}

bool conf_value_equal(const struct conf_row *row, const void *a, const void *b)
{
    char left[CONF_VALUE_BYTES], right[CONF_VALUE_BYTES];

    if (row->kind == CONF_KIND_SECRET || row->kind == CONF_KIND_HEADERS)
        return strcmp(*(char *const *)(const void *)((const char *)a + row->offset),
                      *(char *const *)(const void *)((const char *)b + row->offset)) == 0;
    conf_value_format(row, a, left, sizeof(left));
    conf_value_format(row, b, right, sizeof(right));
    return strcmp(left, right) == 0;
}

void conf_value_copy(const struct conf_row *row, void *to, const void *from)
{
    const char *source = (const char *)from + row->offset;
    char *target = (char *)to + row->offset;

    if (is_text(row)) {
        char *text = mem_strdup(*(char *const *)(const void *)source);

        mem_free(*(char **)(void *)target);
        *(char **)(void *)target = text;
    } else if (is_address(row)) {
        memcpy(target, source, sizeof(struct conf_address));
    } else {
        store_number(row, load_number(row, from), to);
    }
}

void conf_value_preset(const struct conf_row *row, void *object)
{
    char error[200];

    if (row->preset_text != NULL)
        ASSERT(conf_value_parse(row, row->preset_text, object, error, sizeof(error)));
    else
        store_number(row, row->preset, object);
}

void conf_value_free(const struct conf_row *row, void *object)
{
    if (is_text(row))
        mem_free(*(char **)(void *)((char *)object + row->offset));
}
