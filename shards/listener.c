/* SPDX-License-Identifier: MIT
 *
 * listener - binding, and accepting on each shard.
 *
 * All socket options are set on the listening socket: accepted ones inherit them, so that a
 * connection costs no system call for it. Accepting is one multishot request per socket.
 *
 * When no descriptor is left the request ends with an error. Then the shard gives up a descriptor
 * that it keeps for this case, so that it can accept the waiting connections and close them: they
 * get an answer instead of waiting in the backlog. It accepts again when the next connection waits.
 * (Not before: Linux takes the descriptor before it looks for a connection, so accepting would fail
 * without one.) When even that brings nothing, there is no memory: it tries again a little later.
 */
#include "shards/listener.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "shards/conn_filter.h"
#include "shards/door.h"
#include "shards/machine_priv.h"
#include "shards/op.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define RETRY_MS        100u
#define SERVICE_BACKLOG 128u
#define TURN_AWAY       64 /* connections answered at once when there is no descriptor for them */

struct listener_address {
    struct sockaddr_storage address;
    socklen_t address_size;
    const struct conf_address *conf;
    uint16_t port; /* as configured */
    const char *name, *scheme;
    uint32_t backlog;
    const struct conf_listener *options; /* NULL: a service's */
    int *fds;                            /* [shard - first]; -1 when the shard has taken it */
};

struct listener_set {
    unsigned count, first, shards; /* sockets for the shards first .. first + shards - 1 */
    struct listener_address addresses[];
};

static void fill_address(struct listener_address *listener)
{
    const struct conf_address *from = listener->conf;

    memset(&listener->address, 0, sizeof(listener->address));
    if (from->ipv6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&listener->address;

        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(listener->port);
        inet_pton(AF_INET6, from->host, &in6->sin6_addr);
        listener->address_size = sizeof(*in6);
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&listener->address;

        in->sin_family = AF_INET;
        in->sin_port = htons(listener->port);
        inet_pton(AF_INET, from->host, &in->sin_addr);
        listener->address_size = sizeof(*in);
    }
}

static uint16_t port_of(const struct listener_address *listener)
{
    if (listener->address.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&listener->address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&listener->address)->sin_port);
}

static int set_option(int fd, int level, int name, uint64_t value)
{
    int number = value > INT32_MAX ? INT32_MAX : (int)value;

    return setsockopt(fd, level, name, &number, sizeof(number));
}

/* What its connections inherit; 0, or -1 with errno. */
static int set_options(int fd, const struct conf_listener *options)
{
    if (options == NULL)
        return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (options->tcp_nodelay && set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) != 0)
        return -1;
    if (options->tcp_keepalive_ms != 0 &&
        (set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) != 0 ||
         set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (options->tcp_keepalive_ms + 999) / 1000) != 0))
        return -1;
    if (options->tcp_user_timeout_ms != 0 &&
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->tcp_user_timeout_ms) != 0)
        return -1;
    if (options->send_buffer != 0 &&
        set_option(fd, SOL_SOCKET, SO_SNDBUF, options->send_buffer) != 0)
        return -1;
    return options->receive_buffer == 0
               ? 0
               : set_option(fd, SOL_SOCKET, SO_RCVBUF, options->receive_buffer);
}

static bool wants_ipv6_only(const struct listener_address *listener)
{
    return listener->options == NULL || listener->options->ipv6_only;
}

/* A socket that is bound, not listening; -errno on failure. */
static int bind_one(const struct listener_address *listener, bool share)
{
    const int on = 1;
    /* ordered, lossless, both ways [MQTT-7.1.1-1] [MQTT-4.2-1] */
    int fd = socket(listener->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        set_options(fd, listener->options) != 0 ||
        (listener->address.ss_family == AF_INET6 &&
         set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, wants_ipv6_only(listener)) != 0) ||
        bind(fd, (const struct sockaddr *)&listener->address, listener->address_size) != 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

/* ---- sockets of the program that ran before in this process ----
 *
 * A restart executes the program again. Its listening sockets stay open meanwhile, so that nobody who connects is
 * refused: LISTENERS_VARIABLE names them, ";tcp/0=12;tcp/1=13;". The new program takes those that fit its configuration
 * and closes the others.
 */

#define LISTENERS_VARIABLE "SHARDMQ_LISTENERS"

/* True when it is a listening socket that nobody has taken, with that address. */
static bool fits(const struct listener_address *listener, int fd)
{
    struct sockaddr_storage bound, wanted = listener->address;
    socklen_t size = sizeof(bound), number_size = sizeof(int);
    int listening = 0, only = 0;

    if (fcntl(fd, F_GETFD) != 0 || getsockname(fd, (struct sockaddr *)&bound, &size) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &number_size) != 0 || !listening)
        return false;
    if (listener->port == 0) { /* one of the kernel's choice, as before */
        ((struct sockaddr_in *)&wanted)->sin_port = ((struct sockaddr_in *)&bound)->sin_port;
        if (wanted.ss_family == AF_INET6)
            ((struct sockaddr_in6 *)&wanted)->sin6_port =
                ((struct sockaddr_in6 *)&bound)->sin6_port;
    }
    if (size != listener->address_size || memcmp(&bound, &wanted, size) != 0)
        return false;
    return wanted.ss_family != AF_INET6 ||
           (getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &number_size) == 0 &&
            (only != 0) == wants_ipv6_only(listener));
}

