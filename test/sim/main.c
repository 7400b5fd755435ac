/* SPDX-License-Identifier: MIT
 *
 * sim [--seed N] [--count N] [--steps N] [--memory] [--seeds FILE] [--verbose]
 *
 * Runs the seeds from --seed on, --count of them, or those of a file: one in a line, followed by the
 * number of steps and, for runs with allocation failures, the word memory. The first property that
 * does not hold is printed with SIM_SEED= and steps=, and the process aborts; the same seed and steps
 * bring it back.
 */
#include "base/log.h"
#include "sim.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#define STEPS 3000

struct options {
    uint64_t seed;
    unsigned count, steps;
    bool memory, verbose;
    const char *file;
};

static int run_file(const struct options *options)
{
    FILE *file = fopen(options->file, "r");
    char line[256];
    unsigned count = 0;

    if (file == NULL) {
        fprintf(stderr, "sim: %s: %s\n", options->file, strerror(errno));
        return 2;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned long long seed;
        unsigned steps;
        char word[16] = "";

        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (sscanf(line, "%llu %u %15s", &seed, &steps, word) < 2) {
            fprintf(stderr, "sim: %s: not a seed and a number of steps: %s", options->file, line);
            fclose(file);
            return 2;
        }
        sim_run(seed, steps, strcmp(word, "memory") == 0, options->verbose);
        count++;
    }
    fclose(file);
    printf("%u seeds of %s passed\n", count, options->file);
    return 0;
}

static bool parse(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'c'},
        {"steps", required_argument, NULL, 'n'},
        {"memory", no_argument, NULL, 'm'},
        {"seeds", required_argument, NULL, 'f'},
        {"verbose", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 's':
            options->seed = strtoull(optarg, NULL, 0);
            break;
        case 'c':
            options->count = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 'n':
            options->steps = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 'm':
            options->memory = true;
            break;
        case 'f':
            options->file = optarg;
            break;
        case 'v':
            options->verbose = true;
            break;
        default:
            return false;
        }
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct options options = {.seed = 1, .count = 1, .steps = STEPS};

    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "usage: sim [--seed N] [--count N] [--steps N] [--memory] [--seeds FILE] "
                        "[--verbose]\n");
        return 2;
    }
    log_set_level(options.verbose ? LOG_LEVEL_TRACE : LOG_LEVEL_FATAL);
    if (options.file != NULL)
        return run_file(&options);
    for (unsigned i = 0; i < options.count; i++)
        sim_run(options.seed + i, options.steps, options.memory, options.verbose);
    printf("%u seeds from %llu on passed\n", options.count, (unsigned long long)options.seed);
    return 0;
}
