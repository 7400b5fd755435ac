/* SPDX-License-Identifier: MIT */
#include "auth/jwt_login.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/refuse.h"

#define USERNAME_BYTES_MAX 65535u /* of an MQTT string */

struct jwt_login {
    struct jwt_keys *keys;
    struct jwt_rules rules;
    struct jwt_claims *claims; /* NULL: none must be anything */
    /* Claims; NULL: none is for that. */
    char *username, *superuser, *acl, *scope;
    bool from_username, ends;
};

/* ---- the configuration ---- */

static char *copy_name(const char *name)
{
    return name[0] == '\0' ? NULL : mem_strdup(name);
}

static struct jwt_login *create(const char *issuer, const char *audience, const char *required,
                                uint64_t leeway_ms)
{
    struct jwt_login *login = mem_zalloc(sizeof(*login));

    login->keys = jwt_keys_create();
    login->rules = (struct jwt_rules){mem_strdup(issuer), mem_strdup(audience),
                                      mem_strdup(required), (uint32_t)(leeway_ms / 1000)};
    return login;
}

void jwt_login_destroy(struct jwt_login *login)
{
    if (login == NULL)
        return;
    jwt_keys_destroy(login->keys);
    mem_free((char *)(uintptr_t)login->rules.issuer);
    mem_free((char *)(uintptr_t)login->rules.audience);
    mem_free((char *)(uintptr_t)login->rules.required);
    jwt_claims_destroy(login->claims);
    mem_free(login->username);
    mem_free(login->superuser);
    mem_free(login->acl);
    mem_free(login->scope);
    mem_free(login);
}

/* `option` names in messages where the files are named. */
static bool add_pem_files(struct jwt_keys *keys, const char *option, const char *files, char *why,
                          size_t size)
{
    char file[JWT_RULE_SIZE], reason[JWT_RULE_SIZE + 256];

    while (conf_list_next(&files, file, sizeof(file)))
        if (!jwt_keys_add_pem(keys, file, reason, sizeof(reason)))
            return refuse_with(why, size, "%s: %s", option, reason);
    return true;
}

static bool add_keys(struct jwt_keys *keys, const struct conf *conf, char *why, size_t size)
{
    enum jwt_secret_form form = (enum jwt_secret_form)conf->auth_jwt_secret_encoding;
    char reason[JWT_RULE_SIZE + 256];

    if (conf->auth_jwt_secret_file[0] != '\0' &&
        !jwt_keys_add_secret(keys, conf->auth_jwt_secret_file, form, reason, sizeof(reason)))
        return refuse_with(why, size, "auth.jwt.secret_file: %s", reason);
    if (conf->auth_jwt_jwks_file[0] != '\0' &&
        !jwt_keys_add_jwks(keys, conf->auth_jwt_jwks_file, reason, sizeof(reason)))
        return refuse_with(why, size, "auth.jwt.jwks_file: %s", reason);
    return add_pem_files(keys, "auth.jwt.public_key", conf->auth_jwt_public_key, why, size);
}

bool jwt_login_create(const struct conf *conf, struct jwt_login **login, char *why, size_t size)
{
    *login = NULL;
    if (conf->auth_jwt_secret_file[0] == '\0' && conf->auth_jwt_public_key[0] == '\0' &&
        conf->auth_jwt_jwks_file[0] == '\0')
        return true;
    *login = create(conf->auth_jwt_issuer, conf->auth_jwt_audience, conf->auth_jwt_required_claims,
                    conf->auth_jwt_leeway_ms);
    (*login)->claims = jwt_claims_create(conf->auth_jwt_verify_claims);
    (*login)->username = copy_name(conf->auth_jwt_username_claim);
    (*login)->superuser = copy_name(conf->auth_jwt_superuser_claim);
    (*login)->acl = copy_name(conf->auth_jwt_acl_claim);
    (*login)->from_username = conf->auth_jwt_from == CONF_JWT_FROM_USERNAME;
    (*login)->ends = conf->auth_jwt_disconnect_after_expire;
    if (add_keys((*login)->keys, conf, why, size))
        return true;
    jwt_login_destroy(*login);
    *login = NULL;
    return false;
}

