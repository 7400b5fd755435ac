/* SPDX-License-Identifier: MIT
 *
 * The link of tokens in the chain: what it makes of a CONNECT, above all of one for which there is no memory.
 */
#include "base/mem.h"
#include "broker/policy.h"
#include "unit/auth/tokens.h"
#include "unit/broker/fake_ports.h"

#include <cjson/cJSON.h>

#define SECRET "0123456789abcdef0123456789abcdef"

static char folder[] = "/tmp/shardmq-authn-jwt-XXXXXX";
static struct fake fake;
static struct policy *policy;
static struct conf *conf;

static int setup(void **state)
{
    const char *file;
    char errors[512], why[512];
    struct conf_override overrides[] = {
        {"auth.jwt.secret_file", NULL, "test"},
        {"auth.jwt.required_claims", "", "test"},
        {"auth.jwt.verify_claims", "id=${clientid}", "test"},
        {"auth.slow_down.after", "1", "test"},
    };
    const struct conf_source source = {.overrides = overrides,
                                       .override_count = ARRAY_LENGTH(overrides)};

    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    file = key_text(folder, SECRET);
    overrides[0].value = file;
    fake_begin(&fake);
    conf = conf_load(&source, errors, sizeof(errors));
    if (conf == NULL)
        return -1;
    policy = policy_create(conf, why, sizeof(why));
    if (policy == NULL)
        return -1;
    broker_set_policy(fake.broker, policy);
    return unlink(file);
}

static int teardown(void **state)
{
    (void)state;
    fake_end(&fake);
    policy_unref(policy);
    conf_free(conf);
    return rmdir(folder);
}

/* What a client of 3.1.1 with that identifier and token is told; -1: nothing yet. */
static int knock(const char *client_identifier, const char *claims)
{
    const char *token = token_hs256("{\"alg\":\"HS256\"}", claims, SECRET, strlen(SECRET));
    uint8_t packet[4096] = {0x10, 0, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 0xC2, 0, 0};
    const char *const texts[] = {client_identifier, "u", token};
    size_t begin = 0, len = 13;
    struct connection client = {0};
    uint32_t consumed;
    unsigned home;
    int code = -1;

    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        size_t text_len = strlen(texts[i]);

        packet[len++] = (uint8_t)(text_len >> 8);
        packet[len++] = (uint8_t)text_len;
        memcpy(packet + len, texts[i], text_len);
        len += text_len;
    }
    if (len - 3 < 128) { /* it takes one byte less to say how long it is */
        packet[begin = 1] = 0x10;
        packet[2] = (uint8_t)(len - 3);
    } else {
        packet[1] = (uint8_t)((len - 3) % 128 + 128);
        packet[2] = (uint8_t)((len - 3) / 128);
    }
    connection_open(fake.broker, &client, false);
    connection_receive(fake.broker, &client, packet + begin, (uint32_t)(len - begin), &consumed,
                       &home);
    if (client.out.head != NULL && client.out.head->len >= 4)
        code = client.out.head->data[3];
    connection_closed(fake.broker, &client, NULL);
    return code;
}

static void tokens_decide(void **state)
{
    int64_t held = fake_stat(&fake, STAT_authn_held_back);

    (void)state;
    assert_int_equal(knock("c", "{\"sub\":\"u\",\"id\":\"c\"}"), 0);
    assert_int_equal(fake_stat(&fake, STAT_authn_held_back), held);
    assert_int_equal(knock("d", "{\"sub\":\"u\",\"id\":\"c\"}"), 5);
    assert_int_equal(knock("d", "{\"sub\":\"u\",\"id\":\"c\"}"), -1); /* held back */
    assert_int_equal(fake_stat(&fake, STAT_authn_held_back), held + 1);
    fake_pass_time(&fake, 3600000);
}

static unsigned long left; /* allocations of cJSON that succeed */

static void *allocate(size_t size)
{
    return left == 0 ? NULL : (left--, malloc(size));
}

/* Denied, as something that the broker could not do, which holds nobody back: neither this client nor the next. */
static void memory_that_is_gone_is_nobodys_fault(void **state)
{
    static const char claims[] = "{\"sub\":\"u\",\"id\":\"c\",\"acl\":{\"pub\":[\"a\",\"b/+\"]}}";
    cJSON_Hooks hooks = {allocate, free};
    int64_t held = fake_stat(&fake, STAT_authn_held_back);
    unsigned long needed = 0;
    int code;

    (void)state;
    cJSON_InitHooks(&hooks);
    do {
        left = needed++;
        code = knock("c", claims);
        assert_true(code == 0 || code == 3); /* server unavailable */
    } while (code != 0 && needed < 1000);
    assert_int_equal(code, 0);
    cJSON_InitHooks(NULL);
    assert_true(needed > 8);
    assert_int_equal(fake_stat(&fake, STAT_refused_limit), needed - 1);
    assert_int_equal(fake_stat(&fake, STAT_refused_credentials), 0);
    assert_int_equal(fake_stat(&fake, STAT_authn_held_back), held);
}

/* What a token brings takes memory, too: the attempt, a user name, and rules. */
static void memory_for_what_it_brings(void **state)
{
    static const char claims[] = "{\"sub\":\"u\",\"id\":\"c\",\"acl\":{\"pub\":[\"a\",\"b/+\"]}}";
    int64_t held = fake_stat(&fake, STAT_authn_held_back);
    unsigned long needed = 0;
    int code;

    (void)state;
    do {
        mem_fail_after(++needed);
        code = knock("c", claims);
        mem_fail_after(0);
        assert_true(code == 0 || code == 3 || code == -1); /* or it is cut off */
    } while (code != 0 && needed < 1000);
    assert_int_equal(code, 0);
    assert_true(needed > 8);
    assert_int_equal(fake_stat(&fake, STAT_refused_credentials), 0);
    assert_int_equal(fake_stat(&fake, STAT_authn_held_back), held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_that_is_gone_is_nobodys_fault),
        cmocka_unit_test(memory_for_what_it_brings),
        cmocka_unit_test(tokens_decide),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
