/* Runs side by side: see run_table.h.
 *
 * Columns are the union over all runs of what they have, sorted, so that a run that lacks one shows an empty cell.  The
 * ranking looks at the last value of a metric: what a run ended with, or has now.  Pure but for run_table_read, which
 * reads the tree anew on each call.  Any thread.
 */
#include "run_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope.h"
#include "tree_path.h"

/* Columns -------------------------------------------------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts and keeps one of each.  Returns how many are left. */
static size_t keep_distinct(const char **texts, size_t count)
{
    if (count == 0)
        return 0;
    qsort(texts, count, sizeof *texts, compare_texts);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++)
        if (strcmp(texts[i], texts[kept - 1]) != 0)
            texts[kept++] = texts[i];
    return kept;
}

static enum code find_columns(struct run_table *table, struct failure *why)
{
    size_t parameters = 0, metrics = 0;
    for (size_t i = 0; i < table->count; i++) {
        parameters += table->runs[i].parameter_count;
        metrics += table->runs[i].metrics.count;
    }
    table->parameters = calloc(parameters + 1, sizeof *table->parameters);
    table->metrics = calloc(metrics + 1, sizeof *table->metrics);
    if (!table->parameters || !table->metrics)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", table->experiment);
    for (size_t i = 0; i < table->count; i++) {
        const struct run_facts *run = &table->runs[i];
        for (size_t p = 0; p < run->parameter_count; p++)
            table->parameters[table->parameter_count++] = run->parameters[p].key;
        for (size_t m = 0; m < run->metrics.count; m++)
            table->metrics[table->metric_count++] = run->metrics.items[m].key;
    }
    table->parameter_count = keep_distinct(table->parameters, table->parameter_count);
    table->metric_count = keep_distinct(table->metrics, table->metric_count);
    return CODE_OK;
}

/* After the ranking, which looks at every column. */
static void cut_columns(struct run_table *table)
{
    table->columns_cut = table->parameter_count > RUN_TABLE_COLUMNS_MAX || table->metric_count > RUN_TABLE_COLUMNS_MAX;
    if (table->parameter_count > RUN_TABLE_COLUMNS_MAX)
        table->parameter_count = RUN_TABLE_COLUMNS_MAX;
    if (table->metric_count > RUN_TABLE_COLUMNS_MAX)
        table->metric_count = RUN_TABLE_COLUMNS_MAX;
}

/* Ranking -------------------------------------------------------------------------------------------------------- */

static bool sounds_like(const char *key, const char *const *words)
{
    const char *name = strrchr(key, '/');
    name = name ? name + 1 : key;
    for (; *words; words++)
        if (strcasestr(name, *words))
            return true;
    return false;
}

static const char *find_sounding(const struct run_table *table, const char *const *words)
{
    for (size_t i = 0; i < table->metric_count; i++)
        if (sounds_like(table->metrics[i], words))
            return table->metrics[i];
    return NULL;
}

static void find_ranking(struct run_table *table)
{
    static const char *const preferred = "val/ap50";
    static const char *const scores[] = {"ap50", "map", "accuracy", "auc", "f1", "dice", "iou", NULL};
    static const char *const losses[] = {"loss", "error", NULL};
    table->higher_is_better = true;
    for (size_t i = 0; i < table->metric_count; i++)
        if (strcmp(table->metrics[i], preferred) == 0)
            table->ranked_by = table->metrics[i];
    if (!table->ranked_by)
        table->ranked_by = find_sounding(table, scores);
    if (!table->ranked_by) {
        table->ranked_by = find_sounding(table, losses);
        table->higher_is_better = false;
    }
}

/* What is sorted in place of the large summaries. */
struct rank {
    size_t index;
    double merit; /* the higher the better; -infinity without the metric */
    const char *name;
};

static double merit_of(const struct run_table *table, const struct run_facts *run)
{
    const struct metric_series *series = table->ranked_by ? metric_set_find(&run->metrics, table->ranked_by) : NULL;
    const struct metric_point *last = series ? metric_series_last(series) : NULL;
    if (!last || isnan(last->value))
        return -INFINITY;
    return table->higher_is_better ? last->value : -last->value;
}

