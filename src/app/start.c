/* SPDX-License-Identifier: MIT
 *
 * start - `shardmq start`: the ordered way from a command line to a running machine, and back.
 */
#include "app/start.h"

#include "api/api.h"
#include "app/cli.h"
#include "app/control_client.h"
#include "app/process.h"
#include "app/reload.h"
#include "app/restart.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "shards/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A broker that is being started. */
struct starting {
    const struct cli *cli;
    const struct conf *conf;
    struct reloader reloader;
    int pid_descriptor, ready;
    bool daemon;
};

static struct conf *reload_again(void *argument, const struct machine_reload *what,
                                 const struct conf *running, char *report, size_t size)
{
    struct starting *starting = argument;

    return reload(&starting->reloader, what, running, report, size);
}

static void release(void *argument, struct conf *conf)
{
    (void)argument;
    conf_free(conf);
}

/* ---- start ---- */

static int refuse(const char *sentences)
{
    fprintf(stderr, "shardmq: %s%s", sentences,
            sentences[0] != '\0' && sentences[strlen(sentences) - 1] == '\n' ? "" : "\n");
    return 1;
}

static bool changes_user(const struct conf *conf)
{
    return conf->system_user[0] != '\0' && geteuid() == 0;
}

/* The listeners are bound: the last moment as root. The log file must be the other user's, who will rotate it. */
static int bound(void *argument)
{
    struct starting *starting = argument;
    const struct conf *conf = starting->conf;
    char error[4096];
    uid_t user;
    gid_t group;

    if (!changes_user(conf))
        return 0;
    if (find_user(conf->system_user, &user, &group))
        pid_file_give(conf->system_pid_file, starting->pid_descriptor, user, group);
    if (!become_user(conf->system_user, error, sizeof(error)) ||
        !open_log(conf, error, sizeof(error)))
        return refuse(error);
    return 0;
}

static bool may_restart(void *argument, char *why, size_t size)
{
    const struct starting *starting = argument;

    return restart_possible(starting->cli, why, size);
}

static void started(void *argument)
{
    struct starting *starting = argument;

    if (starting->daemon)
        daemon_ready(starting->ready);
}

static int run(struct starting *starting)
{
    const struct conf *conf = starting->conf;
    struct machine_options options = {
        .conf = conf,
        .argument = starting,
        .service = &api_service,
        .reload = reload_again,
        .release = release,
        .may_restart = may_restart,
        .bound = bound,
        .started = started,
    };
    char error[4096];
    uid_t user;
    int status;

    umask(077);
    if (!final_user(conf->system_user, &user, error, sizeof(error)))
        return refuse(error);
    starting->pid_descriptor = pid_file_take(conf->system_pid_file, user, error, sizeof(error));
    if (starting->pid_descriptor < 0)
        return refuse(error);
    log_set_level((enum log_level)conf->log_level);
    if (!changes_user(conf) && !open_log(conf, error, sizeof(error))) {
        pid_file_release(conf->system_pid_file, starting->pid_descriptor);
        return refuse(error);
    }
    log_sentences(starting->cli->warnings);
    log_sentences(conf->warnings);
    raise_descriptor_limit();
    signal(SIGPIPE, SIG_IGN);
    status = machine_run(&options);
    reload_end(&starting->reloader);
    if (status != MACHINE_RESTART || restart_moves_pid_file(starting->cli, conf))
        pid_file_release(conf->system_pid_file, starting->pid_descriptor);
    log_teardown();
    return status;
}

/* What follows from the configuration, as comments: the output stays a configuration file. */
static void print_limits(const struct conf *conf)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);

    if (memory == NULL)
        return;
    machine_print_limits(conf, memory);
    fclose(memory);
    putchar('\n');
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");

        printf("# %.*s\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
    mem_free_libc(text); /* open_memstream's */
}

/* Loads the plug-ins as the broker would, who may be another user then. */
static bool plugins_good(const struct conf *conf, char *error, size_t size)
{
    uid_t user = geteuid();
    gid_t group;

    if (conf->system_user[0] != '\0')
        find_user(conf->system_user, &user, &group);
    return machine_check_plugins(conf, user, error, size);
}

static int show(const struct cli *cli, const struct conf *conf)
{
    char error[4096];

    if (cli->check_config) {
        if (!machine_check(conf, stderr, error, sizeof(error)) || !plugins_good(conf, error, sizeof(error)))
            return refuse(error);
        fputs(cli->warnings, stderr);
        fputs(conf->warnings, stderr);
        puts("configuration OK");
    } else {
        conf_dump(conf, stdout);
        print_limits(conf);
    }
    return 0;
}

/* Parses and loads for any command. NULL: *status is the exit status. */
static struct conf *prepare(struct cli *cli, int argc, char **argv, int *status)
{
    char *errors = mem_zalloc(RELOAD_ERRORS_MAX);
    struct conf *conf = NULL;

