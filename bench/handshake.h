/* SPDX-License-Identifier: MIT
 *
 * handshake - the packets that a client exchanges before and after its messages, through the codec.
 */
#ifndef SHARDMQ_BENCH_HANDSHAKE_H
#define SHARDMQ_BENCH_HANDSHAKE_H

#include "bench/client.h"
#include "mqtt/packet.h"

/* Room for every packet that is written here; options that do not fit are refused at start. */
#define HANDSHAKE_SIZE_MAX 16384u

#define HANDSHAKE_SUBSCRIBE_IDENTIFIER 1

/* Each writes one packet to to[0 .. room) and returns its length; 0 when it does not fit. */
uint32_t handshake_connect(const struct client *client, uint8_t *to, uint32_t room);
uint32_t handshake_subscribe(const struct client *client, uint8_t *to, uint32_t room);
uint32_t handshake_disconnect(const struct client *client, uint8_t *to, uint32_t room);

/* Handles CONNACK, SUBACK and whatever else is not a message or an acknowledgement. Fails the
 * client when the packet is wrong, out of place or a refusal. */
void handshake_on_packet(struct client *client, const struct frame *frame);

#endif
