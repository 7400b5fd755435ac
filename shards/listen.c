/* SPDX-License-Identifier: MIT
 *
 * listen - opening the listening sockets, at the start, at a reload and across a restart.
 *
 *   configuration --listeners_open--> set of places --listener_apply--> each shard takes its sockets
 *
 * A set is made as a whole or not at all: every port is bound and listens before anybody is told of it. At a reload the
 * places that are in the former set already, by their address, have their sockets with the shards; the new set has a
 * new door for them, and no socket.
 *
 * All socket options are set on the listening socket: accepted ones inherit them, so that a connection costs no system
 * call for it.
 */
#include "shards/listen.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "shards/door.h"
#include "shards/machine_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/socket.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- addresses ---- */

/* The address as configured: its port may be 0. */
static socklen_t wanted_address(const struct conf_listener *conf, struct sockaddr_storage *to)
{
    if (conf->kind == CONF_LISTENER_UNIX)
        return listen_unix_address(conf, to);
    memset(to, 0, sizeof(*to));
    if (conf->address.ipv6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(conf->address.port);
        inet_pton(AF_INET6, conf->address.host, &in6->sin6_addr);
        return sizeof(*in6);
    }
    struct sockaddr_in *in = (struct sockaddr_in *)to;

    in->sin_family = AF_INET;
    in->sin_port = htons(conf->address.port);
    inet_pton(AF_INET, conf->address.host, &in->sin_addr);
    return sizeof(*in);
}

static bool is_unix(const struct listener_place *place)
{
    return place->address.ss_family == AF_UNIX;
}

/* 0: it has none (a UNIX socket). */
static uint16_t port_of_address(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_UNIX)
        return 0;
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)address)->sin_port);
}

static uint16_t port_of(const struct listener_place *place)
{
    return port_of_address(&place->address);
}

/* It listens on a port of the kernel's choice. */
static bool any_port(const struct conf_listener *conf)
{
    return conf->kind != CONF_LISTENER_UNIX && conf->address.port == 0;
}

/* Whether a listener of that configuration has the address; port 0 is any. */
static bool same_address(const struct conf_listener *conf, const struct sockaddr_storage *bound,
                         socklen_t size)
{
    struct sockaddr_storage wanted;

    if (wanted_address(conf, &wanted) != size || wanted.ss_family != bound->ss_family)
        return false;
    if (any_port(conf)) /* the port is where IPv4 has it */
        ((struct sockaddr_in *)&wanted)->sin_port = ((const struct sockaddr_in *)bound)->sin_port;
    return memcmp(bound, &wanted, size) == 0;
}

/* ---- options ---- */

static int set_option(int fd, int level, int name, uint64_t value)
{
    int number = value > INT32_MAX ? INT32_MAX : (int)value;

    return setsockopt(fd, level, name, &number, sizeof(number));
}

/* What a socket has for a buffer that nobody has set: the second number of the file. */
static uint64_t kernel_default(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[128] = "";
    char *rest = line;

    if (file == NULL)
        return 0;
    if (fgets(line, sizeof(line), file) == NULL)
        line[0] = '\0';
    fclose(file);
    strtoul(line, &rest, 10);
    return strtoul(rest, NULL, 10);
}

/* One buffer. What was set before stops growing and shrinking with need until SO_BUF_LOCK (Linux 5.14) says so. */
static int set_buffer(int fd, bool fresh, int name, int lock, uint64_t bytes, const char *preset)
{
    int locks = 0;

    if (bytes != 0)
        return set_option(fd, SOL_SOCKET, name, bytes);
    if (fresh ||
        getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, &(socklen_t){sizeof(locks)}) != 0 ||
        (locks & lock) == 0)
        return 0;
    if (set_option(fd, SOL_SOCKET, name, kernel_default(preset) / 2) !=
        0) /* the kernel doubles it */
        return -1;
    return set_option(fd, SOL_SOCKET, SO_BUF_LOCK, (unsigned)(locks & ~lock));
}

