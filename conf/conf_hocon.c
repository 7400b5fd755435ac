/* SPDX-License-Identifier: MIT
 *
 * conf_hocon - the HOCON subset that NanoMQ's files use; JSON is one of it.
 *
 *   file     = [ "{" ] members [ "}" ]
 *   members  = { ( include | member ) [ "," ] }          one a line, or separated by commas
 *   include  = "include" quoted
 *   member   = key [ "=" | ":" ] "{" members "}"  |  key ( "=" | ":" ) value
 *   key      = part { "." part },  part = quoted | unquoted
 *   value    = quoted | unquoted | "[" { value } "]" | "{" members "}"
 *   quoted   = '"' ... '"' with the escapes of JSON
 *   comments = "#" or "//" to the end of the line; inside of an unquoted value only after a blank
 *
 * Substitutions, concatenation of values and += are not read: they are errors that say so.
 *
 * It recurses for a nested object or array only, at most CONF_NESTING_MAX deep. The first error ends the file.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct conf_loader *loader;
    const char *text, *at;
    unsigned line, file, depth;
    bool secret; /* what this line holds may be one: messages do not quote it */
};

static bool parse_members(struct parser *parser, cJSON *tree, char end);
static cJSON *parse_value(struct parser *parser);

static bool fail(struct parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(struct parser *parser, const char *format, ...)
{
    char sentence[CONF_SENTENCE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    conf_report_add(&parser->loader->errors, "%s:%u: %s", parser->loader->files[parser->file].path,
                    parser->line, sentence);
    return false;
}

/* The place of the value at the cursor; -1 after an error. */
static int begin_place(const struct parser *parser, const char *path)
{
    struct conf_loader *loader = parser->loader;
    char whole[2 * CONF_PATH_BYTES];

    snprintf(whole, sizeof(whole), "%s%s", loader->prefix, path);
    return conf_place_add(loader, whole, parser->file, parser->line,
                          (size_t)(parser->at - parser->text));
}

/* The value ended before the cursor; of a block the brackets are no part. */
static void end_place(const struct parser *parser, int at, bool block)
{
    struct conf_place *place = &parser->loader->places[at];

    place->end = (size_t)(parser->at - parser->text) - block;
    while (!block && place->end > place->begin &&
           strchr(" \t", parser->text[place->end - 1]) != NULL)
        place->end--; /* of an unquoted value the cursor is behind the blanks too */
    place->begin += block;
    place->block = block;
}

static bool at_comment(const struct parser *parser)
{
    return parser->at[0] == '#' || (parser->at[0] == '/' && parser->at[1] == '/');
}

static void skip_blanks(struct parser *parser)
{
    parser->at += strspn(parser->at, " \t\r");
}

/* Blanks, comments and line ends. */
static void skip_lines(struct parser *parser)
{
    for (;;) {
        skip_blanks(parser);
        if (at_comment(parser))
            parser->at += strcspn(parser->at, "\n");
        if (*parser->at != '\n')
            return;
        parser->at++;
        parser->line++;
        parser->secret = false;
    }
}

/* What stands at the cursor, for messages. */
static const char *here(const struct parser *parser, char to[48])
{
    size_t len = strcspn(parser->at, "\r\n");

    if (*parser->at == '\0')
        return "the end of the file";
    if (len == 0)
        return "the end of the line";
    if (parser->secret)
        return "what follows";
    if (len > 30)
        len = 30;
    while (len > 0 && (parser->at[len] & 0xC0) == 0x80)
        len--; /* not inside of a character */
    snprintf(to, 48, "\"%.*s\"", (int)len, parser->at);
    return to;
}

static size_t put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xC0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    to[0] = (char)(0xE0 | c >> 12);
    to[1] = (char)(0x80 | (c >> 6 & 0x3F));
    to[2] = (char)(0x80 | (c & 0x3F));
    return 3;
}

/* The cursor is behind the backslash. */
static bool parse_escape(struct parser *parser, char *to, size_t *used)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    const char *found = *parser->at != '\0' ? strchr(from, *parser->at) : NULL;
    char hex[5] = "";
    unsigned long c;

    if (found != NULL) {
        to[(*used)++] = into[found - from];
        parser->at++;
        return true;
    }
    if (*parser->at != 'u' || strspn(parser->at + 1, "0123456789abcdefABCDEF") < 4)
        return fail(parser, "there is no escape sequence \\%.1s", parser->at);
    memcpy(hex, parser->at + 1, 4);
    c = strtoul(hex, NULL, 16);
    if (c == 0 || (c >= 0xD800 && c <= 0xDFFF))
        return fail(parser, "\\u%s cannot be a character here; write it as it is", hex);
    parser->at += 5;
    *used += put_utf8(to + *used, (unsigned)c);
    return true;
}

