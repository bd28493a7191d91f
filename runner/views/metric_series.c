/* Reading metric files: see metric_series.h.
 *
 * The format is MLflow's, whose users met two troubles that this reader must not have: one bad line hid every run, and a
 * reader that came while a line was being written saw half a number.  So a bad line is skipped and counted, and the
 * bytes behind the last line feed are not looked at.
 *
 * Pure functions of their arguments; any thread.
 */
#include "metric_series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX 200

static bool parse_line(const char *line, size_t length, struct metric_point *point, int64_t default_step)
{
    char text[LINE_BYTES_MAX + 1];
    if (length == 0 || length > LINE_BYTES_MAX || memchr(line, 0, length))
        return false;
    memcpy(text, line, length);
    text[length] = 0;
    char *end = text;
    errno = 0;
    point->ms = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != ' ')
        return false;
    char *value = end + 1;
    point->value = strtod(value, &end); /* out of range gives an infinity or 0, which is what was meant */
    if (end == value || (*end != ' ' && *end != 0))
        return false;
    point->step = default_step;
    if (*end == 0)
        return true;
    char *step = end + 1;
    errno = 0;
    point->step = strtoll(step, &end, 10);
    return errno == 0 && end != step && *end == 0;
}

static size_t count_lines(const char *text, size_t count)
{
    size_t lines = 0;
    for (const char *at = text; (at = memchr(at, '\n', count - (size_t)(at - text))); at++)
        lines++;
    return lines;
}

static int compare_points(const void *a, const void *b)
{
    const struct metric_point *left = a, *right = b;
    if (left->step != right->step)
        return left->step < right->step ? -1 : 1;
    return (left->ms > right->ms) - (left->ms < right->ms);
}

static void sort_by_step(struct metric_point *points, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (compare_points(&points[i - 1], &points[i]) > 0) {
            qsort(points, count, sizeof *points, compare_points);
            return;
        }
}

enum code metric_series_parse(struct metric_series *series, const char *key, const char *text, size_t count, bool cut,
                              struct failure *why)
{
    *series = (struct metric_series){.key = strdup(key), .cut = cut};
    series->points = calloc(count_lines(text, count) + 1, sizeof *series->points);
    if (!series->key || !series->points) {
        metric_series_free(series);
        return failure_set(why, CODE_NO_MEMORY, "metrics/%s: out of memory", key);
    }
    const char *end = text + count;
    const char *line = text;
    bool inside_first = cut;
    int64_t number = 0;
    for (const char *feed; line < end && (feed = memchr(line, '\n', (size_t)(end - line))); line = feed + 1) {
        if (inside_first) {
            inside_first = false;
            continue;
        }
        if (parse_line(line, (size_t)(feed - line), &series->points[series->count], number))
            series->count++;
        else
            series->lines_skipped++;
        number++;
    }
    sort_by_step(series->points, series->count);
    return CODE_OK;
}

void metric_series_free(struct metric_series *series)
{
    free(series->key);
    free(series->points);
    *series = (struct metric_series){0};
}

const struct metric_point *metric_series_last(const struct metric_series *series)
{
    return series->count ? &series->points[series->count - 1] : NULL;
}