/* What its connections inherit; 0, or -1 with errno. `fresh`: nothing was set on it yet. */
static int set_options(int fd, bool fresh, const struct conf_listener *options)
{
    bool keepalive = options->tcp_keepalive_ms != 0;

    if (options->kind == CONF_LISTENER_UNIX)
        return 0;
    if ((!fresh || options->tcp_nodelay) &&
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, options->tcp_nodelay) != 0)
        return -1;
    if ((!fresh || keepalive) && set_option(fd, SOL_SOCKET, SO_KEEPALIVE, keepalive) != 0)
        return -1;
    if (keepalive &&
        set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (options->tcp_keepalive_ms + 999) / 1000) != 0)
        return -1;
    if ((!fresh || options->tcp_user_timeout_ms != 0) &&
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->tcp_user_timeout_ms) != 0)
        return -1;
    if (set_buffer(fd, fresh, SO_SNDBUF, SOCK_SNDBUF_LOCK, options->send_buffer,
                   "/proc/sys/net/ipv4/tcp_wmem") != 0)
        return -1;
    return set_buffer(fd, fresh, SO_RCVBUF, SOCK_RCVBUF_LOCK, options->receive_buffer,
                      "/proc/sys/net/ipv4/tcp_rmem");
}

int listen_again(int socket, const struct conf_listener *options)
{
    return set_options(socket, false, options) != 0 ? -1 : listen(socket, (int)options->backlog);
}

/* A socket that is bound, not listening; -errno on failure. */
static int bind_one(const struct listener_place *place, bool share)
{
    const struct conf_listener *conf = place->door->conf;
    const int on = 1;
    /* ordered, lossless, both ways [MQTT-7.1.1-1] [MQTT-4.2-1] */
    int fd = socket(place->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        set_options(fd, true, conf) != 0 ||
        (place->address.ss_family == AF_INET6 &&
         set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, conf->ipv6_only) != 0) ||
        bind(fd, (const struct sockaddr *)&place->address, place->address_size) != 0) {
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
 * and closes the others. With fewer shards than before some shards take several sockets of an address: closing one
 * would reset who waits in it.
 */

#define LISTENERS_VARIABLE "SHARDMQ_LISTENERS"

/* True when it is a listening socket that nobody has taken, with that address. */
static bool fits(const struct listener_place *place, int fd)
{
    const struct conf_listener *conf = place->door->conf;
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound), number_size = sizeof(int);
    int listening = 0, only = 0;

    memset(&bound, 0, sizeof(bound));
    if (fcntl(fd, F_GETFD) != 0 || getsockname(fd, (struct sockaddr *)&bound, &size) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &number_size) != 0 || !listening ||
        !same_address(conf, &bound, size) ||
        (bound.ss_family == AF_UNIX && !listen_unix_there(conf->address.path)))
        return false;
    return bound.ss_family != AF_INET6 ||
           (getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &number_size) == 0 &&
            (only != 0) == conf->ipv6_only);
}

/* The socket of that listener and number, if the program before has left one with the same address, whatever it was
 * called there; else -1. A port of the kernel's choice goes by the name. */
static int inherit(const struct listener_place *place, unsigned number)
{
    const struct conf_listener *conf = place->door->conf;
    const char *list = getenv(LISTENERS_VARIABLE);
    char key[64];

    if (any_port(conf))
        snprintf(key, sizeof(key), ";%s/%u=", conf->name, number);
    else
        snprintf(key, sizeof(key), "/%u=", number);
    while (list != NULL && (list = strstr(list, key)) != NULL) {
        int fd = (int)strtol(list += strlen(key), NULL, 10);

        if (fits(place, fd) && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
            set_options(fd, false, conf) == 0)
            return fd;
    }
    return -1;
}

/* Closes those that nobody has taken and that `unwanted` says. */
static void drop_inherited(bool (*unwanted)(const struct sockaddr_storage *bound,
                                            const struct listener_place *place),
                           const struct listener_place *place)
{
    const char *list = getenv(LISTENERS_VARIABLE);

    while (list != NULL && (list = strchr(list, '=')) != NULL) {
        struct sockaddr_storage bound;
        socklen_t size = sizeof(bound);
        int fd = (int)strtol(++list, NULL, 10);

        memset(&bound, 0, sizeof(bound));
        if (fd > 2 && fcntl(fd, F_GETFD) == 0 && /* one that was taken closes at an execution */
            getsockname(fd, (struct sockaddr *)&bound, &size) == 0 && unwanted(&bound, place))
            close(fd);
    }
}