/* The cursor is at the quote. The text is at most size - 1 bytes. */
static bool parse_quoted(struct parser *parser, char *to, size_t size)
{
    size_t used = 0;

    parser->at++;
    while (*parser->at != '"') {
        if (*parser->at == '\0' || *parser->at == '\n')
            return fail(parser, "a quoted text is not closed in its line");
        if (used + 4 > size)
            return fail(parser, "a text is longer than %zu bytes", size - 4);
        if (*parser->at == '\\') {
            parser->at++;
            if (!parse_escape(parser, to, &used))
                return false;
        } else {
            to[used++] = *parser->at++;
        }
    }
    parser->at++;
    to[used] = '\0';
    return true;
}

/* What follows path[0 .. used) is the name of a user, which may have dots. */
static bool names_user(const struct parser *parser, const char *path, size_t used)
{
    char whole[2 * CONF_PATH_BYTES];

    snprintf(whole, sizeof(whole), "%s%.*s", parser->loader->prefix, (int)used, path);
    return strncmp(whole, CONF_USERS_BLOCK, strlen(CONF_USERS_BLOCK)) == 0;
}

/* One part of a key, appended to `path`. */
static bool parse_key_part(struct parser *parser, char path[CONF_PATH_BYTES])
{
    size_t used = strlen(path), len = strcspn(parser->at, " \t\r\n.={}[]:,\"#");
    char found[48];

    if (*parser->at == '"') {
        if (!parse_quoted(parser, path + used, CONF_PATH_BYTES - used))
            return false;
        if (strchr(path + used, '.') != NULL && !names_user(parser, path, used))
            return fail(parser, "a quoted key must not hold a dot");
        return true;
    }
    if (len == 0)
        return fail(parser, "a key was expected, not %s", here(parser, found));
    if (used + len >= CONF_PATH_BYTES)
        return fail(parser, "the key is too long");
    memcpy(path + used, parser->at, len);
    path[used + len] = '\0';
    parser->at += len;
    return true;
}

static bool parse_key(struct parser *parser, char path[CONF_PATH_BYTES])
{
    path[0] = '\0';
    for (;;) {
        size_t used;

        if (!parse_key_part(parser, path))
            return false;
        used = strlen(path);
        if (*parser->at != '.')
            return true;
        if (used + 1 >= CONF_PATH_BYTES)
            return fail(parser, "the key is too long");
        parser->at++;
        path[used] = '.';
        path[used + 1] = '\0';
    }
}

