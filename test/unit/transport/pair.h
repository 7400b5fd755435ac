/* SPDX-License-Identifier: MIT
 *
 * pair - a client's and a server's transport face to face, the wire between them in memory.
 */
#ifndef SHARDMQ_TEST_TRANSPORT_PAIR_H
#define SHARDMQ_TEST_TRANSPORT_PAIR_H

#include "base/mem.h"
#include "base/random.h"
#include "transport/tls_context.h"
#include "transport/transport.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* One end. */
struct end {
    struct transport *transport;
    struct transport_wire out;    /* on its way to the other end */
    struct transport_wire plain;  /* what has arrived */
    enum transport_status status; /* of the last unwrap */
    unsigned signatures;          /* that were made elsewhere */
};

struct pair {
    struct end client, server;
    struct random random;
    size_t chunk; /* the most bytes delivered at a time; 0: all */
};

static void *sign(void *job)
{
    transport_job_run(job);
    return NULL;
}

/* Another thread makes the signature that a handshake waits for. */
static void end_sign(struct end *end)
{
    struct transport_job *job = transport_take_job(end->transport);
    pthread_t thread;

    assert_non_null(job);
    assert_null(transport_take_job(end->transport));
    assert_int_equal(pthread_create(&thread, NULL, sign, job), 0);
    pthread_join(thread, NULL);
    transport_give_job(end->transport, job);
    end->signatures++;
}

/* Gives `len` bytes of the wire to an end, as a connection would. */
static void end_take(struct end *end, const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len), plain;

    do {
        end->status = transport_unwrap(end->transport, &input, &plain, &end->out);
        if (end->status == TRANSPORT_MORE)
            assert_true(transport_wire_append(&end->plain, plain.data, plain.len));
        else if (end->status == TRANSPORT_WAITING)
            end_sign(end);
    } while (end->status == TRANSPORT_MORE || end->status == TRANSPORT_WAITING);
    assert_true(end->status != TRANSPORT_NEED_INPUT || input.len == 0);
}

static bool over(const struct end *end)
{
    return end->status == TRANSPORT_END || end->status == TRANSPORT_FAILED;
}

/* Moves bytes from one end to the other; false when there were none. */
static bool deliver(struct pair *pair, struct end *from, struct end *to)
{
    struct transport_wire wire = from->out;

    from->out = (struct transport_wire){0};
    for (size_t done = 0; done < wire.len && !over(to);) {
        size_t len = wire.len - done;

        if (pair->chunk != 0 && len > pair->chunk)
            len = 1 + random_below(&pair->random, (uint32_t)pair->chunk);
        end_take(to, wire.data + done, len);
        done += len;
    }
    transport_wire_free(&wire);
    return from->out.len != 0 || to->out.len != 0;
}

static void pump(struct pair *pair)
{
    while (pair->client.out.len != 0 || pair->server.out.len != 0) {
        deliver(pair, &pair->client, &pair->server);
        deliver(pair, &pair->server, &pair->client);
    }
}

static void pair_open(struct pair *pair, const struct transport_settings *client,
                      const struct transport_settings *server)
{
    pair->client = pair->server = (struct end){.status = TRANSPORT_NEED_INPUT};
    pair->client.transport = transport_create(client);
    pair->server.transport = transport_create(server);
    assert_non_null(pair->client.transport);
    assert_non_null(pair->server.transport);
    assert_true(transport_start(pair->server.transport, &pair->server.out));
    assert_true(transport_start(pair->client.transport, &pair->client.out));
    assert_int_equal(pair->server.out.len, 0);
    pump(pair);
}

static void end_close(struct end *end)
{
    transport_destroy(end->transport);
    transport_wire_free(&end->out);
    transport_wire_free(&end->plain);
}

static void pair_close(struct pair *pair)
{
    end_close(&pair->client);
    end_close(&pair->server);
}

/* Sends `len` bytes of a pattern in one wrap of up to three pieces. */
static void end_send(struct end *end, size_t len)
{
    uint8_t *data = mem_alloc(len + 1);
    struct iovec pieces[3] = {{data, len / 3}, {data + len / 3, len / 4}, {NULL, 0}};

    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 + len);
    pieces[2].iov_base = data + len / 3 + len / 4;
    pieces[2].iov_len = len - len / 3 - len / 4;
    assert_true(transport_wrap(end->transport, pieces, 3, &end->out));
    mem_free(data);
}

/* The end has received exactly one such message. */
static void end_expect(struct end *end, size_t len)
{
    assert_int_equal(end->plain.len, len);
    for (size_t i = 0; i < len; i++)
        if (end->plain.data[i] != (uint8_t)(i * 7 + len))
            fail_msg("byte %zu of %zu differs", i, len);
    transport_wire_free(&end->plain);
}

/* Many small messages at once. */
static void pair_exchange_batches(struct pair *pair)
{
    for (size_t i = 0; i < 300; i++)
        end_send(&pair->client, 3);
    pump(pair);
    assert_int_equal(pair->server.plain.len, 900);
    transport_wire_free(&pair->server.plain);
}

/* Messages of many sizes both ways; the ends must be ready. */
static void pair_exchange(struct pair *pair)
{
    static const size_t sizes[] = {1, 2, 125, 126, 127, 4096, 16384, 16385, 65535, 65536, 200000};

    assert_true(transport_ready(pair->client.transport));
    assert_true(transport_ready(pair->server.transport));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (pair->chunk != 0 && pair->chunk < 8 && sizes[i] > 20000)
            break;
        end_send(&pair->client, sizes[i]);
        end_send(&pair->server, sizes[i]);
        pump(pair);
        end_expect(&pair->client, sizes[i]);
        end_expect(&pair->server, sizes[i]);
    }
    pair_exchange_batches(pair);
}

/* ---- certificates, made once for the test program ---- */

static char certificates[64];

static int make_certificates(void **state)
{
    char command[256];

    (void)state;
    snprintf(certificates, sizeof(certificates), "/tmp/shardmq-transport-XXXXXX");
    assert_non_null(mkdtemp(certificates));
    snprintf(command, sizeof(command), SOURCE_DIR "/test/support/certificates.sh %s", certificates);
    assert_int_equal(system(command), 0);
    return 0;
}

static int remove_certificates(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", certificates);
    return system(command);
}

/* The path of a file among them; four may be in use at a time. */
static const char *file(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", certificates, name);
    return path;
}

#endif