/* Another address of the port is to be listened on: they are in the way. The same for the path of a UNIX socket whose
 * file has gone. */
static bool in_the_way(const struct sockaddr_storage *bound, const struct listener_place *place)
{
    if (is_unix(place))
        return bound->ss_family == AF_UNIX && strcmp(((const struct sockaddr_un *)bound)->sun_path,
                                                     place->door->conf->address.path) == 0;
    return bound->ss_family != AF_UNIX && port_of_address(bound) == port_of(place);
}

/* It would be closed at the next execution only. */
static bool left_over(const struct sockaddr_storage *bound, const struct listener_place *place)
{
    (void)place;
    if (bound->ss_family == AF_UNIX)
        unlink(((const struct sockaddr_un *)bound)->sun_path);
    return true;
}

void listeners_opened(void)
{
    drop_inherited(left_over, NULL);
    unsetenv(LISTENERS_VARIABLE);
}

void listeners_pass(const struct door *door, unsigned number, int socket)
{
    const char *before = getenv(LISTENERS_VARIABLE);
    size_t size = (before == NULL ? 1 : strlen(before)) + 96;
    char *list;

    if (fcntl(socket, F_SETFD, 0) != 0)
        return;
    list = mem_alloc(size);
    snprintf(list, size, "%s%s/%u=%d;", before == NULL ? ";" : before, door->conf->name, number,
             socket);
    setenv(LISTENERS_VARIABLE, list, 1);
    mem_free(list);
}

/* ---- binding ---- */

/* One of these has the port already, with any address. */
static bool has_port(const struct listener_set *set, uint16_t port)
{
    for (unsigned i = 0; set != NULL && i < set->count; i++)
        if (port_of(&set->places[i]) == port)
            return true;
    return false;
}

/* SO_REUSEPORT would let two brokers of one user share the port without a word: first see that it is free, but for
 * places of our own. */
static int probe_port(const struct listener_place *place, const struct listener_set *former)
{
    int probe;

    if (port_of(place) == 0 || has_port(former, port_of(place)))
        return 0;
    probe = bind_one(place, false);
    if (probe == -EADDRINUSE) {
        drop_inherited(in_the_way, place);
        probe = bind_one(place, false);
    }
    if (probe >= 0)
        close(probe);
    return probe < 0 ? probe : 0;
}

/* Takes what the program before has left for it; true when there was anything. */
static bool inherit_all(struct listener_place *place, unsigned shards)
{
    bool any = false;

    place->sockets = mem_alloc(CONF_SHARDS_MAX * sizeof(int));
    place->socket_count = shards;
    for (unsigned n = 0; n < CONF_SHARDS_MAX; n++) {
        int fd = place->sockets[n] = inherit(place, n);

        if (fd < 0)
            continue;
        any = true;
        getsockname(fd, (struct sockaddr *)&place->address, &(socklen_t){sizeof(place->address)});
        if (n >= shards)
            place->socket_count = n + 1;
    }
    return any;
}

/* All shards have copies of one descriptor. */
static int bind_unix(struct listener_place *place, unsigned shards)
{
    const struct conf_listener *conf = place->door->conf;
    int fd = -1, error;

    inherit_all(place, shards);
    for (unsigned n = 0; n < place->socket_count && fd < 0; n++)
        fd = place->sockets[n];
    error = fd < 0 ? 0 : listen_unix_permit(conf);
    if (error == 0 && fd < 0) {
        drop_inherited(in_the_way, place);
        fd = error = listen_unix_bind(conf);
        if (fd >= 0)
            place->sockets[0] = fd;
    }
    if (error < 0)
        return error;
    listen_unix_remember(conf, &place->file);
    for (unsigned n = 0; n < shards; n++) {
        if (place->sockets[n] < 0)
            place->sockets[n] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (place->sockets[n] < 0)
            return -errno;
    }
    return listen(fd, (int)conf->backlog) == 0 ? 0 : -errno;
}

