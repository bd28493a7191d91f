/* "Did you mean" by edit distance with transpositions (Damerau, "A technique for computer detection and
 * correction of spelling errors", CACM 1964; the restricted form, row by row).  Pure; any thread. */
#include "suggest.h"

#include <string.h>

static int min3(int a, int b, int c)
{
    int least = a < b ? a : b;
    return least < c ? least : c;
}

static char fold_case(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int suggest_distance(const char *a, const char *b)
{
    size_t rows = strnlen(a, SUGGEST_NAME_MAX), columns = strnlen(b, SUGGEST_NAME_MAX);
    int table[3][SUGGEST_NAME_MAX + 1];
    for (size_t j = 0; j <= columns; j++)
        table[0][j] = (int)j;
    for (size_t i = 1; i <= rows; i++) {
        int *row = table[i % 3], *above = table[(i + 2) % 3], *above2 = table[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= columns; j++) {
            char here = fold_case(a[i - 1]), there = fold_case(b[j - 1]);
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (here != there));
            if (i > 1 && j > 1 && here == fold_case(b[j - 2]) && fold_case(a[i - 2]) == there)
                row[j] = min3(row[j], above2[j - 2] + 1, row[j]);
        }
    }
    return table[rows % 3][columns];
}

const char *suggest_nearest(const char *word, const char *const *names)
{
    const char *nearest = NULL;
    int least = 0;
    for (; *names; names++) {
        size_t letters = strlen(word) > strlen(*names) ? strlen(word) : strlen(*names);
        int distance = suggest_distance(word, *names);
        if (distance * 3 <= (int)letters + 1 && (!nearest || distance < least)) {
            nearest = *names;
            least = distance;
        }
    }
    return nearest;
}
