/* SPDX-License-Identifier: MIT
 *
 * plugin - how code of your own decides who may do what in a ShardMQ broker, and is told what clients do.
 *
 * A plug-in is a shared object that exports one function, shardmq_plugin(). The broker loads it when it starts, as
 * its configuration says, and only then: a plug-in that cannot be loaded stops the start.
 *
 *     plugins.doorman {
 *         path = "/usr/lib/shardmq/doorman.so"
 *         config { file = "/etc/doorman.list", strict = true }
 *     }
 *
 * The smallest one:
 *
 *     #include <shardmq/plugin.h>
 *
 *     static enum smq_decision authorize(void *self, void *state, const struct smq_authorization *question,
 *                                        struct smq_answer *answer)
 *     {
 *         return question->action == SMQ_PUBLISH && question->topic.len > 100 ? SMQ_DENY : SMQ_NEXT;
 *     }
 *
 *     SMQ_PLUGIN_EXPORT const struct smq_plugin *shardmq_plugin(void)
 *     {
 *         static struct smq_plugin plugin = SMQ_PLUGIN_INIT;
 *
 *         plugin.name = "short-topics";
 *         plugin.version = "1.0";
 *         plugin.authorize = authorize;
 *         return &plugin;
 *     }
 *
 *     cc -shared -fPIC -o short-topics.so short-topics.c
 *
 * Threads. The broker is as many threads as it has shards, and a client belongs to one of them. A hook runs on the
 * thread of the client's shard; several shards call at the same time. What a plug-in keeps for each shard (made by
 * init_shard(), given to every hook as `state`) needs no lock; what all share needs one, or atomics.
 *
 * Time. While a hook runs nobody on its shard is served: it must not block, read files or ask other machines. What
 * takes longer is deferred: the hook takes a ticket with host->defer(), gives it to a thread of the plug-in's own and
 * returns SMQ_DEFER; the thread calls host->complete() with the answer. Only that client waits meanwhile. A hook that
 * took longer than a millisecond is counted (plugin_slow) and logged; of authorize and publish, which come with every
 * message, one call in 17 is timed. An answer that has not come after
 * `plugins.timeout` is SMQ_DENY.
 *
 * Several plug-ins are asked in the order of the configuration, before the broker's own means (passwords, tokens,
 * access rules, HTTP). The first that says SMQ_ALLOW or SMQ_DENY has decided; SMQ_NEXT leaves it to the others. When nobody
 * decides, a client without a user name comes in where auth.allow_anonymous lets it, and one with a name is refused;
 * topics are then what auth.no_match says.
 *
 * Memory. What a question points to is the broker's and valid until the hook returns: copy what you keep. What an
 * answer points to is yours, and copied by the broker before it calls a hook again on that shard, or before
 * host->complete() returns. A struct smq_text is not terminated by a zero byte; its text comes from clients, may hold
 * any character (topics and names are valid UTF-8 without U+0000), and is empty, with data NULL, when there is none.
 *
 * Libraries. The process has BoringSSL in it: a plug-in must not pull in OpenSSL (look at ldd).
 *
 * Versions. Structs only grow at their end, and each begins with its size. A broker loads plug-ins that were built with
 * its own or an older number SMQ_PLUGIN_ABI, never with a newer one.
 */
#ifndef SHARDMQ_PLUGIN_H
#define SHARDMQ_PLUGIN_H

#include "shardmq/mqtt.h" /* reason codes and versions of the protocol */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMQ_PLUGIN_ABI 1

#ifdef __cplusplus
#define SMQ_PLUGIN_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define SMQ_PLUGIN_EXPORT __attribute__((visibility("default")))
#endif

struct smq_text {
    const char *data;
    size_t len;
};

enum smq_decision {
    SMQ_NEXT,    /* it is for others to say: the next plug-in, then the broker's own means */
    SMQ_ALLOW,   /* yes */
    SMQ_DENY,    /* no */
    SMQ_DEFER,   /* the answer comes through host->complete() */
    SMQ_CONTINUE /* of authenticate() with a method, which it then has to decide itself: send `data` to the client in AUTH, and wait for its next */
};

/* What goes with a decision; all members may stay as the broker set them. */
struct smq_answer {
    size_t struct_size;
    /* SMQ_DENY of authenticate() and publish(): what a 5.0 client is told, 0x80 or above (enum mqtt_reason); 0: the usual
     * one. Older clients are told the nearest that they have. */
    unsigned reason;
    /* SMQ_DENY: why, for the broker's log and not for the client; a terminated string of up to 127 bytes, or NULL. */
    const char *text;
    /* SMQ_ALLOW of authenticate(): the user name that the client has from now on; empty: the one that it gave. */
    struct smq_text username;
    /* Authentication Data for the client, of SMQ_CONTINUE, and of SMQ_ALLOW when a method is used. */
    struct smq_text data;
    /* SMQ_ALLOW of authenticate(): nothing that this client does is asked about any more. */
    bool superuser;
    /* SMQ_ALLOW of authenticate(): after that many seconds the connection ends; 0: never. */
    uint32_t valid_s;
};

