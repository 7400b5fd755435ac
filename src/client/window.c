/* SPDX-License-Identifier: MIT */
#include "client/window.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

bool client_window_open(struct client_window *window, uint32_t limit, bool keep)
{
    uint32_t capacity = 2;

    ASSERT(limit >= 1 && limit <= CLIENT_INFLIGHT_MAX);
    while (capacity < 2 * limit)
        capacity *= 2;
    window->states = mem_try_zalloc(capacity);
    if (keep && window->states != NULL) {
        window->kept = mem_try_zalloc(capacity * sizeof(*window->kept));
        if (window->kept == NULL) {
            mem_free(window->states);
            window->states = NULL;
        }
    }
    if (window->states == NULL)
        return false;
    window->capacity = capacity;
    return true;
}

void client_window_fini(struct client_window *window)
{
    uint32_t limit = window->limit;

    for (uint32_t i = 0; window->kept != NULL && i < window->capacity; i++)
        mem_free(window->kept[i].packet);
    mem_free(window->kept);
    mem_free(window->states);
    *window = (struct client_window){.limit = limit};
}

/* Lets `oldest` follow what was acknowledged. */
static void find_oldest(struct client_window *window)
{
    if (window->turn - window->oldest > window->capacity)
        window->oldest = window->turn - window->capacity;
    while (window->oldest != window->turn &&
           window->states[window->oldest & (window->capacity - 1)] == WINDOW_FREE)
        window->oldest++;
}

uint32_t client_window_room(struct client_window *window)
{
    uint32_t identifiers, messages;

    if (window->count >= window->limit)
        return 0;
    find_oldest(window);
    identifiers = window->capacity - (window->turn - window->oldest);
    messages = window->limit - window->count;
    return messages < identifiers ? messages : identifiers;
}

void client_window_drop_packet(struct client_window *window, uint16_t identifier)
{
    struct client_kept *kept = &window->kept[identifier - 1];

    mem_free(kept->packet);
    kept->packet = NULL;
    kept->len = 0;
}

void client_window_free(struct client_window *window, uint16_t identifier)
{
    uint8_t *state = &window->states[identifier - 1];

    ASSERT(*state != WINDOW_FREE);
    if (window->kept != NULL)
        client_window_drop_packet(window, identifier);
    window->unsent -= (*state & WINDOW_UNSENT) != 0;
    window->count--; /* W1 */
    *state = WINDOW_FREE;
}

void client_window_rewind(struct client_window *window)
{
    window->unsent = 0;
    find_oldest(window);
    window->resend_at = window->oldest;
    for (uint32_t i = 0; i < window->capacity; i++) {
        if (window->states[i] != WINDOW_FREE) {
            window->states[i] |= WINDOW_UNSENT;
            window->unsent++; /* W2 */
        }
    }
}

uint16_t client_window_next_unsent(struct client_window *window)
{
    if (window->unsent == 0)
        return 0;
    while (!(window->states[window->resend_at & (window->capacity - 1)] & WINDOW_UNSENT))
        window->resend_at++;
    return (uint16_t)((window->resend_at & (window->capacity - 1)) + 1);
}

void client_window_resent(struct client_window *window, uint16_t identifier)
{
    ASSERT(window->states[identifier - 1] & WINDOW_UNSENT);
    window->states[identifier - 1] &= (uint8_t) ~(unsigned)WINDOW_UNSENT;
    window->unsent--;
}
