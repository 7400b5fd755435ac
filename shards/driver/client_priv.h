/* SPDX-License-Identifier: MIT
 *
 * client_priv - what the files of the driver share.
 */
#ifndef SHARDMQ_DRIVER_CLIENT_PRIV_H
#define SHARDMQ_DRIVER_CLIENT_PRIV_H

#include "base/check.h"
#include "shards/bufring.h"
#include "shards/driver/client.h"

#define DRIVER_SLOT_BITS 24
#define DRIVER_SLOT_MAX  ((1u << DRIVER_SLOT_BITS) - 1)

/* {operation 8, slot 24, generation 32}; of DRIVER_SEND: {operation 8, pointer to the block 56}. */
static inline uint64_t driver_pack(enum driver_op op, const struct client *client)
{
    return (uint64_t)op << 56 | (uint64_t)client->slot << 32 | client->generation;
}

static inline uint64_t driver_pack_block(const struct client_block *block)
{
    return (uint64_t)DRIVER_SEND << 56 | (uint64_t)(uintptr_t)block;
}

/* What a block under way remembers of its client. */
static inline uint64_t driver_tag(const struct client *client)
{
    return (uint64_t)client->slot << 32 | client->generation;
}

/* The client of a slot and generation (the low 56 bits), NULL when that connection is gone. */
static inline struct client *driver_client(const struct driver *driver, uint64_t tag)
{
    uint32_t slot = (uint32_t)(tag >> 32) & DRIVER_SLOT_MAX;
    struct client *client = slot < driver->slot_count ? driver->slots[slot] : NULL;

    return client != NULL && client->generation == (uint32_t)tag ? client : NULL;
}

/* Handlers of completions. */
void client_connected(struct client *client, int result);
void client_received(struct client *client, const struct completion *completion);
void client_sent(struct client *client, struct client_block *block, int result);

/* Arms a receive. */
void client_receive(struct client *client);

/* Puts what the transport wrote to driver->wire behind what waits already. False when memory is gone. */
bool client_keep_wire(struct client *client);

/* The transport failed, or there was no memory for it. */
void client_transport_lost(struct client *client);

/* Prepares one send of what is to go out, if none is under way. */
void client_flush(struct client *client);

/* Sends what is left without waiting, as good as it goes: the last words of a connection. */
void client_last_words(struct client *client);

/* The transport is ready for MQTT, or there is none. */
void client_transport_ready(struct client *client);

/* A driver's event came: sets the timer to what the state needs. */
void client_set_timer(struct client *client);

/* Ends the connection because of an error of the server, the network or ours. */
void client_lost(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Ends the connection; `why` NULL: in good order. */
void client_end(struct client *client, const char *why);

#endif
