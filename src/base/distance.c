/* SPDX-License-Identifier: MIT
 *
 * distance - Levenshtein's, with one row of the table: row[j] is the distance of what was looked at of a to the
 * first j characters of b.
 */
#include "base/distance.h"

#include <string.h>

#define LOOKED_AT 255

unsigned text_distance(const char *a, const char *b)
{
    unsigned row[LOOKED_AT + 1];
    size_t b_len = strnlen(b, LOOKED_AT);

    for (size_t j = 0; j <= b_len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; i < LOOKED_AT && a[i] != '\0'; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < b_len; j++) {
            unsigned change = diagonal + (a[i] != b[j]),
                     gap = row[j] < row[j + 1] ? row[j] : row[j + 1];

            diagonal = row[j + 1];
            row[j + 1] = change < gap + 1 ? change : gap + 1;
        }
    }
    return row[b_len];
}
