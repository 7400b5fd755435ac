/* SPDX-License-Identifier: MIT
 *
 * mqtt_job - what the routes mqtt/... have in common: a body of one item or of many, each with one topic or
 * several; an errand to a shard for each topic; and an answer with a code for each item.
 *
 * An item that is wrong in any part is not done at all. In a batch the others are, in their order.
 */
#ifndef SHARDMQ_API_MQTT_JOB_H
#define SHARDMQ_API_MQTT_JOB_H

#include "api/batch.h"

struct mqtt_job;

/* Class: boot. One of publish, subscribe, unsubscribe. */
struct mqtt_job_kind {
    const char *item;  /* the schema of an item: a name of schemas.def with its $ */
    bool names_client; /* the answer to an item has its clientid */
    /* Reads an item that fits the schema: mqtt_job_add() for each of its topics; when there is anything wrong,
     * mqtt_job_fail() and no more. */
    void (*read)(struct mqtt_job *job, const cJSON *item);
    /* An errand is back: mqtt_job_fail() when it was refused. */
    void (*back)(struct mqtt_job *job, const struct errand *errand);
};

/* Does what the body says and answers: one item, or with `many` an array of them. */
void mqtt_job_run(struct api_request *request, const struct mqtt_job_kind *kind, bool many);

/* The item's topics one by one: `topics`, separated by commas, or `topic`. *at begins as 0; false at the end. */
bool mqtt_job_topic(const cJSON *item, uint32_t *at, struct span *topic);

struct api *mqtt_job_api(const struct mqtt_job *job);
/* An errand of the item that is being read; NULL: memory is gone. */
void mqtt_job_add(struct mqtt_job *job, struct errand *errand, unsigned shard);
/* What went wrong with the item that is read, or of the errand that is back. The first is told. */
void mqtt_job_fail(struct mqtt_job *job, enum api_code code, const char *sentence);

#endif
