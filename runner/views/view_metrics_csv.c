/* The table "step,time,<key>,<key>...": one row a step, an empty cell where a key has no value there, as pandas.read_csv and
 * R's read.csv like it (the time is ISO 8601 and the newest of the row).  Nothing is lost in the widening: where a key was
 * written twice at a step, that step has two rows.  All series are sorted by step, so one pass that always takes the
 * lowest step at hand merges them.  Fields are quoted as in RFC 4180; lines end in a line feed alone, for awk and cut.
 *
 * Bounded by what metric_set_read reads of each file and by METRICS_CSV_ROWS_MAX.  Pure; any thread.
 */
#include "view_metrics_csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric_set.h"
#include "scope.h"
#include "time_text.h"

/* A key may be called like one of the two columns in front. */
static void append_heading(struct buffer *out, const char *key)
{
    SCOPE_BUFFER heading = {0};
    bool taken = strcmp(key, "step") == 0 || strcmp(key, "time") == 0;
    buffer_printf(&heading, "%s%s", taken ? "metrics/" : "", key);
    buffer_append_text(out, ",");
    buffer_append_csv(out, buffer_text(&heading));
}

static void append_value(struct buffer *out, double value)
{
    if (isnan(value))
        buffer_append_text(out, "nan");
    else if (isinf(value))
        buffer_append_text(out, value > 0 ? "inf" : "-inf");
    else
        buffer_printf(out, "%.10g", value);
}

/* The lowest step that a series still has; false where all are used up. */
static bool find_next_step(const struct metric_set *metrics, const size_t *next, int64_t *step, int64_t *ms)
{
    bool found = false;
    for (size_t i = 0; i < metrics->count; i++) {
        if (next[i] == metrics->items[i].count)
            continue;
        const struct metric_point *point = &metrics->items[i].points[next[i]];
        if (!found || point->step < *step) {
            *step = point->step;
            *ms = point->ms;
        } else if (point->step == *step && point->ms > *ms) {
            *ms = point->ms;
        }
        found = true;
    }
    return found;
}

static void append_row(const struct metric_set *metrics, size_t *next, int64_t step, int64_t ms, struct buffer *out)
{
    char time[TIME_TEXT_MAX];
    time_text_iso(ms, time);
    buffer_printf(out, "%lld,%s", (long long)step, time);
    for (size_t i = 0; i < metrics->count; i++) {
        const struct metric_series *series = &metrics->items[i];
        buffer_append_text(out, ",");
        if (next[i] < series->count && series->points[next[i]].step == step)
            append_value(out, series->points[next[i]++].value);
    }
    buffer_append_text(out, "\n");
}

enum code view_metrics_csv_render(const struct metric_set *metrics, struct buffer *out, struct failure *why)
{
    SCOPE_FREE size_t *next = calloc(metrics->count + 1, sizeof *next);
    if (!next)
        return failure_set(why, CODE_NO_MEMORY, "metrics.csv: out of memory");
    buffer_append_text(out, "step,time");
    for (size_t i = 0; i < metrics->count; i++)
        append_heading(out, metrics->items[i].key);
    buffer_append_text(out, "\n");
    int64_t step = 0, ms = 0;
    for (size_t rows = 0; rows < METRICS_CSV_ROWS_MAX && find_next_step(metrics, next, &step, &ms); rows++)
        append_row(metrics, next, step, ms, out);
    return buffer_check(out, "metrics.csv", why);
}