static int compare_ranks(const void *a, const void *b)
{
    const struct rank *left = a, *right = b;
    if (left->merit != right->merit)
        return left->merit > right->merit ? -1 : 1;
    return -strverscmp(left->name, right->name);
}

static enum code sort_runs(struct run_table *table, struct failure *why)
{
    SCOPE_FREE struct rank *ranks = calloc(table->count + 1, sizeof *ranks);
    struct run_facts *sorted = calloc(table->count + 1, sizeof *sorted);
    if (!ranks || !sorted) {
        free(sorted);
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", table->experiment);
    }
    for (size_t i = 0; i < table->count; i++)
        ranks[i] = (struct rank){i, merit_of(table, &table->runs[i]), table->runs[i].name};
    qsort(ranks, table->count, sizeof *ranks, compare_ranks);
    for (size_t i = 0; i < table->count; i++)
        sorted[i] = table->runs[ranks[i].index];
    free(table->runs);
    table->runs = sorted;
    return CODE_OK;
}

enum code run_table_arrange(struct run_table *table, struct failure *why)
{
    enum code code = find_columns(table, why);
    if (code != CODE_OK)
        return code;
    find_ranking(table);
    code = sort_runs(table, why);
    cut_columns(table);
    return code;
}

/* Reading -------------------------------------------------------------------------------------------------------- */

struct run_names {
    char **names;
    size_t count, capacity;
    bool failed;
};

static bool collect_run(void *context, const char *name, const struct node_attributes *attributes)
{
    struct run_names *names = context;
    if (attributes->kind != NODE_FOLDER || name[0] == '.')
        return true;
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 64;
        char **grown = realloc(names->names, capacity * sizeof *grown);
        if (!(names->failed = !grown)) {
            names->names = grown;
            names->capacity = capacity;
        }
    }
    if (!names->failed)
        names->failed = !(names->names[names->count] = strdup(name));
    names->count += !names->failed;
    return !names->failed;
}

static int compare_newest_first(const void *a, const void *b)
{
    return -strverscmp(*(char *const *)a, *(char *const *)b);
}

static enum code read_runs(struct tree *tree, const char *experiment, const struct run_names *names, size_t metric_bytes,
                           struct run_table *out, struct failure *why)
{
    size_t wanted = names->count < RUN_TABLE_RUNS_MAX ? names->count : RUN_TABLE_RUNS_MAX;
    out->runs_left_out = names->count - wanted;
    out->runs = calloc(wanted + 1, sizeof *out->runs);
    if (!out->runs)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", experiment);
    for (size_t i = 0; i < wanted; i++) {
        SCOPE_FREE char *path = NULL;
        if (asprintf(&path, "%s/%s", experiment, names->names[i]) < 0)
            return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", experiment);
        enum code code = run_facts_read(tree, path, metric_bytes, &out->runs[out->count], why);
        if (code == CODE_NO_MEMORY)
            return code;
        out->count += code == CODE_OK;
    }
    return CODE_OK;
}

enum code run_table_read(struct tree *tree, const char *experiment, size_t metric_bytes, struct run_table *out,
                         struct failure *why)
{
    *out = (struct run_table){0};
    const char *slash = strrchr(experiment, '/');
    snprintf(out->experiment, sizeof out->experiment, "%s", slash ? slash + 1 : experiment);
    struct run_names names = {0};
    enum code code = tree_path_list(tree, experiment, collect_run, &names, why);
    if (code == CODE_OK && names.failed)
        code = failure_set(why, CODE_NO_MEMORY, "%s: out of memory", experiment);
    if (code == CODE_OK && names.count)
        qsort(names.names, names.count, sizeof *names.names, compare_newest_first);
    if (code == CODE_OK)
        code = read_runs(tree, experiment, &names, metric_bytes, out, why);
    if (code == CODE_OK)
        code = run_table_arrange(out, why);
    for (size_t i = 0; i < names.count; i++)
        free(names.names[i]);
    free(names.names);
    if (code != CODE_OK)
        run_table_free(out);
    return code;
}

void run_table_free(struct run_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        run_facts_free(&table->runs[i]);
    free(table->runs);
    free(table->parameters);
    free(table->metrics);
    *table = (struct run_table){0};
}
