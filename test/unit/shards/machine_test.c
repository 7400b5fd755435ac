/* SPDX-License-Identifier: MIT
 *
 * The whole machine in this process, with real sockets and a fake broker, on every kind of ring: as
 * this kernel has it, and as older kernels would. Clients are plain sockets of the test's own
 * thread.
 */
#include "shards/listen.h"
#include "shards/machine_priv.h"

static int probe_as_chosen(struct uring_features *features, char *why, size_t size);
static void note_port(const struct listener_set *set, const struct listener_set *former, FILE *to);

/* The machine under test sees the chosen features, and tells the port instead of printing it. */
#define uring_probe     probe_as_chosen
#define listeners_print note_port
#include "shards/machine.c"
#undef uring_probe
#undef listeners_print
#include "shards/listen.c"

#include "unit/shards/echo_service.h"
#include "unit/shards/fake_broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>

#define DEADLINE_MS 20000

static struct uring_features chosen, real;
static bool features_chosen;
static uint16_t port, service_port;
static bool with_service; /* http_server.enable */
static sem_t running;
static pthread_t thread;
static struct conf *conf;
static struct machine_options options;
static struct conf *_Atomic reloaded, *_Atomic released;
static char control_path[108];

static int probe_as_chosen(struct uring_features *features, char *why, size_t size)
{
    int error = uring_probe(&real, why, size);

    *features = features_chosen ? chosen : real;
    return error;
}

static void note_port(const struct listener_set *set, const struct listener_set *former, FILE *to)
{
    (void)former;
    (void)to;
    if (set->count == 0)
        return;
    if (set->places[0].door->service)
        service_port = port_of(&set->places[0]);
    else
        port = port_of(&set->places[0]);
}

static void on_started(void *argument)
{
    (void)argument;
    sem_post(&running);
}

static struct conf *load(unsigned shards)
{
    char count[16], errors[1024];
    const struct conf_override overrides[] = {
        {"shards.count", count, "test"},
        {"listeners.tcp.bind", "127.0.0.1:0", "test"},
        {"system.shutdown_timeout", "2s", "test"},
        {"control.socket", control_path, "test"},
        {"http_server.enable", with_service ? "true" : "false", "test"},
        {"http_server.port", "0", "test"},
        {"http_server.limit_conn", "3", "test"},
    };
    const struct conf_source source = {.overrides = overrides,
                                       .override_count = ARRAY_LENGTH(overrides)};
    struct conf *loaded;

    snprintf(count, sizeof(count), "%u", shards);
    loaded = conf_load(&source, errors, sizeof(errors));
    if (loaded == NULL)
        fail_msg("%s", errors);
    return loaded;
}

static struct conf *on_reload(void *argument, const struct machine_reload *what,
                              const struct conf *now, char *report, size_t size)
{
    const char *path = what->path;

    (void)argument;
    assert_ptr_equal(now, reloaded == NULL ? conf : reloaded);
    if (path != NULL && strcmp(path, "bad") == 0) {
        snprintf(report, size, "{\"ok\":false,\"error\":\"bad\"}");
        return NULL;
    }
    reloaded = load(2);
    assert_true(what->prepare(what->control, reloaded, report, size));
    snprintf(report, size, "{\"ok\":true,\"applied\":[],\"restart\":[]}");
    return reloaded;
}

static void on_release(void *argument, struct conf *gone)
{
    (void)argument;
    released = gone;
    conf_free(gone);
}

static void *run_machine(void *argument)
{
    (void)argument;
    return (void *)(intptr_t)machine_run(&options);
}

static void start(unsigned shards)
{
    snprintf(control_path, sizeof(control_path), "/tmp/shardmq-test-%d.sock", (int)getpid());
    conf = load(shards);
    options = (struct machine_options){
        .conf = conf, .reload = on_reload, .release = on_release, .started = on_started};
    atomic_store(&fake_opened, 0);
    atomic_store(&fake_closed, 0);
    atomic_store(&fake_forgotten, 0);
    atomic_store(&fake_paused, 0);
    atomic_store(&fake_entries, 0);
    atomic_store(&fake_configured, 0);
    reloaded = released = NULL;
}

static void run(void)
{
    struct timespec until;

    sem_init(&running, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, run_machine, NULL), 0);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    assert_int_equal(sem_timedwait(&running, &until), 0);
}

static int join(void)
{
    void *status = NULL;

    pthread_join(thread, &status);
    conf_free(conf);
    sem_destroy(&running);
    /* every connection that was opened had exactly one end */
    assert_int_equal(atomic_load(&fake_opened),
                     atomic_load(&fake_closed) + atomic_load(&fake_forgotten));
    return (int)(intptr_t)status;
}

