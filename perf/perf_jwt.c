/* SPDX-License-Identifier: MIT
 *
 * What a token costs that a client shows with its CONNECT: those of RFC 7515, appendix A, with the three algorithms. It is
 * why they are verified on the shard (src/broker/authn_jwt.c).
 */
#include "auth/jwt.h"
#include "base/check.h"
#include "perf/shim.h"

#define CLAIMS                                                                                     \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"
#define NOW 1300819379u

void perf_register_jwt(void);

static struct jwt_keys *read_keys(void)
{
    struct jwt_keys *keys = jwt_keys_create();
    char why[256];

    ASSERT(jwt_keys_add_jwks_text(
        keys,
        span_text("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-"
                  "EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"},{\"kty\":\"RSA\",\"n\":"
                  "\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-"
                  "4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-"
                  "pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
                  "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"
                  "UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_"
                  "I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
                  "\",\"e\":\"AQAB\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9"
                  "tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_"
                  "FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"),
        why, sizeof(why)));
    return keys;
}

static void run(struct perf_state *state, void *argument)
{
    static const struct jwt_rules rules = {"joe", "", "exp", 0};
    const char *token = argument;
    struct jwt_keys *keys = read_keys();

    while (perf_next(state)) {
        struct jwt jwt;
        const char *why;

        ASSERT(jwt_verify(keys, &rules, span_text(token), NOW, &jwt, &why) == JWT_GOOD);
        jwt_free(&jwt);
    }
    perf_items(state, perf_iterations(state));
    jwt_keys_destroy(keys);
}

void perf_register_jwt(void)
{
    static char hs256[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." CLAIMS
                          ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    static char rs256[] =
        "eyJhbGciOiJSUzI1NiJ9." CLAIMS
        ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
        "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
        "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
        "xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLI"
        "hWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    static char es256[] =
        "eyJhbGciOiJFUzI1NiJ9." CLAIMS
        ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    perf_case("jwt/verify:HS256", run, hs256);
    perf_case("jwt/verify:RS256", run, rs256);
    perf_case("jwt/verify:ES256", run, es256);
}
