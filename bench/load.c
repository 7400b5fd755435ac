/* SPDX-License-Identifier: MIT
 *
 * load - set-up of a run: addresses, descriptors, CPU, signals; and the one place that says it
 * failed.
 */
#include "bench/load.h"

#include <arpa/inet.h>
#include <errno.h>
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

static bool is_loopback_v4(const struct target *target)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&target->addresses[0].address;

    return v4->sin_family == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 == 127;
}

/* One source address has some 28,000 ports, fewer when others wait out their last use: a list is
 * taken from --ifaddr, or for a broker on this machine from 127.0.0.0/8. */
static bool find_sources(struct load *load, uint64_t connections, char *error, size_t error_size)
{
    struct target *target = &load->target;
    uint64_t wanted = connections / LOAD_PORTS_PER_SOURCE + 1;
    char text[256];

    if (load->options->ifaddr != NULL) {
        if (target_add_sources(target, load->options->ifaddr, text, sizeof(text))) {
            return true;
        }
        snprintf(error, error_size, "--ifaddr: %s", text);
        return false;
    }
    for (uint64_t i = 0; wanted > 1 && is_loopback_v4(target) && i < wanted && i < 250; i++) {
        snprintf(text, sizeof(text), "127.0.0.%u", (unsigned)(i + 2));
        if (!target_add_sources(target, text, error, error_size)) {
            return false;
        }
    }
    return true;
}

/* Connections to one address and port from one source address differ in their port only. */
static bool enough_ports(const struct load *load, uint64_t connections, char *error,
                         size_t error_size)
{
    unsigned low = 32768, high = 60999;
    uint64_t sources = load->target.source_count > 0 ? load->target.source_count : 1, each;
    FILE *file;

    if (load->options->host[0] == '/') { /* a UNIX socket */
        return true;
    }
    file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
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

static bool open_secure(struct load *load, char *error, size_t error_size)
{
    const struct bench_options *options = load->options;
    struct secure_options secure = {
        .kind = secure_kind(options->ssl, options->ws),
        .host = options->host,
        .port = (uint16_t)options->port,
        .version = (enum mqtt_version)options->version,
        .cafile = options->cafile,
        .certfile = options->certfile,
        .keyfile = options->keyfile,
        .keypass = options->keypass,
        /* load is put on servers of one's own, with certificates of one's own */
        .insecure = options->insecure || options->cafile == NULL,
        .server_name = options->servername,
        .resume = options->resume,
        .path = options->path,
    };

    if (secure.kind == TRANSPORT_PLAIN) {
        return true;
    }
    load->target.transport = &load->secure.transport;
    return secure_open(&load->secure, &secure, error, error_size);
}

bool load_init(struct load *load, const struct bench_options *options, uint64_t connections,
               char *error, size_t error_size)
{
    memset(load, 0, sizeof(*load));
    load->options = options;
    if (getrandom(&load->mark, sizeof(load->mark), 0) != sizeof(load->mark)) {
        load->mark = (uint32_t)now_ns();
    }
    load->target.reconnect = options->reconnect;
    load->target.reconnect_least_ms = LOAD_RECONNECT_LEAST_MS;
    load->target.reconnect_most_ms = LOAD_RECONNECT_MOST_MS;
    if (options->reconnect) { /* otherwise a lack of progress ends the run */
        load->target.open_timeout_ms = (uint32_t)(options->timeout_s * 1000) + 1;
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
    return report_check_files(options, error, error_size) && open_secure(load, error, error_size) &&
           target_resolve(&load->target, options->host, (uint16_t)options->port, error,
                          error_size) &&
           find_sources(load, connections, error, error_size) &&
           enough_ports(load, connections, error, error_size) &&
           allow_descriptors(connections, error, error_size);
}

void load_fini(struct load *load)
{
    secure_close(&load->secure);
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
