/* SPDX-License-Identifier: MIT
 *
 * breaker - a circuit breaker: who asks a server that does not answer waits in vain, and so does everybody behind it.
 * After some failures in a row nobody is let through for a while; then one may try, and decides for the others.
 *
 *   CLOSED --`failures` in a row--> OPEN --`pause`--> PROBING --success--> CLOSED
 *                                    ^------failure-----'
 *
 * Pure: time is an argument. One thread.
 */
#ifndef SHARDMQ_HTTP_BREAKER_H
#define SHARDMQ_HTTP_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };

/* Owner: whoever asks. Zeroed: closed. */
struct breaker {
    enum breaker_state state;
    uint32_t failed;   /* in a row */
    uint32_t failures; /* that open it; 0: it never opens */
    uint64_t pause_ms;
    uint64_t until_ms; /* OPEN: until when nobody is let through */
};

/* Whether a request may be made now. True while PROBING only for the one that is the probe: whoever gets true must
 * tell how it went, or that it never went out (breaker_abandon). */
bool breaker_ask(struct breaker *breaker, uint64_t now_ms);

/* The request was answered, or it was not. True when the state is another one now, between letting through and not:
 * worth a line in the log. */
bool breaker_succeeded(struct breaker *breaker);
bool breaker_failed(struct breaker *breaker, uint64_t now_ms);
/* A request that was let through was given up for reasons of the asker's: it says nothing about the server. */
void breaker_abandon(struct breaker *breaker, uint64_t now_ms);

#endif
