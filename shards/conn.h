/* SPDX-License-Identifier: MIT
 *
 * conn - a connected socket of one shard, and the table of them.
 *
 * Owner: shard. Between turns a connection is named by {slot, generation}; a slot is used again
 * only when no request of its former connection is in flight.
 *
 *   accept, hand-over --> OPEN --EOF, error, CLOSING_NOW---------------------> DYING --> free
 *                          |                                                    ^
 *                          +--CLOSING_AFTER_FLUSH--> FLUSHING --> LINGERING ----+
 *
 * Invariants
 *   I1  `operations` counts the requests in the kernel that name this slot; free slots have none
 *   I2  chunks that a send in flight points at are in `sending` until that send is complete
 *   I3  connection_closed() or connection_forget() is called exactly once for every
 *       connection_open()
 *   I4  at most one receive and at most one send are in flight (two sends could overtake each
 *       other)
 */
#ifndef SHARDMQ_SHARDS_CONN_H
#define SHARDMQ_SHARDS_CONN_H

#include "broker/connection.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct shard;
struct completion;

enum conn_flag {
    CONN_USED = 1u << 0,
    CONN_RECEIVING = 1u << 1,     /* a receive is in flight */
    CONN_CANCELLING = 1u << 2,    /* its cancellation was requested */
    CONN_SENDING = 1u << 3,       /* a send is in flight */
    CONN_SEND_WAITS = 1u << 4,    /* that send waits for room in the kernel */
    CONN_BACKLOG = 1u << 5,       /* the last send was partial: the next one waits */
    CONN_AGAIN = 1u << 6,         /* is in the list of those to be flushed next */
    CONN_STARVED = 1u << 7,       /* its receive ended because there was no buffer */
    CONN_PAUSED = 1u << 8,        /* the broker wants no bytes now */
    CONN_FLUSHING = 1u << 9,      /* closes when everything is sent */
    CONN_LINGERING = 1u << 10,    /* everything is sent, waits for the peer to close */
    CONN_DYING = 1u << 11,        /* closes when nothing is in flight any more */
    CONN_ENDED = 1u << 12,        /* connection_closed() or connection_forget() was called */
    CONN_END_OF_INPUT = 1u << 13, /* the peer sends no more */
    CONN_LAST_SEND = 1u << 14,    /* what was pending at the end of input was sent, once */
};

/* Bytes that came while the broker wanted none. */
struct conn_held {
    struct conn_held *next;
    uint32_t len;
    uint8_t bytes[];
};

struct conn {
    int fd; /* -1 when handed over or closed */
    uint32_t slot, generation;
    uint16_t flags;     /* enum conn_flag */
    uint8_t operations; /* I1 */
    uint8_t family;     /* of the peer's address */
    uint16_t port;
    uint8_t address[16];
    uint32_t send_bytes;          /* of the send in flight */
    uint32_t discarded;           /* input thrown away while closing */
    struct outbox_chunk *sending; /* taken from the outbox, not yet sent as a whole (I2) */
    uint32_t sending_offset;      /* of the first of these chunks that is sent */
    uint32_t next_free;
    struct conn_held *held;
    struct connection mqtt;
};

#define CONN_PAGE_BITS 6
#define CONN_PAGE      (1u << CONN_PAGE_BITS)

/* Slots to come back to. A name may be stale or twice in a list: the connection's flag decides. */
struct conn_list {
    uint32_t *slots;
    uint32_t count, capacity;
};

struct conn_deadline {
    uint32_t slot, generation;
    uint64_t at_ms;
};

/* Connections that wait for the same length of time, so in the order of their deadlines. */
struct conn_deadlines {
    struct conn_deadline *queue; /* circular */
    uint32_t first, count, capacity;
    uint64_t wait_ms;
    struct timer sweep; /* fires at the first deadline */
};

/* Owner: shard. */
struct conns {
    struct conn **pages;
    uint32_t page_count, page_capacity;
    uint32_t used, free_slot;
    struct conn_list again;   /* CONN_AGAIN */
    struct conn_list starved; /* CONN_STARVED */
    struct conn_list paused;  /* CONN_PAUSED */
    struct conn_list dying;   /* CONN_DYING */
    struct conn_deadlines flushing, lingering;
};

