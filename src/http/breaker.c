/* SPDX-License-Identifier: MIT */
#include "http/breaker.h"

bool breaker_ask(struct breaker *breaker, uint64_t now_ms)
{
    if (breaker->state == BREAKER_CLOSED)
        return true;
    if (breaker->state == BREAKER_PROBING || now_ms < breaker->until_ms)
        return false;
    breaker->state = BREAKER_PROBING;
    return true;
}

bool breaker_succeeded(struct breaker *breaker)
{
    bool changed = breaker->state != BREAKER_CLOSED;

    breaker->state = BREAKER_CLOSED;
    breaker->failed = 0;
    return changed;
}

bool breaker_failed(struct breaker *breaker, uint64_t now_ms)
{
    bool was_closed = breaker->state == BREAKER_CLOSED;

    if (breaker->failures == 0)
        return false;
    if (breaker->failed < UINT32_MAX)
        breaker->failed++;
    if (was_closed && breaker->failed < breaker->failures)
        return false;
    if (breaker->state == BREAKER_OPEN) /* one of those that were under way when it opened */
        return false;
    breaker->state = BREAKER_OPEN;
    breaker->until_ms = now_ms + breaker->pause_ms;
    return was_closed;
}

void breaker_abandon(struct breaker *breaker, uint64_t now_ms)
{
    if (breaker->state != BREAKER_PROBING)
        return;
    breaker->state = BREAKER_OPEN;
    breaker->until_ms = now_ms; /* the next one may try at once */
}
