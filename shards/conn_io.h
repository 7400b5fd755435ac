/* SPDX-License-Identifier: MIT
 *
 * conn_io - byte connections: the connected sockets of one shard, and what a protocol on them is.
 *
 * Owner: shard. All connections of a shard speak one protocol: MQTT on the data shards
 * (conn_mqtt.c), and what the control shard serves, if anything, is given to it (machine.h). The
 * protocol's state lies behind struct conn in the slot and begins with its outbox:
 *
 *   slot   struct conn | struct outbox ... rest of the protocol's state
 *   in     socket --> receive buffer --conn_recv.c--> protocol->on_bytes
 *   out    protocol fills the outbox --conn_send.c--> socket --> protocol->sent
 *
 * So this part knows no protocol, and a protocol knows no request of the kernel. Between turns a connection is named by {slot, generation}; a slot is used again
 * only when no request of its former connection is in flight.
 *
 *   accept, hand-over --> OPEN --EOF, error, CLOSING_NOW---------------------> DYING --> free
 *                          |                                                    ^
 *                          +--CLOSING_AFTER_FLUSH--> FLUSHING --> LINGERING ----+
 *
 * Invariants
 *   I1  `operations` counts the requests in the kernel that name this slot; free slots have none
 *   I2  chunks that a send in flight points at are in `sending` until that send is complete
 *   I3  closed() is called exactly once for every opened(), unless the protocol gave the connection
 *       away (conn_give_away())
 *   I4  at most one receive and at most one send are in flight (two sends could overtake each
 *       other)
 */
#ifndef SHARDMQ_SHARDS_CONN_IO_H
#define SHARDMQ_SHARDS_CONN_IO_H

#include "base/address.h"
#include "base/timer.h"
#include "session/outbox.h"
#include "shards/newcomer.h"
#include "shards/signing.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct shard;
struct completion;
struct conn_filter;
struct door;

enum conn_flag {
    CONN_USED = 1u << 0,
    CONN_RECEIVING = 1u << 1,     /* a receive is in flight */
    CONN_CANCELLING = 1u << 2,    /* its cancellation was requested */
    CONN_SENDING = 1u << 3,       /* a send is in flight */
    CONN_SEND_WAITS = 1u << 4,    /* that send waits for room in the kernel */
    CONN_BACKLOG = 1u << 5,       /* the last send was partial: the next one waits */
    CONN_AGAIN = 1u << 6,         /* is in the list of those to be flushed next */
    CONN_STARVED = 1u << 7,       /* its receive ended because there was no buffer */
    CONN_PAUSED = 1u << 8,        /* the protocol wants no bytes now */
    CONN_FLUSHING = 1u << 9,      /* closes when everything is sent */
    CONN_LINGERING = 1u << 10,    /* everything is sent, waits for the peer to close */
    CONN_DYING = 1u << 11,        /* closes when nothing is in flight any more */
    CONN_ENDED = 1u << 12,        /* the protocol has done with it: closed() or given away */
    CONN_END_OF_INPUT = 1u << 13, /* the peer sends no more */
    CONN_LAST_SEND = 1u << 14,    /* what was pending at the end of input was sent, once */
    CONN_ANSWERING = 1u << 15,    /* the end of input came, the protocol goes on answering */
};

/* Bytes that came while the protocol wanted none. */
struct conn_held {
    struct conn_held *next;
    uint32_t len;
    uint8_t bytes[];
};

struct conn {
    int fd; /* -1 when handed over or closed */
    uint32_t slot, generation;
    uint32_t flags;     /* enum conn_flag */
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
    struct conn_filter *filter; /* TLS and WebSocket; NULL: plain TCP */
    struct newcomer *newcomer;  /* as long as it has not said who it is; else NULL */
    struct door *door;          /* that it came in through; a reference */
    /* the protocol's state lies here */
};

/* What a protocol asks for after it was fed. */
enum conn_verdict {
    CONN_CONTINUE, /* everything was consumed */
    CONN_PAUSE,    /* read no more until may_read(); the rest is kept and fed again */
    CONN_STOP      /* what comes now is of no use: it closes, or it has given the connection away */
};

/* A protocol on byte connections. Class: boot. All functions run on the shard's thread. */
struct conn_protocol {
    uint32_t state_size; /* begins with its struct outbox, which is empty in zeroed memory */
    /* Connected; the state is zeroed. `adopted`: another shard has accepted it. */
    void (*opened)(struct shard *shard, struct conn *conn, bool adopted);
    /* Bytes came; *consumed, 0 at first, says how far it came when it pauses. */
    enum conn_verdict (*on_bytes)(struct shard *shard, struct conn *conn, const uint8_t *data,
                                  uint32_t len, uint32_t *consumed);
    /* Whether one that was paused can go on; asked once a turn. */
    bool (*may_read)(struct shard *shard, const struct conn *conn);
    /* Whether one receive may stay armed from now on: it will not be given away any more. */
    bool (*steady)(const struct conn *conn);
    /* Whether what comes next may be a secret, such as a password: of no byte a copy is left behind. NULL: it always may. */
    bool (*confides)(const struct conn *conn);
    /* Calls conn_flush() for every connection that it has marked. True when there was any. NULL: it
     * marks none, but calls conn_again(). */
    bool (*flush_marked)(struct shard *shard);
    /* Whether the connection is on the protocol's list of those that are marked: its memory stays
     * until it is not. */
    bool (*marked)(const struct conn *conn);
    /* A chunk of the outbox is in the socket as a whole; to be released. */
    void (*sent)(struct shard *shard, struct conn *conn, struct outbox_chunk *chunk);
    /* The peer sends no more. True: what it has sent is still being answered, the protocol closes
     * the connection itself. NULL: what is pending is sent once, then it ends. */
    bool (*half_closed)(struct shard *shard, struct conn *conn);
    /* Whether, when its last words were sent, the peer may not have done with sending: then its
     * bytes are thrown away for a while before it is closed, lest a reset destroy those words. */
    bool (*lingers)(const struct conn *conn);
    /* It is over: frees the state. `unsent`: chunks taken from the outbox and not sent. */
    void (*closed)(struct shard *shard, struct conn *conn, struct outbox_chunk *unsent);
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
    const struct conn_protocol *protocol;
    size_t stride; /* of a slot */
    uint8_t **pages;
    uint32_t page_count, page_capacity;
    uint32_t used, free_slot;
    struct conn_list again;   /* CONN_AGAIN */
    struct conn_list starved; /* CONN_STARVED */
    struct conn_list paused;  /* CONN_PAUSED */
    struct conn_list dying;   /* CONN_DYING */
    struct conn_list shaking; /* handshakes that wait for their turn: conn_filter.c */
    uint64_t handshake_ns;    /* what they took of this turn */
    struct newcomers newcomers;
    struct signings signings; /* handshakes that wait for a signature: signing.c */
    struct conn_deadlines flushing, lingering;
};

