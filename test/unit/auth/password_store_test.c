/* SPDX-License-Identifier: MIT
 *
 * password_store - files as a whole: what is read, what makes one bad, and what is answered about whom.
 */
#include "auth/password_store.h"

#include "base/check.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define SHA512_LINE                                                                                \
    "$6$U1Ql7dIH1sv2zsLj$sRG0FETQoQCPiG1NqIqzB7EESuMijJ6hTGzukM09GNrV4guCjF2R++"                   \
    "aeuLWxKB9K6lAQ/DeXYKe7fmh2sOybeA=="

static char error[2048];

/* The store of one file; NULL with `error`. */
static struct password_store *read_bytes(const char *text, size_t len)
{
    struct password_store *store = password_store_create();

    error[0] = '\0';
    if (password_store_add_text(store, "file", span_of(text, len), error, sizeof(error)))
        return store;
    assert_string_not_equal(error, "");
    password_store_unref(store);
    return NULL;
}

static struct password_store *read_lines(const char *text)
{
    return read_bytes(text, strlen(text));
}

static bool lets_in(const struct password_store *store, const char *user, const char *password)
{
    const struct password *stored = password_store_find(store, span_text(user));

    return stored != NULL && password_verify(stored, span_text(password));
}

static void lines_of_all_kinds_are_users(void **state)
{
    struct password_store *store = read_lines("\xEF\xBB\xBF# the staff\r\n"
                                              "\r\n"
                                              "  \n"
                                              "alice:wonder:land\r\n"
                                              "bob: space\n"
                                              "#carol:off\n"
                                              "d\xC3\xA9:" SHA512_LINE);

    (void)state;
    assert_non_null(store);
    assert_int_equal(password_store_count(store), 3);
    assert_true(lets_in(store, "alice", "wonder:land"));
    assert_true(lets_in(store, "bob", "space"));
    assert_true(lets_in(store, "d\xC3\xA9", "secret"));
    assert_false(lets_in(store, "alice", "wonder:land\r"));
    assert_false(lets_in(store, "alice", "wonder"));
    assert_false(lets_in(store, "carol", "off"));
    assert_false(lets_in(store, "#carol", "off"));
    assert_false(lets_in(store, "", ""));
    assert_false(lets_in(store, "alice", ""));
    assert_string_equal(
        password_store_warnings(store),
        "file:4: the password of \"alice\" is in clear text; `shardmq passwd` hashes it\n"
        "file:5: the password of \"bob\" is in clear text; `shardmq passwd` hashes it\n"
        "file:7: the password of \"d\xC3\xA9\" is hashed once only ($6$), which is quickly tried "
        "out; "
        "`shardmq passwd` gives it a better one\n");
    password_store_unref(store);
}

static void a_bad_line_makes_the_file_bad(void **state)
{
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"", "file: there is no user in it"},
        {"\n# nobody\n", "file: there is no user in it"},
        {"a:b\nmalformed\n", "file:2: there is no colon in the line: user:password was expected"},
        {"a:b\nmalformed", "file:2: there is no colon in the line: user:password was expected"},
        {"a:b\n:\n", "file:2: the user name is empty"},
        {"a:b\n:secret\n", "file:2: the user name is empty"},
        {"a:b\nbob:\n", "file:2: the password is missing"},
        {"a:b\nbob:\r\n", "file:2: the password is missing"},
        {"a:b\nbob:  \n", "file:2: the password is missing"},
        {"bob:", "file:1: the password is missing"},
        {"a:b\nbob:secr",
         "file:2: the file ends inside of a password in clear text, as one does that "
         "was not written to its end; a line end must follow"},
        {"bob:$7",
         "file:1: the file ends inside of a password in clear text, as one does that was not "
         "written to its end; a line end must follow"},
        {"bob:secret \n", "file:1: the password ends with a blank"},
        {" bob:secret\n", "file:1: the user name begins or ends with a blank"},
        {"bob\t:secret\n", "file:1: the user name begins or ends with a blank"},
        {"b\xFF:secret\n", "file:1: the user name is not UTF-8"},
        {"b\x01:secret\n", "file:1: there is a control character in the user name"},
        {"a:b\n\xEF\xBB\xBFz:secret\n",
         "file:2: there is a byte order mark in the middle of the file"},
        {"a:b\nb:c\na:d\n", "file:3: the user \"a\" is there already: file:1"},
        {"\"admin\": \"public\"\n",
         "file:1: this is not user:password; a file of NanoMQ's form can be included in "
         "auth.password, or imported with `shardmq passwd`"},
        {"bob:$7$101$mWi4hvwRjDhlZv7N$9Vmcu", "file:1: the hash of $7$ is not whole"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_null(read_lines(bad[i].text));
        assert_string_equal(error, bad[i].error);
    }
}