static void control(const char *command, char *answer, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    size_t got = 0;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", control_path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(fd, command, strlen(command)), strlen(command));
    while (got < size - 1 && (got == 0 || answer[got - 1] != '\n')) {
        ssize_t more = read(fd, answer + got, size - 1 - got);

        if (more <= 0)
            break;
        got += (size_t)more;
    }
    answer[got] = '\0';
    close(fd);
}

static int stop(void)
{
    char answer[64];

    control("shutdown\n", answer, sizeof(answer));
    assert_string_equal(answer, "{\"ok\":true}\n");
    return join();
}

static int64_t counter(const char *name)
{
    static char answer[65536];
    char key[64];
    const char *at;

    control("stats\n", answer, sizeof(answer));
    snprintf(key, sizeof(key), "\"%s\":", name);
    at = strstr(answer, key);
    assert_non_null(at);
    return strtoll(at + strlen(key), NULL, 10);
}

static void wait_for(atomic_uint *value, unsigned wanted)
{
    for (unsigned i = 0; i < DEADLINE_MS && atomic_load(value) != wanted; i++)
        poll(NULL, 0, 1);
    assert_int_equal(atomic_load(value), wanted);
}

static int connect_to_port(uint16_t to)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int connect_to(void)
{
    return connect_to_port(port);
}

/* Reads exactly that much, or fails the test. */
static void read_all(int fd, uint8_t *to, size_t size)
{
    while (size != 0) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        ssize_t got;

        assert_int_equal(poll(&readable, 1, DEADLINE_MS), 1);
        got = read(fd, to, size);
        if (got <= 0)
            fail_msg("connection ended with %zu bytes missing", size);
        to += got;
        size -= (size_t)got;
    }
}

static bool at_end(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    uint8_t byte;

    assert_int_equal(poll(&readable, 1, DEADLINE_MS), 1);
    return read(fd, &byte, 1) <= 0;
}

static int client(unsigned home, char mode)
{
    const char hello[3] = {'C', (char)('0' + home), mode};
    int fd = connect_to();
    uint8_t answer;

    assert_int_equal(write(fd, hello, sizeof(hello)), sizeof(hello));
    read_all(fd, &answer, 1);
    assert_int_equal(answer, '+');
    return fd;
}

/* Sends `total` bytes of the pattern and checks that all come back, both as fast as they go. */
static void echo(int fd, uint64_t total)
{
    static uint8_t out[65536], in[65536];
    uint64_t sent = 0, received = 0;

    while (received < total) {
        struct pollfd ready = {.fd = fd, .events = (short)(POLLIN | (sent < total ? POLLOUT : 0))};

        assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
        if ((ready.revents & POLLOUT) != 0) {
            size_t len = total - sent < sizeof(out) ? (size_t)(total - sent) : sizeof(out);
            ssize_t done;

            for (size_t i = 0; i < len; i++)
                out[i] = pattern(sent + i);
            done = send(fd, out, len, MSG_DONTWAIT);
            if (done > 0)
                sent += (uint64_t)done;
        }
        if ((ready.revents & (POLLIN | POLLHUP)) != 0) {
            ssize_t got = recv(fd, in, sizeof(in), MSG_DONTWAIT);

            if (got == 0)
                fail_msg("closed after %llu bytes", (unsigned long long)received);
            for (ssize_t i = 0; i < got; i++)
                if (in[i] != pattern(received + (uint64_t)i))
                    fail_msg("byte %llu is wrong", (unsigned long long)received + (uint64_t)i);
            if (got > 0)
                received += (uint64_t)got;
        }
    }
}

/* ---- tests; each runs on every kind of ring ---- */

static void connections_find_their_home_and_echo(void **state)
{
    enum { CLIENTS = 40 };
    int fds[CLIENTS];

    (void)state;
    start(2);
    run();
    for (unsigned i = 0; i < CLIENTS; i++)
        fds[i] = client(i % 2, 'e');
    for (unsigned i = 0; i < CLIENTS; i++)
        echo(fds[i], 1 + i * 997);
    assert_int_equal(counter("connection_open"), CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++)
        close(fds[i]);
    assert_true(atomic_load(&fake_forgotten) > 0); /* some landed on the other shard */
    wait_for(&fake_closed, CLIENTS);
    assert_int_equal(counter("stale_handle"), 0);
    assert_int_equal(stop(), 0);
}

