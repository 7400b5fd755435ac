/* SPDX-License-Identifier: MIT
 *
 * errand - what the control shard has the data shards do: list, look up, end a connection, subscribe
 * for a client. The essay is in errand.c.
 *
 * Class of struct errand: wire, but one thread has it at a time, and it alone touches it.
 *
 *   struct kick { struct errand errand; ... };         the members that the shard reads and fills in
 *   kick->errand.kind = &kick_kind;
 *   errand_send(broker, shard, &kick->errand, wait_ms, done, argument, NULL);
 *                       ... kick_kind.run() on that shard ...
 *   done(argument, &kick->errand)                      on the asking thread again; then errand_free()
 */
#ifndef SHARDMQ_BROKER_ERRAND_H
#define SHARDMQ_BROKER_ERRAND_H

#include "base/list.h"

#include <stdint.h>

struct broker;
struct errand;
struct mesh_entry;

enum errand_step {
    ERRAND_DONE,  /* it goes back to who asked */
    ERRAND_AGAIN, /* there is more to do: run() is called again, not before the next turn */
    ERRAND_WAITS  /* run() remembers it and calls errand_return() later */
};

/* Class: boot. What an errand does; one constant for each kind. */
struct errand_kind {
    const char *name; /* for logs */
    /* On the shard it was sent to: one bounded step. */
    enum errand_step (*run)(struct broker *broker, struct errand *errand);
    /* On that shard: gives up what the errand holds there (a place in a store); called before release()
     * when nobody wants the errand any more. NULL: it holds nothing. */
    void (*abandon)(struct errand *errand);
    /* Frees the errand with what it carries, on any thread. */
    void (*release)(struct errand *errand);
    /* A step looks at much (a list): one of these in a turn. Others are small, ERRANDS_SMALL in a turn. */
    bool heavy;
};

/* Class: wire. Zeroed, with `kind` set, when it is sent. */
struct errand {
    struct list node; /* where it waits; the errand's own list head otherwise */
    const struct errand_kind *kind;
    uint32_t slot, generation; /* of the asker's table */
    uint16_t asker, shard;
    bool held;      /* abandon() has to be called before it is freed */
    bool cancelled; /* goes to its shard only for abandon() */
};

/* Names an errand that is under way, on the asking broker. */
struct errand_handle {
    uint32_t slot, generation;
};

/* The errand is back and the callee's now (errand_free(), or errand_send() once more); NULL: it is not back in
 * time, and will be freed when it comes. */
typedef void errand_done(void *argument, struct errand *errand);

/* Sends the errand, which passes to this module, to a data shard. `broker` is that of the control shard; `done`
 * is called once, never from within this call, at the latest after wait_ms, unless errand_cancel() is called
 * before. False when ERRANDS_MAX are under way or memory is gone: the errand is freed and `done` is not called.
 * `handle` may be NULL. */
bool errand_send(struct broker *broker, unsigned shard, struct errand *errand, uint64_t wait_ms,
                 errand_done *done, void *argument, struct errand_handle *handle);
/* Nobody waits for it any more; harmless when it is over. */
void errand_cancel(struct broker *broker, struct errand_handle handle);
/* Frees an errand that is back, or was never sent; on the control shard. What it holds on its shard is given up
 * there. NULL is allowed. */
void errand_free(struct broker *broker, struct errand *errand);

/* On the shard: an errand whose run() answered ERRAND_WAITS is ready and goes back. */
void errand_return(struct broker *broker, struct errand *errand);

#define ERRANDS_MAX   1024u /* under way at a time */
#define ERRANDS_SMALL 16u   /* of those that are not heavy, in a turn */

#endif