    *status = 2;
    if (!cli_parse(cli, argc, argv, errors, RELOAD_ERRORS_MAX)) {
        refuse(errors);
    } else if (cli->help) {
        cli_help(argv[0], stdout);
        *status = 0;
    } else if (cli->openapi) {
        char *text = api_openapi();

        puts(text);
        cJSON_free(text);
        *status = 0;
    } else if (cli->list_options) {
        conf_list_options(stdout);
        *status = 0;
    } else if (cli->dump_config && cli->defaults) {
        conf_dump_defaults(stdout);
        *status = 0;
    } else {
        conf = cli_load(cli, NULL, errors, RELOAD_ERRORS_MAX);
        if (conf == NULL)
            *status = refuse(errors);
    }
    mem_free(errors);
    return conf;
}

int command_start(int argc, char **argv)
{
    struct cli *cli = mem_zalloc(sizeof(*cli));
    struct starting starting = {
        .cli = cli, .reloader = {.cli = cli}, .pid_descriptor = -1, .ready = -1};
    bool restarted = restart_was_asked();
    int status;
    struct conf *conf = prepare(cli, argc, argv, &status);

    if (conf != NULL) {
        starting.conf = conf;
        starting.daemon = conf->system_daemon && !restarted; /* it is in the background already */
        if (cli->check_config || cli->dump_config)
            status = show(cli, conf);
        else if (starting.daemon && !daemonize(&starting.ready))
            status = refuse("cannot go into the background");
        else
            status = run(&starting);
        conf_free(conf);
    }
    mem_free(cli);
    return status == MACHINE_RESTART ? restart_now(argc, argv) : status;
}

/* ---- stop, restart, reload ---- */

static int stop(const struct conf *conf)
{
    pid_t owner = pid_file_owner(conf->system_pid_file);
    uint64_t left_ms = conf->system_shutdown_timeout_ms + 5000;
    char text[1200];

    if (owner == 0) {
        snprintf(text, sizeof(text), "no broker runs with the pid file %s", conf->system_pid_file);
        return refuse(text);
    }
    if (kill(owner, SIGTERM) != 0) {
        snprintf(text, sizeof(text), "process %d cannot be stopped: %s", (int)owner,
                 strerror(errno));
        return refuse(text);
    }
    while (pid_file_owner(conf->system_pid_file) == owner) {
        struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};

        if (left_ms < 20) {
            snprintf(text, sizeof(text), "process %d has not stopped in time", (int)owner);
            return refuse(text);
        }
        left_ms -= 20;
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
    printf("stopped process %d\n", (int)owner);
    return 0;
}

int command_stop(int argc, char **argv)
{
    struct cli *cli = mem_zalloc(sizeof(*cli));
    int status;
    struct conf *conf = prepare(cli, argc, argv, &status);

    if (conf != NULL) {
        status = stop(conf);
        conf_free(conf);
    }
    mem_free(cli);
    return status;
}

/* Without options of its own for the broker, a restart leaves the process and its listening sockets: nobody who connects
 * is refused. False when there is no such broker, or it must be another one. */
static bool restart_in_place(const struct cli *cli, const struct conf *conf, int *status)
{
    pid_t owner = pid_file_owner(conf->system_pid_file);
    char path[4096];
    int answer;

    if (owner == 0 || cli->override_count != 0)
        return false;
    conf_control_socket(conf, path, sizeof(path));
    answer = ask_restart(path);
    if (answer > 0)
        printf("restarting process %d\n", (int)owner);
    *status = answer > 0 ? 0 : 1;
    return answer >= 0;
}

int command_restart(int argc, char **argv)
{
    struct cli *cli = mem_zalloc(sizeof(*cli));
    int status;
    struct conf *conf = prepare(cli, argc, argv, &status); /* a broken file stops nothing */
    bool done = conf == NULL || restart_in_place(cli, conf, &status);

    mem_free(cli);
    if (done) {
        conf_free(conf);
        return status;
    }
    status = pid_file_owner(conf->system_pid_file) != 0 ? stop(conf) : 0;
    conf_free(conf);
    return status == 0 ? command_start(argc, argv) : status;
}

int command_reload(int argc, char **argv)
{
    struct cli *cli = mem_zalloc(sizeof(*cli));
    int status;
    struct conf *conf = prepare(cli, argc, argv, &status);

    if (conf != NULL) {
        char path[4096];
        char *file = cli->conf_file == NULL ? NULL : realpath(cli->conf_file, NULL);

        conf_control_socket(conf, path, sizeof(path));
        status = ask_reload(path, file);
        mem_free_libc(file); /* realpath's */
        conf_free(conf);
    }
    mem_free(cli);
    return status;
}
