/* SPDX-License-Identifier: MIT
 *
 * fuzz_json - bodies of the HTTP API. What is accepted says the same when it is printed and read again, and has no
 * string that ends before its end.
 */
#include "fuzz.h"

#include "base/json.h"

static void look_at(const cJSON *value, unsigned depth)
{
    ASSERT(depth <= JSON_DEPTH_MAX);
    for (const cJSON *child = value->child; child != NULL; child = child->next) {
        ASSERT(!cJSON_IsObject(value) ||
               cJSON_GetObjectItemCaseSensitive(value, child->string) == child);
        look_at(child, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *why = NULL;
    cJSON *value = json_parse(span_of(data, len), &why), *again;
    struct span digits;
    char *text;

    ASSERT((value == NULL) == (why != NULL));
    if (value == NULL)
        return 0;
    look_at(value, 0);
    digits = json_raw_number(span_of(data, len), "seq");
    ASSERT(digits.len == 0 || (digits.data >= data && digits.data + digits.len <= data + len));
    text = cJSON_PrintUnformatted(value);
    again = json_parse(span_text(text), &why);
    ASSERT(again != NULL && cJSON_Compare(value, again, true));
    cJSON_Delete(again);
    cJSON_Delete(value);
    cJSON_free(text);
    return 0;
}
