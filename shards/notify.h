/* SPDX-License-Identifier: MIT
 *
 * notify - the sd_notify protocol: a datagram to the socket that the service manager named.
 */
#ifndef SHARDMQ_SHARDS_NOTIFY_H
#define SHARDMQ_SHARDS_NOTIFY_H

#include <stdint.h>

/* Sends the lines of `state` ("READY=1"). Does nothing when nobody asked for it (NOTIFY_SOCKET). */
void notify_send(const char *state);

/* "RELOADING=1" with the time that Type=notify-reload wants. */
void notify_reloading(uint64_t monotonic_us);

/* How often the service manager wants to hear WATCHDOG=1, in milliseconds; 0: never. */
uint64_t notify_watchdog_ms(void);

#endif
