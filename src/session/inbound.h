/* SPDX-License-Identifier: MIT
 *
 * inbound - the packet identifiers of QoS 2 publications received and not yet released by PUBREL.
 *
 * Owner: shard. A bit per identifier in pages of 4096 that exist only while they hold a bit, so the
 * memory follows what is outstanding, and a million repetitions of one identifier cost nothing.
 */
#ifndef SHARDMQ_SESSION_INBOUND_H
#define SHARDMQ_SESSION_INBOUND_H

#include <stdbool.h>
#include <stdint.h>

#define INBOUND_PAGES 16

struct inbound_page {
    uint32_t count;
    uint64_t bits[64];
};

struct inbound {
    uint32_t count;
    struct inbound_page *pages[INBOUND_PAGES];
};

bool inbound_has(const struct inbound *inbound, uint16_t packet_identifier);
/* False when memory is gone. The identifier must not be in the set. */
bool inbound_add(struct inbound *inbound, uint16_t packet_identifier);
/* False when it was not there. */
bool inbound_remove(struct inbound *inbound, uint16_t packet_identifier);
void inbound_clear(struct inbound *inbound);

#endif
