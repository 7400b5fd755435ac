/* SPDX-License-Identifier: MIT
 *
 * Sizes from the configuration, CPUs and quotas from made-up cgroup trees, and the words to a
 * service manager.
 */
#include "shards/limits.c"
#include "shards/notify.c"
#include "shards/topology.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

static char root[64];

static void put(const char *path, const char *text)
{
    char whole[512], *slash;
    FILE *file;

    snprintf(whole, sizeof(whole), "%s%s", root, path);
    for (slash = strchr(whole + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(whole, 0700);
        *slash = '/';
    }
    file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/shardmq-limits-XXXXXX");
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int remove_root(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command);
}

static void the_tightest_quota_above_holds(void **state)
{
    (void)state;
    put("/a/cpu.max", "350000 100000\n");
    put("/a/b/cpu.max", "max 100000\n");
    put("/a/c/cpu.max", "50000 100000\n");
    assert_int_equal(topology_quota(root, "0::/a/b\n"), 3500);
    assert_int_equal(topology_quota(root, "0::/a/c\n"), 500);
    assert_int_equal(topology_quota(root, "0::/elsewhere\n"), 0);
    assert_int_equal(topology_quota(root, ""), 0);
    assert_int_equal(topology_quota(root, "nonsense\n0::/a/b"), 3500);
}

static void version_1_is_understood(void **state)
{
    (void)state;
    put("/cpu/x/cpu.cfs_quota_us", "200000\n");
    put("/cpu/x/cpu.cfs_period_us", "100000\n");
    put("/cpu/y/cpu.cfs_quota_us", "-1\n");
    put("/cpu/y/cpu.cfs_period_us", "100000\n");
    assert_int_equal(topology_quota(root, "4:cpu,cpuacct:/x\n3:memory:/z\n"), 2000);
    assert_int_equal(topology_quota(root, "4:cpuacct,cpu:/y\n"), 0);
}

static void the_lowest_memory_limit_above_holds(void **state)
{
    (void)state;
    put("/system.slice/memory.max", "max\n");
    put("/system.slice/broker/memory.max", "100000000\n");
    put("/system.slice/broker/inner/memory.max", "300000000\n");
    put("/memory/m/memory.limit_in_bytes", "5000000\n");
    assert_int_equal(topology_memory(root, "0::/system.slice/broker\n"), 100000000);
    assert_int_equal(topology_memory(root, "0::/system.slice/broker/inner\n"), 100000000);
    assert_int_equal(topology_memory(root, "0::/system.slice\n"), 0);
    assert_int_equal(topology_memory(root, "9:memory:/m\n4:cpu,cpuacct:/x\n"), 5000000);
    assert_int_equal(topology_memory(root, "9:hugetlb:/m\n"), 0);
}

static void a_quota_in_the_root_group_counts(void **state)
{
    (void)state;
    put("/cpu.max", "100000 100000\n");
    assert_int_equal(topology_quota(root, "0::/\n"), 1000);
    assert_int_equal(topology_quota(root, "0::/a/b\n"), 1000);
}

static void shards_follow_affinity_and_quota(void **state)
{
    struct topology topology = {.cpu_count = 8};

    (void)state;
    assert_int_equal(topology_shards(&topology), 8);
    topology.quota_cpus = 3;
    assert_int_equal(topology_shards(&topology), 3);
    topology.quota_cpus = 16;
    assert_int_equal(topology_shards(&topology), 8);
    topology_read(&topology);
    assert_true(topology.cpu_count >= 1);
    assert_true(topology_shards(&topology) >= 1);
    assert_int_equal(topology_pin(topology.cpus[0]), 0);
    assert_true(topology_pin(-1) < 0);
}

static struct conf *load(const struct conf_override *overrides, size_t count)
{
    char errors[1024];
    const struct conf_source source = {.overrides = overrides, .override_count = count};
    struct conf *conf = conf_load(&source, errors, sizeof(errors));

    if (conf == NULL)
        fail_msg("%s", errors);
    return conf;
}

static void sizes_are_derived(void **state)
{
    const struct conf_override overrides[] = {
        {"shards.count", "3", "test"},
        {"shards.default.receive_buffers", "100", "test"},
        {"shards.1.mesh_depth", "1000", "test"},
        {"shards.2.max_connections", "7", "test"},
        {"shards.2.cpu", "0", "test"},
        {"limits.max_connections", "500", "test"},
        {"limits.queue_memory", "300MB", "test"},
    };
    struct conf *conf = load(overrides, ARRAY_LENGTH(overrides));
    struct limits *limits = calloc(1, sizeof(*limits));
    char why[256], *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    (void)state;
    assert_int_equal(limits_derive(limits, conf, why, sizeof(why)), 0);
    assert_int_equal(limits->shards, 3);
    assert_int_equal(limits->connections, 500);
    assert_int_equal(limits->shard[0].connections, 500);
    assert_int_equal(limits->shard[2].connections, 7);
    assert_int_equal(limits->shard[2].cpu, 0);
    assert_int_equal(limits->shard[0].receive_buffers, 128); /* a power of two */
    assert_int_equal(limits->mesh_depth[0], 8192);
    assert_int_equal(limits->mesh_depth[1], 1024);
    assert_true(limits->mesh_congested < limits->mesh_full);
    assert_true(limits->shard[0].completion_entries >= 2 * limits->shard[0].submission_entries);
    assert_in_range(limits->queue_memory, 95000000, 105000000);
    limits_print(limits, to);
    fclose(to);
    assert_non_null(strstr(text, "shards 3, connections 500 of"));
    assert_non_null(strstr(text, "shard 2: cpu 0, connections 7"));
    free(text);
    free(limits);
    conf_free(conf);
}

static void connections_leave_descriptors_for_the_rest(void **state)
{
    const struct conf_override overrides[] = {
        {"shards.count", "2", "test"},
        {"http_server.enable", "true", "test"},
        {"listeners.tcp.bind", "127.0.0.1:1883", "test"},
        {"listeners.tcp.more.bind", "127.0.0.1:1884", "test"},
    };
    struct conf *conf = load(overrides, 1), *served = load(overrides, 2),
                *more = load(overrides, 4);
    struct limits *limits = calloc(1, sizeof(*limits));
    char why[256];

    (void)state;
    assert_int_equal(limits_derive(limits, conf, why, sizeof(why)), 0);
    assert_int_equal(limits->connections, limits->descriptors - reserved_descriptors(2, conf));
    assert_true(reserved_descriptors(2, conf) < reserved_descriptors(3, conf));
    assert_true(reserved_descriptors(2, conf) + conf->http_server_limit_conn <
                reserved_descriptors(2, served));
    assert_int_equal(reserved_descriptors(2, served) + 2, reserved_descriptors(2, more));
    free(limits);
    conf_free(conf);
    conf_free(served);
    conf_free(more);
}

static void the_service_manager_is_told(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[128] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    (void)state;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", root);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    unsetenv("NOTIFY_SOCKET");
    notify_send("READY=1"); /* to nobody */
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    notify_send("READY=1");
    assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 7);
    assert_memory_equal(text, "READY=1", 7);
    notify_reloading(1234567);
    assert_true(recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0);
    assert_non_null(strstr(text, "RELOADING=1\nMONOTONIC_USEC=1234567"));
    unsetenv("NOTIFY_SOCKET");
    close(fd);
}

static void the_watchdog_interval_is_halved(void **state)
{
    char pid[16];

    (void)state;
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    assert_int_equal(notify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "3000000", 1);
    assert_int_equal(notify_watchdog_ms(), 1500);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(notify_watchdog_ms(), 0);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(notify_watchdog_ms(), 1500);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tightest_quota_above_holds),
        cmocka_unit_test(version_1_is_understood),
        cmocka_unit_test(the_lowest_memory_limit_above_holds),
        cmocka_unit_test(a_quota_in_the_root_group_counts),
        cmocka_unit_test(shards_follow_affinity_and_quota),
        cmocka_unit_test(sizes_are_derived),
        cmocka_unit_test(connections_leave_descriptors_for_the_rest),
        cmocka_unit_test(the_service_manager_is_told),
        cmocka_unit_test(the_watchdog_interval_is_halved),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}
