/* SPDX-License-Identifier: MIT
 *
 * http_question - what a backend is asked over HTTP, as bytes of a request, and what its answer means.
 *
 *   auth.http_auth.auth_req --http_question_create--> template --http_question_write--> "POST /mqtt/auth HTTP/1.1 ..."
 *                                                      facts ----^
 *   status, body --http_decide--> allow, deny, ignore; super user
 *
 * Pure functions. Whatever a client chose itself (identifier, name, password, topic) is encoded for the place where it
 * stands: percent-encoded in a query and a form, escaped in JSON. It can end neither its value nor the request.
 */
#ifndef SHARDMQ_AUTH_HTTP_QUESTION_H
#define SHARDMQ_AUTH_HTTP_QUESTION_H

#include "http/http.h"
#include "http/url.h"

struct conf;

/* What may be asked, each by a request of its own. */
enum http_question_kind {
    HTTP_QUESTION_LOGIN, /* auth_req: may this client come in? */
    HTTP_QUESTION_SUPER, /* super_req: do no rules hold for it? */
    HTTP_QUESTION_RULE,  /* acl_req: may it publish or subscribe to this topic? */
    HTTP_QUESTION_KINDS
};

/* "auth_req", "super_req" or "acl_req". */
const char *http_question_name(enum http_question_kind kind);

/* What is known. What is not has no data (data NULL): a parameter that is nothing but that is left out. */
struct http_facts {
    struct span username, client_identifier, password; /* %u %c %P */
    struct span address, protocol;                     /* %a %r: "192.0.2.1", "mqtt" */
    struct span common_name, subject;                  /* %C %d: of the client's certificate */
    struct span topic, mount_point;                    /* %t %m: of HTTP_QUESTION_RULE */
    uint16_t port;                                     /* %p; 0: none */
    uint8_t access;                                    /* %A: 1 subscribe, 2 publish; 0: none */
};

/* One request, without the facts. Class: boot. */
struct http_question;

/* Of that configuration; NULL with `why` empty when it has no URL. NULL and a sentence that begins with the option when
 * something is wrong with it. */
struct http_question *http_question_create(const struct conf *conf, enum http_question_kind kind,
                                           char *why, size_t size);
/* NULL is ignored. */
void http_question_destroy(struct http_question *question);

const struct http_url *http_question_url(const struct http_question *question);

/* The bytes of a request. They may hold a password. Zeroed: none. */
struct http_bytes {
    uint8_t *data;
    size_t len;
};

/* Writes the request. NULL, or why it cannot be asked, a sentence: a value that is not UTF-8 has no JSON, memory is gone, or
 * the request would be larger than HTTP_REQUEST_MAX. */
#define HTTP_REQUEST_MAX 1048576u
const char *http_question_write(const struct http_question *question,
                                const struct http_facts *facts, struct http_bytes *to);
/* Wipes and frees them. */
void http_bytes_free(struct http_bytes *bytes);

enum http_verdict { HTTP_VERDICT_DENY, HTTP_VERDICT_ALLOW, HTTP_VERDICT_IGNORE };

struct http_decision {
    enum http_verdict verdict;
    bool superuser;  /* {"is_superuser": true}, with ALLOW of a login */
    bool failed;     /* this is no decision but a server in trouble (5xx) */
    const char *why; /* of DENY: a sentence, constant */
};

/* What an answer means: status 200 allows and everything else denies, redirections as well. A body of the type
 * application/json in a 200 must be JSON; "result" in it decides ("allow", "deny", "ignore"). */
struct http_decision http_decide(const struct http_answer *answer, struct span body);

#endif
