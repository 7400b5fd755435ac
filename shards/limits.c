/* SPDX-License-Identifier: MIT */
#include "shards/limits.h"

#include "conf/conf.h"
#include "shards/bufring.h"
#include "shards/conn_mqtt.h"
#include "shards/op.h"
#include "shards/shard.h"
#include "shards/topology.h"
#include "shards/uring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define SESSIONS_DEFAULT            1000000u
#define CONTROL_MESH_DEPTH          1024u
#define CONTROL_RECEIVE_BUFFERS     16u
#define CONTROL_RECEIVE_BUFFER_SIZE 4096u
#define MANY_CONNECTIONS            50000u
#define KIB                         1024.0
#define MIB                         (1024.0 * 1024.0)

_Static_assert(CONF_SHARDS_MAX <= SHARDS_MAX, "a shard is a bit of the interest masks");
_Static_assert(SHARDS_MAX < 1u << 16, "mesh_port.touched has 16 bits for a shard");

static uint32_t power_of_two(uint64_t at_least, uint32_t most)
{
    uint32_t value = 1;

    while (value < at_least && value < most)
        value *= 2;
    return value;
}

static uint32_t raise_descriptors(void)
{
    struct rlimit limit = {0};

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        rlim_t before = limit.rlim_cur;

        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            limit.rlim_cur = before;
    }
    return limit.rlim_cur > 100000000u ? 100000000u : (uint32_t)limit.rlim_cur;
}

/* Descriptors that are not connections. */
static uint32_t reserved_descriptors(unsigned shards, const struct conf *conf)
{
    uint32_t service = conf->http_server_enable ? 2 + conf->http_server_limit_conn : 0;

    return 3    /* standard input, output, error */
           + 8  /* log: file and its successor, syslog, journal; pid file, notify socket */
           + 16 /* control: signals, the socket and its clients */
           + 8  /* files read at a reload, /proc, plug-ins of the C library */
           + (shards + 1) * 2 /* each thread: ring, eventfd */
           + shards           /* each data shard: the descriptor given up when there is no other */
           + service /* the HTTP server: its socket, its connections, a descriptor in reserve */
           + shards * conf->listener_count; /* each data shard: a socket per listener */
}

static void derive_shard(struct shard_limits *to, const struct conf_shard *from,
                         const struct limits *limits, int cpu)
{
    to->cpu = from->cpu >= 0 ? from->cpu : cpu;
    to->connections = from->max_connections != 0 && from->max_connections < limits->connections
                          ? from->max_connections
                          : limits->connections;
    to->sessions = from->max_sessions != 0 ? from->max_sessions : SESSIONS_DEFAULT;
    to->submission_entries = power_of_two(from->ring_entries, 32768);
    /* a turn can bring a completion for every submission, one for every receive buffer, and those
     * of sockets that closed; more than fits waits in the kernel and costs only time */
    to->completion_entries = to->submission_entries * (to->connections > MANY_CONNECTIONS ? 16 : 8);
    if (to->completion_entries > 65536)
        to->completion_entries = 65536;
    to->receive_buffers = power_of_two(from->receive_buffers, BUFRING_COUNT_MAX);
    to->receive_buffer_size = (uint32_t)from->receive_buffer_size;
    to->completion_batch = from->completion_batch;
    to->mesh_batch = from->mesh_batch;
    to->timer_batch = from->timer_batch;
    to->busy_poll_us = from->busy_poll_us;
    to->batch_wait_us = from->batch_wait_us;
}

static void derive_control(struct shard_limits *control, const struct conf *conf)
{
    *control = (struct shard_limits){
        .cpu = -1, /* it runs where there is room */
        .submission_entries = 128,
        .completion_entries = 512,
        .completion_batch = 256,
        .mesh_batch = 256,
        .timer_batch = 64,
    };
    if (!conf->http_server_enable)
        return;
    control->connections = conf->http_server_limit_conn;
    control->receive_buffers = CONTROL_RECEIVE_BUFFERS;
    control->receive_buffer_size = CONTROL_RECEIVE_BUFFER_SIZE;
}

static uint32_t derive_mesh_depth(const struct conf *conf, unsigned shard)
{
    return power_of_two(conf_shard(conf, shard)->mesh_depth, 1u << 20);
}

