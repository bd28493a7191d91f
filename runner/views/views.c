/* The rules behind the derived files: see views.h.
 *
 * | path                                   | read by            | drawn by         | changes with             |
 * | experiments/<e>/<run>/status           | run_facts_read   | view_status      | the run's folder         |
 * | experiments/<e>/<run>/metrics.csv      | metric_set_read    | view_metrics_csv | the run's metrics/       |
 * | experiments/<e>/<run>/plots/<key>.png  | metric_set_read_plot | plot_png       | the run's metrics/       |
 * | experiments/<e>/board.csv              | run_table_read     | view_board       | the experiment's folder  |
 * | experiments/<e>/report.html            | run_table_read     | view_report      | the experiment's folder  |
 *
 * Each is a pure function of stored files: reading gives plain values, drawing turns values into bytes, and neither looks
 * at the clock.  Nothing is kept between calls; the tree caches what is made until the stamp in the last column moves.
 * The rules' context is the tree.  Any thread, several at once.
 */
#include "views.h"

#include <stdio.h>
#include <string.h>

#include "metric_set.h"
#include "plot_png.h"
#include "rule.h"
#include "run_facts.h"
#include "run_table.h"
#include "tree_path.h"
#include "view_board.h"
#include "view_metrics_csv.h"
#include "view_report.h"
#include "view_status.h"

/* Of each metric of each run a report reads this much, from its end: enough for a curve of some 6,000 points. */
#define REPORT_METRIC_BYTES ((size_t)256 << 10)

struct folder_path {
    char text[4096];
};

/* The path `up` folders above: 1 is the one that holds the file. */
static enum code find_folder(const char *path, int up, struct folder_path *folder, struct failure *why)
{
    int length = snprintf(folder->text, sizeof folder->text, "%s", path);
    if (length < 0 || (size_t)length >= sizeof folder->text)
        return failure_set(why, CODE_NAME_TOO_LONG, "%s: the path is too long", path);
    for (int i = 0; i < up; i++) {
        char *slash = strrchr(folder->text, '/');
        if (!slash)
            return failure_set(why, CODE_NOT_FOUND, "%s: is not in an experiment", path);
        *slash = 0;
    }
    return CODE_OK;
}

/* Files with a wildcard in their pattern's folder appear in whatever lies there: a file named "notes" in experiments/ has no
 * status.  A run is what has events. */
static enum code require_run(struct tree *tree, const char *run, struct failure *why)
{
    struct folder_path events;
    int length = snprintf(events.text, sizeof events.text, "%s/events", run);
    if (length < 0 || (size_t)length >= sizeof events.text || !tree_path_exists(tree, events.text))
        return failure_set(why, CODE_NOT_FOUND, "%s: is not a run", run);
    return CODE_OK;
}

static enum code render_status(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct folder_path run;
    struct run_facts facts;
    enum code code = find_folder(path, 1, &run, why);
    if (code == CODE_OK)
        code = run_facts_read(context, run.text, METRIC_BYTES_TAIL, &facts, why);
    if (code != CODE_OK)
        return code;
    view_status_render(&facts, out);
    run_facts_free(&facts);
    return buffer_check(out, path, why);
}

static enum code render_metrics_csv(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct folder_path run;
    struct metric_set metrics;
    enum code code = find_folder(path, 1, &run, why);
    if (code == CODE_OK)
        code = require_run(context, run.text, why);
    if (code == CODE_OK)
        code = metric_set_read(context, run.text, METRIC_BYTES_WHOLE, &metrics, why);
    if (code != CODE_OK)
        return code;
    code = view_metrics_csv_render(&metrics, out, why);
    metric_set_free(&metrics);
    return code;
}

/* The stamp of the run's metrics; up counts the folders between the file and the run. */
static void stamp_of_metrics(struct tree *tree, const char *path, int up, uint64_t *version, int64_t *modify_ns)
{
    struct folder_path run, metrics;
    *version = 0;
    *modify_ns = 0;
    if (find_folder(path, up, &run, NULL) != CODE_OK)
        return;
    int length = snprintf(metrics.text, sizeof metrics.text, "%s/metrics", run.text);
    if (length < 0 || (size_t)length >= sizeof metrics.text)
        return;
    tree_path_stamp(tree, metrics.text, version, modify_ns);
    if (*version == 0) /* no metrics yet: as old as the run */
        tree_path_stamp(tree, run.text, version, modify_ns);
}

