/* SPDX-License-Identifier: MIT
 *
 * distance - how far a word is from another, for "did you mean".
 */
#ifndef SHARDMQ_BASE_DISTANCE_H
#define SHARDMQ_BASE_DISTANCE_H

/* How many characters must be inserted, removed or changed to make b of a. Of each only the first 255
 * characters are looked at. */
unsigned text_distance(const char *a, const char *b);

#endif
