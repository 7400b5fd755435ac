/* SPDX-License-Identifier: MIT
 *
 * fuzz_subscribe - SUBSCRIBE and UNSUBSCRIBE. Input: a byte with the kind in bit 0 and the version in its high half,
 * then the body.
 */
#include "fuzz.h"

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct subscribe_packet packet;
    enum mqtt_version version;
    struct filter_view view;
    struct frame frame;
    uint32_t count = 0;

    if (len == 0)
        return 0;
    version = fuzz_version(data[0] >> 4);
    frame = fuzz_frame((data[0] & 1) ? MQTT_UNSUBSCRIBE : MQTT_SUBSCRIBE, 2, data + 1, len - 1);
    fuzz_dump(&frame, version);
    if (mqtt_decode_subscribe(&frame, version, &packet) != MQTT_REASON_SUCCESS)
        return 0;
    ASSERT(packet.packet_identifier != 0);
    fuzz_props(&packet.props);
    while (filters_next(&packet, &view)) {
        ASSERT(utf8_valid(view.filter.data, view.filter.len));
        ASSERT((view.options & 3) != 3 && (view.options >> 4 & 3) != 3 && view.options < 0x40);
        ASSERT(version == MQTT_5 || view.options <= 2);
        ASSERT(packet.has_options || view.options == 0);
        count++;
    }
    ASSERT(count > 0 && count == packet.filter_count);
    return 0;
}