static void stamp_metrics_csv(void *context, const char *path, uint64_t *version, int64_t *modify_ns)
{
    stamp_of_metrics(context, path, 1, version, modify_ns);
}

static void stamp_plot(void *context, const char *path, uint64_t *version, int64_t *modify_ns)
{
    stamp_of_metrics(context, path, 2, version, modify_ns);
}

struct plot_listing {
    rule_emit *emit;
    void *emit_context;
    char last[256];
};

/* Keys are visited in order, but the two of one plot ("a-b", "a/b") need not be neighbours; the tree takes a name twice as
 * one. */
static void list_plot(void *context, const char *key)
{
    struct plot_listing *listing = context;
    char name[256];
    if (!metric_set_plot_name(key, name) || strcmp(name, listing->last) == 0)
        return;
    memcpy(listing->last, name, sizeof name);
    listing->emit(listing->emit_context, name);
}

static void list_plots(void *context, const char *folder, rule_emit *emit, void *emit_context)
{
    struct folder_path run;
    struct plot_listing listing = {.emit = emit, .emit_context = emit_context};
    struct failure why;
    if (find_folder(folder, 1, &run, &why) != CODE_OK)
        return;
    enum code code = metric_set_visit_keys(context, run.text, list_plot, &listing, &why);
    if (code != CODE_OK)
        tree_note_failure(context, folder, &why);
}

static enum code render_plot(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct folder_path run;
    struct metric_set metrics;
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    enum code code = find_folder(path, 2, &run, why);
    if (code == CODE_OK)
        code = metric_set_read_plot(context, run.text, name, &metrics, why);
    if (code != CODE_OK)
        return code;
    const struct metric_series *series[PLOT_SERIES_MAX];
    size_t count = 0;
    for (; count < metrics.count && count < PLOT_SERIES_MAX; count++)
        series[count] = &metrics.items[count];
    if (count == 0)
        code = failure_set(why, CODE_NOT_FOUND, "%s: the run has no such metric", path);
    else
        code = plot_png_draw(series[0]->key, run.text + strcspn(run.text, "/") + 1, series, count, out, why);
    metric_set_free(&metrics);
    return code;
}

static enum code read_table(struct tree *tree, const char *path, size_t metric_bytes, struct run_table *table,
                            struct failure *why)
{
    struct folder_path experiment;
    enum code code = find_folder(path, 1, &experiment, why);
    return code == CODE_OK ? run_table_read(tree, experiment.text, metric_bytes, table, why) : code;
}

static enum code render_board(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct run_table table;
    enum code code = read_table(context, path, METRIC_BYTES_TAIL, &table, why);
    if (code != CODE_OK)
        return code;
    view_board_render(&table, out);
    run_table_free(&table);
    return buffer_check(out, path, why);
}

static enum code render_report(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct run_table table;
    enum code code = read_table(context, path, REPORT_METRIC_BYTES, &table, why);
    if (code != CODE_OK)
        return code;
    code = view_report_render(&table, out, why);
    run_table_free(&table);
    return code;
}

enum code views_add(struct tree *tree, struct failure *why)
{
    const struct rule rules[] = {
        {.pattern = "experiments/*/*/status", .render = render_status},
        {.pattern = "experiments/*/*/metrics.csv", .render = render_metrics_csv, .stamp = stamp_metrics_csv},
        {.pattern = "experiments/*/*/plots/*.png", .list = list_plots, .render = render_plot, .stamp = stamp_plot},
        {.pattern = "experiments/*/board.csv", .render = render_board},
        {.pattern = "experiments/*/report.html", .render = render_report},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct rule rule = rules[i];
        rule.kind = RULE_DERIVED;
        rule.context = tree;
        enum code code = rule_add(tree, &rule, why);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}
