/* SPDX-License-Identifier: MIT
 *
 * http_name - from the host of a URL to addresses that may be connected to.
 *
 * A numeric host, in whatever form the resolver knows (127.1, 0x7f000001, 2130706433), is an address at once; a name is
 * asked for on a worker, where it may take its time. Either way what comes out is held against the policy, address by
 * address: a name that leads to one good and one forbidden address leads to the good one.
 */
#include "shards/http_client_priv.h"

#include "base/log.h"

#include <netdb.h>
#include <stdio.h>

/* Class: wire, as struct work says. */
struct http_name_job {
    struct work work;
    struct http_backend *backend; /* NULL: it is gone. Owner: shard */
    char host[URL_HOST_BYTES], port[8];
    struct http_address addresses[HTTP_ADDRESSES_MAX];
    unsigned count;
    int error; /* of getaddrinfo() */
};

static int resolve(const char *host, const char *port, int flags, struct http_address *addresses,
                   unsigned *count)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, port, &hints, &found);

    *count = 0;
    if (error != 0)
        return error;
    for (const struct addrinfo *at = found; at != NULL && *count < HTTP_ADDRESSES_MAX;
         at = at->ai_next) {
        if (at->ai_addrlen > sizeof(addresses->bytes))
            continue;
        memcpy(&addresses[*count].bytes, at->ai_addr, at->ai_addrlen);
        addresses[*count].len = at->ai_addrlen;
        ++*count;
    }
    freeaddrinfo(found);
    return 0;
}

/* Takes those that may be connected to. */
static void take(struct http_backend *backend, const struct http_address *addresses, unsigned count)
{
    backend->address_count = backend->first_address = 0;
    backend->name_refused = NULL;
    for (unsigned i = 0; i < count; i++) {
        const char *what =
            destination_refused(&backend->policy, (const struct sockaddr *)&addresses[i].bytes);

        if (what == NULL)
            backend->addresses[backend->address_count++] = addresses[i];
        else
            backend->name_refused = what;
    }
    backend->addresses_until_ms = backend->shard->now_ms + HTTP_NAME_MS;
    if (backend->address_count != 0)
        backend->name_refused = NULL;
    else if (backend->name_refused != NULL)
        snprintf(backend->why, sizeof(backend->why), "%.100s is %s, which is not allowed",
                 backend->url.host, backend->name_refused);
}

static void blocking(struct work *work)
{
    struct http_name_job *job = CONTAINER_OF(work, struct http_name_job, work);

    job->error = resolve(job->host, job->port, 0, job->addresses, &job->count);
}

static void done(struct broker *broker, struct work *work)
{
    struct http_name_job *job = CONTAINER_OF(work, struct http_name_job, work);
    struct http_backend *backend = job->backend;

    (void)broker;
    if (backend != NULL) {
        backend->job = NULL;
        backend->address_count = 0;
        backend->name_refused = NULL;
        if (job->error != 0 || work->abandoned)
            snprintf(backend->why, sizeof(backend->why), "%.100s cannot be resolved: %.100s",
                     backend->url.host, gai_strerror(job->error));
        else
            take(backend, job->addresses, job->count);
        http_backend_resolved(backend);
    }
    mem_free(job);
}

bool http_name_ready(struct http_backend *backend, bool *failed)
{
    struct http_address addresses[HTTP_ADDRESSES_MAX];
    struct http_name_job *job;
    unsigned count;
    char port[8];

    *failed = false;
    if (backend->address_count != 0 && backend->shard->now_ms < backend->addresses_until_ms)
        return true;
    if (backend->job != NULL)
        return false;
    snprintf(port, sizeof(port), "%u", backend->url.port);
    if (resolve(backend->url.host, port, AI_NUMERICHOST, addresses, &count) == 0) {
        take(backend, addresses, count);
        *failed = backend->address_count == 0;
        return !*failed;
    }
    job = mem_try_zalloc(sizeof(*job));
    if (job != NULL) {
        job->work = (struct work){.blocking = blocking, .done = done};
        job->backend = backend;
        snprintf(job->host, sizeof(job->host), "%s", backend->url.host);
        snprintf(job->port, sizeof(job->port), "%s", port);
        if (shard_work(backend->shard, &job->work)) {
            backend->job = job;
            return false;
        }
        mem_free(job);
    }
    snprintf(backend->why, sizeof(backend->why), "too many calls wait for a worker");
    *failed = true;
    return false;
}

void http_name_forget(struct http_backend *backend)
{
    if (backend->job != NULL)
        backend->job->backend = NULL;
    backend->job = NULL;
}
