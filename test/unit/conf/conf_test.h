/* SPDX-License-Identifier: MIT
 *
 * conf_test - files for the tests of conf, in a folder of their own that is the working directory meanwhile.
 */
#ifndef SHARDMQ_TEST_UNIT_CONF_CONF_TEST_H
#define SHARDMQ_TEST_UNIT_CONF_CONF_TEST_H

#include "base/check.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char errors[16384];

static inline int enter_folder(void **state)
{
    static char folder[] = "/tmp/shardmq-conf-XXXXXX";

    *state = mkdtemp(folder);
    return *state == NULL || chdir(folder) != 0;
}

static inline int leave_folder(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", (const char *)*state);
    return chdir("/") != 0 || system(command) != 0;
}

static inline void write_bytes(const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(name, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* Loads `text` from the file t.conf; NULL, with sentences in `errors`, when it is not good. */
static inline struct conf *load_form(const char *text, enum conf_form form)
{
    struct conf_source source = {.file = "t.conf", .form = form};

    write_bytes("t.conf", text, strlen(text));
    return conf_load(&source, errors, sizeof(errors));
}

static inline struct conf *load(const char *text)
{
    struct conf *conf = load_form(text, CONF_FORM_DETECT);

    if (conf == NULL)
        fail_msg("%s", errors);
    return conf;
}

static inline void expect_errors(const char *text, enum conf_form form, const char *wanted)
{
    struct conf *conf = load_form(text, form);

    if (conf != NULL)
        fail_msg("accepted: %s", text);
    assert_string_equal(errors, wanted);
}

/* conf_dump() as a text, to be freed. */
static inline char *dump(const struct conf *conf)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    assert_non_null(file);
    conf_dump(conf, file);
    fclose(file);
    return text;
}

#endif