/* The socket's peer, with the address of whoever reads it. */
struct conn_peer {
    uint8_t family;
    uint16_t port;
    uint8_t address[16];
};

/* A connection on its way to its home shard. Class: wire. */
struct handoff {
    int fd;
    struct conn_peer peer;
    uint32_t len;
    uint8_t bytes[];
};

static inline struct conn *conn_at(const struct conns *conns, uint32_t slot)
{
    return &conns->pages[slot >> CONN_PAGE_BITS][slot & (CONN_PAGE - 1)];
}

static inline struct conn *conn_of(struct connection *mqtt)
{
    return CONTAINER_OF(mqtt, struct conn, mqtt);
}

/* ---- conn.c: the table ---- */
void conns_init(struct shard *shard);
void conns_fini(struct shard *shard);
/* The connection a completion names, NULL (counted) when it is gone. */
struct conn *conns_find(struct shard *shard, uint64_t user_data);
/* Remembers the slot in a list. */
void conn_list_add(struct conn_list *list, uint32_t slot);
/* Opens a connection on an accepted socket; `handoff` is NULL, or what the accepting shard sent
 * along. Owns the descriptor from the call on, also when there is no memory or no room (then it is
 * closed and counted). */
void conn_open(struct shard *shard, int fd, const struct handoff *handoff);
/* True when another connection is allowed here. */
bool conn_allowed(const struct shard *shard);

/* ---- conn_recv.c: bytes in ---- */
void conn_received(struct shard *shard, const struct completion *completion);
void conn_receive_failed(struct shard *shard, const struct completion *completion);
/* Feeds bytes to the broker and does what it says. */
void conn_feed(struct shard *shard, struct conn *conn, const uint8_t *data, uint32_t len);
/* Arms the receive that fits the connection's state, if it is to have one. */
void conn_arm(struct shard *shard, struct conn *conn);
/* Goes on with paused connections that the broker will read again. True when any did. */
bool conn_resume_paused(struct shard *shard);
/* Arms again what ran out of buffers. */
void conn_feed_starved(struct shard *shard);
void conn_drop_held(struct conn *conn);

/* ---- conn_send.c: bytes out ---- */
/* One send for every connection with output; closes what wants to be closed. True when there is
 * more to do. */
bool conn_flush_all(struct shard *shard);
/* Completes the sends of which nothing was heard; call when every completion of the last enter was
 * handled. */
void conn_settle_sends(struct shard *shard);
void conn_sent_in_part(struct shard *shard, const struct completion *completion);
void conn_sent_waiting(struct shard *shard, const struct completion *completion);
void conn_send_failed(struct shard *shard, const struct completion *completion);
void conn_send_init(struct shard *shard);
void conn_send_fini(struct shard *shard);
/* Puts the connection on the list of those to be flushed. */
void conn_again(struct shard *shard, struct conn *conn);

/* ---- conn_close.c: the end ---- */
/* Ends it as soon as nothing is in flight; nothing more is sent. */
void conn_kill(struct shard *shard, struct conn *conn);
/* The peer sends no more: what is pending is sent as far as it goes, then it ends. */
void conn_end_of_input(struct shard *shard, struct conn *conn);
/* Begins to close after everything was sent. */
void conn_close_after_flush(struct shard *shard, struct conn *conn);
/* Everything was sent: says so and waits a little for the peer. */
void conn_linger(struct shard *shard, struct conn *conn);
/* Frees what is dying and has nothing in flight. True when any was. */
bool conn_bury(struct shard *shard);
/* A request of the connection completed. */
void conn_operation_over(struct shard *shard, struct conn *conn);
void conn_close_init(struct shard *shard);
void conn_close_fini(struct shard *shard);
/* Ends all connections at once: the shutdown's time is over. */
void conn_kill_all(struct shard *shard);

/* ---- handoff.c ---- */
/* Sends the connection to its home shard with the bytes that came so far. */
void conn_hand_over(struct shard *shard, struct conn *conn, unsigned home, const uint8_t *data,
                    uint32_t len);
/* A connection came from the shard that accepted it. */
void conn_adopt(struct shard *shard, struct handoff *handoff);
void handoff_discard(struct handoff *handoff);

#endif
