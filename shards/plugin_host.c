/* SPDX-License-Identifier: MIT
 *
 * plugin_host - the life of plug-ins.
 *
 *   plugin_host_open    start, or --check-config   the file is safe, dlopen, shardmq_plugin(): do we fit together?
 *   plugin_host_begin   main thread                init()
 *   plugins_enter       each shard                 init_shard()
 *   ... hooks on the shards, complete() from anywhere ...
 *   plugins_leave       each shard                 end_shard()
 *   plugin_host_end     main thread                end(): no thread of theirs is left
 *   plugin_host_close   main thread                dlclose
 *
 * A plug-in is code that runs as the broker: whoever can change its file is the broker. So the file, and each folder above
 * it, must belong to root or to the broker's user, and nobody else may be able to write there (in a sticky folder such as
 * /tmp others can write, but not replace what is not theirs). There is no way to load one into a running broker.
 *
 * Whatever is wrong stops the start: a broker without a plug-in that it was told to have would let in whoever the plug-in
 * keeps out.
 */
#include "shards/plugin_host.h"

#include "base/log.h"
#include "base/mem.h"
#include "broker/plugins.h"
#include "conf/conf.h"

#include <dlfcn.h>
#include <errno.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The oldest number that a plug-in may have been built with. */
#define ABI_OLDEST 1

#define SENTENCE_BYTES 512

/* What a plug-in knows itself by. Class: boot. */
struct smq_context {
    struct plugin_host *host;
    const struct conf_plugin *conf;
    void *library;
};

/* Class: boot. */
struct plugin_host {
    struct plugins plugins;
    struct smq_host functions;
    struct smq_context *contexts; /* [plugins.count] */
    unsigned begun;
};

/* ---- what they call ---- */

static void host_log(struct smq_context *context, enum smq_log_level level, const char *text)
{
    char line[LOG_LINE_MAX];

    log_escape(line, sizeof(line), span_text(text));
    switch (level) {
    case SMQ_LOG_ERROR:
        LOG_ERROR("plugins.%s: %s", context->conf->name, line);
        break;
    case SMQ_LOG_WARN:
        LOG_WARN("plugins.%s: %s", context->conf->name, line);
        break;
    case SMQ_LOG_INFO:
        LOG_INFO("plugins.%s: %s", context->conf->name, line);
        break;
    default:
        LOG_DEBUG("plugins.%s: %s", context->conf->name, line);
        break;
    }
}

static const char *host_option(struct smq_context *context, const char *key)
{
    for (unsigned i = 0; i < context->conf->pair_count; i++)
        if (strcmp(context->conf->pairs[i].key, key) == 0)
            return context->conf->pairs[i].value;
    return NULL;
}

static const char *host_option_key(struct smq_context *context, unsigned index)
{
    return index < context->conf->pair_count ? context->conf->pairs[index].key : NULL;
}

static bool host_complete(struct smq_context *context, uint64_t ticket, enum smq_decision decision,
                          const struct smq_answer *answer)
{
    return plugins_complete(&context->host->plugins, ticket, decision, answer);
}

/* ---- is the file safe? ---- */

static bool owned_safely(const struct stat *status, uid_t owner)
{
    return status->st_uid == 0 || status->st_uid == owner;
}

/* Looks at `path` itself and at each folder above it, up to the root; `path` is changed meanwhile. */
static bool file_safe(char *path, uid_t owner, char *why, size_t size)
{
    struct stat status;
    bool is_file = true;

    for (;;) {
        char *slash = strrchr(path, '/');

        if (stat(path[0] != '\0' ? path : "/", &status) != 0) {
            snprintf(why, size, "%s cannot be read: %s", path, strerror(errno));
            return false;
        }
        if (is_file && !S_ISREG(status.st_mode)) {
            snprintf(why, size, "%s is not a file", path);
            return false;
        }
        if (!owned_safely(&status, owner)) {
            snprintf(why, size,
                     "%s belongs to user %u: it must be root's or the broker's, for whoever can "
                     "change it controls the broker",
                     path[0] != '\0' ? path : "/", (unsigned)status.st_uid);
            return false;
        }
        if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
            (is_file || (status.st_mode & S_ISVTX) == 0)) {
            snprintf(why, size,
                     "other users may write to %s, and whoever can change it controls the broker: "
                     "take that right away with chmod go-w",
                     path[0] != '\0' ? path : "/");
            return false;
        }
        if (slash == NULL || path[0] == '\0')
            return true;
        *slash = '\0';
        is_file = false;
    }
}

/* ---- does it fit? ---- */

static bool abi_fits(const struct smq_plugin *given, char *why, size_t size)
{
    if (given == NULL) {
        snprintf(why, size, "its function " SMQ_PLUGIN_ENTRY "() returned nothing");
        return false;
    }
    if (given->abi > SMQ_PLUGIN_ABI) {
        snprintf(why, size,
                 "it was built for a newer broker, whose plug-in interface is number %u; this one "
                 "has number %u: install the newer broker, or build the plug-in with this one's "
                 "plugin.h",
                 given->abi, SMQ_PLUGIN_ABI);
        return false;
    }
    if (given->abi < ABI_OLDEST) {
        snprintf(why, size,
                 "its plug-in interface has number %u, and this broker knows %u to %u: build it "
                 "with this one's plugin.h",
                 given->abi, ABI_OLDEST, SMQ_PLUGIN_ABI);
        return false;
    }
    if (given->struct_size < offsetof(struct smq_plugin, init) ||
        given->struct_size > sizeof(struct smq_plugin)) {
        snprintf(why, size,
                 "its struct smq_plugin has %zu bytes, which no version of plugin.h has: begin it "
                 "with SMQ_PLUGIN_INIT",
                 given->struct_size);
        return false;
    }
    if (given->name == NULL || given->version == NULL) {
        snprintf(why, size, "its struct smq_plugin has no name or no version");
        return false;
    }
    return true;
}

