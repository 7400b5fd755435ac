/* SPDX-License-Identifier: MIT
 *
 * number - numbers as people read them.
 */
#ifndef SHARDMQ_BENCH_NUMBER_H
#define SHARDMQ_BENCH_NUMBER_H

#include <stddef.h>

/* Whole numbers in groups of three, others with as many digits as are worth reading. */
void number_format(char *to, size_t room, double value);

/* A duration with the unit that suits it: 870 ns, 12.3 us, 4.56 ms, 1.20 s. */
void number_duration(char *to, size_t room, double value_ns);

/* A short form for the axes of plots: 250k, 1.5M. */
void number_short(char *to, size_t room, double value);

#endif