/* The socket of that listener and shard, if the program before has left one with the same address, whatever it was
 * called there; else -1. A port of the kernel's choice goes by the name. */
static int inherit(const struct listener_address *listener, unsigned shard)
{
    const char *list = getenv(LISTENERS_VARIABLE);
    char key[64];

    if (listener->port == 0)
        snprintf(key, sizeof(key), ";%s/%u=", listener->name, shard);
    else
        snprintf(key, sizeof(key), "/%u=", shard);
    while (list != NULL && (list = strstr(list, key)) != NULL) {
        int fd = (int)strtol(list += strlen(key), NULL, 10);

        if (fits(listener, fd) && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
            set_options(fd, listener->options) == 0)
            return fd;
    }
    return -1;
}

/* Closes those on the port that nobody has taken: where another address of it is to be listened on, they are in the
 * way. */
static void drop_inherited_on(uint16_t port)
{
    const char *list = getenv(LISTENERS_VARIABLE);

    while (list != NULL && (list = strchr(list, '=')) != NULL) {
        struct sockaddr_in6 bound; /* the port is where IPv4 has it */
        socklen_t size = sizeof(bound);
        int fd = (int)strtol(++list, NULL, 10);

        if (fd > 2 && fcntl(fd, F_GETFD) == 0 &&
            getsockname(fd, (struct sockaddr *)&bound, &size) == 0 &&
            ntohs(bound.sin6_port) == port)
            close(fd);
    }
}

/* Closes what nobody has taken: it would be closed at the next execution only. */
static void drop_inherited(void)
{
    const char *list = getenv(LISTENERS_VARIABLE);

    while (list != NULL && (list = strchr(list, '=')) != NULL) {
        int fd = (int)strtol(++list, NULL, 10);

        if (fd > 2 && fcntl(fd, F_GETFD) == 0) /* one that was taken closes at an execution */
            close(fd);
    }
    unsetenv(LISTENERS_VARIABLE);
}

void listeners_pass(struct listener_set *set)
{
    const char *before = getenv(LISTENERS_VARIABLE);
    char *list = mem_strdup(before == NULL ? ";" : before);
    size_t len = strlen(list);

    for (unsigned i = 0; i < set->count; i++)
        for (unsigned shard = 0; shard < set->shards; shard++) {
            int *fd = &set->addresses[i].fds[shard];

            if (*fd < 0 || fcntl(*fd, F_SETFD, 0) != 0)
                continue;
            list = mem_realloc(list, len + 96);
            len +=
                (size_t)snprintf(list + len, 96, "%s/%u=%d;", set->addresses[i].name, shard, *fd);
            *fd = -1;
        }
    setenv(LISTENERS_VARIABLE, list, 1);
    mem_free(list);
}

/* SO_REUSEPORT would let two brokers of one user share the port without a word: first see that it is free. */
static int probe_port(const struct listener_address *listener)
{
    int probe;

    if (port_of(listener) == 0)
        return 0;
    probe = bind_one(listener, false);
    if (probe == -EADDRINUSE) {
        drop_inherited_on(port_of(listener));
        probe = bind_one(listener, false);
    }
    if (probe >= 0)
        close(probe);
    return probe < 0 ? probe : 0;
}

