/* SPDX-License-Identifier: MIT
 *
 * saslprep - the form in which SCRAM takes user names and passwords (RFC 4013, SASLprep), so that one that is typed on
 * another keyboard is the same bytes: "e" with an accent as one character or two, a wide letter or a narrow one.
 *
 * ASCII is what it is. Else the characters of RFC 3454, C.1.2 are blanks, those of B.1 are nothing, and the rest is brought
 * into the form NFKC. What SASLprep prohibits (control characters, private use, directions in a mixture) is not refused but
 * taken likewise, and what is not UTF-8 as it is: a password that CONNECT may have is good for SCRAM, too.
 */
#ifndef SHARDMQ_AUTH_SASLPREP_H
#define SHARDMQ_AUTH_SASLPREP_H

#include "base/span.h"

#include <stdbool.h>

/* Owner: whoever prepared it (saslprep_free). */
struct prepared {
    struct span text; /* a view of what was given, or of `room` */
    uint8_t *room;    /* NULL: nothing had to change */
    size_t room_size;
};

/* The form of a text, which must live as long. False when memory is gone. It may be a secret: nothing of it is left behind. */
bool saslprep(struct span text, struct prepared *to);
/* Wipes and frees. */
void saslprep_free(struct prepared *prepared);

/* Whether two texts have the same form; false when memory is gone. */
bool saslprep_same(struct span one, struct span other);

#endif