bool jwt_login_create_api(const struct conf *conf, struct jwt_login **login, char *why, size_t size)
{
    *login = NULL;
    if (!conf->http_server_enable || conf->http_server_auth_type != CONF_HTTP_AUTH_JWT)
        return true;
    *login = create(conf->http_server_jwt_issuer, conf->http_server_jwt_audience, "exp",
                    conf->http_server_jwt_leeway_ms);
    (*login)->scope = copy_name(conf->http_server_jwt_scope_claim);
    if (add_pem_files((*login)->keys, "http_server.jwt.public.keyfile",
                      conf->http_server_jwt_public_keyfile, why, size) &&
        jwt_keys_count((*login)->keys) != 0)
        return true;
    jwt_login_destroy(*login);
    *login = NULL;
    return false;
}

/* ---- tokens ---- */

bool jwt_login_from_username(const struct jwt_login *login)
{
    return login->from_username;
}

static enum jwt_verdict refuse(struct jwt_bearer *bearer, const char **why, const char *sentence)
{
    jwt_login_done(bearer);
    *why = sentence;
    return JWT_CLAIM;
}

enum jwt_verdict jwt_login_ask(const struct jwt_login *login, struct span token,
                               const struct jwt_client *client, uint64_t now_s,
                               struct jwt_bearer *bearer, const char **why)
{
    enum jwt_verdict verdict;

    *bearer = (struct jwt_bearer){0};
    verdict = jwt_verify(login->keys, &login->rules, token, now_s, &bearer->token, why);
    if (verdict != JWT_GOOD)
        return verdict;
    if (client != NULL && !jwt_claims_match(login->claims, &bearer->token, client))
        return refuse(bearer, why, "the token is not for this client (auth.jwt.verify_claims)");
    if (login->username != NULL) {
        bearer->username = jwt_text(&bearer->token, login->username);
        if (bearer->username == NULL || bearer->username[0] == '\0' ||
            strlen(bearer->username) > USERNAME_BYTES_MAX)
            return refuse(bearer, why, "the token lacks the claim that is the user name");
    }
    bearer->proves_username = bearer->username != NULL || jwt_claims_prove_username(login->claims);
    if (login->acl != NULL)
        bearer->acl = cJSON_GetObjectItemCaseSensitive(bearer->token.claims, login->acl);
    bearer->superuser =
        login->superuser != NULL &&
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(bearer->token.claims, login->superuser));
    if (login->ends && bearer->token.expires)
        bearer->ends_s = bearer->token.expires_s;
    return JWT_GOOD;
}

void jwt_login_done(struct jwt_bearer *bearer)
{
    jwt_free(&bearer->token);
    *bearer = (struct jwt_bearer){0};
}

/* ---- scopes ---- */

static enum jwt_scope scope_of(struct span word)
{
    if (span_equal(word, span_text("write")))
        return JWT_SCOPE_WRITE;
    return span_equal(word, span_text("read")) ? JWT_SCOPE_READ : JWT_SCOPE_NONE;
}

static enum jwt_scope larger(enum jwt_scope a, enum jwt_scope b)
{
    return a > b ? a : b;
}

/* Words with blanks between them (RFC 8693, 4.2). */
static enum jwt_scope scope_of_words(const char *words)
{
    enum jwt_scope scope = JWT_SCOPE_NONE;

    while (*words != '\0') {
        size_t len = strcspn(words, " ");

        scope = larger(scope, scope_of(span_of(words, len)));
        words += len + (words[len] == ' ');
    }
    return scope;
}

enum jwt_scope jwt_login_scope(const struct jwt_login *login, const struct jwt_bearer *bearer)
{
    enum jwt_scope scope = JWT_SCOPE_NONE;
    const cJSON *claim, *word;

    if (login->scope == NULL)
        return JWT_SCOPE_WRITE;
    claim = cJSON_GetObjectItemCaseSensitive(bearer->token.claims, login->scope);
    if (claim == NULL)
        return JWT_SCOPE_WRITE;
    if (cJSON_IsString(claim))
        return scope_of_words(claim->valuestring);
    if (!cJSON_IsArray(claim))
        return JWT_SCOPE_NONE;
    cJSON_ArrayForEach(word, claim)
    {
        if (cJSON_IsString(word))
            scope = larger(scope, scope_of(span_text(word->valuestring)));
    }
    return scope;
}
