/* SPDX-License-Identifier: MIT
 *
 * The in-flight window: one QoS 1 delivery from append to PUBACK, with a number of others outstanding.
 */
#include "perf/shim.h"
#include "session/window.h"

void perf_register_window(void);

static void round_trip(struct perf_state *state, void *argument)
{
    uint32_t outstanding = *(const uint32_t *)argument;
    struct publication publication = {.topic = span_text("t"), .payload = span_text("payload")};
    struct message *message = message_create(&publication, 1);
    struct window window = {0};
    uint64_t count = 0, acknowledged = 0;

    while (perf_next(state)) {
        struct delivery *delivery = window_append(&window);

        message_ref(message, 1);
        delivery->message = message;
        delivery->qos = 1;
        delivery->state = DELIVERY_SENT;
        delivery->in_quota = true;
        window.outstanding++;
        window.next++;
        if (window.outstanding > outstanding)
            window_finish(&window, window_find(&window, window_packet_identifier(acknowledged++)));
        count++;
    }
    perf_items(state, count);
    window_clear(&window);
    message_unref(message);
}

void perf_register_window(void)
{
    static uint32_t few = 1, many = 1000;

    perf_case("window/qos1/outstanding_1", round_trip, &few);
    perf_case("window/qos1/outstanding_1000", round_trip, &many);
}
