/* SPDX-License-Identifier: MIT
 *
 * fuzz_scenario - scenario files of the load tool, and the check of the options that they set. Input: a file.
 */
#include "fuzz.h"

#include "base/mem.h"
#include "bench/scenario.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct scenario_source source = {0};
    struct bench_options options;
    bool fixed[OPTIONS_COUNT] = {false};
    char error[512] = "";

    source.text = mem_alloc(len + 1);
    memcpy(source.text, data, len);
    source.text[len] = '\0';
    options_preset(&options, RUN);
    if (!scenario_parse(&source, "fuzz.conf", &options, error, sizeof(error))) {
        ASSERT(strncmp(error, "fuzz.conf:", 10) == 0 && strlen(error) > 16);
    } else {
        error[0] = '\0';
        if (!scenario_scale(&options, fixed, error, sizeof(error)) ||
            !options_check(&options, error, sizeof(error)))
            ASSERT(error[0] != '\0');
    }
    scenario_fini(&source);
    return 0;
}