/* The socket's peer. */
struct conn_peer {
    uint8_t family;
    uint16_t port;
    uint8_t address[16];
};

static inline struct conn *conn_at(const struct conns *conns, uint32_t slot)
{
    return (struct conn *)(void *)(conns->pages[slot >> CONN_PAGE_BITS] +
                                   (slot & (CONN_PAGE - 1)) * conns->stride);
}

/* The protocol's state, and back. */
static inline void *conn_state(const struct conn *conn)
{
    return (void *)(uintptr_t)(conn + 1);
}

static inline struct conn *conn_of_state(const void *state)
{
    return (struct conn *)(uintptr_t)state - 1;
}

static inline struct outbox *conn_outbox(const struct conn *conn)
{
    return conn_state(conn);
}

/* ---- conn.c: the table ---- */
void conns_init(struct shard *shard, const struct conn_protocol *protocol);
void conns_fini(struct shard *shard);
/* The connection a completion names, NULL (counted) when it is gone. */
struct conn *conns_find(struct shard *shard, uint64_t user_data);
/* Remembers the slot in a list. */
void conn_list_add(struct conn_list *list, uint32_t slot);
/* Opens a connection on an accepted socket. `adopted` is NULL, or the peer as the accepting shard
 * knew it, and `bytes` are what had come there. `filter` is NULL, or what TLS or WebSocket stands between;
 * it came in through `door`, to which a reference is taken. Owns descriptor and filter from the call on, also when there
 * is no memory or no room (then the connection is closed and counted). */
void conn_open(struct shard *shard, int fd, const struct conn_peer *adopted, struct span bytes,
               struct conn_filter *filter, struct door *door);
/* The connection in that slot, if it is still the one of that generation; else NULL. */
struct conn *conns_get(const struct conns *conns, uint32_t slot, uint32_t generation);
/* Connections were refused: counted with those of MQTT, or those of the control shard. */
void conn_count_refused(struct shard *shard, unsigned count);
/* Writes the peer's address as the log has it (PEER_NAME_MAX); always terminated. */
void conn_peer_name(const struct conn *conn, char *to, size_t size);

/* ---- conn_recv.c: bytes in ---- */
void conn_received(struct shard *shard, const struct completion *completion);
void conn_receive_failed(struct shard *shard, const struct completion *completion);
/* Feeds bytes to the protocol and does what it says. */
void conn_feed(struct shard *shard, struct conn *conn, const uint8_t *data, uint32_t len);
/* Arms the receive that fits the connection's state, if it is to have one. */
void conn_arm(struct shard *shard, struct conn *conn);
/* Goes on with paused connections that the protocol will read again. True when any did. */
bool conn_resume_paused(struct shard *shard);
/* Arms again what ran out of buffers. */
void conn_feed_starved(struct shard *shard);
void conn_drop_held(struct conn *conn);
void conn_free_held(struct conn_held *held);
/* Whether what comes now may be a secret: its bytes are then overwritten when the protocol has looked at them. */
bool conn_confides(const struct shard *shard, const struct conn *conn);
/* Keeps a copy of bytes behind those that are kept already; kills it when there is no memory. */
void conn_keep(struct shard *shard, struct conn *conn, const uint8_t *data, uint32_t len);
/* Keeps plain bytes and pauses reading: they are fed when the connection is resumed. */
void conn_hold(struct shard *shard, struct conn *conn, const uint8_t *data, uint32_t len);

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
/* Sends what is in the outbox, unless something is being sent: then it goes when that is through. */
void conn_flush(struct shard *shard, struct conn *conn);
/* Puts the connection on the list of those to be flushed at the end of the turn. */
void conn_again(struct shard *shard, struct conn *conn);

/* ---- conn_close.c: the end ---- */
/* Ends it as soon as nothing is in flight; nothing more is sent. */
void conn_kill(struct shard *shard, struct conn *conn);
/* The peer sends no more: what is pending is sent as far as it goes, then it ends. */
void conn_end_of_input(struct shard *shard, struct conn *conn);
/* Begins to close after everything was sent; what still comes is not looked at. */
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

/* The protocol has given the descriptor away: frees the slot, without closed(). Nothing is in flight
 * on it. Returns the descriptor. */
int conn_give_away(struct shard *shard, struct conn *conn);

#endif
