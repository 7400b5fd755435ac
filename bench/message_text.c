/* SPDX-License-Identifier: MIT
 *
 * message_text - placeholders.
 */
#include "bench/message_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

#define DIGITS_MAX   20u
#define NO_USER_NAME "undefined" /* as NanoMQ writes it */

static bool read_file(struct message_text *text, const char *path, char *error, size_t error_size)
{
    FILE *file = fopen(path, "re");
    struct stat facts;

    if (file == NULL || fstat(fileno(file), &facts) != 0 || !S_ISREG(facts.st_mode)) {
        snprintf(error, error_size, "--payload: cannot read %s: %s", path,
                 file == NULL ? strerror(errno) : "it is not a file");
        if (file != NULL) {
            fclose(file);
        }
        return false;
    }
    if ((uint64_t)facts.st_size > MESSAGE_TEXT_MAX) {
        snprintf(error, error_size, "--payload: %s has more than %u MiB", path,
                 MESSAGE_TEXT_MAX >> 20);
        fclose(file);
        return false;
    }
    text->bytes = mem_zalloc((size_t)facts.st_size + 1);
    text->len = (uint32_t)fread(text->bytes, 1, (size_t)facts.st_size, file);
    text->is_file = true;
    fclose(file);
    return true;
}

bool message_text_load(struct message_text *text, const char *option, char *error,
                       size_t error_size)
{
    struct stat facts;

    memset(text, 0, sizeof(*text));
    if (option[0] == '@') {
        return read_file(text, option + 1, error, error_size);
    }
    if (stat(option, &facts) == 0 && S_ISREG(facts.st_mode)) {
        return read_file(text, option, error, error_size);
    }
    text->bytes = mem_strdup(option);
    text->len = (uint32_t)strlen(option);
    return true;
}

/* What stands for %<letter>; NULL when the letter is no placeholder of a client. */
static const char *client_value(char letter, const char *digits, const char *identifier,
                                const char *username)
{
    return letter == 'i'   ? digits
           : letter == 'c' ? identifier
           : letter == 'u' ? (username != NULL ? username : NO_USER_NAME)
                           : NULL;
}

bool message_topic(char *to, size_t room, const char *pattern, uint32_t number,
                   const char *identifier, const char *username)
{
    size_t used = 0;
    char digits[16];

    snprintf(digits, sizeof(digits), "%" PRIu32, number);
    for (; *pattern != '\0'; pattern++) {
        char one[2] = {*pattern, '\0'};
        const char *piece =
            *pattern == '%' ? client_value(pattern[1], digits, identifier, username) : NULL;

        if (piece != NULL) {
            pattern++;
        } else {
            piece = one;
        }
        if (used + strlen(piece) >= room) {
            return false;
        }
        memcpy(to + used, piece, strlen(piece));
        used += strlen(piece);
    }
    to[used] = '\0';
    return true;
}

static void append(struct message_text *text, const char *piece, size_t len)
{
    text->bytes = mem_realloc(text->bytes, text->len + len + 1);
    memcpy(text->bytes + text->len, piece, len);
    text->len += (uint32_t)len;
    text->bytes[text->len] = '\0';
}

void message_text_expand(struct message_text *out, const struct message_text *text, uint32_t number,
                         const char *identifier, const char *username)
{
    const char *at = text->bytes, *end = text->bytes + text->len;
    char digits[16];

    memset(out, 0, sizeof(*out));
    out->is_file = text->is_file;
    snprintf(digits, sizeof(digits), "%" PRIu32, number);
    if (text->is_file) {
        append(out, text->bytes, text->len);
        return;
    }
    append(out, "", 0);
    while (at < end) {
        const char *value = *at == '%' ? client_value(at[1], digits, identifier, username) : NULL;
        size_t len = *at == '%' && at + 1 < end ? 2 : 1;

        if (value != NULL) {
            for (; *value != '\0'; value++) { /* a % in it is no placeholder */
                append(out, *value == '%' ? "%%" : value, *value == '%' ? 2 : 1);
                out->is_dynamic |= *value == '%';
            }
        } else {
            append(out, at, len);
            out->is_dynamic |= len == 2 && (at[1] == 'n' || at[1] == 't' || at[1] == '%');
        }
        at += len;
    }
}

uint32_t message_text_room(const struct message_text *text)
{
    uint32_t room = text->len;

    for (uint32_t i = 0; !text->is_file && i < text->len; i++) {
        room += text->bytes[i] == '%' ? DIGITS_MAX : 0;
    }
    return room;
}

uint32_t message_text_render(const struct message_text *text, uint8_t *to, uint64_t number,
                             uint64_t now_ms)
{
    const char *at = text->bytes, *end = text->bytes + text->len;
    uint8_t *start = to;

    if (text->is_file || !text->is_dynamic) {
        memcpy(to, text->bytes, text->len);
        return text->len;
    }
    while (at < end) {
        char letter = *at == '%' && at + 1 < end ? at[1] : '\0';

        if (letter == 'n' || letter == 't') {
            char digits[DIGITS_MAX + 1];
            int len = snprintf(digits, sizeof(digits), "%" PRIu64, letter == 'n' ? number : now_ms);

            memcpy(to, digits, (size_t)len);
            to += len;
            at += 2;
        } else {
            *to++ = (uint8_t)*at;
            at += letter == '%' ? 2 : 1;
        }
    }
    return (uint32_t)(to - start);
}

void message_text_fini(struct message_text *text)
{
    mem_free(text->bytes);
    memset(text, 0, sizeof(*text));
}
