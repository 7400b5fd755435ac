/* SPDX-License-Identifier: MIT
 *
 * listen.c without a machine: socket options that are set, changed and taken back on one socket, and which place a listener
 * goes on with.
 */
#include "shards/listen.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct conf *load(const char *options)
{
    const struct conf_override override = {"listeners.tcp.bind", "127.0.0.1:0", "test"};
    const struct conf_text text = {.path = (char *)(uintptr_t) "t.conf",
                                   .text = (char *)(uintptr_t)options};
    const struct conf_files files = {&text, 1};
    const struct conf_source source = {.file = "t.conf",
                                       .files = &files,
                                       .overrides = &override,
                                       .override_count = options[0] == '\0'};
    char errors[1024];
    struct conf *conf = conf_load(&source, errors, sizeof(errors));

    if (conf == NULL)
        fail_msg("%s", errors);
    return conf;
}

static int option(int fd, int level, int name)
{
    int value = -1;

    assert_int_equal(getsockopt(fd, level, name, &value, &(socklen_t){sizeof(value)}), 0);
    return value;
}

static void assert_same_options(int fd, int other)
{
    static const struct {
        int level, name;
    } names[] = {{IPPROTO_TCP, TCP_NODELAY},      {SOL_SOCKET, SO_KEEPALIVE},
                 {IPPROTO_TCP, TCP_USER_TIMEOUT}, {SOL_SOCKET, SO_SNDBUF},
                 {SOL_SOCKET, SO_RCVBUF},         {SOL_SOCKET, SO_BUF_LOCK}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(option(fd, names[i].level, names[i].name),
                         option(other, names[i].level, names[i].name));
}

static void test_options_are_taken_back(void **state)
{
    struct conf *plain = load("");
    struct conf *tuned = load("listeners.tcp { bind = \"127.0.0.1:0\", tcp_nodelay = false, "
                              "tcp_keepalive = 7s, tcp_user_timeout = 9s, send_buffer = 20KB, "
                              "receive_buffer = 30KB }");
    int fd = socket(AF_INET, SOCK_STREAM, 0), fresh = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(set_options(fresh, true, plain->listeners), 0);
    assert_int_equal(set_options(fd, true, tuned->listeners), 0);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 7);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 9000);
    assert_int_equal(option(fd, SOL_SOCKET, SO_SNDBUF), 2 * 20480);
    assert_int_equal(option(fd, SOL_SOCKET, SO_RCVBUF), 2 * 30720);
    assert_int_equal(set_options(fd, false, plain->listeners), 0);
    assert_same_options(fd, fresh);
    assert_int_equal(set_options(fd, false, tuned->listeners), 0);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    close(fd);
    close(fresh);
    conf_free(plain);
    conf_free(tuned);
}

/* ---- which place ---- */

static struct machine machine = {.limits.shards = 2};

static struct listener_set *open_set(const char *options, const struct listener_set *former)
{
    struct conf *conf = load(options);
    char why[512];
    struct listener_set *set = listeners_open(&machine, conf, former, why, sizeof(why));

    if (set == NULL)
        fail_msg("%s", why);
    conf_free(conf);
    return set;
}

static unsigned open_sockets(const struct listener_place *place)
{
    unsigned count = 0;

    for (unsigned n = 0; n < place->socket_count; n++)
        count += place->sockets[n] >= 0;
    return count;
}

/* By address whatever the name; by name where the kernel chose the port; anew when IPv6 alone or both changes. */
static void test_places_go_on(void **state)
{
    struct listener_set *first =
        open_set("listeners.tcp { a.bind = \"127.0.0.1:0\", b.bind = \"[::1]:0\" }", NULL);
    struct listener_set *second;
    char options[256];

    (void)state;
    assert_int_equal(first->count, 2);
    assert_int_equal(open_sockets(&first->places[0]), 2);
    assert_int_not_equal(port_of(&first->places[0]), 0);
    snprintf(options, sizeof(options),
             "listeners.ws.c.bind = \"127.0.0.1:%u\"\n"
             "listeners.tcp { b { bind = \"[::1]:0\", backlog = 9 }, a.bind = \"127.0.0.1:0\" }",
             port_of(&first->places[0]));
    second = open_set(options, first);
    assert_int_equal(second->count, 3);
    for (unsigned i = 0; i < 3; i++) {
        const struct listener_place *place = &second->places[i];
        const struct door *door = place->door;

        if (strcmp(door->conf->name, "ws.c") == 0) {
            assert_int_equal(place->serial, first->places[0].serial);
            assert_ptr_equal(door->counts, first->places[0].door->counts);
        } else if (strcmp(door->conf->name, "tcp.b") == 0) {
            assert_int_equal(place->serial, first->places[1].serial);
        }
    }
    listeners_close(second);
    second = open_set("listeners.tcp { b { bind = \"[::1]:0\", ipv6_only = false } }", first);
    assert_int_not_equal(second->places[0].serial, first->places[1].serial);
    assert_int_equal(open_sockets(&second->places[0]), 2);
    listeners_close(second);
    listeners_close(first);
}

static void test_a_port_that_is_taken(void **state)
{
    struct listener_set *first = open_set("", NULL), *second;
    struct conf *conf;
    char options[128], why[512];

    (void)state;
    snprintf(options, sizeof(options),
             "listeners.tcp { a.bind = \"127.0.0.1:0\", b.bind = \"127.0.0.1:%u\" }",
             port_of(&first->places[0]));
    conf = load(options);
    assert_null(listeners_open(&machine, conf, NULL, why, sizeof(why)));
    assert_non_null(strstr(why, "(tcp.b): Address already in use; another program"));
    second = listeners_open(&machine, conf, first, why, sizeof(why)); /* it is its own */
    assert_non_null(second);
    listeners_close(second);
    listeners_close(first);
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_are_taken_back),
        cmocka_unit_test(test_places_go_on),
        cmocka_unit_test(test_a_port_that_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
