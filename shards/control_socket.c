/* SPDX-License-Identifier: MIT
 *
 * control_socket - one command per line, one line of JSON per answer, on a UNIX socket that only
 * the broker's own user can open.
 *
 *   ping                  {"ok":true}
 *   stats                 counters summed by name, message_drop, delivery_pending, and per shard
 *   shard-of <client>     {"shard":n}: the home shard of a client identifier (the rest of the line)
 *   reload [<file>]       {"ok":true,"applied":[...],"restart":[...]} or {"ok":false,"error":"..."}
 *   restart               {"ok":true} or {"ok":false,"error":"..."}: as if stopped and started
 *   shutdown              {"ok":true}
 */
#include "base/log.h"
#include "conf/conf.h"
#include "shards/control_priv.h"
#include "shards/observe.h"
#include "shards/op.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define REPORT_MAX 16384

/* ---- opening ---- */

/* A socket file that nobody answers on is left over from a broker that was killed. */
static bool somebody_answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answered;

    if (fd < 0)
        return false;
    answered = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    close(fd);
    return answered;
}

static void make_folder(const char *path)
{
    char folder[sizeof(((struct control *)0)->socket_path)];
    char *slash;

    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    if (slash == NULL || slash == folder)
        return;
    *slash = '\0';
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        LOG_WARN("the folder %s cannot be made: %s", folder, strerror(errno));
}

static int bind_privately(int fd, const struct sockaddr_un *address)
{
    mode_t before = umask(0177);
    int error = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;

    umask(before);
    return error;
}

int control_socket_open(struct control *control, char *why, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int error;

    conf_control_socket(control->conf, control->socket_path, sizeof(control->socket_path));
    if (control->socket_path[0] == '\0')
        return 0;
    memcpy(address.sun_path, control->socket_path, sizeof(control->socket_path));
    make_folder(control->socket_path);
    if (somebody_answers(&address)) {
        snprintf(why, size, "another broker answers on the control socket %s",
                 control->socket_path);
        control->socket_path[0] = '\0'; /* not ours to remove */
        return -1;
    }
    unlink(control->socket_path);
    control->socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    error = control->socket_fd < 0 ? errno : bind_privately(control->socket_fd, &address);
    if (error == 0 && listen(control->socket_fd, CONTROL_CLIENTS) != 0)
        error = errno;
    if (error != 0) {
        snprintf(why, size, "the control socket %s cannot be opened: %s", control->socket_path,
                 strerror(error));
        return -1;
    }
    return 0;
}

void control_socket_close(struct control *control)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        if (control->clients[i].fd >= 0)
            close(control->clients[i].fd);
        mem_free_libc(control->clients[i].answer);
    }
    if (control->socket_fd >= 0) {
        close(control->socket_fd);
        unlink(control->socket_path);
    }
    control->socket_fd = -1;
}

void control_socket_start(struct control *control)
{
    if (control->socket_fd >= 0)
        uring_accept(control->shard.ring, control->socket_fd, op_pack(OP_CONTROL_ACCEPT, 0, 0));
}

/* ---- commands ---- */

static void print_counters(FILE *to, const struct stats_snapshot *counters)
{
    for (unsigned i = 0; i < STAT_ID_COUNT; i++)
        fprintf(to, "%s\"%s\":%" PRId64, i == 0 ? "" : ",", stat_infos[i].name,
                counters->values[i]);
}

static void command_stats(struct control *control, const char *argument, FILE *to)
{
    struct machine_view *view = machine_observe(control->shard.machine);

    (void)argument;
    fprintf(to, "{\"counters\":{");
    print_counters(to, &view->sum);
    fprintf(to, "},\"message_drop\":%" PRId64 ",\"delivery_pending\":%" PRId64 ",\"shards\":[",
            stats_message_drop(&view->sum), stats_delivery_pending(&view->sum));
    for (unsigned i = 0; i < view->shards; i++) {
        fprintf(to, "%s{\"shard\":%u,", i == 0 ? "" : ",", i);
        print_counters(to, &view->views[i].stats);
        fputc('}', to);
    }
    fprintf(to, "]}");
    machine_view_free(view);
}

static void command_ping(struct control *control, const char *argument, FILE *to)
{
    (void)control;
    (void)argument;
    fprintf(to, "{\"ok\":true}");
}

static void command_shard_of(struct control *control, const char *argument, FILE *to)
{
    fprintf(to, "{\"shard\":%u}",
            broker_home_shard(span_text(argument), control->shard.machine->limits.shards));
}

static void command_reload(struct control *control, const char *argument, FILE *to)
{
    struct machine_reload what = {.path = argument[0] == '\0' ? NULL : argument};
    char *report = mem_zalloc(REPORT_MAX);

    control_reload(control, &what, report, REPORT_MAX);
    fputs(report, to);
    mem_free(report);
}

