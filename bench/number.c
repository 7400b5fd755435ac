/* SPDX-License-Identifier: MIT
 *
 * number - formatting for tables, plots and the live view.
 */
#include "bench/number.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"

void number_format(char *to, size_t room, double value)
{
    char digits[40];
    size_t len, out = 0, start;

    if (fabs(value) < 100 && value != floor(value)) {
        snprintf(to, room, "%.*f", fabs(value) < 10 ? 3 : 2, value);
        return;
    }
    len = (size_t)snprintf(digits, sizeof(digits), "%.0f", value);
    start = digits[0] == '-';
    for (size_t i = 0; i < len && out + 2 < room; i++) {
        if (i > start && (len - i) % 3 == 0) {
            to[out++] = ',';
        }
        to[out++] = digits[i];
    }
    to[out] = '\0';
}

/* Three digits that count. */
static int decimals(double value)
{
    return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

void number_duration(char *to, size_t room, double value_ns)
{
    static const struct {
        double size;
        const char *name;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};

    for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
        double value = value_ns / units[i].size;

        if (value >= 0.9995) {
            snprintf(to, room, "%.*f %s", decimals(value), value, units[i].name);
            return;
        }
    }
    snprintf(to, room, "%.0f ns", value_ns);
}

void number_short(char *to, size_t room, double value)
{
    static const struct {
        double size;
        const char *name;
    } units[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}};

    for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
        if (fabs(value) >= units[i].size || i + 1 == ARRAY_LENGTH(units)) {
            snprintf(to, room, "%.3g%s", value / units[i].size, units[i].name);
            return;
        }
    }
}
