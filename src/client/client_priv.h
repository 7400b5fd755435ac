/* SPDX-License-Identifier: MIT
 *
 * client_priv - what the files of the client share.
 */
#ifndef SHARDMQ_CLIENT_CLIENT_PRIV_H
#define SHARDMQ_CLIENT_CLIENT_PRIV_H

#include "base/check.h"
#include "client/client.h"

#define CLIENT_REQUESTS_MAX 64u /* SUBSCRIBE and UNSUBSCRIBE that may be unanswered at a time */

/* A SUBSCRIBE or UNSUBSCRIBE that waits for its answer. Owner: shard. */
struct client_request {
    struct client_request *next;
    uint16_t identifier;
    uint8_t answer; /* MQTT_SUBACK or MQTT_UNSUBACK */
    uint32_t count;
    uint8_t qos[]; /* asked for with each filter; none for UNSUBSCRIBE */
};

/* Takes the request out of the list; NULL when there is none. The caller frees it. */
struct client_request *client_request_take(struct mqtt_client *client, enum mqtt_packet_type answer,
                                           uint16_t identifier);

/* Room at the end of the output in any phase, or NULL: memory is gone or output_max is reached. */
uint8_t *client_output_reserve(struct mqtt_client *client, uint32_t size);

/* Appends PUBACK, PUBREC, PUBREL or PUBCOMP. False when there is no room. */
bool client_output_ack(struct mqtt_client *client, enum mqtt_packet_type type, uint16_t identifier,
                       enum mqtt_reason reason);

/* Writes the DISCONNECT of a client that found a fault, in 5.0; FAILED afterwards. */
void client_fail(struct mqtt_client *client, enum mqtt_reason reason);

/* CONNACK has come: decides what becomes of the messages in flight. [MQTT-4.4.0-1] */
void client_resume(struct mqtt_client *client, bool session_present);

/* The next event of that decision. False when there is no more: `resuming` ends. */
bool client_resume_next(struct mqtt_client *client, struct client_event *event);

/* Sends again what is UNSENT, as far as the quota and one block of output go. */
void client_resend(struct mqtt_client *client);

#endif
