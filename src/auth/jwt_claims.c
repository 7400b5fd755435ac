/* SPDX-License-Identifier: MIT */
#include "auth/jwt_claims.h"

#include "base/check.h"
#include "base/mem.h"
#include "conf/conf.h"

/* Class: boot. */
struct wanted {
    char *claim, *text; /* text: with placeholders */
};

struct jwt_claims {
    unsigned count;
    struct wanted list[];
};

struct jwt_claims *jwt_claims_create(const char *map)
{
    char name[CONF_MAP_NAME_BYTES], value[CONF_VALUE_BYTES];
    struct jwt_claims *claims = NULL;
    unsigned count = 0;

    while (conf_map_next(&map, name, value)) {
        claims = mem_realloc(claims, sizeof(*claims) + (count + 1) * sizeof(claims->list[0]));
        claims->list[count++] = (struct wanted){mem_strdup(name), mem_strdup(value)};
        claims->count = count;
    }
    return claims;
}

void jwt_claims_destroy(struct jwt_claims *claims)
{
    for (unsigned i = 0; claims != NULL && i < claims->count; i++) {
        mem_free(claims->list[i].claim);
        mem_free(claims->list[i].text);
    }
    mem_free(claims);
}

/* Takes that off the front of `text`. */
static bool take(struct span *text, struct span front)
{
    if (front.len > text->len || memcmp(text->data, front.data, front.len) != 0)
        return false;
    *text = span_of(text->data + front.len, text->len - front.len);
    return true;
}

/* Whether a text is that one when each placeholder is what it stands for. Nothing in a client's name is a placeholder. */
static bool is_wanted(struct span text, struct span wanted, const struct jwt_client *client)
{
    while (wanted.len != 0) {
        struct span front = span_of(wanted.data, 1);

        if (take(&wanted, span_text("${clientid}")))
            front = client->client_identifier;
        else if (take(&wanted, span_text("${username}")))
            front = client->username;
        else
            wanted = span_of(wanted.data + 1, wanted.len - 1);
        if (front.len == 0 || !take(&text, front))
            return false;
    }
    return text.len == 0;
}

static bool matches(const cJSON *claim, const char *text, const struct jwt_client *client)
{
    const cJSON *item;

    if (cJSON_IsString(claim))
        return is_wanted(span_text(claim->valuestring), span_text(text), client);
    if (!cJSON_IsArray(claim))
        return false;
    cJSON_ArrayForEach(item, claim)
    {
        if (cJSON_IsString(item) &&
            is_wanted(span_text(item->valuestring), span_text(text), client))
            return true;
    }
    return false;
}

bool jwt_claims_prove_username(const struct jwt_claims *claims)
{
    for (unsigned i = 0; claims != NULL && i < claims->count; i++)
        if (strcmp(claims->list[i].text, "${username}") == 0)
            return true;
    return false;
}

bool jwt_claims_match(const struct jwt_claims *claims, const struct jwt *jwt,
                      const struct jwt_client *client)
{
    for (unsigned i = 0; claims != NULL && i < claims->count; i++)
        if (!matches(cJSON_GetObjectItemCaseSensitive(jwt->claims, claims->list[i].claim),
                     claims->list[i].text, client))
            return false;
    return true;
}
