/* SPDX-License-Identifier: MIT
 *
 * tool_format - how `shardmq sub` prints a message: -F as mosquitto_sub has it, and JSON.
 *
 *   %t topic          %p payload        %x %X payload in hexadecimal   %l length of the payload
 *   %q QoS            %r retained 0/1   %m packet identifier           %% a percent sign
 *   %I time of arrival, ISO 8601        %U the same in seconds since 1970, with nine decimals
 *   %j JSON object, payload as a string %J JSON object, payload as the JSON value that it is
 *   5.0: %A topic alias  %C content type  %D correlation data  %E message expiry  %F payload format
 *        %P user properties  %R response topic  %S subscription identifiers
 *   @Y @m @d ... strftime(3), @N nanoseconds, @s seconds, @@ an at sign
 *   \\ \0 \a \e \n \r \t \v   characters
 *
 * Between % and the letter there may be -, 0, a width and, behind a point, how many bytes at most: %-20.20t.
 */
#ifndef SHARDMQ_BENCH_TOOL_FORMAT_H
#define SHARDMQ_BENCH_TOOL_FORMAT_H

#include "bench/tool_output.h"
#include "mqtt/packet.h"

#include <time.h>

/* A message and when it came. The time is filled in by whoever first needs it. */
struct tool_message {
    const struct publish_packet *publish;
    struct timespec arrived;
};

/* False with a sentence in `error` when the format has something that is not known. */
bool tool_format_check(const char *format, char *error, size_t error_size);

/* Prints. False with a sentence in `error`, and nothing printed, when %J meets a payload that is not JSON. */
bool tool_format_print(const char *format, bool pretty, struct tool_message *message,
                       struct tool_output *output, char *error, size_t error_size);

/* Prints the message as a JSON object; `payload_json`: NULL to print the payload as a string (base64 under another
 * name when it is not UTF-8), else its text as it is. (tool_json.c) */
void tool_json_print(struct tool_message *message, bool pretty, const char *payload_json,
                     struct tool_output *output);

/* The payload as one line of JSON, "null" when it is empty; to be freed with mem_free(). NULL when it is not JSON.
 * (tool_json.c) */
char *tool_json_payload(struct span payload);

/* Looks at the clock unless it was looked at for this message. */
void tool_message_time(struct tool_message *message);

#endif