static void a_connect_in_pieces_is_handed_over_whole(void **state)
{
    (void)state;
    start(2);
    run();
    for (unsigned i = 0; i < 8; i++) {
        int fd = connect_to();
        uint8_t answer[4];

        assert_int_equal(send(fd, "C", 1, 0), 1);
        poll(NULL, 0,
             2); /* so that the pieces come separately; either way the answer is the same */
        assert_int_equal(send(fd, i % 2 == 0 ? "0" : "1", 1, 0), 1);
        poll(NULL, 0, 2);
        assert_int_equal(send(fd, "exyz", 4, 0), 4);
        read_all(fd, answer, 4);
        assert_memory_equal(answer, "+xyz", 4);
        close(fd);
    }
    assert_int_equal(stop(), 0);
}

static void much_output_to_a_slow_reader_arrives_whole(void **state)
{
    static uint8_t bytes[BIG_BYTES];
    int fd;

    (void)state;
    start(1);
    run();
    fd = client(0, 'b');
    assert_int_equal(write(fd, "g", 1), 1);
    poll(NULL, 0, 20); /* the sockets fill up */
    read_all(fd, bytes, sizeof(bytes));
    for (uint32_t i = 0; i < BIG_BYTES; i++)
        if (bytes[i] != pattern(i))
            fail_msg("byte %u is wrong", i);
    assert_true(at_end(fd));
    close(fd);
    wait_for(&fake_closed, 1);
    assert_int_equal(counter("byte_out"), BIG_BYTES + 1);
    assert_int_equal(stop(), 0);
}

static void bulk_in_both_directions_survives_few_buffers(void **state)
{
    int fds[3];

    (void)state;
    start(2);
    for (unsigned i = 0; i < 2; i++) {
        conf->shards[i].receive_buffers = 16;
        conf->shards[i].receive_buffer_size = 512;
        conf->shards[i].ring_entries = 64;
    }
    run();
    for (unsigned i = 0; i < 3; i++)
        fds[i] = client(i % 2, 'e');
    for (unsigned i = 0; i < 3; i++)
        echo(fds[i], 3u << 20);
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
    assert_int_equal(stop(), 0);
}

static void paused_connections_lose_nothing(void **state)
{
    int fds[2];

    (void)state;
    start(2);
    run();
    fds[0] = client(0, 'p');
    fds[1] = client(1, 'p');
    echo(fds[0], 500000);
    echo(fds[1], 500000);
    assert_true(atomic_load(&fake_paused) >= 2 * (500000 / (2 * PAUSE_BYTES)));
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(stop(), 0);
}

static void last_words_survive_unread_input(void **state)
{
    static uint8_t junk[200000];
    uint8_t bye[3];
    int fd;

    (void)state;
    start(1);
    run();
    for (unsigned i = 0; i < 5; i++) {
        fd = client(0, 'q');
        send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
        read_all(fd, bye, 3);
        assert_memory_equal(bye, "bye", 3);
        assert_true(at_end(fd));
        close(fd);
    }
    fd = client(0, 'n');
    assert_int_equal(write(fd, "x", 1), 1);
    assert_true(at_end(fd));
    close(fd);
    wait_for(&fake_closed, 6);
    assert_int_equal(stop(), 0);
}

static void what_is_pending_is_sent_to_a_half_closed_client(void **state)
{
    uint8_t answer[6];
    int fd;

    (void)state;
    start(1);
    run();
    fd = connect_to();
    assert_int_equal(write(fd, "C0ehello", 8), 8);
    shutdown(fd, SHUT_WR);
    read_all(fd, answer, 6);
    assert_memory_equal(answer, "+hello", 6);
    assert_true(at_end(fd));
    close(fd);
    assert_int_equal(stop(), 0);
}

static void connections_above_the_limit_are_refused(void **state)
{
    int fds[4];

    (void)state;
    start(2);
    conf->limits_max_connections = 3;
    run();
    for (unsigned i = 0; i < 3; i++)
        fds[i] = client(i % 2, 'e');
    fds[3] = connect_to();
    assert_true(at_end(fds[3]));
    assert_true(counter("connection_refused") >= 1);
    assert_int_equal(counter("refused_limit"), counter("connection_refused"));
    close(fds[3]);
    close(fds[0]);
    wait_for(&fake_closed, 1);
    fds[0] = client(1, 'e');
    for (unsigned i = 0; i < 3; i++) {
        echo(fds[i], 1000);
        close(fds[i]);
    }
    assert_int_equal(stop(), 0);
}

static int port_pipe[2];

static void tell_port(void *argument)
{
    (void)argument;
    if (write(port_pipe[1], &port, sizeof(port)) != sizeof(port))
        _exit(3);
}

/* A process whose limit of descriptors is lower than the machine thinks it can use: others hold 50.
 * */