static int bind_place(struct listener_place *place, unsigned shards,
                      const struct listener_set *former)
{
    int error = inherit_all(place, shards) ? 0 : probe_port(place, former);

    if (error != 0)
        return error;
    for (unsigned n = 0; n < shards; n++) {
        int fd = place->sockets[n] >= 0 ? place->sockets[n] : bind_one(place, true);

        if (fd < 0)
            return fd;
        place->sockets[n] = fd;
        if (port_of(place) == 0) { /* the kernel chose: the others share its choice */
            place->address_size = sizeof(place->address);
            getsockname(fd, (struct sockaddr *)&place->address, &place->address_size);
        }
    }
    for (unsigned n = 0; n < place->socket_count; n++)
        if (place->sockets[n] >= 0 &&
            listen(place->sockets[n], (int)place->door->conf->backlog) != 0)
            return -errno;
    return 0;
}

static bool bind_or_say(struct listener_place *place, unsigned shards,
                        const struct listener_set *former, char *why, size_t size)
{
    const struct conf_listener *conf = place->door->conf;
    int error = is_unix(place) ? bind_unix(place, shards) : bind_place(place, shards, former);
    const char *more = "";

    if (error == 0)
        return true;
    if (is_unix(place)) {
        more = listen_unix_trouble(-error);
        snprintf(why, size, "cannot listen on %s (%s): %s", conf->address.path, conf->name,
                 more != NULL ? more : strerror(-error));
        return false;
    }
    if (former != NULL && (error == -EACCES || has_port(former, conf->address.port)))
        more = "; the broker has not the rights, or not any more: have it started again by whoever "
               "started it";
    else if (error == -EADDRINUSE)
        more = "; another program, or another broker, has that port";
    snprintf(why, size, "cannot listen on %s port %u (%s): %s%s", conf->address.host,
             conf->address.port, conf->name, strerror(-error), more);
    return false;
}

/* ---- sets ---- */

/* The place of the former set that the listener goes on with, or NULL. A port of the kernel's choice goes by the name. */
static const struct listener_place *place_before(const struct listener_set *former,
                                                 const struct conf_listener *conf)
{
    for (unsigned i = 0; former != NULL && i < former->count; i++) {
        const struct listener_place *place = &former->places[i];
        const struct conf_listener *before = place->door->conf;

        if (same_address(conf, &place->address, place->address_size) &&
            before->ipv6_only == conf->ipv6_only &&
            (!any_port(conf) ||
             (before->address.port == 0 && strcmp(before->name, conf->name) == 0)))
            return place;
    }
    return NULL;
}

/* Adds a place with its door; it is still to be bound when the former set has not its address. */
static bool add_place(const struct machine *machine, struct listener_set *set,
                      const struct listener_set *former, const struct conf_listener *conf,
                      bool service, char *why, size_t size)
{
    const struct listener_place *before = place_before(former, conf);
    struct door *door =
        door_create(conf, service, machine->limits.shards + 1,
                    before != NULL ? before->door->counts : NULL, machine->tickets, why, size);
    struct listener_place *place;

    if (door == NULL)
        return false;
    place = &set->places[set->count++];
    place->door = door;
    if (before != NULL) {
        place->serial = before->serial;
        place->address = before->address;
        place->address_size = before->address_size;
        place->file = before->file;
    } else {
        place->address_size = wanted_address(conf, &place->address);
    }
    return true;
}

/* Room for `capacity` places on the shards first .. first + shards - 1. */
static struct listener_set *set_create(const struct listener_set *former, unsigned capacity,
                                       unsigned first, unsigned shards)
{
    struct listener_set *set = mem_zalloc(sizeof(*set) + capacity * sizeof(struct listener_place));

    set->first = first;
    set->shards = shards;
    set->next_serial = former != NULL ? former->next_serial : 1;
    return set;
}

/* Binds the new places of a set. It is closed when one cannot be bound. */
static struct listener_set *bind_places(struct listener_set *set, const struct listener_set *former,
                                        char *why, size_t size)
{
    for (unsigned i = 0; i < set->count; i++) {
        if (set->places[i].serial != 0)
            continue;
        set->places[i].serial = set->next_serial++;
        if (!bind_or_say(&set->places[i], set->shards, former, why, size)) {
            listeners_close(set);
            return NULL;
        }
    }
    return set;
}

