/* SPDX-License-Identifier: MIT
 *
 * dump - a control packet as one line of text, for traces, test failures and people.
 *
 *   PUBLISH qos=1 id=7 topic="a/b" payload(5)="hello" [CONTENT_TYPE="text/plain"]
 *
 * Bytes that are not printable ASCII are written as \xNN, so the line is safe to log whoever sent
 * the packet; long payloads are cut.
 */
#ifndef SHARDMQ_MQTT_DUMP_H
#define SHARDMQ_MQTT_DUMP_H

#include "mqtt/packet.h"

/* Writes the line to `to`, at most `room` bytes (above 0) with the NUL that ends it; what does not
 * fit is cut. `version` is the one of the connection; CONNECT says its own. A packet that cannot be
 * decoded is shown in hexadecimal with the reason. Returns the length of the line as written,
 * without the NUL. */
size_t mqtt_dump(char *to, size_t room, const struct frame *frame, enum mqtt_version version);

#endif