static void a_zero_byte_or_a_long_name_makes_the_file_bad(void **state)
{
    static char text[4096];

    (void)state;
    assert_null(read_bytes("bob:secret\0more\n", 16));
    assert_string_equal(error, "file:1: there is a zero byte in the line");
    assert_null(read_bytes("\0\0\0\0", 4)); /* as after a crash of the machine */
    assert_string_equal(error, "file:1: there is a zero byte in the line");
    memset(text, 'u', 1024);
    strcpy(text + 1024, ":secret\n");
    assert_null(read_lines(text));
    assert_string_equal(error, "file:1: the user name is longer than 1023 bytes");
    assert_non_null(memmove(text, text + 1, strlen(text)));
    password_store_unref(read_lines(text));
    assert_string_equal(error, "");
    memset(text, 'p', sizeof(text));
    memcpy(text, "bob:", 4);
    strcpy(text + 4 + 1025, "\n");
    assert_null(read_lines(text));
    assert_string_equal(error, "file:1: the password is longer than 1024 bytes");
}

static void sources_are_one(void **state)
{
    struct password_store *store = password_store_create();

    (void)state;
    assert_true(password_store_add(store, span_text("a"), span_text("x"), "auth.password", error,
                                   sizeof(error)));
    assert_true(password_store_add(store, span_text("with:colon"), span_text("y"), "auth.password",
                                   error, sizeof(error)));
    assert_true(password_store_add_text(store, "file", span_text("b:z\n"), error, sizeof(error)));
    assert_false(password_store_add_text(store, "other", span_text("a:z\n"), error, sizeof(error)));
    assert_string_equal(error, "other:1: the user \"a\" is there already: auth.password");
    assert_true(lets_in(store, "with:colon", "y"));
    assert_false(
        password_store_add(store, span_text(""), span_text("y"), "auth", error, sizeof(error)));
    assert_string_equal(error, "auth: the user name is empty");
    password_store_unref(store);
}

static void many_users_are_all_found(void **state)
{
    struct password_store *store = password_store_create();
    char user[32], password[32];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        snprintf(user, sizeof(user), "user%d", i);
        snprintf(password, sizeof(password), "word%d", i);
        assert_true(password_store_add(store, span_text(user), span_text(password), "here", error,
                                       sizeof(error)));
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(user, sizeof(user), "user%d", i);
        snprintf(password, sizeof(password), "word%d", i);
        assert_true(lets_in(store, user, password));
        snprintf(password, sizeof(password), "word%d", i + 1);
        assert_false(lets_in(store, user, password));
    }
    assert_int_equal(password_store_count(store), 5000);
    password_store_unref(store);
}

static void the_costliest_entry_is_known(void **state)
{
    static const struct password_cost costs[] = {
        {.kind = PASSWORD_PBKDF2, .iterations = 2500},
        {.kind = PASSWORD_SCRYPT, .log_n = 10, .r = 8, .p = 1},
        {.kind = PASSWORD_PBKDF2, .iterations = 3000},
        {.kind = PASSWORD_SCRYPT, .log_n = 11, .r = 8, .p = 1},
        {.kind = PASSWORD_SCRYPT, .log_n = 10, .r = 8, .p = 3},
        {.kind = PASSWORD_PBKDF2, .iterations = 2501},
    };
    static const char *const costliest[] = {"user0", "user0", "user2", "user3", "user4", "user4"};
    struct password_store *store = read_lines("a:one\nb:" SHA512_LINE "\n");
    char text[PASSWORD_TEXT_MAX], user[16];

    (void)state;
    assert_int_equal(password_work(password_store_costliest(store)), 0);
    for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++) {
        snprintf(user, sizeof(user), "user%zu", i);
        assert_true(password_make(span_text("secret"), &costs[i], text));
        assert_true(password_store_add(store, span_text(user), span_text(text), "here", error,
                                       sizeof(error)));
        assert_ptr_equal(password_store_costliest(store),
                         password_store_find(store, span_text(costliest[i])));
    }
    password_store_unref(store);
}