/* For complete(), where the answer is yours: struct smq_answer answer = SMQ_ANSWER_INIT; */
#ifdef __cplusplus
static inline struct smq_answer smq_answer_init(void)
{
    struct smq_answer answer = smq_answer();

    answer.struct_size = sizeof(answer);
    return answer;
}
#define SMQ_ANSWER_INIT smq_answer_init()
#else
#define SMQ_ANSWER_INIT                                                                            \
    {                                                                                              \
        .struct_size = sizeof(struct smq_answer)                                                   \
    }
#endif

/* Who it is about. */
struct smq_client {
    size_t struct_size;
    unsigned shard;                    /* 0 .. shards - 1 */
    struct smq_text client_identifier; /* one of the broker's making when the client had none */
    struct smq_text username;
    uint8_t version;        /* enum mqtt_version; 0: it has gone, and is asked about for its will */
    uint8_t address_family; /* 4 or 6; 0: no IP address, but a UNIX socket */
    uint16_t port;
    uint8_t address[16]; /* the peer's, in network order; of IPv4 the first four bytes */
    /* Of the listener that it came by: "tcp", "ssl.name"; empty when the client has gone. */
    struct smq_text listener;
};

/* A question under way, to be deferred. */
struct smq_call;

/* May this client come in? Asked at CONNECT; with an Authentication Method (MQTT 5.0, 4.12) also for each AUTH packet
 * that answers an SMQ_CONTINUE, and when the client authenticates again. */
struct smq_authentication {
    size_t struct_size;
    struct smq_call *call;
    const struct smq_client *client;
    struct smq_text password;
    struct smq_text method; /* empty: by user name and password */
    struct smq_text data;   /* what the client sent with the method */
    uint32_t
        step; /* 0: CONNECT, or the AUTH that begins to authenticate again; then one more for each AUTH */
    bool again; /* the client is connected already, and keeps its user name */
    /* Of the verified certificate of the client, when there is one. */
    struct smq_text certificate_common_name;
    struct smq_text certificate_subject;
    /* A place for the plug-in's own between the steps of one exchange, NULL at first. When something other than NULL
     * is there at its end, however it ended, authentication_over() is called. */
    void **exchange;
};

enum smq_action { SMQ_PUBLISH = 1, SMQ_SUBSCRIBE };

/* May this client publish to the topic, or subscribe to the filter? Asked for each PUBLISH, for each filter of a
 * SUBSCRIBE, and for the will of a CONNECT and once more when it is sent. */
struct smq_authorization {
    size_t struct_size;
    struct smq_call *call;
    const struct smq_client *client;
    enum smq_action action;
    struct smq_text
        topic; /* a topic name, or a filter without its share name; with the mount point of the listener */
    uint8_t qos;
    bool retain; /* of SMQ_PUBLISH */
};

/* A message of a client that may publish to its topic. */
struct smq_publication {
    size_t struct_size;
    const struct smq_client *client;
    struct smq_text topic;
    struct smq_text payload; /* any bytes */
    struct smq_text
        properties; /* those that go to subscribers, as MQTT 5.0 has them on the wire (2.2.2.2) */
    uint8_t qos;
    bool retain;
    bool will; /* of a client that has gone */
};

struct smq_connection {
    size_t struct_size;
    const struct smq_client *client;
    uint16_t keep_alive_s;
    bool clean_start, session_present;
};

struct smq_disconnection {
    size_t struct_size;
    const struct smq_client *client;
    unsigned
        reason; /* enum mqtt_reason: the client's, of DISCONNECT, or the broker's; 0x80 when it was just gone */
};

struct smq_subscription {
    size_t struct_size;
    const struct smq_client *client;
    struct smq_text filter; /* with its share name, and the mount point of the listener */
    uint8_t qos;            /* granted */
};

enum smq_log_level { SMQ_LOG_ERROR = 1, SMQ_LOG_WARN, SMQ_LOG_INFO, SMQ_LOG_DEBUG };

/* The plug-in as the broker knows it. */
struct smq_context;

/* What the broker does for a plug-in. Valid from init() to the return of end(). */
struct smq_host {
    size_t struct_size;
    uint32_t abi;               /* SMQ_PLUGIN_ABI of the broker */
    const char *broker_version; /* "0.1.0" */
    unsigned shards;            /* how many */