int limits_derive(struct limits *limits, const struct conf *conf, char *why, size_t size)
{
    struct topology topology;
    uint32_t reserved, depth_most = 0;
    uint64_t memory = conf->limits_queue_memory;

    memset(limits, 0, sizeof(*limits));
    topology_read(&topology);
    limits->shards = conf->shards_count != 0 ? conf->shards_count : topology_shards(&topology);
    if (limits->shards > CONF_SHARDS_MAX)
        limits->shards = CONF_SHARDS_MAX;
    limits->descriptors = raise_descriptors();
    reserved = reserved_descriptors(limits->shards, conf);
    if (limits->descriptors <= reserved) {
        snprintf(
            why, size,
            "the limit of open descriptors is %u, the broker itself needs %u: raise `ulimit -n`",
            limits->descriptors, reserved);
        return -1;
    }
    limits->connections = limits->descriptors - reserved;
    if (conf->limits_max_connections != 0 && conf->limits_max_connections < limits->connections)
        limits->connections = conf->limits_max_connections;
    if (limits->connections > OP_SLOT_MAX)
        limits->connections = OP_SLOT_MAX;
    if (memory == 0)
        memory = topology.memory / 4;
    limits->queue_memory = memory / limits->shards;
    for (unsigned i = 0; i < limits->shards; i++) {
        /* more shards than CPUs: those are left to the scheduler */
        int cpu = i < topology.cpu_count ? topology.cpus[i] : -1;

        derive_shard(&limits->shard[i], conf_shard(conf, i), limits, cpu);
        limits->mesh_depth[i] = derive_mesh_depth(conf, i);
        if (limits->mesh_depth[i] > depth_most)
            depth_most = limits->mesh_depth[i];
    }
    derive_control(&limits->control, conf);
    limits->control_mesh_depth = CONTROL_MESH_DEPTH;
    /* a publisher is paused soon after the ring is full; what it has already sent to us fits below
     * the mark where QoS 0 is dropped */
    limits->mesh_congested = depth_most / 8;
    limits->mesh_full = depth_most * 8;
    return 0;
}

static double mesh_memory(const struct limits *limits)
{
    double entries = 2.0 * limits->shards * limits->control_mesh_depth; /* from and to control */

    for (unsigned i = 0; i < limits->shards; i++)
        entries +=
            (double)(limits->shards - 1) * limits->mesh_depth[i]; /* from every other shard */
    return entries * SPSC_ELEMENT;
}

static double print_shard(const struct limits *limits, unsigned index, FILE *to)
{
    const struct shard_limits *shard = &limits->shard[index];
    double rings = (double)uring_memory(shard->submission_entries, shard->completion_entries);
    double buffers = (double)bufring_memory(shard->receive_buffers, shard->receive_buffer_size);
    double sends = SEND_VECTORS * sizeof(struct iovec) + SEND_HEADERS * sizeof(struct msghdr);

    fprintf(to,
            "shard %u: cpu %d, connections %u, sessions %u, ring %u+%u entries, "
            "receive buffers %u x %u bytes, mesh depth %u\n",
            index, shard->cpu, shard->connections, shard->sessions, shard->submission_entries,
            shard->completion_entries, shard->receive_buffers, shard->receive_buffer_size,
            limits->mesh_depth[index]);
    fprintf(to,
            "shard %u: batches: completions %u, mesh %u, timers %u; busy poll %u us, batch wait %u "
            "us\n",
            index, shard->completion_batch, shard->mesh_batch, shard->timer_batch,
            shard->busy_poll_us, shard->batch_wait_us);
    return rings + buffers + sends;
}

void limits_print(const struct limits *limits, FILE *to)
{
    size_t connection = sizeof(struct conn) + sizeof(struct connection);
    double threads = 0;

    if (limits->control.connections != 0)
        threads += (double)bufring_memory(limits->control.receive_buffers,
                                          limits->control.receive_buffer_size);
    fprintf(to, "shards %u, connections %u of %u descriptors\n", limits->shards,
            limits->connections, limits->descriptors);
    for (unsigned i = 0; i < limits->shards; i++)
        threads += print_shard(limits, i, to);
    fprintf(to, "memory: %.1f MiB for rings and receive buffers, %.1f MiB for the mesh\n",
            threads / MIB, mesh_memory(limits) / MIB);
    fprintf(to,
            "memory: %zu bytes for each connection and about 4.6 KiB in the kernel: at most %.0f "
            "MiB for %u\n",
            connection, ((double)connection + 4.6 * KIB) * limits->connections / MIB,
            limits->connections);
    fprintf(to, "memory: at most %.0f MiB of queued messages (limits.queue_memory)\n",
            (double)limits->queue_memory * limits->shards / MIB);
}