static void command_restart(struct control *control, const char *argument, FILE *to)
{
    char why[4096];
    cJSON *answer = cJSON_CreateObject();
    bool restarts = control_may_restart(control, why, sizeof(why));
    char *text;

    (void)argument;
    cJSON_AddBoolToObject(answer, "ok", restarts);
    if (!restarts)
        cJSON_AddStringToObject(answer, "error", why);
    if (restarts)
        control_restart(control);
    text = cJSON_PrintUnformatted(answer);
    fputs(text != NULL ? text : "{\"ok\":false}", to);
    cJSON_free(text);
    cJSON_Delete(answer);
}

static void command_shutdown(struct control *control, const char *argument, FILE *to)
{
    (void)argument;
    control_stop(control);
    fprintf(to, "{\"ok\":true}");
}

static const struct command {
    const char *name;
    void (*run)(struct control *control, const char *argument, FILE *to);
} commands[] = {
    {"ping", command_ping},     {"stats", command_stats},     {"shard-of", command_shard_of},
    {"reload", command_reload}, {"restart", command_restart}, {"shutdown", command_shutdown},
};

static void run_command(struct control *control, char *line, FILE *to)
{
    char *argument = line + strcspn(line, " ");

    if (*argument != '\0')
        *argument++ = '\0';
    for (unsigned i = 0; i < ARRAY_LENGTH(commands); i++) {
        if (strcmp(line, commands[i].name) != 0)
            continue;
        commands[i].run(control, argument, to);
        return;
    }
    fprintf(to, "{\"ok\":false,\"error\":\"unknown command\"}");
}

/* ---- clients ---- */

static void listen_on(struct control *control, unsigned index)
{
    struct control_client *client = &control->clients[index];

    uring_receive_into(control->shard.ring, client->fd, client->line + client->line_len,
                       (uint32_t)(sizeof(client->line) - client->line_len),
                       op_pack(OP_CONTROL_RECEIVE, index, 0));
}

static void hang_up(struct control *control, unsigned index)
{
    struct control_client *client = &control->clients[index];

    close(client->fd); /* nothing is in flight: its one request has just completed */
    mem_free_libc(client->answer);
    client->answer = NULL;
    client->fd = -1;
}

static void send_answer(struct control *control, unsigned index)
{
    struct control_client *client = &control->clients[index];

    uring_send(control->shard.ring, client->fd, client->answer + client->answer_sent,
               (uint32_t)(client->answer_len - client->answer_sent), true,
               op_pack(OP_CONTROL_SEND, index, 0));
}

/* Answers the first line if there is one, else waits for more. */
static void serve(struct control *control, unsigned index)
{
    struct control_client *client = &control->clients[index];
    char *end = memchr(client->line, '\n', client->line_len);
    FILE *to;

    if (end == NULL) {
        if (client->line_len == sizeof(client->line))
            hang_up(control, index); /* no command is that long */
        else
            listen_on(control, index);
        return;
    }
    *end = '\0';
    if (end > client->line && end[-1] == '\r')
        end[-1] = '\0';
    to = open_memstream(&client->answer, &client->answer_len);
    if (to == NULL) {
        hang_up(control, index);
        return;
    }
    run_command(control, client->line, to);
    fputc('\n', to);
    fclose(to);
    client->line_len -= (size_t)(end + 1 - client->line);
    memmove(client->line, end + 1, client->line_len);
    client->answer_sent = 0;
    send_answer(control, index);
}

void control_accepted(struct shard *shard, const struct completion *completion)
{
    struct control *control = control_of(shard);
    unsigned index = 0;

    while (index < CONTROL_CLIENTS && control->clients[index].fd >= 0)
        index++;
    if (index == CONTROL_CLIENTS) {
        close(completion->res); /* too many at a time */
    } else {
        control->clients[index].fd = completion->res;
        control->clients[index].line_len = 0;
        listen_on(control, index);
    }
    if ((completion->flags & COMPLETION_MORE) == 0)
        control_socket_start(control);
}

void control_accept_failed(struct shard *shard, const struct completion *completion)
{
    LOG_ERROR("control socket: %s", strerror(-completion->res));
    if (completion->res == -ECONNABORTED || completion->res == -EINTR)
        control_socket_start(control_of(shard));
}

void control_received(struct shard *shard, const struct completion *completion)
{
    struct control *control = control_of(shard);
    unsigned index = op_slot(completion->user_data);

    if (completion->res == 0) {
        hang_up(control, index);
        return;
    }
    control->clients[index].line_len += (size_t)completion->res;
    serve(control, index);
}

void control_receive_failed(struct shard *shard, const struct completion *completion)
{
    hang_up(control_of(shard), op_slot(completion->user_data));
}

void control_sent(struct shard *shard, const struct completion *completion)
{
    struct control *control = control_of(shard);
    unsigned index = op_slot(completion->user_data);
    struct control_client *client = &control->clients[index];

    client->answer_sent += (size_t)completion->res;
    if (client->answer_sent < client->answer_len) {
        send_answer(control, index);
        return;
    }
    mem_free_libc(client->answer);
    client->answer = NULL;
    serve(control, index);
}

void control_send_failed(struct shard *shard, const struct completion *completion)
{
    hang_up(control_of(shard), op_slot(completion->user_data));
}