    /* Any thread: writes a line to the broker's log, with the name of the plug-in in front. Nothing secret, please.
     * Text of clients is made harmless. */
    void (*log)(struct smq_context *context, enum smq_log_level level, const char *text);

    /* What stands in the plug-in's `config` block, as text: "true", "10", and of a list its members with commas
     * between them. Keys of blocks in it have dots: "cache.size". NULL: there is no such key. */
    const char *(*option)(struct smq_context *context, const char *key);
    /* The key number `index`, from 0 on, in the order of the file; NULL behind the last. */
    const char *(*option_key)(struct smq_context *context, unsigned index);

    /* In a hook that may be deferred, before it returns SMQ_DEFER: a ticket for the answer, never 0. 0: too many wait
     * already (plugins.max_waiting), or the question cannot wait: return another decision. A ticket is void when the
     * hook returns anything else. */
    uint64_t (*defer)(struct smq_call *call);
    /* Any thread: the answer of a deferred question, SMQ_NEXT, SMQ_ALLOW, SMQ_DENY or SMQ_CONTINUE, `answer` NULL when
     * nothing goes with it. The first one counts. One that comes too late, or a second time, or when the client has
     * gone, does nothing and is counted. False: it could not be passed on, since memory is out or the ticket was never
     * given; the question then ends with its time. Does not block. */
    bool (*complete)(struct smq_context *context, uint64_t ticket, enum smq_decision decision,
                     const struct smq_answer *answer);
};

/* What the plug-in is. Any hook may be NULL: it then costs nothing. `self` is what init() made, `state` what
 * init_shard() made for the shard that calls. */
struct smq_plugin {
    size_t struct_size;
    uint32_t abi;
    const char *name, *version; /* for logs and the API */

    /* At the start, before any client, on a thread of the broker's; may block. Threads are started here. False stops
     * the start of the broker, with a sentence that was written to `error`, of `size` bytes. Not called by
     * --check-config. */
    bool (*init)(const struct smq_host *host, struct smq_context *context, void **self, char *error,
                 size_t size);
    /* At the end, when no shard runs any more: the plug-in's threads must have ended when it returns. What is completed
     * meanwhile is dropped. Not called when init() was false. */
    void (*end)(void *self);
    /* On the thread of each shard, before its first client and after its last. False stops the start. */
    bool (*init_shard)(void *self, unsigned shard, void **state);
    void (*end_shard)(void *self, unsigned shard, void *state);

    /* May answer SMQ_DEFER. */
    enum smq_decision (*authenticate)(void *self, void *state,
                                      const struct smq_authentication *question,
                                      struct smq_answer *answer);
    /* The exchange with a client is over; see smq_authentication.exchange. A ticket for it may still be out: complete()
     * does nothing with it then. */
    void (*authentication_over)(void *self, void *state, void *exchange);
    /* May answer SMQ_DEFER. An answer holds for the one packet: the next is asked about again. */
    enum smq_decision (*authorize)(void *self, void *state,
                                   const struct smq_authorization *question,
                                   struct smq_answer *answer);
    /* The message itself, after authorize: SMQ_DENY discards it, anything else lets it through to the next plug-in and
     * to subscribers. It cannot be deferred, and a message cannot be changed. Super users are asked about, too; what
     * comes by the HTTP API is not. */
    enum smq_decision (*publish)(void *self, void *state, const struct smq_publication *message,
                                 struct smq_answer *answer);

    /* What happened; all plug-ins are told. For each connect there is one disconnect. */
    void (*connect)(void *self, void *state, const struct smq_connection *event);
    void (*disconnect)(void *self, void *state, const struct smq_disconnection *event);
    void (*subscribe)(void *self, void *state, const struct smq_subscription *event);
    void (*unsubscribe)(void *self, void *state, const struct smq_subscription *event);
};

/* What a struct smq_plugin begins as: without hooks. */
#ifdef __cplusplus
static inline struct smq_plugin smq_plugin_init(void)
{
    struct smq_plugin plugin = smq_plugin();

    plugin.struct_size = sizeof(plugin);
    plugin.abi = SMQ_PLUGIN_ABI;
    return plugin;
}
#define SMQ_PLUGIN_INIT smq_plugin_init()
#else
#define SMQ_PLUGIN_INIT                                                                            \
    {                                                                                              \
        .struct_size = sizeof(struct smq_plugin), .abi = SMQ_PLUGIN_ABI                            \
    }
#endif

/* What a plug-in exports, under the name SMQ_PLUGIN_ENTRY: what it is, valid as long as it is loaded. The function does
 * nothing else, for the broker knows only from its result whether the two fit together. */
#define SMQ_PLUGIN_ENTRY "shardmq_plugin"
typedef const struct smq_plugin *smq_plugin_entry(void);

#ifdef __cplusplus
}
#endif

#endif
