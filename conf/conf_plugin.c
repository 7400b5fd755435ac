/* SPDX-License-Identifier: MIT
 *
 * conf_plugin - the plug-ins: plugins.<name>.path, and any keys below plugins.<name>.config, in the order of the file.
 *
 * What a plug-in is configured with only the plug-in understands: for all that is known here it is a password. So its
 * values are shown nowhere, and no request over HTTP can name one.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <string.h>

#define PATH_MAX_BYTES 1024

static struct conf_plugin *find(const struct conf *conf, const char *name)
{
    for (unsigned i = 0; i < conf->plugin_count; i++)
        if (strcmp(conf->plugins[i].name, name) == 0)
            return &conf->plugins[i];
    return NULL;
}

/* NULL after adding the error. */
static struct conf_plugin *get(struct conf_loader *loader, const struct conf_entry *entry,
                               const char *name)
{
    struct conf *conf = loader->conf;
    struct conf_plugin *plugin = find(conf, name);

    if (plugin != NULL)
        return plugin;
    if (!conf_name_good(name)) {
        conf_entry_error(loader, entry,
                         "a plug-in's name has 1 to 32 letters, digits, - and _, and no others");
        return NULL;
    }
    if (conf->plugin_count == CONF_PLUGINS_MAX) {
        conf_entry_error(loader, entry, "there are too many plug-ins");
        return NULL;
    }
    conf->plugins = mem_realloc(conf->plugins, (conf->plugin_count + 1) * sizeof(*conf->plugins));
    plugin = &conf->plugins[conf->plugin_count++];
    *plugin = (struct conf_plugin){.name = mem_strdup(name), .path = mem_strdup("")};
    return plugin;
}

static void set(char **to, const char *value)
{
    mem_free(*to);
    *to = mem_strdup(value);
}

static void set_pair(struct conf_plugin *plugin, const char *key, const char *value)
{
    struct conf_pair *pair;

    for (unsigned i = 0; i < plugin->pair_count; i++) {
        if (strcmp(plugin->pairs[i].key, key) == 0) {
            set(&plugin->pairs[i].value, value);
            return;
        }
    }
    plugin->pairs = mem_realloc(plugin->pairs, (plugin->pair_count + 1) * sizeof(*plugin->pairs));
    pair = &plugin->pairs[plugin->pair_count++];
    *pair = (struct conf_pair){mem_strdup(key), mem_strdup(value)};
}

bool conf_plugin_bind(struct conf_loader *loader, const struct conf_entry *entry, const char *rest,
                      const char *value)
{
    const char *dot = strchr(rest, '.');
    char name[CONF_PATH_BYTES];
    bool is_path = dot != NULL && strcmp(dot + 1, "path") == 0;
    struct conf_plugin *plugin;

    if (!is_path && (dot == NULL || strncmp(dot + 1, "config.", 7) != 0))
        return false;
    snprintf(name, sizeof(name), "%.*s", (int)(dot - rest), rest);
    if (entry->layer == CONF_LAYER_RUN_TIME)
        conf_entry_error(loader, entry, "plug-ins are named in the configuration file only");
    else if (entry->complex)
        conf_entry_error(loader, entry, "takes one value, or a list of words");
    else if (is_path && (value[0] != '/' || strlen(value) > PATH_MAX_BYTES))
        conf_entry_error(loader, entry, "takes the path of a file, from its slash on");
    else if (strcmp(value, CONF_SECRET_SHOWN) == 0)
        conf_entry_error(loader, entry,
                         "*** stands for a value that was not shown; give the value itself");
    else if ((plugin = get(loader, entry, name)) != NULL && is_path)
        set(&plugin->path, value);
    else if (plugin != NULL)
        set_pair(plugin, dot + 1 + strlen("config."), value);
    return true;
}

void conf_plugins_check(const struct conf *conf, struct conf_report *report)
{
    for (unsigned i = 0; i < conf->plugin_count; i++)
        if (conf->plugins[i].path[0] == '\0')
            conf_report_add(report, "plugins.%s needs the path of its file: set plugins.%s.path",
                            conf->plugins[i].name, conf->plugins[i].name);
}

void conf_plugins_free(struct conf *conf)
{
    for (unsigned i = 0; i < conf->plugin_count; i++) {
        struct conf_plugin *plugin = &conf->plugins[i];

        for (unsigned p = 0; p < plugin->pair_count; p++) {
            mem_free(plugin->pairs[p].key);
            mem_free(plugin->pairs[p].value);
        }
        mem_free(plugin->pairs);
        mem_free(plugin->path);
        mem_free(plugin->name);
    }
    mem_free(conf->plugins);
    conf->plugins = NULL;
    conf->plugin_count = 0;
}

static bool same(const struct conf_plugin *a, const struct conf_plugin *b)
{
    if (strcmp(a->name, b->name) != 0 || strcmp(a->path, b->path) != 0 ||
        a->pair_count != b->pair_count)
        return false;
    for (unsigned i = 0; i < a->pair_count; i++)
        if (strcmp(a->pairs[i].key, b->pairs[i].key) != 0 ||
            strcmp(a->pairs[i].value, b->pairs[i].value) != 0)
            return false;
    return true;
}

/* "first, second": they are asked in this order. */
static void describe(const struct conf *conf, char *to, size_t size)
{
    size_t used = 0;

    to[0] = '\0';
    for (unsigned i = 0; i < conf->plugin_count && used < size; i++)
        used += (size_t)snprintf(to + used, size - used, "%s%s", i > 0 ? ", " : "",
                                 conf->plugins[i].name);
}

bool conf_plugins_differ(const struct conf *running, const struct conf *wanted, char *before,
                         char *after, size_t size)
{
    unsigned i = 0;

    describe(running, before, size);
    describe(wanted, after, size);
    while (i < running->plugin_count && i < wanted->plugin_count &&
           same(&running->plugins[i], &wanted->plugins[i]))
        i++;
    return i != running->plugin_count || i != wanted->plugin_count;
}

void conf_plugins_copy(struct conf *to, const struct conf *from)
{
    conf_plugins_free(to);
    to->plugins = mem_zalloc(from->plugin_count * sizeof(*to->plugins) + 1);
    to->plugin_count = from->plugin_count;
    for (unsigned i = 0; i < from->plugin_count; i++) {
        const struct conf_plugin *source = &from->plugins[i];

        to->plugins[i] = (struct conf_plugin){.name = mem_strdup(source->name),
                                              .path = mem_strdup(source->path)};
        for (unsigned p = 0; p < source->pair_count; p++)
            set_pair(&to->plugins[i], source->pairs[p].key, source->pairs[p].value);
    }
}