/* To the end of the line, a comma, a bracket or a comment; without the blanks at its end. */
static bool parse_unquoted(struct parser *parser, char *to, size_t size)
{
    const char *begin = parser->at;
    char found[48];
    size_t len;

    while (strchr("\r\n,{}[]\"", *parser->at) == NULL) {
        if (at_comment(parser) && (parser->at == begin || strchr(" \t", parser->at[-1]) != NULL))
            break;
        parser->at++;
    }
    if (parser->at == begin)
        return fail(parser, "a value was expected, not %s", here(parser, found));
    if (*parser->at == '{' && parser->at[-1] == '$')
        return fail(parser, "substitutions (${...}) are not part of the format");
    if (strchr("{[\"", *parser->at) != NULL && *parser->at != '\0')
        return fail(parser, "the value must be quoted as a whole, or end before %s",
                    here(parser, found));
    len = (size_t)(parser->at - begin);
    while (len > 0 && strchr(" \t", begin[len - 1]) != NULL)
        len--;
    if (len >= size)
        return fail(parser, "a text is longer than %zu bytes", size - 1);
    memcpy(to, begin, len);
    to[len] = '\0';
    return true;
}

static cJSON *parse_scalar(struct parser *parser)
{
    char text[CONF_VALUE_BYTES];
    bool good = *parser->at == '"' ? parse_quoted(parser, text, sizeof(text))
                                   : parse_unquoted(parser, text, sizeof(text));
    cJSON *item = good ? cJSON_CreateString(text) : NULL;

    if (good && item == NULL)
        fail(parser, "out of memory");
    return item;
}

static bool deeper(struct parser *parser)
{
    if (parser->depth == CONF_NESTING_MAX)
        return fail(parser, "blocks and lists are nested more than %d deep", CONF_NESTING_MAX);
    parser->depth++;
    return true;
}

static cJSON *parse_array(struct parser *parser)
{
    cJSON *array = deeper(parser) ? cJSON_CreateArray() : NULL;

    parser->at++;
    while (array != NULL) {
        cJSON *item;

        skip_lines(parser);
        if (*parser->at == ']') {
            parser->at++;
            parser->depth--;
            return array;
        }
        if (*parser->at == '\0') {
            fail(parser, "a list is not closed with ]");
            break;
        }
        parser->loader->list_depth++;
        item = parse_value(parser);
        parser->loader->list_depth--;
        if (item == NULL || !cJSON_AddItemToArray(array, item)) {
            cJSON_Delete(item);
            break;
        }
        if (++parser->loader->setting_count > CONF_SETTINGS_MAX) {
            fail(parser, "there are too many settings");
            break;
        }
        skip_lines(parser);
        parser->at += *parser->at == ',';
    }
    cJSON_Delete(array);
    return NULL;
}

/* The cursor is at the bracket. */
static bool parse_object(struct parser *parser, cJSON *into)
{
    if (!deeper(parser))
        return false;
    parser->at++;
    if (!parse_members(parser, into, '}'))
        return false;
    parser->at++;
    parser->depth--;
    return true;
}

