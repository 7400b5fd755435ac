/* SPDX-License-Identifier: MIT
 *
 * scram - SCRAM-SHA-256 (RFC 5802, RFC 7677): a client and a server show each other that they know a password, or
 * what was derived of it, without saying it.
 *
 *   client                                              server
 *   scram_client_first  --n,,n=user,r=nonce----------->  scram_server_first
 *   scram_client_final  <--r=nonce+more,s=salt,i=n-----  scram_server_challenge, with the user's keys
 *                       --c=biws,r=nonce+more,p=proof->  scram_server_final
 *   scram_client_check  <--v=signature-----------------
 *
 * Both sides are functions over bytes: no sockets, no clock; whoever calls gives the random bytes. What a peer sent is
 * refused with a reason, never asserted on. The words in a reason are ours, so it may be logged.
 *
 * Decided:
 *   - No channel binding (SCRAM-SHA-256-PLUS): a client that asks for it (p=) is refused, one that would have used it
 *     (y) is served like any other, for the method that it could have chosen is not offered.
 *   - An authorisation identity (a=) other than the user name is refused: nobody acts for somebody else.
 *   - Passwords and user names are taken in the form of SASLprep (saslprep.h), by both sides, as RFC 5802 wants it. The
 *     password in a CONNECT is not.
 *   - A server takes a client through all steps whether the user is known or not; only the last answer is no.
 */
#ifndef SHARDMQ_AUTH_SCRAM_H
#define SHARDMQ_AUTH_SCRAM_H

#include "base/span.h"

#define SCRAM_METHOD         "SCRAM-SHA-256" /* the Authentication Method of MQTT 5.0 */
#define SCRAM_KEY_BYTES      32u
#define SCRAM_SALT_MAX       64u
#define SCRAM_SALT_BYTES     16u /* of a salt that is made here */
#define SCRAM_ITERATIONS     15000u
#define SCRAM_ITERATIONS_MIN 4096u /* RFC 7677, section 4 */
#define SCRAM_ITERATIONS_MAX 10000000u
#define SCRAM_RANDOM_BYTES   18u   /* what each side's nonce is made of */
#define SCRAM_MESSAGE_MAX    2048u /* bytes of any message, with room for a terminator */
#define SCRAM_NONCE_MAX      512u  /* bytes of the client's part of the nonce */

/* What a server keeps of a password. Who has it can pretend to be the server, and can try passwords, but cannot log
 * in with it. boot. */
struct scram_keys {
    uint32_t iterations;
    uint32_t salt_len;
    uint8_t salt[SCRAM_SALT_MAX];
    uint8_t stored_key[SCRAM_KEY_BYTES], server_key[SCRAM_KEY_BYTES];
};

/* Derives the keys of a password with the salt and the iterations that stand in `keys` already. Blocks: about a
 * millisecond for three thousand iterations. False when memory is gone. */
bool scram_derive(struct scram_keys *keys, struct span password);

/* ---- the server's side ---- */

/* One exchange. Zeroed before the first message; scram_server_end() it. Owner: shard. */
struct scram_server {
    char user
        [SCRAM_MESSAGE_MAX]; /* decoded and in the form of SASLprep, user_len bytes; good after scram_server_first() */
    uint32_t user_len;
    char binding[SCRAM_MESSAGE_MAX * 4 / 3 + 8]; /* what c= must be */
    char text[3 * SCRAM_MESSAGE_MAX];            /* the messages that the proof is over */
    uint32_t text_len;
    uint32_t nonce_at, nonce_len; /* in `text`: first the client's part, then both */
    struct scram_keys keys;
};

/* Takes the first message. False with the reason in *why. */
bool scram_server_first(struct scram_server *server, struct span message, const char **why);

/* Writes the challenge for to[0 .. SCRAM_MESSAGE_MAX) and returns its length. Of `keys` the salt and the iterations are
 * told. `random` is SCRAM_RANDOM_BYTES that were never used before. */
size_t scram_server_challenge(struct scram_server *server, const struct scram_keys *keys,
                              const uint8_t *random, char *to);

/* Takes the last message. True: the client knows the password of these keys; the answer, by which it sees that the server
 * knows it too, is in to[0 .. SCRAM_MESSAGE_MAX), *len. False with the reason in *why; *guess is then whether it was
 * the proof that was wrong. */
bool scram_server_final(struct scram_server *server, struct span message, char *to, size_t *len,
                        bool *guess, const char **why);

/* Overwrites what is secret. */
void scram_server_end(struct scram_server *server);

/* ---- the client's side ---- */

/* One exchange. Owner: the client. */
struct scram_client {
    char text[3 * SCRAM_MESSAGE_MAX];
    uint32_t text_len, nonce_at, nonce_len;
    uint8_t server_signature[SCRAM_KEY_BYTES];
};

/* Whether scram_client_first() takes that user name: it may be too long, or memory is gone. */
bool scram_client_name_good(struct span user);

/* Writes the first message, to[0 .. SCRAM_MESSAGE_MAX), and returns its length; 0 when the user name is not good. `random`
 * is SCRAM_RANDOM_BYTES that were never used before. */
size_t scram_client_first(struct scram_client *client, struct span user, const uint8_t *random,
                          char *to);

/* Takes the challenge and writes the last message likewise. Blocks as scram_derive() does; a server that asks for more
 * than SCRAM_ITERATIONS_MAX or less than SCRAM_ITERATIONS_MIN is refused. 0, with the reason in *why. */
size_t scram_client_final(struct scram_client *client, struct span challenge, struct span password,
                          char *to, const char **why);

/* Whether the server's last message shows that it knows the password. */
bool scram_client_check(const struct scram_client *client, struct span message);

#endif