static bool loaded_before(const struct plugin_host *host, void *library, char *why, size_t size)
{
    for (unsigned i = 0; i < host->plugins.count; i++) {
        if (host->contexts[i].library == library) {
            snprintf(why, size, "it is the same library as that of plugins.%s",
                     host->plugins.list[i].name);
            return true;
        }
    }
    return false;
}

/* Loads the next one. False, with what is wrong. */
static bool load(struct plugin_host *host, const struct conf_plugin *conf, uid_t owner, char *why,
                 size_t size)
{
    struct plugin *plugin = &host->plugins.list[host->plugins.count];
    struct smq_context *context = &host->contexts[host->plugins.count];
    char *real = realpath(conf->path, NULL), *copy;
    const struct smq_plugin *given;
    smq_plugin_entry *entry;
    bool safe;

    if (real == NULL) {
        snprintf(why, size, "it cannot be read: %s", strerror(errno));
        return false;
    }
    copy = mem_strdup(real);
    safe = file_safe(copy, owner, why, size);
    mem_free(copy);
    *context = (struct smq_context){.host = host, .conf = conf};
    if (safe)
        context->library = dlopen(real, RTLD_NOW | RTLD_LOCAL);
    mem_free_libc(real); /* realpath's */
    if (!safe)
        return false;
    if (context->library == NULL) {
        snprintf(why, size, "it cannot be loaded: %s", dlerror());
        return false;
    }
    if (loaded_before(host, context->library, why, size)) {
        dlclose(context->library);
        return false;
    }
    host->plugins.count++; /* from here on plugin_host_close() unloads it */
    *plugin = (struct plugin){.name = conf->name, .path = conf->path};
    *(void **)&entry = dlsym(context->library, SMQ_PLUGIN_ENTRY);
    if (entry == NULL) {
        snprintf(why, size, "it is no plug-in: it has no function " SMQ_PLUGIN_ENTRY "()");
        return false;
    }
    given = entry();
    if (!abi_fits(given, why, size))
        return false;
    memcpy(&plugin->hooks, given, given->struct_size);
    return true;
}

struct plugin_host *plugin_host_open(const struct conf *conf, uid_t owner, unsigned shards,
                                     char *why, size_t size)
{
    struct plugin_host *host = mem_zalloc(sizeof(*host));
    char what[SENTENCE_BYTES * 2];

    host->functions = (struct smq_host){
        .struct_size = sizeof(host->functions),
        .abi = SMQ_PLUGIN_ABI,
        .broker_version = SHARDMQ_VERSION,
        .shards = shards,
        .log = host_log,
        .option = host_option,
        .option_key = host_option_key,
        .defer = plugins_defer,
        .complete = host_complete,
    };
    host->plugins.shards = shards;
    host->plugins.list = mem_zalloc(conf->plugin_count * sizeof(*host->plugins.list) + 1);
    host->plugins.desks = mem_zalloc(shards * sizeof(*host->plugins.desks) + 1);
    host->contexts = mem_zalloc(conf->plugin_count * sizeof(*host->contexts) + 1);
    for (unsigned i = 0; i < conf->plugin_count; i++) {
        if (load(host, &conf->plugins[i], owner, what, sizeof(what)))
            continue;
        snprintf(why, size, "plugins.%s.path, %s: %s", conf->plugins[i].name, conf->plugins[i].path,
                 what);
        plugin_host_close(host);
        return NULL;
    }
    return host;
}

/* Threads that a plug-in starts have the signals blocked that its beginner has: those for the broker are for the broker's
 * threads, and one that came to them would end the process. */
static bool begin_one(struct plugin_host *host, struct plugin *plugin, char *error, size_t size)
{
    sigset_t all, before;
    bool good;

    if (plugin->hooks.init == NULL)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    good = plugin->hooks.init(&host->functions, &host->contexts[host->begun], &plugin->self, error,
                              size);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return good;
}

bool plugin_host_begin(struct plugin_host *host, char *why, size_t size)
{
    for (; host->begun < host->plugins.count; host->begun++) {
        struct plugin *plugin = &host->plugins.list[host->begun];
        char error[SENTENCE_BYTES] = "";

        if (!begin_one(host, plugin, error, sizeof(error))) {
            error[sizeof(error) - 1] = '\0';
            snprintf(why, size, "plugins.%s, %s, does not begin: %s", plugin->name, plugin->path,
                     error[0] != '\0' ? error : "it does not say why");
            plugin_host_end(host);
            return false;
        }
        LOG_INFO("plugins.%s: %s %s is loaded from %s", plugin->name, plugin->hooks.name,
                 plugin->hooks.version, plugin->path);
    }
    return true;
}

void plugin_host_end(struct plugin_host *host)
{
    while (host->begun > 0) {
        const struct plugin *plugin = &host->plugins.list[--host->begun];

        if (plugin->hooks.end != NULL)
            plugin->hooks.end(plugin->self);
    }
}

void plugin_host_close(struct plugin_host *host)
{
    if (host == NULL)
        return;
    while (host->plugins.count > 0)
        dlclose(host->contexts[--host->plugins.count].library);
    mem_free(host->contexts);
    mem_free((void *)host->plugins.desks);
    mem_free(host->plugins.list);
    mem_free(host);
}

struct plugins *plugin_host_plugins(struct plugin_host *host)
{
    return &host->plugins;
}