static int bind_address(struct listener_address *listener, unsigned shards)
{
    bool inherited = false;

    for (unsigned shard = 0; shard < shards; shard++) {
        listener->fds[shard] = inherit(listener, shard);
        if (listener->fds[shard] >= 0 && !inherited)
            getsockname(listener->fds[shard], (struct sockaddr *)&listener->address,
                        &(socklen_t){sizeof(listener->address)});
        inherited = inherited || listener->fds[shard] >= 0;
    }
    if (!inherited) {
        int error = probe_port(listener);

        if (error != 0)
            return error;
    }
    for (unsigned shard = 0; shard < shards; shard++) {
        int fd = listener->fds[shard] >= 0 ? listener->fds[shard] : bind_one(listener, true);

        if (fd < 0)
            return fd;
        listener->fds[shard] = fd;
        if (port_of(listener) == 0) { /* the kernel chose: the others share its choice */
            listener->address_size = sizeof(listener->address);
            getsockname(fd, (struct sockaddr *)&listener->address, &listener->address_size);
        }
    }
    for (unsigned shard = 0; shard < shards; shard++)
        if (listen(listener->fds[shard], (int)listener->backlog) != 0)
            return -errno;
    return 0;
}

/* Room for `capacity` addresses and the shards first .. first + shards - 1. */
static struct listener_set *set_create(unsigned capacity, unsigned first, unsigned shards)
{
    struct listener_set *set =
        mem_zalloc(sizeof(*set) + capacity * sizeof(struct listener_address));

    set->first = first;
    set->shards = shards;
    return set;
}

/* Adds an address, with `conf`, `name`, `scheme` and `backlog`, and binds it. */
static bool add_address(struct listener_set *set, struct listener_address added, char *why,
                        size_t size)
{
    struct listener_address *listener = &set->addresses[set->count++];
    int error;

    *listener = added;
    listener->fds = mem_alloc(set->shards * sizeof(int));
    for (unsigned shard = 0; shard < set->shards; shard++)
        listener->fds[shard] = -1;
    fill_address(listener);
    error = bind_address(listener, set->shards);
    if (error == 0)
        return true;
    snprintf(why, size, "cannot listen on %s port %u (%s): %s%s", listener->conf->host,
             listener->port, listener->name, strerror(-error),
             error == -EADDRINUSE ? "; another program, or another broker, has that port" : "");
    return false;
}

struct listener_set *listeners_bind(const struct conf *conf, unsigned shards, char *why,
                                    size_t size)
{
    struct listener_set *set = set_create(conf->listener_count, 0, shards);

    for (unsigned i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *listener = &conf->listeners[i];

        if (listener->enable && !add_address(set,
                                             (struct listener_address){
                                                 .conf = &listener->address,
                                                 .port = listener->address.port,
                                                 .name = listener->name,
                                                 .scheme = conf_listener_kind_name(listener->kind),
                                                 .backlog = listener->backlog,
                                                 .options = listener},
                                             why, size)) {
            listeners_unbind(set);
            return NULL;
        }
    }
    return set;
}

struct listener_set *listeners_bind_service(const struct conf *conf, unsigned control, char *why,
                                            size_t size)
{
    struct listener_set *set = set_create(1, control, 1);

    if (add_address(set,
                    (struct listener_address){
                        .conf = &conf->http_server_ip_addr,
                        .port = (uint16_t)conf->http_server_port,
                        .name = "http_server",
                        .scheme = conf->http_server_certfile[0] == '\0' ? "http" : "https",
                        .backlog = SERVICE_BACKLOG},
                    why, size))
        return set;
    listeners_unbind(set);
    return NULL;
}

void listeners_unbind(struct listener_set *set)
{
    for (unsigned i = 0; i < set->count; i++) {
        for (unsigned shard = 0; shard < set->shards; shard++)
            if (set->addresses[i].fds[shard] >= 0)
                close(set->addresses[i].fds[shard]);
        mem_free(set->addresses[i].fds);
    }
    mem_free(set);
}

void listeners_print(const struct listener_set *set, FILE *to)
{
    for (unsigned i = 0; i < set->count; i++) {
        const struct listener_address *listener = &set->addresses[i];

        bool is_ipv6 = listener->address.ss_family == AF_INET6;
        char text[256];

        snprintf(text, sizeof(text), is_ipv6 ? "%s://[%s]:%u%s" : "%s://%s:%u%s", listener->scheme,
                 listener->conf->host, port_of(listener), listener->conf->path);
        fprintf(to, "listening on %s\n", text);
        LOG_INFO("listening on %s", text);
    }
}

void listeners_bound(void)
{
    drop_inherited();
}

/* ---- on the shard ---- */

static void arm(struct shard *shard, unsigned index)
{
    struct listener *listener = &shard->listeners[index];

    if (listener->armed || listener->fd < 0)
        return;
    listener->armed = true;
    uring_accept(shard->ring, listener->fd, op_pack(OP_ACCEPT, index, 0));
}

