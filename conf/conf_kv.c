/* SPDX-License-Identifier: MIT
 *
 * conf_kv - the old form: one key=value in a line, # begins a comment line, and every blank goes away, inside of values
 * too. That is how NanoMQ 0.6 reads its files.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <string.h>

/* Where the value of a raw line begins and ends: its blanks at both ends are not part of it. */
static void value_bounds(const char *line, size_t len, size_t *begin, size_t *end)
{
    const char *equals = memchr(line, '=', len);
    size_t at = (size_t)(equals - line) + 1;

    while (len > at && strchr(" \t\r\v\f", line[len - 1]) != NULL)
        len--;
    while (at < len && strchr(" \t\r\v\f", line[at]) != NULL)
        at++;
    *begin = at;
    *end = len;
}

/* Copies a line without its blanks; false when it does not fit. */
static bool squeeze(const char *line, size_t len, char *to, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        if (strchr(" \t\r\v\f", line[i]) != NULL)
            continue;
        if (used + 1 >= size)
            return false;
        to[used++] = line[i];
    }
    to[used] = '\0';
    return true;
}

static bool fail(struct conf_loader *loader, unsigned file, unsigned line, const char *why)
{
    conf_report_add(&loader->errors, "%s:%u: %s", loader->files[file].path, line, why);
    return false;
}

/* `raw` begins at `offset` in the file; `text` is the same without blanks. */
static bool parse_line(struct conf_loader *loader, unsigned file, unsigned line, const char *raw,
                       size_t raw_len, size_t offset, char *text, cJSON *tree)
{
    char *equals = strchr(text, '='), *value;
    size_t len, begin, end;
    int at;

    if (equals == NULL)
        return fail(loader, file, line, "key=value was expected");
    *equals = '\0';
    value = equals + 1;
    len = strlen(value);
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        value[len - 1] = '\0';
        value++;
    }
    if (*value == '\0')
        return true; /* NanoMQ's files name keys without a value to say that they are not set */
    value_bounds(raw, raw_len, &begin, &end);
    at = conf_place_add(loader, text, file, line, offset + begin);
    if (at < 0)
        return false;
    loader->places[at].end = offset + end;
    return conf_tree_put(loader, tree, text, cJSON_CreateString(value), at);
}

bool conf_kv_parse(struct conf_loader *loader, unsigned file, const char *text, cJSON *tree)
{
    const char *first = text;
    unsigned line = 1;

    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3;
    for (; *text != '\0'; line++) {
        char squeezed[CONF_PATH_BYTES + CONF_VALUE_BYTES];
        size_t len = strcspn(text, "\n");

        if (!squeeze(text, len, squeezed, sizeof(squeezed)))
            return fail(loader, file, line, "the line is too long");
        if (squeezed[0] != '\0' && squeezed[0] != '#' &&
            !parse_line(loader, file, line, text, len, (size_t)(text - first), squeezed, tree))
            return false;
        text += len + (text[len] == '\n');
    }
    return true;
}

/* True for a line that only the HOCON form has: a bracket, a quote, a comment behind the value, no =. */
static bool is_hocon(const char *line, size_t len)
{
    const char *equals = memchr(line, '=', len);
    const char *value = equals != NULL ? equals + 1 : line;

    while (len > 0 && strchr(" \t\r", line[len - 1]) != NULL)
        len--;
    while (value < line + len && strchr(" \t", *value) != NULL)
        value++;
    if (equals == NULL || strchr("{}[]", line[0]) != NULL || strchr("{}[]", line[len - 1]) != NULL)
        return true;
    for (const char *at = value; at < line + len; at++) {
        if (*at == '"' || (strchr(" \t", *at) != NULL && (at[1] == '#' || at[1] == '/')))
            return true;
    }
    return false;
}

/* Lines that both forms read say nothing: such a file is read as the old form, which means the same. */
bool conf_kv_detect(const char *text)
{
    bool any = false;

    while (*text != '\0') {
        size_t len = strcspn(text, "\n"), blanks = strspn(text, " \t\r");
        const char *line = text + blanks;

        if (blanks < len && *line != '#') {
            if (strncmp(line, "//", 2) == 0 || is_hocon(line, len - blanks))
                return false;
            any = true;
        }
        text += len + (text[len] == '\n');
    }
    return any;
}
