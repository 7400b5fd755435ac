/* SPDX-License-Identifier: MIT
 *
 * replay_main - runs a fuzz target on files: every argument is a file or a folder of files. Fails when there is
 * none.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

/* Runs the target on one file, in a block of exactly its size. */
static bool run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    uint8_t *bytes;
    bool complete;
    size_t size;

    if (file == NULL || fstat(fileno(file), &status) != 0) {
        perror(path);
        exit(1);
    }
    size = (size_t)status.st_size;
    bytes = malloc(size);
    complete = fread(bytes, 1, size, file) == size;
    fclose(file);
    if (complete)
        LLVMFuzzerTestOneInput(bytes, size);
    else
        fprintf(stderr, "%s: cannot be read whole\n", path);
    free(bytes);
    return complete;
}

/* Returns the number of files that were run. */
static unsigned run(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    unsigned count = 0;
    char name[4096];

    if (folder == NULL)
        return run_file(path);
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        count += run_file(name);
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc; i++)
        count += run(argv[i]);
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1;
}
