/* SPDX-License-Identifier: MIT
 *
 * tool_engine - the loop of pub, sub and conn.
 */
#include "bench/tool_engine.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/login.h"
#include "mqtt/tables.h"

#define NANOSECONDS 1000000000u
#define LEAVE_MS    3000u /* how long a broker may take to close after DISCONNECT */

static void print(const struct tool *tool, const char *format, va_list arguments)
{
    fprintf(stderr, "shardmq %s: ", tool_command_name(tool->options->command));
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void tool_complain(const struct tool *tool, const char *format, ...)
{
    va_list arguments;

    if (!tool->options->quiet) {
        va_start(arguments, format);
        print(tool, format, arguments);
        va_end(arguments);
    }
}

void tool_debug(const struct tool *tool, const char *format, ...)
{
    va_list arguments;

    if (tool->options->debug) {
        va_start(arguments, format);
        print(tool, format, arguments);
        va_end(arguments);
    }
}

/* A line about the connection as NanoMQ prints it: on standard output for conn and with `start`, on standard error
 * with --verbose. */
static void say(struct tool *tool, const char *line)
{
    if (tool->options->command == TOOL_CONN || tool->options->start) {
        tool_output_text(&tool->output, line);
        tool_output_char(&tool->output, '\n');
    } else if (tool->options->verbose && !tool->options->quiet) {
        fprintf(stderr, "%s\n", line);
    }
}

void tool_decide(struct tool *tool, unsigned status)
{
    if (!tool->decided && status != TOOL_DONE) {
        tool->status = status;
        tool->decided = true;
    }
}

void tool_leave(struct tool *tool, struct tool_client *client)
{
    if (client->leaving) {
        return;
    }
    client->leaving = true;
    client_leave(&client->client, MQTT_REASON_NORMAL_DISCONNECTION, &tool->disconnect, LEAVE_MS);
}

static void leave_all(struct tool *tool)
{
    for (uint64_t i = 0; i < tool->client_count; i++) {
        tool_leave(tool, &tool->clients[i]);
    }
}

void tool_watch(struct tool *tool, int fd)
{
    tool->watched_fd = fd;
    tool->watched_armed = false;
}

/* --- events of clients ---------------------------------------------------------------------- */

static struct tool_client *of(struct client *client)
{
    return CONTAINER_OF(client, struct tool_client, client);
}

static void on_connecting(struct client *client)
{
    struct tool *tool = client->owner;
    struct connect_packet connect = tool->connect;

    connect.client_identifier = span_text(of(client)->identifier);
    if (of(client)->was_online && (connect.version == MQTT_5 || !tool->options->clean)) {
        connect.clean_start = false; /* the session that we had before the connection was lost */
    }
    if (tool->options->auth_method != NULL) {
        login_begin(&of(client)->login, tool->options->username, &connect);
    }
    tool_debug(tool, "sending CONNECT as \"%s\"", of(client)->identifier);
    client_connect(client, &connect);
}

static void on_event(struct client *client, const struct client_event *event)
{
    struct tool *tool = client->owner;
    struct tool_client *mine = of(client);
    bool first = !mine->was_online;

    tool->happened = true;
    if (!login_event(mine->login, client, tool->options->password, event)) {
        return;
    }
    if (event->kind == CLIENT_AUTH) {
        tool_debug(tool, "received AUTH: %s (0x%02x)", reason_text(event->ack.reason),
                   event->ack.reason);
    } else if (event->kind == CLIENT_CONNACK) {
        tool_debug(tool, "received CONNACK: %s (0x%02x)%s", reason_text(event->ack.reason),
                   event->ack.reason, event->ack.session_present ? ", session present" : "");
        if (event->ack.reason >= 0x80) {
            return; /* on_closed() follows */
        }
        mine->was_online = true;
        say(tool, "connect_cb: connected!");
        if (tool->role->online != NULL) {
            tool->role->online(tool, mine, first, event->ack.session_present);
        }
    } else if (tool->role->event != NULL) {
        tool->role->event(tool, mine, event);
    }
}

/* Whether trying again with the same words would change what the broker thinks of us. */
static bool may_change(const struct client *client)
{
    if (!client->refused && !client->dismissed) {
        return client->reason < 0x80 || client->reason == MQTT_REASON_UNSPECIFIED_ERROR;
    }
    switch (client->reason) {
    case MQTT_REASON_UNSPECIFIED_ERROR:
    case MQTT_REASON_SERVER_UNAVAILABLE:
    case MQTT_REASON_SERVER_BUSY:
    case MQTT_REASON_SERVER_SHUTTING_DOWN:
    case MQTT_REASON_KEEP_ALIVE_TIMEOUT:
    case MQTT_REASON_MESSAGE_RATE_TOO_HIGH:
    case MQTT_REASON_QUOTA_EXCEEDED:
    case MQTT_REASON_CONNECTION_RATE_EXCEEDED:
    case MQTT_REASON_MAXIMUM_CONNECT_TIME:
        return true;
    default:
        return client->reason < 0x80;
    }
}

/* What may be wrong when somebody answers, but not as a broker does. */
static const char *hint(const struct tool *tool, const struct tool_client *client, unsigned status)
{
    if (client->was_online || client->client.ended_in != CLIENT_AWAIT_CONNACK ||
        tool->options->transport != TRANSPORT_PLAIN ||
        (status != TOOL_PROTOCOL && status != TOOL_NO_CONNECTION)) {
        return "";
    }
    return "; is it MQTT that is spoken on this port, without TLS (--secure) or WebSocket (--ws)?";
}

static unsigned status_of(const struct tool *tool, const struct client *client, const char *why)
{
    bool plain = tool->options->transport == TRANSPORT_PLAIN;

    if (client->refused || (client->dismissed && client->reason >= 0x80)) {
        return client->reason;
    }
    if (client->dismissed) {
        return TOOL_LOST;
    }
    if (strncmp(why, "TLS:", 4) == 0) { /* the last word of a handshake may come behind it */
        return TOOL_TLS;
    }
    switch ((enum client_state)client->ended_in) {
    case CLIENT_CONNECTING:
        return TOOL_NO_CONNECTION;
    case CLIENT_HANDSHAKE:
        return plain ? TOOL_NO_CONNECTION : TOOL_TLS;
    default:
        if (client->reason != MQTT_REASON_SUCCESS &&
            client->reason != MQTT_REASON_UNSPECIFIED_ERROR) {
            return TOOL_PROTOCOL;
        }
        return of((struct client *)client)->was_online ? TOOL_LOST : TOOL_NO_CONNECTION;
    }
}

static void on_closed(struct client *client, const char *why)
{
    struct tool *tool = client->owner;
    struct tool_client *mine = of(client);

    tool->happened = true;
    if (why != NULL && client->state == CLIENT_WAITING && mine->was_online && may_change(client) &&
        tool->signals == 0) {
        say(tool, "disconnected");
        tool_complain(tool, "%s; connecting again", why);
        return;
    }
    if (why != NULL) {
        unsigned status = status_of(tool, client, why);

        if (mine->was_online) {
            say(tool, "disconnected");
        }
        tool_complain(tool, "%s%s", why, hint(tool, mine, status));
        tool_decide(tool, status);
        if (client->state == CLIENT_WAITING) {
            client_close(client); /* comes back here, without a reason */
            return;
        }
    } else if (mine->leaving && mine->was_online) {
        say(tool, "disconnected");
    }
    tool->left--;
}

static void on_writable(struct client *client)
{
    struct tool *tool = client->owner;

    tool->happened = true;
}

static const struct client_events events = {on_connecting, on_event, on_closed, on_writable};

/* --- the loop --------------------------------------------------------------------------------- */

static bool readable(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};

    return poll(&look, 1, 0) > 0;
}

