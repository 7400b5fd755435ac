/* SPDX-License-Identifier: MIT
 *
 * conf_acl - the list auth.acl.rules, as text: what a rule means is src/auth/acl_json.h's business.
 *
 *   auth.acl.rules = [ {permit = allow, topics = ["a/#"]}, ... ]     NanoMQ's list; also as acl.rules
 *   acl.rule.1 = {"permit":"allow","topics":["a/#"]}                 its older form, one key for each rule
 *
 * Rules keep their order: first the lists, as they stand in the files, then those with numbers, by number. A list from the
 * environment, the command line or the API is JSON, and takes the place of all that came before.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <stdlib.h>
#include <string.h>

#define RULES_AT_ONCE 64u
#define NUMBER_MAX    1000000ul

static const char *const lists[] = {CONF_ACL_RULES, "acl.rules"};

static bool is_list(const char *path)
{
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
        if (strcmp(path, lists[i]) == 0)
            return true;
    return false;
}

/* The number of "acl.rule.<n>"; 0: it is another key. */
static unsigned long rule_number(const char *path)
{
    static const char *const prefixes[] = {"auth.acl.rule.", "acl.rule."};

    for (size_t i = 0; i < ARRAY_LENGTH(prefixes); i++) {
        size_t len = strlen(prefixes[i]);
        const char *digits = path + len;

        if (strncmp(path, prefixes[i], len) == 0 && *digits != '\0' &&
            strspn(digits, "0123456789") == strlen(digits) && strlen(digits) <= 7) {
            unsigned long number = strtoul(digits, NULL, 10);

            return number >= 1 && number <= NUMBER_MAX ? number : 0;
        }
    }
    return 0;
}

bool conf_acl_path(const char *path)
{
    return is_list(path) || rule_number(path) != 0;
}

static void free_rules(struct conf_acl_rule *rules, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        mem_free(rules[i].text);
        mem_free(rules[i].where);
    }
    mem_free(rules);
}

void conf_acl_free(struct conf *conf)
{
    free_rules(conf->acl_rules, conf->acl_rule_count);
    conf->acl_rules = NULL;
    conf->acl_rule_count = 0;
}

/* Behind those of smaller or equal numbers; lists have the number 0. */
static void insert(struct conf *conf, unsigned long number, const char *text, const char *where)
{
    unsigned at = conf->acl_rule_count;

    if (at % RULES_AT_ONCE == 0)
        conf->acl_rules =
            mem_realloc(conf->acl_rules, (at + RULES_AT_ONCE) * sizeof(*conf->acl_rules));
    for (; at > 0 && conf->acl_rules[at - 1].number > number; at--)
        conf->acl_rules[at] = conf->acl_rules[at - 1];
    conf->acl_rules[at] =
        (struct conf_acl_rule){mem_strdup(text), mem_strdup(where), (unsigned)number};
    conf->acl_rule_count++;
}

static void add(struct conf_loader *loader, unsigned long number, const cJSON *rule,
                const char *where)
{
    char *text = cJSON_PrintUnformatted(rule);

    if (text == NULL)
        conf_report_add(&loader->errors, "%s: out of memory", where);
    else
        insert(loader->conf, number, text, where);
    cJSON_free(text);
}

static const char *place_text(const struct conf_loader *loader, int at, char *to, size_t size)
{
    const struct conf_place *place = &loader->places[at];

    snprintf(to, size, "%s:%u", loader->files[place->file].path, place->line);
    return to;
}

/* JSON text of a rule, or of a list of them. */
static void take_json(struct conf_loader *loader, unsigned long number, const char *json,
                      const char *where)
{
    const char *end = NULL;
    cJSON *value = cJSON_ParseWithOpts(json, &end, true), *rule;

    if (value == NULL)
        conf_report_add(&loader->errors,
                        "%s: not JSON; a rule is an object like {\"permit\":\"allow\"}", where);
    else if (number != 0)
        add(loader, number, value, where);
    else if (!cJSON_IsArray(value))
        conf_report_add(&loader->errors, "%s: the rules are a list", where);
    else
        cJSON_ArrayForEach(rule, value) add(loader, 0, rule, where);
    cJSON_Delete(value);
}

void conf_acl_take(struct conf_loader *loader, const char *path, const cJSON *item)
{
    unsigned long number = rule_number(path);
    char where[CONF_SENTENCE_BYTES / 2];
    const cJSON *rule;

    place_text(loader, item->valueint, where, sizeof(where));
    if (cJSON_IsString(item)) {
        take_json(loader, number, item->valuestring, where);
        return;
    }
    if (number != 0) {
        add(loader, number, item, where);
        return;
    }
    if (!cJSON_IsArray(item)) {
        conf_report_add(&loader->errors, "%s: %s: takes a list of rules: [{...}, {...}]", where,
                        path);
        return;
    }
    cJSON_ArrayForEach(rule, item)
    {
        if (rule->child != NULL) /* of an object in a list only its members have a place */
            place_text(loader, rule->child->valueint, where, sizeof(where));
        add(loader, 0, rule, where);
    }
}

bool conf_acl_bind(struct conf_loader *loader, const struct conf_entry *entry)
{
    char where[CONF_SENTENCE_BYTES / 2];

    if (!conf_acl_path(entry->path))
        return false;
    snprintf(where, sizeof(where), "%s", entry->where != NULL ? entry->where : entry->path);
    if (is_list(entry->path))
        conf_acl_free(loader->conf);
    take_json(loader, rule_number(entry->path), entry->value, where);
    return true;
}

bool conf_acl_equal(const struct conf *a, const struct conf *b)
{
    if (a->acl_rule_count != b->acl_rule_count)
        return false;
    for (unsigned i = 0; i < a->acl_rule_count; i++)
        if (strcmp(a->acl_rules[i].text, b->acl_rules[i].text) != 0)
            return false;
    return true;
}

void conf_acl_print(const struct conf *conf, FILE *to)
{
    if (conf->acl_rule_count == 0)
        return;
    fputs("    acl.rules = [\n", to);
    for (unsigned i = 0; i < conf->acl_rule_count; i++)
        fprintf(to, "        %s\n", conf->acl_rules[i].text);
    fputs("    ]\n", to);
}

cJSON *conf_acl_json(const struct conf *conf)
{
    cJSON *list = cJSON_CreateArray();

    for (unsigned i = 0; i < conf->acl_rule_count; i++)
        cJSON_AddItemToArray(list, cJSON_Parse(conf->acl_rules[i].text));
    return list;
}
