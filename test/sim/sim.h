/* SPDX-License-Identifier: MIT
 *
 * sim - the broker core on one thread from a seed: N data shards and the control broker, a machine
 * of bytes and queues instead of sockets and threads, clients that behave well on connections that
 * do not.
 *
 *   client --bytes--> socket.input --pieces--> connection_receive()      broker 0 .. N - 1, control
 *   client <--bytes-- socket.pipe  <--pieces-- outbox                    broker <--mesh--> broker
 *
 * Every step is chosen at random: which pair of the mesh moves, which socket is read or written and
 * by how much, what a client does, when a timer runs. A run follows from its seed alone.
 *
 * machine.c moves bytes and mesh entries, client.c and client_packets.c are the clients, operator.c asks the
 * control broker for lists, oracle.c
 * knows what was published and says what a client may and must receive, laws.c compares counters
 * and walks structures, run.c chooses the steps.
 */
#ifndef SHARDMQ_TEST_SIM_SIM_H
#define SHARDMQ_TEST_SIM_SIM_H

#include "base/random.h"
#include "broker/deliver.h"

#include <stdio.h>

#define SHARDS_MAX       4
#define CLIENTS_MAX      12 /* the last ones are the observers of the end */
#define SOCKETS_MAX      256
#define TOPICS           9
#define WILL_TOPICS      CLIENTS_MAX
#define ALL_TOPICS       (TOPICS + WILL_TOPICS)
#define GROUPS           3
#define PUBLICATIONS_MAX 6000
#define FILTERS_MAX      8  /* subscriptions of one client */
#define FLIGHTS_MAX      64 /* unacknowledged publications of one client */
#define RECEIVED_MAX     1024
#define ALIASES_MAX      16
#define IDENTIFIERS_MAX  8192 /* packet identifiers whose first arrival is remembered */

/* ---- bytes ---- */

struct bytes {
    uint8_t *data;
    uint32_t len, capacity;
};

void bytes_append(struct bytes *bytes, const void *data, uint32_t len);
void bytes_prepend(struct bytes *bytes, const void *data, uint32_t len);
void bytes_consume(struct bytes *bytes, uint32_t len);
void bytes_free(struct bytes *bytes);

/* ---- the machine ---- */

struct queue {
    struct mesh_entry *entries;
    uint32_t first, count, capacity;
};

struct socket {
    struct connection mqtt;
    struct sim *sim;
    unsigned client, shard;
    bool used;
    bool server_open;                  /* the broker has a connection */
    bool handing_off;                  /* on its way to the home shard */
    bool client_open;                  /* the client still reads and writes */
    bool end_of_input;                 /* no bytes will follow `input` */
    bool paused, stopped, wants_flush; /* what the broker said */
    bool reset;                        /* the network is gone: output vanishes */
    struct bytes input, pipe;          /* to the broker; to the client */
    struct outbox_chunk *sending;      /* taken from the outbox */
    uint32_t sending_offset, pipe_capacity;
    uint32_t
        goodbye_to_will; /* DISCONNECT was written, which removes that will; UINT32_MAX: none */
};

/* ---- what was published ---- */

enum publication_status { PENDING, ACKNOWLEDGED, REFUSED, ABANDONED };

struct record {
    uint8_t publisher, topic, qos, status;
    bool retain, expires, is_will, forbidden;
    uint32_t payload_len, attempts, expiry_s;
    uint64_t sent_at, acknowledged_at;
};

#define LANES 9 /* published QoS x delivered QoS */

/* ---- clients ---- */

enum client_state { OFFLINE, CONNECTING, ONLINE };
enum session_kind { SESSION_CLEAN, SESSION_SHORT, SESSION_KEPT };

struct flight { /* a publication of this client that is not finished */
    uint32_t record;
    uint16_t packet_identifier;
    bool released; /* QoS 2: PUBREC came */
};

struct wanted { /* a subscription */
    char filter[48];
    bool used, established, pending, ending;
    uint8_t options;
    uint8_t granted;
    uint32_t identifier;
    uint16_t packet_identifier;
    uint64_t established_at;
};

struct received { /* a delivery that this client has not acknowledged to the end */
    uint32_t record;
    uint16_t packet_identifier;
    uint8_t qos;
    bool released; /* QoS 2: PUBREC was sent */
    bool counted;  /* in on_connection */
};

