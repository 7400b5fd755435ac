/* SPDX-License-Identifier: MIT */
#include "auth/acl_load.h"

#include "auth/acl_file.h"
#include "auth/acl_json.h"
#include "base/file_read.h"
#include "conf/conf.h"

#include <stdio.h>

#define FILE_BYTES_MAX 67108864u

static bool add_rules(struct acl_builder *builder, const struct conf *conf, char *why, size_t size)
{
    for (unsigned i = 0; i < conf->acl_rule_count; i++) {
        const struct conf_acl_rule *rule = &conf->acl_rules[i];
        cJSON *json = cJSON_Parse(rule->text);
        char what[512] = "out of memory";
        bool good =
            json != NULL && acl_json_add(builder, json, span_text(rule->where), what, sizeof(what));

        cJSON_Delete(json);
        if (!good) {
            snprintf(why, size, "%s: auth.acl.rules: %s", rule->where, what);
            return false;
        }
    }
    return true;
}

static bool add_file(struct acl_builder *builder, const char *path, char *why, size_t size)
{
    struct file_bytes file;
    char what[1024];
    bool good;

    if (!file_read(path, FILE_BYTES_MAX, &file, what, sizeof(what))) {
        snprintf(why, size, "auth.acl_file: %s", what);
        return false;
    }
    good = acl_file_add(builder, path, span_of(file.data, file.len), why, size);
    file_bytes_free(&file);
    return good;
}

bool acl_load(const struct conf *conf, struct acl **acl, char *why, size_t size)
{
    struct acl_builder *builder;

    *acl = NULL;
    if (!conf->auth_acl_enable || (conf->acl_rule_count == 0 && conf->auth_acl_file[0] == '\0'))
        return true;
    builder = acl_builder_create();
    if (builder == NULL) {
        snprintf(why, size, "out of memory");
        return false;
    }
    if (!add_rules(builder, conf, why, size) ||
        (conf->auth_acl_file[0] != '\0' && !add_file(builder, conf->auth_acl_file, why, size))) {
        acl_builder_free(builder);
        return false;
    }
    *acl = acl_compile(builder);
    if (*acl == NULL)
        snprintf(why, size, "auth.acl: out of memory");
    return *acl != NULL;
}