/* Asks the ring to end a wait when one of the other descriptors has something. */
static void arm(struct tool *tool)
{
    if (!tool->signal_armed) {
        driver_watch(&tool->driver, tool->signal_fd);
        tool->signal_armed = true;
    }
    if (tool->watched_fd >= 0 && !tool->watched_armed) {
        driver_watch(&tool->driver, tool->watched_fd);
        tool->watched_armed = true;
    }
}

static void take_signals(struct tool *tool)
{
    struct signalfd_siginfo signal;

    if (!readable(tool->signal_fd)) {
        return;
    }
    tool->signal_armed = false;
    tool->happened = true;
    while (read(tool->signal_fd, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
        tool->signals++;
    }
    if (tool->signals > 1) {
        tool_decide(tool, TOOL_FAILED);
        for (uint64_t i = 0; i < tool->client_count; i++) {
            client_close(&tool->clients[i].client);
        }
    } else if (tool->role->interrupted != NULL) {
        tool->role->interrupted(tool);
    } else {
        leave_all(tool);
    }
}

static void take_timeout(struct tool *tool)
{
    if (tool->driver.now_ns < tool->deadline_ns) {
        return;
    }
    tool->deadline_ns = UINT64_MAX;
    tool_debug(tool, "%g seconds have passed", tool->options->timeout_s);
    tool_decide(tool, tool->timeout_is_good ? TOOL_DONE : TOOL_TIMEOUT);
    leave_all(tool);
}

static void write_output(struct tool *tool)
{
    if (tool->output.len > 0 && !tool_output_flush(&tool->output)) {
        if (tool->output.error != EPIPE) {
            tool_complain(tool, "cannot write: %s", strerror(tool->output.error));
            tool_decide(tool, TOOL_FAILED);
        }
        leave_all(tool);
    }
}

/* Descriptors that the loop watches; data there is announced once. */
static void look_around(struct tool *tool)
{
    take_signals(tool);
    take_timeout(tool);
    if (tool->watched_fd >= 0 && tool->watched_armed && readable(tool->watched_fd)) {
        tool->watched_armed = false;
    }
}

static void loop(struct tool *tool)
{
    while (tool->left > 0) {
        uint64_t wake_ns = tool->role->turn != NULL ? tool->role->turn(tool) : UINT64_MAX;

        tool->happened = false;
        driver_turn(&tool->driver, 0);
        look_around(tool);
        if (tool->happened || wake_ns == 0) {
            continue;
        }
        write_output(tool);
        arm(tool);
        driver_turn(&tool->driver, wake_ns < tool->deadline_ns ? wake_ns : tool->deadline_ns);
        look_around(tool);
    }
    write_output(tool);
}

/* --- beginning and end -------------------------------------------------------------------------- */

static void open_clients(struct tool *tool)
{
    tool->client_count = tool->left = tool->options->count;
    tool->clients = mem_zalloc(tool->client_count * sizeof(tool->clients[0]));
    for (uint64_t i = 0; i < tool->client_count; i++) {
        struct tool_client *client = &tool->clients[i];

        tool_identify(tool, client, i);
        client_init(&client->client, &tool->driver, &tool->target, &tool->limits, &events, tool);
        client->client.number = (uint32_t)i;
    }
    for (uint64_t i = 0; i < tool->client_count; i++) {
        client_open(&tool->clients[i].client);
    }
}

static void close_clients(struct tool *tool)
{
    for (uint64_t i = 0; i < tool->client_count; i++) {
        client_fini(&tool->clients[i].client);
        mem_free(tool->clients[i].identifier);
        login_end(tool->clients[i].login);
    }
    mem_free(tool->clients);
    driver_close(&tool->driver);
}

static int open_signals(void)
{
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
}

int tool_run(struct tool_options *options, const struct tool_role *role, void *state)
{
    struct tool tool = {.options = options,
                        .role = role,
                        .state = state,
                        .watched_fd = -1,
                        .deadline_ns = UINT64_MAX};
    char error[512];
    int status;

    if (!tool_prepare(&tool, &status, error, sizeof(error))) {
        tool_complain(&tool, "%s", error);
        tool_prepared_release(&tool);
        return status;
    }
    tool.signal_fd = open_signals();
    tool_output_init(&tool.output, STDOUT_FILENO);
    if (options->timeout_s > 0) {
        tool.deadline_ns = tool.driver.now_ns + (uint64_t)(options->timeout_s * NANOSECONDS);
    }
    open_clients(&tool);
    loop(&tool);
    close_clients(&tool);
    tool_output_fini(&tool.output);
    tool_prepared_release(&tool);
    close(tool.signal_fd);
    return (int)tool.status;
}