struct arrival { /* of a packet identifier, acknowledged or not */
    uint32_t record, number;
};

struct owed { /* an acknowledgement to be sent */
    uint8_t type;
    uint16_t packet_identifier;
};

struct client {
    struct sim *sim;
    unsigned index;
    char identifier[24];
    uint8_t version, kind, state;
    bool group_member, observer, slow, uncertain, ever_online, connect_clean, careless, absent,
        stays; /* a member of a share group that does not give its session up */
    int group;
    struct socket *socket;
    uint16_t receive_maximum; /* announced; 0: not announced */
    uint32_t packet_size_max; /* announced; 0: not announced */
    uint16_t alias_max;       /* announced */
    struct span aliases[ALIASES_MAX];
    bool alias_sent[ALIASES_MAX]; /* aliases of ours that this connection knows */
    struct bytes incoming;

    /* session state of the client's side */
    uint16_t last_identifier;
    struct flight flights[FLIGHTS_MAX];
    uint32_t flight_count;
    struct wanted wanted[FILTERS_MAX];
    struct received received[RECEIVED_MAX];
    uint32_t received_count, arrivals;
    struct arrival arrived[IDENTIFIERS_MAX];
    struct owed owed[RECEIVED_MAX * 2];
    uint32_t owed_count;
    uint32_t on_connection; /* deliveries of this connection that count against receive_maximum */
    uint32_t will_record;
    uint16_t server_receive_maximum, server_alias_max;

    /* what this client has seen: per session, and per connection */
    uint8_t seen[PUBLICATIONS_MAX];
    uint32_t newest[CLIENTS_MAX][ALL_TOPICS][LANES]; /* first deliveries, session */
    uint32_t newest_on_connection[CLIENTS_MAX][ALL_TOPICS][LANES];
    uint32_t newest_live_retained[TOPICS][3]; /* by delivered QoS */
    uint32_t retained_floor[TOPICS]; /* newest retained publication acknowledged before the first
                                        SUBSCRIBE of this session for the topic */
    uint32_t last_resent_arrival;
    bool any_first_delivery; /* on this connection, of QoS above 0 */
    bool ever_retain_as_published;
    bool own_wanted
        [ALL_TOPICS]; /* some subscription of this session takes what it publishes itself */
    uint64_t session_since;
    uint32_t retained_seen[TOPICS]; /* observers: the retained message they got */
};

/* ---- the world ---- */

struct settings { /* chosen by the seed */
    unsigned shards, clients;
    uint32_t mesh_congested, mesh_full;
    uint32_t payload_max;
    unsigned weight_mesh, weight_read, weight_write, weight_client, weight_time, weight_batch;
    unsigned trouble;   /* per cent of client actions that hurt a connection */
    bool lossy;         /* tight limits: losing is allowed, with a counter */
    bool expiry;        /* messages with expiry */
    bool stable_groups; /* members of groups stay: nothing may be lost */
    bool mixed_groups;  /* only some of them do: what is published with QoS 2 may go with others */
    bool wills, time_jumps;
    bool memory; /* allocation failures */
};

struct sim {
    uint64_t seed;
    unsigned steps, step;
    struct random random;
    struct settings set;
    struct conf *conf;
    struct broker_shared *shared;
    struct broker *brokers[SHARDS_MAX + 1];
    struct shard_stats *stats[SHARDS_MAX + 1];
    struct queue mesh[SHARDS_MAX + 1][SHARDS_MAX + 1];
    uint64_t now_ms, clock; /* clock counts what clients do and see */
    bool calm;              /* the end: everybody finishes what he has begun */
    bool failing;           /* an allocation failure is armed */
    bool verbose;
    struct socket sockets[SOCKETS_MAX];
    struct client clients[CLIENTS_MAX];
    struct sim_operator *asker;
    struct record records[PUBLICATIONS_MAX];
    uint32_t record_count;
    uint32_t retained_acknowledged[TOPICS]; /* newest retained record acknowledged, by topic */
    uint8_t group_seen[GROUPS][PUBLICATIONS_MAX];
    uint8_t group_seen_qos2[GROUPS][PUBLICATIONS_MAX];
    uint64_t group_since[GROUPS]; /* first SUBACK of a member */
};

