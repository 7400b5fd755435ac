/* SPDX-License-Identifier: MIT */
#include "bench/secure.h"

#include <stdio.h>

#include "transport/tls_context.h"

#define FRAME_MAX 268435460u /* a WebSocket frame with the largest MQTT packet */
#define TLS_1_2   0x0303
#define TLS_1_3   0x0304

static bool open_tls(struct secure *secure, const struct secure_options *options, char *error,
                     size_t error_size)
{
    const char *alpn = options->alpn != NULL            ? options->alpn
                       : options->kind == TRANSPORT_WSS ? "http/1.1" /* RFC 7301, 6 */
                                                        : "mqtt";
    struct tls_certificate certificate = {options->certfile, options->keyfile, options->keypass};
    struct tls_settings settings = {
        .certificates = options->certfile != NULL ? &certificate : NULL,
        .certificate_count = options->certfile != NULL ? 1 : 0,
        .ca_file = options->cafile,
        .ca_folder = options->capath,
        .verify_peer = !options->insecure || options->cafile != NULL || options->capath != NULL,
        .verify_name = !options->insecure,
        .alpn = &alpn,
        .alpn_count = alpn[0] != '\0' ? 1 : 0,
        .resume = options->resume,
        .version_least = options->only_tls_1_3 ? TLS_1_3 : TLS_1_2,
    };

    secure->tls = tls_context_create(&settings, error, error_size);
    secure->transport.tls = secure->tls;
    secure->transport.server_name =
        options->server_name != NULL ? options->server_name : options->host;
    return secure->tls != NULL;
}

bool secure_open(struct secure *secure, const struct secure_options *options, char *error,
                 size_t error_size)
{
    bool is_v6 = strchr(options->host, ':') != NULL;

    *secure = (struct secure){.transport = {.kind = options->kind, .role = TRANSPORT_CLIENT}};
    if (options->kind == TRANSPORT_WS || options->kind == TRANSPORT_WSS) {
        snprintf(secure->websocket_host, sizeof(secure->websocket_host), "%s%s%s:%u",
                 is_v6 ? "[" : "", options->host, is_v6 ? "]" : "", options->port);
        secure->websocket = (struct websocket_settings){
            .path = options->path,
            .message_max = FRAME_MAX,
            .host = secure->websocket_host,
            .protocol = options->version == MQTT_3_1 ? "mqttv3.1" : "mqtt"};
        secure->transport.websocket = &secure->websocket;
    }
    if (options->kind == TRANSPORT_TLS || options->kind == TRANSPORT_WSS) {
        return open_tls(secure, options, error, error_size);
    }
    return true;
}

void secure_close(struct secure *secure)
{
    tls_context_unref(secure->tls);
    secure->tls = NULL;
}

uint16_t secure_port(enum transport_kind kind)
{
    static const uint16_t ports[] = {[TRANSPORT_PLAIN] = 1883,
                                     [TRANSPORT_TLS] = 8883,
                                     [TRANSPORT_WS] = 8083,
                                     [TRANSPORT_WSS] = 8084};

    return ports[kind];
}