struct listener_set *listeners_open(const struct machine *machine, const struct conf *conf,
                                    const struct listener_set *former, char *why, size_t size)
{
    struct listener_set *set = set_create(former, conf->listener_count, 0, machine->limits.shards);

    for (unsigned i = 0; i < conf->listener_count; i++) {
        if (conf->listeners[i].enable &&
            !add_place(machine, set, former, &conf->listeners[i], false, why, size)) {
            listeners_close(set);
            return NULL;
        }
        if (conf->listeners[i].enable)
            set->places[set->count - 1].door->named_only =
                !conf_allow_anonymous(conf, &conf->listeners[i]);
    }
    return bind_places(set, former, why, size);
}

struct listener_set *listeners_open_service(const struct machine *machine, const struct conf *conf,
                                            const struct listener_set *former, char *why,
                                            size_t size)
{
    struct listener_set *set = set_create(former, 1, control_index(machine), 1);
    struct conf_listener *http;
    bool added;

    if (machine->options->service == NULL || !conf->http_server_enable)
        return set;
    http = conf_http_listener(conf);
    added = add_place(machine, set, former, http, true, why, size);
    conf_listener_free(http);
    if (added)
        return bind_places(set, former, why, size);
    listeners_close(set);
    return NULL;
}

void listeners_close(struct listener_set *set)
{
    if (set == NULL)
        return;
    for (unsigned i = 0; i < set->count; i++) {
        struct listener_place *place = &set->places[i];

        if (place->socket_count != 0 && place->sockets[0] >= 0) /* nobody has begun to use it */
            listen_unix_remove(place->door->conf->address.path, &place->file);
        for (unsigned n = 0; n < place->socket_count; n++)
            if (place->sockets[n] >= 0)
                close(place->sockets[n]);
        mem_free(place->sockets);
        door_unref(place->door);
    }
    mem_free(set);
}

void listener_describe(const struct listener_place *place, char *to, size_t size)
{
    const struct door *door = place->door;
    const char *scheme = conf_listener_kind_name(door->conf->kind);

    if (door->service)
        scheme = door->tls == NULL ? "http" : "https";
    if (is_unix(place)) {
        snprintf(to, size, "%s://%s", scheme, door->conf->address.path);
        return;
    }
    snprintf(to, size, place->address.ss_family == AF_INET6 ? "%s://[%s]:%u%s" : "%s://%s:%u%s",
             scheme, door->conf->address.host, port_of(place), door->conf->address.path);
}

static const struct listener_place *find_place(const struct listener_set *set, uint64_t serial)
{
    for (unsigned i = 0; set != NULL && i < set->count; i++)
        if (set->places[i].serial == serial)
            return &set->places[i];
    return NULL;
}

void listeners_settle_files(const struct listener_set *set, const struct listener_set *next)
{
    for (unsigned i = 0; set != NULL && i < set->count; i++) {
        const struct listener_place *place = &set->places[i];
        const struct listener_place *after = find_place(next, place->serial);
        int error = 0;

        if (is_unix(place) && after == NULL)
            listen_unix_remove(place->door->conf->address.path, &place->file);
        else if (is_unix(place))
            error = listen_unix_permit(after->door->conf);
        if (error != 0)
            LOG_ERROR("the owner and mode of %s cannot be set: %s", place->door->conf->address.path,
                      strerror(-error));
    }
}

void listeners_print(const struct listener_set *set, const struct listener_set *former, FILE *to)
{
    char text[256];

    for (unsigned i = 0; i < set->count; i++) {
        if (find_place(former, set->places[i].serial) != NULL)
            continue;
        listener_describe(&set->places[i], text, sizeof(text));
        if (to != NULL)
            fprintf(to, "listening on %s\n", text);
        LOG_INFO("listening on %s", text);
    }
    for (unsigned i = 0; former != NULL && i < former->count; i++) {
        if (find_place(set, former->places[i].serial) != NULL)
            continue;
        listener_describe(&former->places[i], text, sizeof(text));
        LOG_INFO("not listening on %s any more", text);
    }
}