#define SIM_SHARDS(sim) ((sim)->set.shards)

_Noreturn void sim_fail(const struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_note(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline uint32_t pick(struct sim *sim, uint32_t bound)
{
    return random_below(&sim->random, bound);
}

static inline bool chance(struct sim *sim, uint32_t per_cent)
{
    return pick(sim, 100) < per_cent;
}

/* ---- machine.c ---- */
/* Each takes one step of its kind; false when there is nothing to do. */
bool machine_move_mesh(struct sim *sim);
bool machine_read(struct sim *sim);
bool machine_write(struct sim *sim);
bool machine_run_batches(struct sim *sim);
void machine_run_timers(struct sim *sim, unsigned shard);
/* Takes what the brokers have marked dirty. */
void machine_settle(struct sim *sim);
bool machine_mesh_empty(const struct sim *sim);
/* A client connects to that shard. */
struct socket *socket_open(struct sim *sim, unsigned client, unsigned shard);
/* The client goes: orderly (what it wrote arrives), or not. */
void socket_leave(struct socket *socket, bool orderly);
/* The broker notices that connections nobody reads are gone. */
void machine_end_abandoned(struct sim *sim);
void machine_discard_mesh(struct sim *sim);
void machine_close_all(struct sim *sim);

/* ---- client.c ---- */
void client_init(struct sim *sim, unsigned index);
void client_act(struct client *client);
void client_connect(struct client *client, bool clean);
void client_subscribe(struct client *client, const char *filter, uint8_t options);
uint32_t client_publish(struct client *client, unsigned topic, uint8_t qos, bool retain,
                        uint32_t payload_len);
/* The connection is over, as the client sees it. */
void client_lost(struct client *client);
/* Sends up to `limit` acknowledgements that are due. */
bool client_acknowledge(struct client *client, uint32_t limit);
/* One step towards rest; false when the client has nothing left to do. */
bool client_calm(struct client *client);
void client_send(struct client *client, const uint8_t *data, uint32_t len);
void client_answer_pubrec(struct client *client, uint16_t packet_identifier);
/* Forgets the session: what is under way is abandoned. */
void client_forget_session(struct client *client);
void client_free(struct client *client);

/* ---- client_packets.c ---- */
/* Reads from the pipe; false when there was nothing. */
bool client_read(struct client *client);
void client_resend(struct client *client);

/* ---- oracle.c ---- */
extern const char *const topic_names[TOPICS];
extern const char *const group_filters[GROUPS];
struct span topic_span(unsigned topic, char *buffer);
unsigned retained_publisher(const struct sim *sim, unsigned topic);
uint32_t oracle_new_record(struct sim *sim, const struct record *record);
void oracle_write_payload(const struct sim *sim, uint32_t record, uint8_t *to);
/* A PUBLISH came; `duplicate_of_qos2` when the client knows its identifier already. */
void oracle_delivery(struct client *client, const struct publish_packet *packet, struct span topic);
/* The record that a payload names; PUBLICATIONS_MAX for an empty one or a message of the broker. */
uint32_t oracle_identify(struct client *client, struct span topic, struct span payload);
void oracle_new_session(struct client *client);
void oracle_subscribing(struct client *client, const char *filter, uint8_t options);
void oracle_new_connection(struct client *client);
void oracle_final(struct sim *sim);
/* At rest while some members of share groups are away. */
void oracle_check_present_groups(struct sim *sim);
void oracle_check_retained(struct sim *sim, struct client *observer);

/* ---- operator.c ---- */
void operator_open(struct sim *sim);
void operator_act(struct sim *sim);
/* Goes on with a list that waits; false when none does. */
bool operator_calm(struct sim *sim);
void operator_check_rest(struct sim *sim);
void operator_close(struct sim *sim);

/* ---- laws.c ---- */
void laws_check_structures(struct sim *sim);
/* Whenever the mesh is empty. */
void laws_check_counters(struct sim *sim);
/* At the end, with everybody at rest. */
void laws_check_rest(struct sim *sim);

/* ---- run.c ---- */
/* One whole life from that seed; a property that does not hold ends the process. */
void sim_run(uint64_t seed, unsigned steps, bool memory, bool verbose);

#endif
