/* SPDX-License-Identifier: MIT
 *
 * template - encoding the PUBLISH that is sent many times.
 */
#include "bench/template.h"

#include "base/mem.h"
#include "mqtt/encode_publish.h"

bool template_init(struct template *template, const struct template_fields *fields)
{
    struct publish_encoding encoding = {
        .topic = span_text(fields->topic),
        .payload_len = fields->payload_len,
        .packet_identifier = 1,
        .version = (uint8_t)fields->version,
        .qos = (uint8_t)fields->qos,
        .retain = fields->retain,
    };
    uint32_t len_bytes;

    if (!publish_plan(&encoding)) {
        return false;
    }
    len_bytes = encoding.head_len + encoding.payload_len - encoding.remaining_length;
    *template = (struct template){
        .frame = mem_alloc(encoding.head_len + encoding.payload_len),
        .frame_len = encoding.head_len + encoding.payload_len,
        .topic_at = len_bytes + 2,
        .topic_len = encoding.topic.len,
        .payload_at = encoding.head_len,
        .payload_len = encoding.payload_len,
        .identifier_at = encoding.identifier_at,
        .stamped = fields->payload == NULL && fields->payload_len >= PAYLOAD_COMPACT_SIZE,
    };
    publish_write_head(&encoding, template->frame);
    if (fields->payload != NULL) {
        memcpy(template->frame + template->payload_at, fields->payload, fields->payload_len);
    } else {
        payload_fill(template->frame + template->payload_at, template->payload_len, fields->mark,
                     fields->flow);
    }
    return true;
}

void template_fini(struct template *template)
{
    mem_free(template->frame);
    template->frame = NULL;
}
