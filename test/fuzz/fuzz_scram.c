/* SPDX-License-Identifier: MIT
 *
 * fuzz_scram - what a client may send to the server's side of SCRAM, and a server to the client's. The input is messages
 * that line feeds separate: the first is the client's first, the second its last, the third a challenge. Nobody who
 * does not know the password gets in.
 */
#include "fuzz.h"

#include "auth/scram.h"

static struct span next_line(struct span *rest)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - rest->data) : rest->len;
    struct span line = span_of(rest->data, len);

    len += end != NULL;
    *rest = span_of(rest->data + len, rest->len - len);
    return line;
}

static void try_server(struct span first, struct span last)
{
    static struct scram_server server;
    struct scram_keys keys = {.iterations = 4096, .salt_len = 16, .stored_key = {1}};
    char message[SCRAM_MESSAGE_MAX];
    const char *why = NULL;
    size_t len;
    bool guess;

    if (!scram_server_first(&server, first, &why)) {
        ASSERT(why != NULL);
        return;
    }
    ASSERT(server.user_len > 0 && server.user_len <= first.len);
    len = scram_server_challenge(&server, &keys, (const uint8_t *)"0123456789abcdefgh", message);
    ASSERT(len > 0 && len < sizeof(message) && message[len] == '\0');
    ASSERT(!scram_server_final(&server, last, message, &len, &guess, &why) && why != NULL);
    scram_server_end(&server);
}

static void try_client(struct span user, struct span challenge)
{
    static struct scram_client client;
    char message[SCRAM_MESSAGE_MAX];
    const char *why = NULL;
    size_t len = scram_client_first(&client, user, (const uint8_t *)"0123456789abcdefgh", message);

    ASSERT(len < sizeof(message));
    if (len == 0 || challenge.len < 7 ||
        memcmp(challenge.data + challenge.len - 7, ",i=4096", 7) != 0)
        return; /* of more iterations only the time is seen */
    len = scram_client_final(&client, challenge, span_text("pw"), message, &why);
    ASSERT(len < sizeof(message) && (len > 0) == (why == NULL));
    ASSERT(!scram_client_check(&client, challenge));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span rest = span_of(data, len);
    struct span first = next_line(&rest), last = next_line(&rest), challenge = next_line(&rest);

    try_server(first, last);
    try_client(last, challenge);
    return 0;
}
