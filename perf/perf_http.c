/* SPDX-License-Identifier: MIT
 *
 * What the bytes of an HTTP request cost before anything is done for it: its head, and its body as JSON.
 */
#include "base/json.h"
#include "base/check.h"
#include "base/mem.h"
#include "http/http.h"
#include "perf/shim.h"

#include <stdio.h>

void perf_register_http(void);

static void run_head(struct perf_state *state, void *argument)
{
    const char *text = argument;
    struct http_request request;
    struct http_error error;

    while (perf_next(state)) {
        size_t scanned = 0, head_len = 0;

        ASSERT(http_find_head((const uint8_t *)text, strlen(text), &scanned, &head_len, &error) ==
               HTTP_COMPLETE);
        ASSERT(http_parse_request(span_of(text, head_len), &request, &error));
        perf_keep(&request);
    }
    perf_items(state, perf_iterations(state));
    perf_bytes(state, strlen(text) * perf_iterations(state));
}

static void run_json(struct perf_state *state, void *argument)
{
    uint32_t count = *(const uint32_t *)argument, len = 0, size = count * 128 + 16;
    char *text = mem_zalloc(size);

    for (uint32_t i = 0; i < count; i++)
        len +=
            (uint32_t)snprintf(text + len, size - len,
                               "%c{\"topic\":\"site/7/device/%u\",\"payload\":\"21.5\",\"qos\":1,"
                               "\"retain\":false}",
                               i == 0 ? '[' : ',', i);
    text[len++] = ']';
    while (perf_next(state)) {
        const char *why;
        cJSON *value = json_parse(span_of(text, len), &why);

        ASSERT(value != NULL);
        cJSON_Delete(value);
    }
    perf_items(state, perf_iterations(state) * count);
    perf_bytes(state, (uint64_t)len * perf_iterations(state));
    mem_free(text);
}

void perf_register_http(void)
{
    static char curl[] = "POST /api/v1 HTTP/1.1\r\nHost: localhost:8081\r\nAuthorization: Basic "
                         "YWRtaW46cHVibGlj\r\nUser-Agent: curl/8\r\nAccept: */*\r\nContent-Length: "
                         "19\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n";
    static char upgrade[] = "GET /mqtt HTTP/1.1\r\nHost: localhost:8083\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    static uint32_t counts[] = {1, 100};

    perf_case("http/head:curl", run_head, curl);
    perf_case("http/head:websocket", run_head, upgrade);
    perf_case("http/json_messages:1", run_json, &counts[0]);
    perf_case("http/json_messages:100", run_json, &counts[1]);
}
