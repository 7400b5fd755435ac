/* SPDX-License-Identifier: MIT
 *
 * message_text - what --payload says: the contents of a file as they are, or a text in which
 * placeholders are replaced.
 *
 *   %i client number   %c client identifier   %u user name       once, when the client is made
 *   %n message number  %t time in ms since 1970                  for each message
 *   %% a percent sign
 */
#ifndef SHARDMQ_BENCH_MESSAGE_TEXT_H
#define SHARDMQ_BENCH_MESSAGE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_TEXT_MAX (16u * 1024u * 1024u)

/* boot */
struct message_text {
    char *bytes; /* owned, with a NUL behind it */
    uint32_t len;
    bool is_file;    /* nothing in it is replaced */
    bool is_dynamic; /* %n or %t is in it */
};

/* Reads the file named by `option` if there is one (always when it begins with @), takes `option` as
 * the text otherwise. Returns false with a sentence in `error`. */
bool message_text_load(struct message_text *text, const char *option, char *error,
                       size_t error_size);

/* Makes the text of one client: the placeholders that are its own are replaced. `out` is the
 * caller's, freed with message_text_fini(). */
void message_text_expand(struct message_text *out, const struct message_text *text, uint32_t number,
                         const char *identifier, const char *username);

/* The largest payload that message_text_render() can make of it. */
uint32_t message_text_room(const struct message_text *text);

/* Writes one payload to `to`, which has message_text_room() bytes. Returns its length. */
uint32_t message_text_render(const struct message_text *text, uint8_t *to, uint64_t number,
                             uint64_t now_ms);

void message_text_fini(struct message_text *text);

/* Writes `pattern` with %i, %c and %u replaced wherever they stand; other % stay as they are. Returns
 * false when it does not fit into `room` bytes. */
bool message_topic(char *to, size_t room, const char *pattern, uint32_t number,
                   const char *identifier, const char *username);

#endif
