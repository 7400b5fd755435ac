/* SPDX-License-Identifier: MIT
 *
 * fuzz_password - password files. What is taken has users with passwords, each once; nothing in the file lets anybody
 * in with an empty password or as an empty user.
 */
#include "fuzz.h"

#include "auth/password_file.h"
#include "auth/password_store.h"

static bool look_at(struct span user, const struct password *password, unsigned line,
                    void *argument)
{
    const struct password_store *store = argument;

    ASSERT(user.len > 0 && user.len <= PASSWORD_USER_MAX);
    ASSERT(line > 0);
    ASSERT(memchr(user.data, '\n', user.len) == NULL && memchr(user.data, ':', user.len) == NULL);
    ASSERT(password_store_find(store, user) == password);
    if (password->kind == PASSWORD_CLEAR)
        ASSERT(password->clear_len > 0 && !password_verify(password, span_of(NULL, 0)) &&
               password_verify(password, span_of(password->clear, password->clear_len)));
    else
        ASSERT(password->hash_len > 0 || password->has_scram);
    return true;
}

/* The lines are the file, without anything between them. */
static void walk(struct span text)
{
    struct password_line line = {0};
    const uint8_t *at = text.data;

    while (password_file_next(&text, &line)) {
        ASSERT(line.whole.data == at && line.whole.len > 0);
        at += line.whole.len;
        ASSERT(!line.has_user || line.why != NULL || line.user.len > 0);
    }
    ASSERT(text.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct password_store *store = password_store_create();
    char error[256] = "";
    bool good;

    walk(span_of(data, len));
    good = password_store_add_text(store, "file", span_of(data, len), error, sizeof(error));
    ASSERT(good == (error[0] == '\0'));
    if (good) {
        ASSERT(password_store_count(store) > 0);
        password_store_visit(store, look_at, store);
        ASSERT(password_store_find(store, span_of(NULL, 0)) == NULL);
        ASSERT(password_store_costliest(store) != NULL);
    }
    password_store_unref(store);
    return 0;
}
