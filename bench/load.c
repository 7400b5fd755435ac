/* SPDX-License-Identifier: MIT
 *
 * load - set-up of a run: addresses, descriptors, CPU, signals; and the one place that says it
 * failed.
 */
#include "bench/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "bench/broker_cost.h"
#include "bench/payload.h"
#include "bench/report.h"

static volatile sig_atomic_t interrupted;

static bool find_broker(struct load *load, char *error, size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found;
    char port[16];
    int status;

    snprintf(port, sizeof(port), "%u", (unsigned)load->options->port);
    status = getaddrinfo(load->options->host, port, &hints, &found);
    if (status != 0) {
        snprintf(error, error_size, "cannot find the host %s: %s", load->options->host,
                 gai_strerror(status));
        return false;
    }
    /* "localhost" resolves to ::1 first on some systems while brokers listen on 127.0.0.1. */
    for (struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        if (load->address_len == 0 ||
            (at->ai_family == AF_INET && load->address.ss_family != AF_INET)) {
            memcpy(&load->address, at->ai_addr, at->ai_addrlen);
            load->address_len = at->ai_addrlen;
        }
    }
    freeaddrinfo(found);
    return true;
}

static bool add_source(struct load *load, const char *text)
{
    struct sockaddr_storage *to = &load->sources[load->source_count];
    struct sockaddr_in *v4 = (struct sockaddr_in *)to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

    if (load->source_count == LOAD_SOURCES_MAX) {
        return false;
    }
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        to->ss_family = AF_INET;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        to->ss_family = AF_INET6;
    } else {
        return false;
    }
    load->source_count++;
    return to->ss_family == load->address.ss_family;
}

static bool is_loopback_v4(const struct load *load)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&load->address;

    return load->address.ss_family == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 == 127;
}

/* One source address has some 28,000 ports, fewer when others wait out their last use: a list is
 * taken from --ifaddr, or for a broker on this machine from 127.0.0.0/8. */
static bool find_sources(struct load *load, uint64_t connections, char *error, size_t error_size)
{
    const char *list = load->options->ifaddr;

    if (list == NULL) {
        uint64_t wanted = connections / LOAD_PORTS_PER_SOURCE + 1;

        for (uint32_t i = 0; wanted > 1 && is_loopback_v4(load) && i < wanted && i < 250; i++) {
            char text[INET_ADDRSTRLEN];

            snprintf(text, sizeof(text), "127.0.0.%u", (unsigned)(i + 2));
            add_source(load, text);
        }
        return true;
    }
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        char text[INET6_ADDRSTRLEN] = "";

        memcpy(text, list, len < sizeof(text) - 1 ? len : sizeof(text) - 1);
        if (!add_source(load, text)) {
            snprintf(error, error_size,
                     "--ifaddr: \"%s\" is not an address of the broker's family (at most %u)", text,
                     LOAD_SOURCES_MAX);
            return false;
        }
        list += len + (list[len] == ',');
    }
    return true;
}

/* Connections to one address and port from one source address differ in their port only. */
static bool enough_ports(const struct load *load, uint64_t connections, char *error,
                         size_t error_size)
{
    unsigned low = 32768, high = 60999;
    uint64_t sources = load->source_count > 0 ? load->source_count : 1, each;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

    if (file != NULL) {
        if (fscanf(file, "%u %u", &low, &high) != 2 || high < low) {
            low = 32768, high = 60999;
        }
        fclose(file);
    }
    each = high - low + 1;
    if (connections > sources * each) {
        snprintf(error, error_size,
                 "%llu connections need %llu source addresses with %llu ports each, there %s "
                 "%llu: name more with --ifaddr",
                 (unsigned long long)connections,
                 (unsigned long long)((connections + each - 1) / each), (unsigned long long)each,
                 sources == 1 ? "is" : "are", (unsigned long long)sources);
        return false;
    }
    return true;
}

static bool allow_descriptors(uint64_t connections, char *error, size_t error_size)
{
    struct rlimit limit;
    uint64_t wanted = connections + LOAD_DESCRIPTORS_SPARED;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < wanted) {
        snprintf(error, error_size,
                 "%llu connections need %llu descriptors, the limit of this process is %llu",
                 (unsigned long long)connections, (unsigned long long)wanted,
                 (unsigned long long)limit.rlim_cur);
        return false;
    }
    return true;
}

bool load_init(struct load *load, const struct bench_options *options, uint64_t connections,
               char *error, size_t error_size)
{
    memset(load, 0, sizeof(*load));
    load->options = options;
    if (getrandom(&load->mark, sizeof(load->mark), 0) != sizeof(load->mark)) {
        load->mark = (uint32_t)now_ns();
    }
    if (!load_pin(options, 0)) {
        snprintf(error, error_size, "--cpu: cannot run on \"%s\"", options->cpu);
        return false;
    }
    if (options->broker_pid > 0 && broker_cpu_ns(options->broker_pid) == 0) {
        snprintf(error, error_size, "--broker-pid: there is no process %llu here",
                 (unsigned long long)options->broker_pid);
        return false;
    }
    return report_check_files(options, error, error_size) && find_broker(load, error, error_size) &&
           find_sources(load, connections, error, error_size) &&
           enough_ports(load, connections, error, error_size) &&
           allow_descriptors(connections, error, error_size);
}

void load_fail(struct load *load, const char *format, ...)
{
    va_list arguments;

    if (atomic_exchange(&load->failed, true)) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(load->failure, sizeof(load->failure), format, arguments);
    va_end(arguments);
    atomic_store(&load->failure_written, true);
}

const char *load_failure(struct load *load)
{
    return atomic_load(&load->failure_written) ? load->failure : NULL;
}

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void load_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    interrupted = 0;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool load_interrupted(void)
{
    return interrupted != 0;
}

void load_forget_interrupt(void)
{
    interrupted = 0;
}

bool load_pin(const struct bench_options *options, uint32_t index)
{
    const char *at = options->cpu;
    cpu_set_t set;
    char *end;
    long cpu;

    if (at == NULL) {
        return true;
    }
    for (uint32_t i = 0; i < index && strchr(at, ',') != NULL; i++) {
        at = strchr(at, ',') + 1;
    }
    cpu = strtol(at, &end, 10);
    if (end == at || (*end != '\0' && *end != ',') || cpu < 0 || cpu >= CPU_SETSIZE) {
        return false;
    }
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) == 0;
}
