/* SPDX-License-Identifier: MIT
 *
 * exporter - one GET, one answer, closed.
 */
#include "bench/exporter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/payload.h"

/* A peer that neither asks nor reads is given up, so that it does not keep others out. */
#define PATIENCE_NS (5 * NANOSECONDS)

/* Upper bounds of the buckets, in seconds. */
static const double bounds[] = {0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001,
                                0.002,   0.005,   0.01,    0.02,   0.05,   0.1,    0.2,
                                0.5,     1,       2,       5,      10};

bool exporter_open(struct exporter *exporter, uint16_t port, char *error, size_t error_size)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int on = 1;

    memset(exporter, 0, sizeof(*exporter));
    for (uint32_t i = 0; i < EXPORTER_CONNECTIONS; i++) {
        exporter->connections[i].fd = -1;
    }
    exporter->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(exporter->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(exporter->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(exporter->listener, 16) != 0 ||
        getsockname(exporter->listener, (struct sockaddr *)&address, &len) != 0) {
        snprintf(error, error_size, "--prometheus: cannot listen on port %u: %s", port,
                 strerror(errno));
        exporter_close(exporter);
        return false;
    }
    exporter->port = ntohs(address.sin_port);
    return true;
}

static void end(struct exporter_connection *connection)
{
    if (connection->fd >= 0) {
        close(connection->fd);
    }
    mem_free_libc(connection->answer);
    memset(connection, 0, sizeof(*connection));
    connection->fd = -1;
}

void exporter_close(struct exporter *exporter)
{
    for (uint32_t i = 0; i < EXPORTER_CONNECTIONS; i++) {
        end(&exporter->connections[i]);
    }
    if (exporter->listener >= 0) {
        close(exporter->listener);
    }
    exporter->listener = -1;
}

static void write_latency(FILE *to, const char *name, const struct histogram *latency)
{
    fputs("# HELP shardmq_bench_latency_seconds Time from when a message was sent, or was due, "
          "to its arrival.\n# TYPE shardmq_bench_latency_seconds histogram\n",
          to);
    for (size_t i = 0; i < ARRAY_LENGTH(bounds); i++) {
        uint64_t count =
            histogram_count_up_to(latency, (uint64_t)(bounds[i] * (double)NANOSECONDS));

        fprintf(to, "shardmq_bench_latency_seconds_bucket{run=\"%s\",le=\"%g\"} %llu\n", name,
                bounds[i], (unsigned long long)count);
    }
    fprintf(to,
            "shardmq_bench_latency_seconds_bucket{run=\"%s\",le=\"+Inf\"} %llu\n"
            "shardmq_bench_latency_seconds_sum{run=\"%s\"} %.9f\n"
            "shardmq_bench_latency_seconds_count{run=\"%s\"} %llu\n",
            name, (unsigned long long)latency->count, name, latency->sum_ns / (double)NANOSECONDS,
            name, (unsigned long long)latency->count);
}

/* The text that is served, in the exposition format 0.0.4. */
static void write_text(FILE *to, const char *name, const struct totals *totals,
                       const struct histogram *latency)
{
#define ROW(member, suffix, type, help)                                                            \
    fprintf(to,                                                                                    \
            "# HELP shardmq_bench_" #member suffix " " help ".\n"                                  \
            "# TYPE shardmq_bench_" #member suffix " " type "\n"                                   \
            "shardmq_bench_" #member suffix "{run=\"%s\"} %llu\n",                                 \
            name, (unsigned long long)totals->member);
#define TOTAL(member, help) ROW(member, "_total", "counter", help)
#define GAUGE(member, help) ROW(member, "", "gauge", help)
#include "bench/totals.def"
#undef TOTAL
#undef GAUGE
#undef ROW
    write_latency(to, name, latency);
}

static void accept_all(struct exporter *exporter, uint64_t now_ns)
{
    for (uint32_t i = 0; i < EXPORTER_CONNECTIONS; i++) {
        struct exporter_connection *connection = &exporter->connections[i];

        if (connection->fd < 0) {
            connection->fd = accept4(exporter->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (connection->fd < 0) {
                return;
            }
            connection->opened_ns = now_ns;
        }
    }
}

/* Makes the answer to a complete request. */
static void answer(struct exporter_connection *connection, const char *name,
                   const struct totals *totals, const struct histogram *latency)
{
    bool is_get = strncmp(connection->request, "GET ", 4) == 0;
    const char *path = connection->request + (is_get ? 4 : 0);
    bool found = is_get && strncmp(path, "/metrics", 8) == 0 && strchr(" ?", path[8]) != NULL;
    char *body = NULL;
    size_t body_len = 0, len = 0;
    FILE *file = open_memstream(&body, &body_len);

    ASSERT(file != NULL);
    if (found) {
        write_text(file, name, totals, latency);
    } else {
        fputs(is_get ? "the metrics are at /metrics\n" : "only GET is understood\n", file);
    }
    fclose(file);
    file = open_memstream(&connection->answer, &len);
    ASSERT(file != NULL);
    fprintf(file,
            "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            "Content-Length: %zu\r\nConnection: close\r\n\r\n",
            found    ? "200 OK"
            : is_get ? "404 Not Found"
                     : "405 Method Not Allowed",
            body_len);
    fwrite(body, 1, body_len, file);
    fclose(file);
    mem_free_libc(body);
    connection->answer_len = (uint32_t)len;
}

/* Reads and writes what can be. Returns false when the connection is over. */
static bool serve(struct exporter_connection *connection, const char *name,
                  const struct totals *totals, const struct histogram *latency)
{
    ssize_t moved;

    if (connection->answer == NULL) {
        uint32_t room = EXPORTER_REQUEST_MAX - 1 - connection->request_len;

        moved = recv(connection->fd, connection->request + connection->request_len, room, 0);
        if (moved <= 0) {
            return moved < 0 && (errno == EAGAIN || errno == EINTR);
        }
        connection->request_len += (uint32_t)moved;
        connection->request[connection->request_len] = '\0';
        if (strstr(connection->request, "\r\n\r\n") == NULL) {
            return connection->request_len < EXPORTER_REQUEST_MAX - 1;
        }
        answer(connection, name, totals, latency);
    }
    moved = send(connection->fd, connection->answer + connection->answer_at,
                 connection->answer_len - connection->answer_at, MSG_NOSIGNAL);
    if (moved < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    connection->answer_at += (uint32_t)moved;
    return connection->answer_at < connection->answer_len;
}

void exporter_poll(struct exporter *exporter, uint64_t now_ns, const char *name,
                   const struct totals *totals, const struct histogram *latency)
{
    accept_all(exporter, now_ns);
    for (uint32_t i = 0; i < EXPORTER_CONNECTIONS; i++) {
        struct exporter_connection *connection = &exporter->connections[i];

        if (connection->fd >= 0 && (!serve(connection, name, totals, latency) ||
                                    now_ns > connection->opened_ns + PATIENCE_NS)) {
            end(connection);
        }
    }
}
