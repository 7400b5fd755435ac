/* SPDX-License-Identifier: MIT */
#include "http/http.h"

#include "base/check.h"

#define LINE_MAX_BYTES    256u  /* a chunk's size with its extensions */
#define TRAILER_MAX_BYTES 4096u /* all trailer lines */
#define SIZE_DIGITS_MAX   12u

enum {
    SIZE,      /* hexadecimal digits */
    EXTENSION, /* the rest of that line */
    SIZE_END,  /* its LF */
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, /* at the beginning of a trailer line */
    TRAILER_LINE,
    TRAILER_LINE_END,
    LAST_LF,
    DONE
};

static bool size_digit(struct http_chunks *chunks, uint8_t c)
{
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;

    if (digit < 0 || chunks->line >= SIZE_DIGITS_MAX)
        return false;
    chunks->left = chunks->left * 16 + (unsigned)digit;
    chunks->line++;
    return true;
}

/* The line with the size of a chunk. */
static bool on_size(struct http_chunks *chunks, uint8_t c)
{
    if (c == '\r' && chunks->line != 0) {
        chunks->state = SIZE_END;
        return true;
    }
    if ((c == ';' || c == ' ' || c == '\t') && chunks->line != 0) {
        chunks->state = EXTENSION;
        return true;
    }
    return size_digit(chunks, c);
}

static bool on_extension(struct http_chunks *chunks, uint8_t c)
{
    if (c == '\r')
        chunks->state = SIZE_END;
    else if ((c < 0x20 && c != '\t') || c == 0x7f || ++chunks->line > LINE_MAX_BYTES)
        return false;
    return true;
}

static bool on_trailer(struct http_chunks *chunks, uint8_t c)
{
    bool begins = chunks->state == TRAILER;

    if (++chunks->trailer > TRAILER_MAX_BYTES)
        return false;
    if (c == '\r')
        chunks->state = begins ? LAST_LF : TRAILER_LINE_END;
    else if (c < 0x20 && (c != '\t' || begins))
        return false;
    else
        chunks->state = TRAILER_LINE;
    return !begins || c != ' ';
}

/* Everything that is not a chunk's data. */
static bool on_byte(struct http_chunks *chunks, uint8_t c)
{
    switch (chunks->state) {
    case SIZE:
        return on_size(chunks, c);
    case EXTENSION:
        return on_extension(chunks, c);
    case SIZE_END:
        chunks->state = chunks->left == 0 ? TRAILER : DATA;
        chunks->line = 0;
        return c == '\n';
    case DATA_CR:
        chunks->state = DATA_LF;
        return c == '\r';
    case DATA_LF:
        chunks->state = SIZE;
        return c == '\n';
    case TRAILER:
    case TRAILER_LINE:
        return on_trailer(chunks, c);
    case TRAILER_LINE_END:
        chunks->state = TRAILER;
        return c == '\n';
    case LAST_LF:
        chunks->state = DONE;
        return c == '\n';
    default:
        UNREACHABLE("bytes behind the end of a body");
    }
}

enum http_found http_chunks_decode(struct http_chunks *chunks, const uint8_t *data, size_t len,
                                   uint8_t *to, size_t *written, size_t *consumed)
{
    size_t at = 0;

    *written = 0;
    while (at < len && chunks->state != DONE) {
        if (chunks->state == DATA) {
            size_t take = len - at < chunks->left ? len - at : (size_t)chunks->left;

            memmove(to + *written, data + at, take);
            *written += take;
            at += take;
            chunks->left -= take;
            if (chunks->left == 0)
                chunks->state = DATA_CR;
        } else if (!on_byte(chunks, data[at++])) {
            *consumed = at;
            return HTTP_REFUSED;
        }
    }
    *consumed = at;
    return chunks->state == DONE ? HTTP_COMPLETE : HTTP_INCOMPLETE;
}
