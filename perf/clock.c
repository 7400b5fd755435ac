/* SPDX-License-Identifier: MIT
 *
 * The one effect (broker/ports.h) that the micro-benchmarks have: a clock, whose cost is measured, too. The others are
 * those of test/support/quiet_ports.c.
 */
#include "broker/ports.h"

#include <time.h>

uint64_t port_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
