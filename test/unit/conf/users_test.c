/* SPDX-License-Identifier: MIT
 *
 * conf_auth - users in NanoMQ's forms: members of auth.password, auth.<n>.login in the file and in one of its own.
 */
#include "unit/conf/conf_test.h"

static void expect_user(const struct conf *conf, unsigned index, const char *name,
                        const char *password, const char *where)
{
    assert_true(index < conf->user_count);
    assert_string_equal(conf->users[index].name, name);
    assert_string_equal(conf->users[index].password, password);
    assert_string_equal(conf->users[index].where, where);
}

static void members_are_users(void **state)
{
    struct conf *conf = load("auth {\n"
                             "  password = {\n"
                             "    \"admin\": \"pub lic\"\n"
                             "    client = secret\n"
                             "    john.doe = \"a\"\n"
                             "    \"jane.q.doe\" = \"b\", \"m\xC3\xA9:x\" = \"$7$c\"\n"
                             "  }\n"
                             "}\n"
                             "auth.password.last = z\n");

    (void)state;
    assert_int_equal(conf->user_count, 6);
    expect_user(conf, 0, "admin", "pub lic", "t.conf:3");
    expect_user(conf, 1, "client", "secret", "t.conf:4");
    expect_user(conf, 2, "john.doe", "a", "t.conf:5");
    expect_user(conf, 3, "jane.q.doe", "b", "t.conf:6");
    expect_user(conf, 4, "m\xC3\xA9:x", "$7$c", "t.conf:6");
    expect_user(conf, 5, "last", "z", "t.conf:9");
    conf_free(conf);
}

static void an_included_file_has_members(void **state)
{
    static const char list[] = "# NanoMQ's\n\"admin\": \"public\"\n\"client\": \"public\"\n";
    struct conf *conf;

    (void)state;
    write_bytes("pwd.conf", list, strlen(list));
    conf = load("auth {\n allow_anonymous = false\n password = {include \"pwd.conf\"}\n}\n");
    assert_int_equal(conf->user_count, 2);
    expect_user(conf, 1, "client", "public", "pwd.conf:3");
    conf_free(conf);
    write_bytes("pwd.conf", "", 0);
    expect_errors(
        "auth {\n password = {include \"pwd.conf\"}\n}\n", CONF_FORM_HOCON,
        "t.conf:2: auth.password names no user: remove it, or see whether the file that it "
        "includes is whole\n");
    unlink("pwd.conf");
    expect_errors("auth {\n password = {include \"pwd.conf\"}\n}\n", CONF_FORM_HOCON,
                  "pwd.conf: No such file or directory\nt.conf:2: pwd.conf is included here\n");
}

static void numbers_are_users(void **state)
{
    struct conf *conf = load("auth.1.login=admin\nauth.1.password=public\n"
                             "auth.7.password=x=y\nauth.7.login=other\n");

    (void)state;
    assert_int_equal(conf->user_count, 2);
    expect_user(conf, 0, "admin", "public", "t.conf:2");
    expect_user(conf, 1, "other", "x=y", "t.conf:4");
    conf_free(conf);
}

static void what_would_lose_a_user_is_an_error(void **state)
{
    static const struct {
        const char *text, *errors;
    } bad[] = {
        {"auth.password {\n a = x\n a.b = y\n}\n",
         "t.conf:3: auth.password.a: one user name goes on behind another and a dot, which this "
         "form "
         "cannot say; put them into auth.password_file\n"},
        {"auth.password {\n a.b = x\n a = y\n}\n",
         "t.conf:3: auth.password.a: one user name goes on behind another and a dot, which this "
         "form "
         "cannot say; put them into auth.password_file\n"},
        {"auth.password { }\n",
         "t.conf:1: auth.password names no user: remove it, or see whether the "
         "file that it includes is whole\n"},
        {"auth.1.login=a\n", "t.conf:1: auth.1.login has no auth.1.password\n"},
        {"auth.1.password=a\n", "t.conf:1: auth.1.password has no auth.1.login\n"},
        {"auth.password.a = [x, [y]]\n", "t.conf:1: auth.password.a: takes one value\n"},
        {"auth.password = admin\n",
         "t.conf:1: auth.password: takes a block, with a member for each user\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct conf *conf = load_form(bad[i].text, CONF_FORM_DETECT);

        if (conf != NULL)
            fail_msg("accepted: %s", bad[i].text);
        assert_string_equal(errors, bad[i].errors);
    }
}

/* NanoMQ's --auth. */
static void users_have_a_file_of_their_own(void **state)
{
    struct conf_source source = {.users_file = "users.conf", .form = CONF_FORM_DETECT};
    static const char good[] = "# NanoMQ 0.6\nauth.1.login=admin\nauth.1.password=public\n",
                      more[] = "auth.1.login=a\nauth.1.password=b\ndaemon=true\n";
    struct conf *conf;

    (void)state;
    write_bytes("users.conf", good, strlen(good));
    conf = conf_load(&source, errors, sizeof(errors));
    if (conf == NULL)
        fail_msg("%s", errors);
    assert_int_equal(conf->user_count, 1);
    expect_user(conf, 0, "admin", "public", "users.conf:3");
    conf_free(conf);

    write_bytes("users.conf", more, strlen(more));
    assert_null(conf_load(&source, errors, sizeof(errors)));
    assert_string_equal(errors,
                        "users.conf:3: daemon: only users belong into this file: auth.1.login "
                        "and auth.1.password\n");
    write_bytes("users.conf", "# nobody\n", 9);
    assert_null(conf_load(&source, errors, sizeof(errors)));
    assert_string_equal(errors, "users.conf: there is no user in it\n");
    unlink("users.conf");
    assert_null(conf_load(&source, errors, sizeof(errors)));
    assert_string_equal(errors, "users.conf: No such file or directory\n");
}

static void no_password_is_shown(void **state)
{
    struct conf *conf = load("auth.password { alice = hunter2 }\nauth.3.login = bob\n"
                             "auth.3.password = hunter3\n"),
                *other = load("auth.password { alice = hunter4 }\n");
    char *text = dump(conf);

    (void)state;
    assert_non_null(strstr(text, "alice"));
    assert_non_null(strstr(text, "bob"));
    assert_null(strstr(text, "hunter"));
    free(text);
    assert_int_equal(conf_diff_reload(conf, other, NULL, NULL, NULL), 1);
    conf_free(conf);
    conf_free(other);
    expect_errors("auth.password { alice = hunter2 hunter3 \"x\" }", CONF_FORM_HOCON,
                  "t.conf:1: the value must be quoted as a whole, or end before what follows\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_users),
        cmocka_unit_test(an_included_file_has_members),
        cmocka_unit_test(numbers_are_users),
        cmocka_unit_test(what_would_lose_a_user_is_an_error),
        cmocka_unit_test(users_have_a_file_of_their_own),
        cmocka_unit_test(no_password_is_shown),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
