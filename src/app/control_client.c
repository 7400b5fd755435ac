/* SPDX-License-Identifier: MIT */
#include "app/control_client.h"

#include "base/mem.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX     65536
#define ANSWER_SECONDS 30

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    int descriptor;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    if (connect(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(descriptor);
        return -1;
    }
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return descriptor;
}

/* Sends one line and reads one; false when the broker does not answer. */
static bool ask(const char *path, const char *line, char *answer, size_t size)
{
    int descriptor = connect_to(path);
    size_t len = 0, line_len = strlen(line);
    bool whole = false;

    if (descriptor < 0)
        return false;
    if (send(descriptor, line, line_len, MSG_NOSIGNAL) == (ssize_t)line_len) {
        while (len + 1 < size && !whole) {
            ssize_t got = recv(descriptor, answer + len, size - 1 - len, 0);

            if (got <= 0)
                break;
            len += (size_t)got;
            answer[len] = '\0';
            whole = strchr(answer, '\n') != NULL;
        }
    }
    close(descriptor);
    return whole;
}

static void print_paths(const char *intro, const cJSON *paths)
{
    const cJSON *path;

    if (cJSON_GetArraySize(paths) == 0)
        return;
    printf("%s:\n", intro);
    cJSON_ArrayForEach(path, paths)
    {
        printf("  %s\n", cJSON_GetStringValue(path));
    }
}

static int print_report(const char *answer)
{
    cJSON *report = cJSON_Parse(answer);
    const cJSON *error = cJSON_GetObjectItem(report, "error");
    bool ok = cJSON_IsTrue(cJSON_GetObjectItem(report, "ok"));

    if (ok) {
        const cJSON *applied = cJSON_GetObjectItem(report, "applied");
        const cJSON *restart = cJSON_GetObjectItem(report, "restart");

        puts("reload succeed!");
        print_paths("in force now", applied);
        print_paths("changed in the file, in force after a restart", restart);
        if (cJSON_GetArraySize(applied) + cJSON_GetArraySize(restart) == 0)
            puts("nothing has changed");
    } else {
        fprintf(stderr, "reload failed, nothing has changed: %s\n",
                cJSON_IsString(error) ? error->valuestring : "no reason was given");
    }
    cJSON_Delete(report);
    return ok ? 0 : 1;
}

int ask_reload(const char *socket_path, const char *file)
{
    char line[4200];
    char *answer = mem_alloc(ANSWER_MAX);
    int status = 1;

    snprintf(line, sizeof(line), "reload%s%s\n", file == NULL ? "" : " ", file == NULL ? "" : file);
    if (ask(socket_path, line, answer, ANSWER_MAX))
        status = print_report(answer);
    else
        fprintf(stderr, "shardmq: no broker answers at %s: %s\n", socket_path,
                errno != 0 ? strerror(errno) : "the connection was closed");
    mem_free(answer);
    return status;
}

int ask_restart(const char *socket_path)
{
    char answer[4096];
    const cJSON *error;
    cJSON *report;
    bool ok;

    if (!ask(socket_path, "restart\n", answer, sizeof(answer)))
        return -1;
    report = cJSON_Parse(answer);
    error = cJSON_GetObjectItem(report, "error");
    ok = cJSON_IsTrue(cJSON_GetObjectItem(report, "ok"));
    if (!ok)
        fprintf(stderr, "shardmq: the broker goes on as it is: %s\n",
                cJSON_IsString(error) ? error->valuestring : "no reason was given");
    cJSON_Delete(report);
    return ok ? 1 : 0;
}
