/* SPDX-License-Identifier: MIT */
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DUMPERS_MAX 8

static struct {
    void (*dump)(void *argument);
    void *argument;
} dumpers[DUMPERS_MAX];
static unsigned dumper_count;

void panic_register(void (*dump)(void *argument), void *argument)
{
    ASSERT(dumper_count < DUMPERS_MAX);
    dumpers[dumper_count].dump = dump;
    dumpers[dumper_count].argument = argument;
    dumper_count++;
}

void panic(const char *file, int line, const char *format, ...)
{
    static _Thread_local int entered;

    if (entered++ == 0) { /* a dumper that panics must not recurse */
        va_list arguments;

        va_start(arguments, format);
        fprintf(stderr, "shardmq " SHARDMQ_VERSION ": internal error at %s:%d: ", file, line);
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
        va_end(arguments);
        for (unsigned i = 0; i < dumper_count; i++)
            dumpers[i].dump(dumpers[i].argument);
        fflush(stderr);
    }
    abort();
}
