/* SPDX-License-Identifier: MIT
 *
 * utf8 - what MQTT calls a UTF-8 encoded string (MQTT 5.0, 1.5.4).
 */
#ifndef SHARDMQ_BASE_UTF8_H
#define SHARDMQ_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True when data[0 .. len) is well-formed UTF-8: no overlong form, no surrogate, nothing above
 * U+10FFFF [MQTT-1.5.4-1], and no U+0000 [MQTT-1.5.4-2]. Control characters and non-characters are
 * allowed, U+FEFF is a character like any other [MQTT-1.5.3-3] [MQTT-1.5.4-3]. An empty string is valid; `data`
 * may then be NULL. */
bool utf8_valid(const uint8_t *data, size_t len);

#endif
