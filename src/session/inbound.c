/* SPDX-License-Identifier: MIT */
#include "session/inbound.h"

#include "base/check.h"
#include "base/mem.h"

static uint64_t bit_of(uint16_t packet_identifier)
{
    return (uint64_t)1 << (packet_identifier & 63);
}

static unsigned word_of(uint16_t packet_identifier)
{
    return (packet_identifier >> 6) & 63;
}

static unsigned page_of(uint16_t packet_identifier)
{
    return packet_identifier >> 12;
}

bool inbound_has(const struct inbound *inbound, uint16_t packet_identifier)
{
    const struct inbound_page *page = inbound->pages[page_of(packet_identifier)];

    return page != NULL && (page->bits[word_of(packet_identifier)] & bit_of(packet_identifier));
}

bool inbound_add(struct inbound *inbound, uint16_t packet_identifier)
{
    struct inbound_page **slot = &inbound->pages[page_of(packet_identifier)];

    ASSERT(!inbound_has(inbound, packet_identifier));
    if (*slot == NULL) {
        *slot = mem_try_zalloc(sizeof(**slot));
        if (*slot == NULL)
            return false;
    }
    (*slot)->bits[word_of(packet_identifier)] |= bit_of(packet_identifier);
    (*slot)->count++;
    inbound->count++;
    return true;
}

bool inbound_remove(struct inbound *inbound, uint16_t packet_identifier)
{
    struct inbound_page **slot = &inbound->pages[page_of(packet_identifier)];

    if (!inbound_has(inbound, packet_identifier))
        return false;
    (*slot)->bits[word_of(packet_identifier)] &= ~bit_of(packet_identifier);
    inbound->count--;
    /* The page of the identifiers in use now stays: clients count upwards, so it is needed again at
     * once. Pages that ran empty behind them go. */
    if (--(*slot)->count == 0 && inbound->count > 0) {
        mem_free(*slot);
        *slot = NULL;
    }
    return true;
}

void inbound_clear(struct inbound *inbound)
{
    for (unsigned i = 0; i < INBOUND_PAGES; i++) {
        mem_free(inbound->pages[i]);
        inbound->pages[i] = NULL;
    }
    inbound->count = 0;
}
