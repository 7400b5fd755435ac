/* SPDX-License-Identifier: MIT
 *
 * Unit tests of bench/exporter: what it serves, and to whom it does not listen for long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/exporter.h"
#include "bench/payload.h"

static struct exporter exporter;
static struct totals totals;
static struct histogram *latency;
static char answer[65536];

static int setup(void **state)
{
    char error[200];

    (void)state;
    latency = mem_zalloc(sizeof(*latency));
    for (int i = 0; i < 100; i++) {
        histogram_add(latency, (uint64_t)i * 100000);
    }
    totals = (struct totals){.connected = 3, .sent = 12345678901, .received = 5};
    return exporter_open(&exporter, 0, error, sizeof(error)) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    exporter_close(&exporter);
    mem_free(latency);
    return 0;
}

static int connect_to_it(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(exporter.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void poll_it(uint64_t now)
{
    exporter_poll(&exporter, now, "test", &totals, latency);
}

/* Sends a request, in two pieces, and reads the whole answer. */
static void ask(const char *request)
{
    int fd = connect_to_it();
    size_t len = strlen(request), got = 0;
    ssize_t piece;

    assert_int_equal(send(fd, request, len / 2, 0), (ssize_t)(len / 2));
    poll_it(1);
    poll_it(1);
    assert_int_equal(send(fd, request + len / 2, len - len / 2, 0), (ssize_t)(len - len / 2));
    do {
        poll_it(2);
        piece = recv(fd, answer + got, sizeof(answer) - 1 - got, MSG_DONTWAIT);
        got += piece > 0 ? (size_t)piece : 0;
    } while (piece != 0);
    answer[got] = '\0';
    close(fd);
}

static void test_metrics(void **state)
{
    const char *at;
    unsigned long before = 0, buckets = 0;

    (void)state;
    ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(answer, "\nshardmq_bench_sent_total{run=\"test\"} 12345678901\n"));
    assert_non_null(strstr(answer, "\nshardmq_bench_connected{run=\"test\"} 3\n"));
    assert_non_null(strstr(answer, "# TYPE shardmq_bench_sent_total counter\n"));
    assert_non_null(strstr(answer, "# TYPE shardmq_bench_connected gauge\n"));
    assert_non_null(strstr(answer, "le=\"+Inf\"} 100\n"));
    assert_non_null(strstr(answer, "shardmq_bench_latency_seconds_count{run=\"test\"} 100\n"));
    for (at = answer; (at = strstr(at, "_bucket{")) != NULL; at++) {
        unsigned long count = strtoul(strchr(at, '}') + 1, NULL, 10);

        assert_true(count >= before);
        before = count;
        buckets++;
    }
    assert_true(buckets > 10);
}

static void test_other_requests(void **state)
{
    (void)state;
    ask("GET / HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(answer, "404 Not Found"));
    ask("GET /metricsx HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(answer, "404 Not Found"));
    ask("POST /metrics HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(answer, "405 Method Not Allowed"));
    ask("GET /metrics?x HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(answer, "200 OK"));
}

static void test_those_who_say_nothing(void **state)
{
    int fds[EXPORTER_CONNECTIONS];
    char byte;

    (void)state;
    for (uint32_t i = 0; i < EXPORTER_CONNECTIONS; i++) {
        fds[i] = connect_to_it();
    }
    poll_it(NANOSECONDS);
    poll_it(10 * NANOSECONDS); /* they have had their time */
    for (uint32_t i = 0; i < EXPORTER_CONNECTIONS; i++) {
        assert_int_equal(recv(fds[i], &byte, 1, 0), 0);
        close(fds[i]);
    }
    ask("GET /metrics HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(answer, "200 OK"));
}

static void test_a_request_without_end(void **state)
{
    int fd = connect_to_it();
    char letters[EXPORTER_REQUEST_MAX + 100], byte;

    (void)state;
    memset(letters, 'x', sizeof(letters));
    assert_int_equal(send(fd, letters, sizeof(letters), 0), sizeof(letters));
    for (int i = 0; i < 4; i++) {
        poll_it(1);
    }
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

static void test_a_port_that_is_taken(void **state)
{
    struct exporter second;
    char error[200];

    (void)state;
    assert_false(exporter_open(&second, exporter.port, error, sizeof(error)));
    assert_non_null(strstr(error, "--prometheus"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_metrics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_those_who_say_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_request_without_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_port_that_is_taken, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
