/* SPDX-License-Identifier: MIT
 *
 * monitor - one sample a second; the exporter is looked at more often, so that it answers quickly.
 */
#include "bench/monitor.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench/broker_cost.h"
#include "bench/payload.h"
#include "bench/totals.h"

#define SAMPLE_NS         NANOSECONDS
#define POLL_NS           (10 * NANOSECONDS_PER_MS)
#define LAST_SAMPLE_MIN_S 0.05
#define COLUMNS_DEFAULT   80

static const char *const phase_names[] = {[PHASE_CONNECT] = "connect",
                                          [PHASE_WARMUP] = "warmup",
                                          [PHASE_MEASURE] = "measure",
                                          [PHASE_DRAIN] = "drain",
                                          [PHASE_STOP] = "stop"};

static uint64_t tool_cpu_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * NANOSECONDS + (uint64_t)used.tv_nsec;
}

bool monitor_init(struct monitor *monitor, struct load *load, const struct monitor_source *source,
                  char *error, size_t error_size)
{
    const struct bench_options *options = load->options;

    memset(monitor, 0, sizeof(*monitor));
    monitor->exporter.listener = -1;
    monitor->options = options;
    monitor->load = load;
    monitor->source = *source;
    monitor->latency = mem_zalloc(sizeof(struct histogram));
    monitor->latency_before = mem_zalloc(sizeof(struct histogram));
    monitor->interval = mem_zalloc(sizeof(struct histogram));
    monitor->is_live = options->live && isatty(STDOUT_FILENO);
    monitor->start_ns = monitor->cpu_at_ns = now_ns();
    monitor->next_ns = monitor->start_ns + SAMPLE_NS;
    monitor->tool_cpu_ns = tool_cpu_ns();
    monitor->broker_cpu_ns = broker_cpu_ns(options->broker_pid);
    if (OPTIONS_GIVEN(options, prometheus)) {
        if (!exporter_open(&monitor->exporter, (uint16_t)options->prometheus, error, error_size)) {
            return false;
        }
        printf("metrics: http://127.0.0.1:%u/metrics\n", monitor->exporter.port);
        fflush(stdout);
    }
    load->monitor = monitor;
    return true;
}

void monitor_fini(struct monitor *monitor)
{
    if (monitor->exporter.listener >= 0) {
        exporter_close(&monitor->exporter);
    }
    series_fini(&monitor->series);
    mem_free(monitor->latency);
    mem_free(monitor->latency_before);
    mem_free(monitor->interval);
    if (monitor->load != NULL) {
        monitor->load->monitor = NULL;
    }
    memset(monitor, 0, sizeof(*monitor));
    monitor->exporter.listener = -1;
}

static void gather(struct monitor *monitor)
{
    memset(&monitor->totals, 0, sizeof(monitor->totals));
    memset(monitor->latency, 0, sizeof(*monitor->latency));
    totals_gather(&monitor->totals, monitor->source.workers, monitor->source.worker_count);
    totals_gather_latency(monitor->latency, monitor->source.workers, monitor->source.worker_count);
}

/* CPU time since the last sample, of the tool and the broker. */
static void measure_cpu(struct monitor *monitor, struct sample *sample, uint64_t now)
{
    uint64_t tool_ns = tool_cpu_ns(), broker_ns = broker_cpu_ns(monitor->options->broker_pid);
    double passed_ns = (double)(now - monitor->cpu_at_ns);

    if (passed_ns > 0) {
        sample->tool_cpu_percent = 100 * (double)(tool_ns - monitor->tool_cpu_ns) / passed_ns;
        if (broker_ns > monitor->broker_cpu_ns) {
            sample->broker_cpu_percent =
                100 * (double)(broker_ns - monitor->broker_cpu_ns) / passed_ns;
        }
    }
    monitor->tool_cpu_ns = tool_ns;
    monitor->broker_cpu_ns = broker_ns;
    monitor->cpu_at_ns = now;
}

static void take_sample(struct monitor *monitor, uint64_t now)
{
    struct sample sample = {.at_s = (double)(now - monitor->start_ns) / (double)NANOSECONDS,
                            .phase = phase_names[load_phase(monitor->load)]};

    gather(monitor);
    sample.totals = monitor->totals;
    histogram_difference(monitor->interval, monitor->latency, monitor->latency_before);
    sample_set_latency(&sample, monitor->interval);
    memcpy(monitor->latency_before, monitor->latency, sizeof(*monitor->latency));
    measure_cpu(monitor, &sample, now);
    series_add(&monitor->series, sample);
}

/* The lines that users of such tools know, each only when there is something new. */
static void print_lines(struct monitor *monitor)
{
    const struct series *series = &monitor->series;
    const struct totals *now = &monitor->totals, *before = &monitor->shown;
    const struct sample *last = &series->samples[series->count - 1];
    uint64_t received = now->received + now->copies;

    if (now->connected != before->connected) {
        printf("connected: %" PRIu64 "\n", now->connected);
    }
    if (monitor->source.sends && now->sent != before->sent) {
        printf("sent: total=%" PRIu64 ", rate=%.0f(msg/sec)\n", now->sent, last->sent_rate);
    }
    if (monitor->source.receives && received != before->received + before->copies) {
        printf("recv: total=%" PRIu64 ", rate=%.0f(msg/sec)\n", received, last->received_rate);
    }
    fflush(stdout);
    monitor->shown = *now;
}

static void draw(struct monitor *monitor)
{
    const struct bench_options *options = monitor->options;
    struct winsize size = {0};
    char title[80], target[300];
    struct screen_view view = {.title = title,
                               .target = target,
                               .duration_s = options->duration_s,
                               .sends = monitor->source.sends,
                               .receives = monitor->source.receives,
                               .unicode = screen_has_unicode(),
                               .series = &monitor->series,
                               .latency = monitor->latency};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        size.ws_col = COLUMNS_DEFAULT;
    }
    snprintf(title, sizeof(title), "bench %s", monitor->source.name);
    options_place(options, target, sizeof(target));
    monitor->screen_lines = screen_draw(stdout, &view, size.ws_col, monitor->screen_lines);
}

static void show(struct monitor *monitor)
{
    if (monitor->is_live) {
        draw(monitor);
    } else {
        print_lines(monitor);
    }
}

void monitor_turn(struct monitor *monitor, uint64_t now_ns)
{
    if (now_ns >= monitor->next_ns) {
        take_sample(monitor, now_ns);
        show(monitor);
        /* a late turn makes a longer second, not a burst of short ones */
        monitor->next_ns += SAMPLE_NS * ((now_ns - monitor->next_ns) / SAMPLE_NS + 1);
    }
    if (monitor->exporter.listener >= 0 && now_ns >= monitor->poll_ns) {
        gather(monitor);
        exporter_poll(&monitor->exporter, now_ns, monitor->source.name, &monitor->totals,
                      monitor->latency);
        monitor->poll_ns = now_ns + POLL_NS;
    }
}

void monitor_end(struct monitor *monitor)
{
    uint64_t now = now_ns();

    if ((double)(now - monitor->start_ns) / (double)NANOSECONDS - monitor->series.before_s >=
        LAST_SAMPLE_MIN_S) {
        take_sample(monitor, now);
        show(monitor);
    } else {
        gather(monitor); /* too short for a sample, but part of the summary */
    }
    if (monitor->is_live) {
        printf("\n");
    }
}
