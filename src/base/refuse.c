/* SPDX-License-Identifier: MIT */
#include "base/refuse.h"

#include <stdarg.h>
#include <stdio.h>

bool refuse_with(char *to, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(to, size, format, arguments);
    va_end(arguments);
    return false;
}