static cJSON *parse_value(struct parser *parser)
{
    cJSON *object;

    if (*parser->at == '[')
        return parse_array(parser);
    if (*parser->at != '{')
        return parse_scalar(parser);
    object = cJSON_CreateObject();
    if (object == NULL || !parse_object(parser, object)) {
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}

/* The cursor is at the value. An object is merged with what has that path already. */
static bool parse_into(struct parser *parser, cJSON *tree, const char *path)
{
    char *prefix = parser->loader->prefix;
    size_t prefix_len = strlen(prefix);
    int at = begin_place(parser, path);
    cJSON *item;

    if (at < 0)
        return false;
    if (*parser->at == '{') {
        cJSON *object = conf_tree_object(parser->loader, tree, path, at);
        bool good;

        snprintf(prefix + prefix_len, CONF_PATH_BYTES - prefix_len, "%s.", path);
        good = object != NULL && parse_object(parser, object);
        prefix[prefix_len] = '\0';
        end_place(parser, at, true);
        return good;
    }
    item = parse_value(parser);
    end_place(parser, at, false);
    return item != NULL && conf_tree_put(parser->loader, tree, path, item, at);
}

static bool parse_member(struct parser *parser, cJSON *tree)
{
    char path[CONF_PATH_BYTES], whole[2 * CONF_PATH_BYTES], found[48];
    const char *shown = parser->secret ? "this" : path;

    if (!parse_key(parser, path))
        return false;
    snprintf(whole, sizeof(whole), "%s%s", parser->loader->prefix, path);
    parser->secret = parser->secret || conf_path_secret(whole);
    skip_blanks(parser);
    if (*parser->at == '+')
        return fail(parser, "%s: += is not part of the format", shown);
    if (*parser->at == '=' || *parser->at == ':') {
        parser->at++;
        skip_blanks(parser);
        if (*parser->at == '\n' || at_comment(parser) || *parser->at == '\0')
            return fail(parser, "%s has no value; an empty text is \"\"", path);
    } else {
        skip_lines(parser); /* key, line end, bracket */
        if (*parser->at != '{')
            return fail(parser, "= or { was expected after %s, not %s", shown, here(parser, found));
    }
    return parse_into(parser, tree, path);
}

/* A path that is not absolute begins where the including file lies. */
static bool include_path(struct parser *parser, const char *name, char *to, size_t size)
{
    const char *from = parser->loader->files[parser->file].path, *slash = strrchr(from, '/');
    int folder = name[0] == '/' || slash == NULL ? 0 : (int)(slash - from) + 1;

    if (snprintf(to, size, "%.*s%s", folder, from, name) >= (int)size)
        return fail(parser, "the path of the file to include is too long");
    return true;
}

static bool parse_include(struct parser *parser, cJSON *tree)
{
    char name[1024], path[2048];
    bool good;

    parser->at += strlen("include");
    skip_blanks(parser);
    if (*parser->at != '"')
        return fail(parser, "include is followed by the path of a file in quotes");
    if (!parse_quoted(parser, name, sizeof(name)) ||
        !include_path(parser, name, path, sizeof(path)))
        return false;
    if (parser->loader->include_depth == CONF_INCLUDE_MAX)
        return fail(parser, "files are included more than %d deep", CONF_INCLUDE_MAX);
    parser->loader->include_depth++;
    good = conf_read_file(parser->loader, path, CONF_FORM_HOCON, tree);
    parser->loader->include_depth--;
    return good || fail(parser, "%s is included here", path);
}

static bool at_include(const struct parser *parser)
{
    const char *after = parser->at + strlen("include");

    if (strncmp(parser->at, "include", strlen("include")) != 0)
        return false;
    after += strspn(after, " \t");
    return *after == '"';
}

/* Until `end`, at which the cursor then is: a bracket, or 0 for the end of the file. */
static bool parse_members(struct parser *parser, cJSON *tree, char end)
{
    for (;;) {
        unsigned line;
        char found[48];

        skip_lines(parser);
        if (*parser->at == end)
            return true;
        if (*parser->at == '\0')
            return fail(parser, "a block is not closed with }");
        if (*parser->at == '}')
            return fail(parser, "there is no block that this } closes");
        if (!(at_include(parser) ? parse_include(parser, tree) : parse_member(parser, tree)))
            return false;
        line = parser->line;
        skip_lines(parser);
        if (*parser->at == ',')
            parser->at++;
        else if (parser->line == line && *parser->at != end && *parser->at != '\0')
            return fail(parser, "a comma or the end of the line was expected, not %s",
                        here(parser, found));
    }
}

bool conf_hocon_parse(struct conf_loader *loader, unsigned file, const char *text, cJSON *tree)
{
    struct parser parser = {.loader = loader, .text = text, .at = text, .line = 1, .file = file};
    char found[48];
    bool good;
    int at;

    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        parser.at += 3;
    skip_lines(&parser);
    if (*parser.at != '{')
        return parse_members(&parser, tree, '\0');
    at = begin_place(&parser, "");
    if (at < 0)
        return false;
    good = parse_object(&parser, tree);
    end_place(&parser, at, true);
    skip_lines(&parser);
    if (good && *parser.at != '\0')
        return fail(&parser, "the end of the file was expected, not %s", here(&parser, found));
    return good;
}