static void an_empty_store_knows_nobody(void **state)
{
    struct password_store *store = password_store_create();
    struct scram_keys keys;
    struct span clear;
    bool known = true;

    (void)state;
    assert_null(password_store_find(store, span_text("a")));
    assert_null(password_store_costliest(store));
    assert_int_equal(password_store_scram(store, span_text("a"), &keys, &clear, &known),
                     SCRAM_NONE);
    password_store_unref(password_store_ref(store));
    password_store_unref(store);
    password_store_unref(NULL);
}

static void scram_answers_alike_for_everybody(void **state)
{
    struct password_store *store, *again;
    struct scram_keys keys, other;
    struct span clear;
    bool known;
    char text[PASSWORD_TEXT_MAX + 200], made[PASSWORD_TEXT_MAX];

    (void)state;
    assert_true(password_make(span_text("pw"),
                              &(struct password_cost){PASSWORD_SCRYPT, 10, 8, 1, 0, 5000}, made));
    snprintf(text, sizeof(text), "old:" SHA512_LINE "\nours:%s\nnewest:clear\n", made);
    store = read_lines(text);
    again = read_lines(text);

    assert_int_equal(password_store_scram(store, span_text("ours"), &keys, &clear, &known),
                     SCRAM_READY);
    assert_true(known);
    assert_int_equal(keys.iterations, 5000);
    assert_int_equal(password_store_scram(store, span_text("newest"), &keys, &clear, &known),
                     SCRAM_DERIVE);
    assert_true(known);
    assert_true(span_equal(clear, span_text("clear")));
    for (int i = 0; i < 40; i++) {
        char user[32];
        enum scram_source source;

        snprintf(user, sizeof(user), i == 0 ? "old" : "nobody%d", i);
        source = password_store_scram(store, span_text(user), &keys, &clear, &known);
        assert_false(known);
        assert_int_not_equal(source, SCRAM_NONE);
        assert_int_equal(keys.salt_len, 16);
        assert_int_equal(keys.iterations, source == SCRAM_READY ? 5000 : 4096);
        assert_int_equal(password_store_scram(again, span_text(user), &other, &clear, &known),
                         source);
        assert_memory_equal(keys.salt, other.salt, 16); /* the same after a restart */
    }
    password_store_unref(store);
    password_store_unref(again);
}

static void a_file_is_read_from_the_disk(void **state)
{
    char folder[] = "/tmp/password_store_XXXXXX", path[64], wanted[256];
    struct password_store *store = password_store_create();
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/users", folder);
    assert_false(password_store_add_file(store, path, error, sizeof(error)));
    snprintf(wanted, sizeof(wanted), "%s: No such file or directory", path);
    assert_string_equal(error, wanted);
    assert_false(password_store_add_file(store, folder, error, sizeof(error)));
    snprintf(wanted, sizeof(wanted), "%s: this is no regular file", folder);
    assert_string_equal(error, wanted);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("bob:" SHA512_LINE "\n", file);
    fclose(file);
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(password_store_add_file(store, path, error, sizeof(error)));
    assert_null(strstr(password_store_warnings(store), "its mode"));
    password_store_unref(store);
    store = password_store_create();
    assert_int_equal(chmod(path, 0644), 0);
    assert_true(password_store_add_file(store, path, error, sizeof(error)));
    assert_non_null(strstr(password_store_warnings(store), "its mode 0644 lets others"));
    assert_true(lets_in(store, "bob", "secret"));
    password_store_unref(store);
    unlink(path);
    rmdir(folder);
}

static void without_memory_there_is_no_store(void **state)
{
    static const char text[] = "a:1\nb:2\nc:3\n";

    (void)state;
    for (unsigned long n = 1; n < 8; n++) {
        struct password_store *store = password_store_create();
        bool good;

        error[0] = '\0';
        mem_fail_after(n);
        good = password_store_add_text(store, "file", span_text(text), error, sizeof(error));
        mem_fail_after(0);
        assert_int_equal(good, error[0] == '\0');
        if (n == 1)
            assert_false(good);
        password_store_unref(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_all_kinds_are_users),
        cmocka_unit_test(a_bad_line_makes_the_file_bad),
        cmocka_unit_test(a_zero_byte_or_a_long_name_makes_the_file_bad),
        cmocka_unit_test(sources_are_one),
        cmocka_unit_test(many_users_are_all_found),
        cmocka_unit_test(the_costliest_entry_is_known),
        cmocka_unit_test(an_empty_store_knows_nobody),
        cmocka_unit_test(scram_answers_alike_for_everybody),
        cmocka_unit_test(a_file_is_read_from_the_disk),
        cmocka_unit_test(without_memory_there_is_no_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