static pid_t start_with_few_descriptors(void)
{
    struct rlimit few = {100, 100};
    pid_t child;

    assert_int_equal(pipe(port_pipe), 0);
    child = fork();
    if (child == 0) {
        start(1);
        options.started = tell_port;
        if (setrlimit(RLIMIT_NOFILE, &few) != 0)
            _exit(4);
        for (unsigned i = 0; i < 50; i++)
            if (dup(0) < 0)
                _exit(5);
        _exit(machine_run(&options));
    }
    assert_int_equal(read(port_pipe[0], &port, sizeof(port)), sizeof(port));
    close(port_pipe[0]);
    close(port_pipe[1]);
    return child;
}

static void out_of_descriptors_is_answered_and_ends(void **state)
{
    enum { MANY = 60 };
    int fds[MANY], served = 0, status = 0, fd = -1;
    pid_t child = start_with_few_descriptors();

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        uint8_t answer;
        struct pollfd readable = {.fd = fds[i] = connect_to(), .events = POLLIN};

        send(fds[i], "C0e", 3, MSG_NOSIGNAL);
        assert_int_equal(poll(&readable, 1, DEADLINE_MS), 1); /* an answer, if only the end */
        served += read(fds[i], &answer, 1) == 1;
    }
    assert_in_range(served, 10, 49);
    for (unsigned i = 0; i < MANY; i++)
        close(fds[i]);
    for (unsigned i = 0; i < 1000 && fd < 0; i++) { /* soon there is room again */
        uint8_t answer;

        fd = connect_to();
        if (send(fd, "C0e", 3, MSG_NOSIGNAL) == 3 && read(fd, &answer, 1) == 1)
            break;
        close(fd);
        fd = -1;
        poll(NULL, 0, 5);
    }
    assert_true(fd >= 0);
    echo(fd, 1000);
    close(fd);
    kill(child, SIGTERM);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void entries_cross_the_mesh_and_wake_sleepers(void **state)
{
    int fds[3];

    (void)state;
    start(3);
    run();
    for (unsigned i = 0; i < 3; i++)
        fds[i] = client(i, 'm');
    for (unsigned round = 1; round <= 20; round++) {
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(write(fds[i], "0123456789", 10), 10);
        wait_for(&fake_entries, round * 3 * 10 * 2);
    }
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
    assert_int_equal(stop(), 0);
}

static void a_reload_reaches_every_shard_and_frees_the_old_one(void **state)
{
    char answer[256];
    struct conf *first;

    (void)state;
    start(2);
    run();
    control("reload bad\n", answer, sizeof(answer));
    assert_string_equal(answer, "{\"ok\":false,\"error\":\"bad\"}\n");
    assert_int_equal(atomic_load(&fake_configured), 0);
    control("reload\n", answer, sizeof(answer));
    assert_string_equal(answer, "{\"ok\":true,\"applied\":[],\"restart\":[]}\n");
    wait_for(&fake_configured, 3);
    first = reloaded;
    for (unsigned i = 0; i < 3; i++)
        assert_ptr_equal(atomic_load(&fake_conf[i]), first);
    assert_null(released);               /* the first one was the caller's */
    for (unsigned i = 0; i < 100; i++) { /* the last confirmation may still be on its way */
        control("reload some/file\n", answer, sizeof(answer));
        if (strstr(answer, "under way") == NULL)
            break;
    }
    wait_for(&fake_configured, 6);
    for (unsigned i = 0; i < DEADLINE_MS && released != first; i++)
        poll(NULL, 0, 1);
    assert_ptr_equal(released, first);
    assert_int_equal(stop(), 0);
    assert_ptr_equal(released, reloaded);
}

static void a_signal_shuts_down_with_connections_open(void **state)
{
    int fds[2];

    (void)state;
    start(2);
    conf->system_shutdown_timeout_ms = 50; /* the fake does not say goodbye: they are cut */
    run();
    fds[0] = client(0, 'e');
    fds[1] = client(1, 'b');
    assert_int_equal(write(fds[1], "g", 1), 1); /* output that nobody reads */
    kill(getpid(), SIGTERM);
    assert_int_equal(join(), 0);
    assert_true(at_end(fds[0]));
    close(fds[0]);
    close(fds[1]);
}

static void commands_are_answered_line_by_line(void **state)
{
    char answer[128];

    (void)state;
    start(2);
    run();
    control("ping\n", answer, sizeof(answer));
    assert_string_equal(answer, "{\"ok\":true}\n");
    control("shard-of abc\r\n", answer, sizeof(answer));
    assert_string_equal(answer, "{\"shard\":1}\n");
    control("what\n", answer, sizeof(answer));
    assert_string_equal(answer, "{\"ok\":false,\"error\":\"unknown command\"}\n");
    assert_int_equal(counter("loop_wakes_sent") >= 0, 1);
    assert_int_equal(stop(), 0);
    assert_int_not_equal(access(control_path, F_OK), 0);
}