static void retry_fired(void *owner, struct timer *timer)
{
    struct shard *shard = owner;

    (void)timer;
    for (unsigned i = 0; i < shard->listener_count; i++)
        arm(shard, i);
}

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void listener_start(struct shard *shard, struct listener_set *set)
{
    shard->listener_count = set->count;
    shard->listeners = mem_zalloc((set->count + 1) * sizeof(struct listener));
    shard->reserve_fd = open_reserve();
    timer_init(&shard->accept_retry, retry_fired);
    for (unsigned i = 0; i < set->count; i++) {
        shard->listeners[i].fd = set->addresses[i].fds[shard->index - set->first];
        set->addresses[i].fds[shard->index - set->first] = -1;
        arm(shard, i);
    }
    door_take_keys(shard);
}

/* The socket goes on to the program that is started next; connections wait in its backlog. */
static void give_back(struct shard *shard, unsigned index, int fd)
{
    struct machine *machine = shard->machine;
    struct listener_set *set =
        shard->index == control_index(machine) ? machine->service_listener : machine->listeners;

    set->addresses[index].fds[shard->index - set->first] = fd;
}

void listener_stop(struct shard *shard)
{
    bool keep = atomic_load_explicit(&shard->machine->keep_listeners, memory_order_relaxed);

    timer_disarm(&shard->timers, &shard->accept_retry);
    for (unsigned i = 0; i < shard->listener_count; i++) {
        struct listener *listener = &shard->listeners[i];

        if (listener->fd < 0)
            continue;
        if (listener->armed) {
            uring_cancel(shard->ring, op_pack(OP_ACCEPT, i, 0));
            uring_cancel(shard->ring, op_pack(OP_ACCEPT_AGAIN, i, 0));
        }
        if (keep)
            give_back(shard, i, listener->fd);
        else
            uring_close_descriptor(shard->ring, listener->fd);
        listener->fd = -1;
    }
    door_drop_keys(shard);
    if (shard->reserve_fd >= 0)
        close(shard->reserve_fd);
    shard->reserve_fd = -1;
}

void listener_accepted(struct shard *shard, const struct completion *completion)
{
    unsigned index = op_slot(completion->user_data);
    struct conn_filter *filter = NULL;

    if ((completion->flags & COMPLETION_MORE) == 0)
        shard->listeners[index].armed = false;
    /* one may have come before the listener was stopped: its keys are gone */
    if (shard->listeners[index].fd >= 0 && door_open(shard, index, completion->res, &filter)) {
        conn_open(shard, completion->res, NULL, (struct span){0}, filter, index);
    } else {
        conn_count_refused(shard, 1);
        uring_close_descriptor(shard->ring, completion->res);
    }
    arm(shard, index);
}

/* Answers the connections in the backlog that there is no descriptor for; returns how many. */
static unsigned turn_away(struct shard *shard, int listener)
{
    unsigned count = 0;

    if (shard->reserve_fd >= 0)
        close(shard->reserve_fd);
    while (count < TURN_AWAY) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
            break;
        close(fd);
        count++;
    }
    shard->reserve_fd = open_reserve();
    conn_count_refused(shard, count);
    return count;
}

static void out_of_resources(struct shard *shard, unsigned index, int error)
{
    static _Atomic uint64_t logged_second; /* shared by all shards: one line a second */
    uint64_t second = shard->now_ms / 1000;

    if (atomic_exchange_explicit(&logged_second, second, memory_order_relaxed) != second)
        LOG_ERROR("connections are refused: %s. %u are open; the limit of descriptors is %u "
                  "(ulimit -n, LimitNOFILE=)",
                  strerror(error), machine_connections(shard->machine),
                  shard->machine->limits.descriptors);
    if (turn_away(shard, shard->listeners[index].fd) != 0) {
        shard->listeners[index].armed = true;
        uring_poll(shard->ring, shard->listeners[index].fd, op_pack(OP_ACCEPT_AGAIN, index, 0));
    } else if (!timer_armed(&shard->accept_retry)) {
        timer_arm(&shard->timers, &shard->accept_retry, shard->now_ms + RETRY_MS);
    }
}

void listener_waiting(struct shard *shard, const struct completion *completion)
{
    unsigned index = op_slot(completion->user_data);

    shard->listeners[index].armed = false;
    arm(shard, index);
}

void listener_accept_failed(struct shard *shard, const struct completion *completion)
{
    unsigned index = op_slot(completion->user_data);
    struct listener *listener = &shard->listeners[index];

    if ((completion->flags & COMPLETION_MORE) == 0)
        listener->armed = false;
    if (listener->fd < 0)
        return; /* stopped */
    switch (completion->res) {
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
    case -ENOBUFS:
        out_of_resources(shard, index, -completion->res);
        break;
    default: /* the peer was gone already, or a signal */
        arm(shard, index);
    }
}
