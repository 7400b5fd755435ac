/* SPDX-License-Identifier: MIT */
#include "conf/conf_priv.h"
#include "unit/conf/conf_test.h"

static void test_bounds_hold_the_preset(void **state)
{
    (void)state;
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];

        if (row->kind == CONF_KIND_SECTION || row->kind == CONF_KIND_ADDRESS ||
            row->kind == CONF_KIND_HOST)
            continue;
        if (row->least > row->most)
            fail_msg("%s: least is above most", row->path);
        if (row->preset_text != NULL) {
            int64_t len = (int64_t)strlen(row->preset_text);

            if (len < row->least || len > row->most || row->most >= CONF_VALUE_BYTES)
                fail_msg("%s: the default's length is out of bounds", row->path);
        } else if (row->preset < row->least || row->preset > row->most) {
            fail_msg("%s: the default is out of bounds", row->path);
        }
    }
}

/* The bounds of a row fit into its field. */
static void test_bounds_fit_the_type(void **state)
{
    (void)state;
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];
        int64_t most = INT64_MAX;

        if (row->kind == CONF_KIND_COUNT || row->kind == CONF_KIND_FIXED ||
            row->kind == CONF_KIND_CHOICES)
            most = UINT32_MAX;
        else if (row->kind == CONF_KIND_INTEGER)
            most = INT32_MAX;
        else if (row->kind == CONF_KIND_CHOICE)
            most = UINT8_MAX;
        if (row->most > most || (row->kind != CONF_KIND_INTEGER && row->least < 0))
            fail_msg("%s: the bounds do not fit the field", row->path);
    }
}

static void test_choices_are_all_named(void **state)
{
    (void)state;
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];
        int64_t count = 0;

        if (row->kind != CONF_KIND_CHOICE && row->kind != CONF_KIND_CHOICES)
            continue;
        while (conf_choice_names(row->unit)[count] != NULL)
            count++;
        assert_int_equal(row->most,
                         row->kind == CONF_KIND_CHOICE ? count - 1 : (INT64_C(1) << count) - 1);
    }
}

static void test_every_row_is_explained(void **state)
{
    (void)state;
    for (unsigned i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];
        size_t len = strlen(row->help);

        if (len < 5 || row->help[len - 1] != '.')
            fail_msg("%s: the help is no sentence", row->path);
        for (unsigned j = 0; j < i; j++) {
            if (conf_rows[j].kind != CONF_KIND_SECTION && row->kind != CONF_KIND_SECTION &&
                conf_rows[j].scope == row->scope && strcmp(conf_rows[j].path, row->path) == 0)
                fail_msg("%s is there twice", row->path);
        }
    }
}

/* conf_keep_boot() copies shards as a whole: it relies on this. */
static void test_shards_wait_for_a_start(void **state)
{
    unsigned shard_rows = 0;

    (void)state;
    for (unsigned i = 0; i < conf_row_count; i++) {
        if (conf_rows[i].scope != CONF_SCOPE_SHARD)
            continue;
        assert_int_equal(conf_rows[i].when, CONF_WHEN_BOOT);
        assert_int_not_equal(conf_rows[i].kind, CONF_KIND_TEXT);
        assert_int_not_equal(conf_rows[i].kind, CONF_KIND_SECRET);
        shard_rows++;
    }
    assert_in_range(shard_rows, 1, ARRAY_LENGTH(((struct conf_loader *)0)->shard_set[0]));
}

/* The old names that stand for options stand for ones that exist. */
static void test_legacy_names_lead_somewhere(void **state)
{
    const struct conf_legacy *row;
    enum conf_listener_kind kind;
    char name[CONF_PATH_BYTES];

    (void)state;
    for (unsigned i = 0; (row = conf_legacy_row(i)) != NULL; i++) {
        assert_null(conf_row_find(CONF_SCOPE_BROKER, row->path));
        if (row->kind == CONF_LEGACY_SPLIT) {
            assert_int_equal(conf_row_find(CONF_SCOPE_BROKER, row->argument)->kind, CONF_KIND_HOST);
            assert_int_equal(conf_row_find(CONF_SCOPE_BROKER, row->text)->kind, CONF_KIND_COUNT);
        }
        if (row->kind == CONF_LEGACY_RENAMED && strncmp(row->argument, "listeners.", 10) == 0)
            assert_non_null(conf_listener_row(row->argument + 10, &kind, name));
        else if (row->kind == CONF_LEGACY_RENAMED)
            assert_non_null(conf_row_find(CONF_SCOPE_BROKER, row->argument));
    }
}

/* Every value goes to text and back unchanged, at its default and at its bounds. */
static void test_values_survive_the_text(void **state)
{
    (void)state;
    for (unsigned i = 0; i < conf_row_count; i++) {
        struct conf_row row = conf_rows[i];
        int64_t presets[] = {row.preset, row.least, row.most};

        if (row.kind == CONF_KIND_SECTION || row.kind == CONF_KIND_SECRET)
            continue;
        row.offset = 0;
        for (size_t p = 0; p < ARRAY_LENGTH(presets); p++) {
            union {
                struct conf_address address;
                char *text;
                uint64_t number;
            } a = {.number = 0}, b = {.number = 0};
            char text[CONF_VALUE_BYTES], again[CONF_VALUE_BYTES], error[256] = "";

            memset(&a, 0, sizeof(a));
            memset(&b, 0, sizeof(b));
            row.preset = presets[p];
            conf_value_preset(&row, &a);
            conf_value_format(&row, &a, text, sizeof(text));
            if (row.kind == CONF_KIND_CHOICES) { /* the parser of files takes the brackets off */
                text[strlen(text) - 1] = '\0';
                memmove(text, text + 1, strlen(text));
            }
            if (!conf_value_parse(&row, text, &b, error, sizeof(error)))
                fail_msg("%s = %s: %s", row.path, text, error);
            assert_true(conf_value_equal(&row, &a, &b));
            conf_value_copy(&row, &a, &b);
            conf_value_format(&row, &a, again, sizeof(again));
            conf_value_free(&row, &a);
            conf_value_free(&row, &b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_hold_the_preset),
        cmocka_unit_test(test_bounds_fit_the_type),
        cmocka_unit_test(test_choices_are_all_named),
        cmocka_unit_test(test_every_row_is_explained),
        cmocka_unit_test(test_shards_wait_for_a_start),
        cmocka_unit_test(test_legacy_names_lead_somewhere),
        cmocka_unit_test(test_values_survive_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