static void a_port_in_use_is_reported(void **state)
{
    char why[256];
    struct conf *other;
    struct listener_set *set;
    struct machine machine = {.limits.shards = 1};

    (void)state;
    start(1);
    run();
    other = load(1);
    other->listeners[0].address.port = port;
    set = listeners_open(&machine, other, NULL, why, sizeof(why));
    assert_null(set);
    assert_non_null(strstr(why, "Address already in use"));
    conf_free(other);
    assert_int_equal(stop(), 0);
}

static void the_control_shard_serves_what_it_is_given(void **state)
{
    static const char text[] = "some bytes, p and p, and more behind them";
    uint8_t back[sizeof(text)];
    int fds[3], more, mqtt;

    (void)state;
    atomic_store(&echo_opened, 0);
    atomic_store(&echo_closed, 0);
    atomic_store(&echo_stopping, 0);
    atomic_store(&echo_stopped, 0);
    with_service = true;
    start(2);
    options.service = &echo_service;
    run();
    for (unsigned i = 0; i < 3; i++) {
        fds[i] = connect_to_port(service_port);
        assert_int_equal(write(fds[i], text, sizeof(text)), sizeof(text));
        read_all(fds[i], back, sizeof(text));
        assert_memory_equal(back, text, sizeof(text));
    }
    more = connect_to_port(service_port); /* http_server.limit_conn */
    assert_true(at_end(more));
    close(more);
    mqtt = client(1, 'e'); /* they are not in each other's way */
    assert_int_equal(counter("connection_open"), 1);
    assert_int_equal(counter("connection_refused"), 0);
    assert_int_equal(counter("http_connection_refused"), 1);
    assert_int_equal(write(fds[1], "q and what nobody reads", 23), 23);
    read_all(fds[1], back, 1);
    assert_true(at_end(fds[1]));
    close(fds[1]);
    wait_for(&echo_closed, 1);
    close(fds[2]); /* by its client */
    wait_for(&echo_closed, 2);
    fds[1] = connect_to_port(service_port); /* in a slot that was used */
    assert_int_equal(write(fds[1], "x", 1), 1);
    read_all(fds[1], back, 1);
    close(mqtt);
    assert_int_equal(stop(), 0);
    assert_true(at_end(fds[0]) && at_end(fds[1]));
    assert_int_equal(atomic_load(&echo_stopping), 1);
    assert_int_equal(atomic_load(&echo_stopped), 1);
    assert_int_equal(atomic_load(&echo_closed), 4);
    close(fds[0]);
    close(fds[1]);
    with_service = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_find_their_home_and_echo),
        cmocka_unit_test(a_connect_in_pieces_is_handed_over_whole),
        cmocka_unit_test(much_output_to_a_slow_reader_arrives_whole),
        cmocka_unit_test(bulk_in_both_directions_survives_few_buffers),
        cmocka_unit_test(paused_connections_lose_nothing),
        cmocka_unit_test(last_words_survive_unread_input),
        cmocka_unit_test(what_is_pending_is_sent_to_a_half_closed_client),
        cmocka_unit_test(connections_above_the_limit_are_refused),
        cmocka_unit_test(out_of_descriptors_is_answered_and_ends),
        cmocka_unit_test(entries_cross_the_mesh_and_wake_sleepers),
        cmocka_unit_test(a_reload_reaches_every_shard_and_frees_the_old_one),
        cmocka_unit_test(a_signal_shuts_down_with_connections_open),
        cmocka_unit_test(commands_are_answered_line_by_line),
        cmocka_unit_test(a_port_in_use_is_reported),
        cmocka_unit_test(the_control_shard_serves_what_it_is_given),
    };
    static const struct uring_features kinds[] = {
        {.single_issuer = true, .receive_multishot = true, .wake_by_ring = true}, /* 6.0 */
        {0},                                                                      /* 5.19 */
    };
    sigset_t signals;
    int failed;

    /* the machine's signals are its own: this thread must not be ended by them */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    failed = cmocka_run_group_tests_name("this kernel", tests, NULL, NULL);
    features_chosen = true;
    chosen = kinds[0];
    failed += cmocka_run_group_tests_name("as on 6.0", tests, NULL, NULL);
    chosen = kinds[1];
    failed += cmocka_run_group_tests_name("as on 5.19", tests, NULL, NULL);
    return failed;
}
