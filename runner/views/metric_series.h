/* One metric of one run: the lines "<ms since 1970> <value> <step>" of a file below metrics/.  Values, no tree. */
#ifndef CYTOFS_METRIC_SERIES_H
#define CYTOFS_METRIC_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

struct metric_point {
    int64_t ms;   /* since 1970 */
    double value; /* may be NaN or infinite: programs write what they measure */
    int64_t step;
};

struct metric_series {
    char *key;                   /* "val/ap50"; owned */
    struct metric_point *points; /* by step, points of one step by time */
    size_t count;
    size_t lines_skipped; /* lines that are no metric: shown as a count, never a reason to hide the rest */
    bool cut;             /* older lines were left out: the file is larger than what was read */
};

/* Reads lines from text, which begins inside a line where `cut`: that first part is left out.  The last line counts only
 * with its line feed (a writer may be in the middle of it).  A line without a step has its line number, from 0. */
MUST_CHECK enum code metric_series_parse(struct metric_series *series, const char *key, const char *text, size_t count,
                                         bool cut, struct failure *why);
void metric_series_free(struct metric_series *series);

/* The last point, NULL where there is none. */
const struct metric_point *metric_series_last(const struct metric_series *series);

#endif
