/* SPDX-License-Identifier: MIT
 *
 * clients_sub - checks what arrives.
 *
 * A message of `bench pub` says which publisher it is of and its number there. Gaps in these numbers are
 * missing messages, a number that has come before is a duplicate, one that comes behind a later one
 * is reordered. Retained messages are of earlier times and only counted, and so is what others publish.
 * Members of a group get the messages between them: they are one receiver, in any order.
 */
#include "bench/clients_priv.h"

/* As much of a payload as is compared with what it should be. */
#define FILL_SIZE 4096u

static uint8_t fill[FILL_SIZE]; /* the letter that payloads are filled with; boot */

/* True when everything behind the header is what bench pub fills it with. */
static bool is_filled(const uint8_t *at, uint32_t len)
{
    while (len > 0) {
        uint32_t piece = len < FILL_SIZE ? len : FILL_SIZE;

        if (memcmp(at, fill, piece) != 0) {
            return false;
        }
        at += piece;
        len -= piece;
    }
    return true;
}

static void check(struct clients_thread *thread, struct actor *actor,
                  const struct payload_header *header, uint32_t payload_len)
{
    struct tally *tally = &thread->worker->tally;
    struct flow_check *flow =
        flows_find(&thread->flows, thread->run->group ? 0 : actor->number, header->flow);
    struct sequence *sequence;
    enum sequence_verdict verdict;
    uint64_t number, highest;

    if (flow == NULL) {
        tally_add(&thread->unchecked, 1);
        return;
    }
    sequence = &flow->sequence;
    number = payload_whole_number(header->number, payload_len, sequence->highest);
    if (!flow->begun) {
        flow->begun = true;
        flow->first = sequence->next = sequence->highest = number;
    }
    highest = sequence->highest;
    if (number < flow->first) { /* overtaken by the one that began the count */
        tally_add(&tally->received, 1);
        tally_add(&tally->late, !thread->run->group);
        return;
    }
    verdict = sequence_accept(sequence, number);
    if (verdict == SEQUENCE_DUPLICATE) {
        tally_add(&tally->duplicates, 1);
        return;
    }
    tally_add(&tally->received, 1);
    if (verdict == SEQUENCE_NEW) {
        tally_add(&tally->missing, number - highest);
        return;
    }
    tally_add(&tally->missing, UINT64_MAX); /* one less */
    if (!thread->run->group) {
        tally_add(&tally->late, 1);
    }
}

static void on_message(struct actor *actor, const struct publish_packet *message)
{
    struct clients_thread *thread = actor->owner;
    struct worker *worker = actor->worker;
    struct payload_header header;
    uint32_t header_size = payload_header_size(message->payload.len);

    if (!payload_read(message->payload.data, message->payload.len, PAYLOAD_MARK, &header) ||
        message->retain) {
        tally_add(&worker->tally.received, 1);
        tally_add(&thread->unchecked, 1);
        return;
    }
    if (!is_filled(message->payload.data + header_size, message->payload.len - header_size)) {
        tally_add(&worker->tally.altered, 1);
        return;
    }
    check(thread, actor, &header, message->payload.len);
    if (load_phase(worker->load) == PHASE_MEASURE && header.sent_ns <= worker->now_ns) {
        histogram_add(worker->latency, worker->now_ns - header.sent_ns);
    }
}

const struct actor_events clients_sub_events = {
    .ready = clients_on_ready, .message = on_message, .closed = clients_on_closed};

void clients_sub_setup(void)
{
    memset(fill, PAYLOAD_FILL, FILL_SIZE);
}
