/* Reading a run: see run_facts.h.  Its state is the fold of its events (run_state.h); the rest is read from the files
 * beside them, each bounded.  Nothing is kept between calls; any thread. */
#include "run_facts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "key_list.h"
#include "scope.h"
#include "tree_path.h"

#define PROGRESS_BYTES_MAX 4096
#define OUTPUT_BYTES       4096
#define PARAMETER_DEPTH    4

static char *path_below(const char *run, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", run, name) < 0 ? NULL : path;
}

/* The last bytes of a file of the run; an empty text where it cannot be read. */
static void read_end(struct tree *tree, const char *run, const char *name, size_t count, struct buffer *out)
{
    SCOPE_FREE char *path = path_below(run, name);
    if (!path || tree_path_read_tail(tree, path, count, out, NULL) != CODE_OK)
        buffer_clear(out);
}

static enum code read_events(struct tree *tree, const char *run, struct run_facts *facts, struct failure *why)
{
    SCOPE_FREE char *path = path_below(run, "events");
    SCOPE_BUFFER text = {0};
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", run);
    enum code code = tree_path_read(tree, path, RUN_EVENTS_BYTES_MAX, &text, why);
    if (code != CODE_OK)
        return code;
    run_summary_fold(buffer_text(&text), text.length, &facts->summary);
    facts->seen_ms = facts->summary.changed_ms;
    return CODE_OK;
}

struct run_progress run_facts_parse_progress(const char *text)
{
    struct run_progress progress = {0};
    double per_second = 0;
    if (sscanf(text, "%lf %lf %31s %lf", &progress.done, &progress.total, progress.unit, &per_second) < 3)
        return (struct run_progress){0};
    progress.known = isfinite(progress.done) && isfinite(progress.total) && progress.done >= 0;
    progress.per_second = isfinite(per_second) && per_second > 0 ? per_second : 0;
    return progress;
}

static void read_progress(struct tree *tree, const char *run, struct run_facts *facts)
{
    SCOPE_BUFFER text = {0};
    SCOPE_FREE char *path = path_below(run, "progress");
    if (path && tree_path_read(tree, path, PROGRESS_BYTES_MAX, &text, NULL) == CODE_OK)
        facts->progress = run_facts_parse_progress(buffer_text(&text));
}

/* The last line with something in it; progress bars write carriage returns. */
static void read_output(struct tree *tree, const char *run, struct run_facts *facts)
{
    SCOPE_BUFFER text = {0};
    read_end(tree, run, "log", OUTPUT_BYTES, &text);
    size_t end = text.length;
    while (end > 0 && (unsigned char)text.data[end - 1] <= ' ')
        end--;
    size_t start = end;
    while (start > 0 && text.data[start - 1] != '\n' && text.data[start - 1] != '\r')
        start--;
    if (end > start)
        snprintf(facts->output, sizeof facts->output, "%.*s", (int)(end - start), text.data + start);
}

static enum code read_parameter(struct tree *tree, const char *run, const char *key, struct run_facts *facts,
                                struct failure *why)
{
    SCOPE_FREE char *path = NULL;
    SCOPE_BUFFER text = {0};
    if (asprintf(&path, "%s/params/%s", run, key) < 0)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", run);
    enum code code = tree_path_read(tree, path, RUN_PARAMETER_BYTES, &text, why);
    if (code == CODE_TOO_LARGE)
        text.length = text.length < RUN_PARAMETER_BYTES ? text.length : RUN_PARAMETER_BYTES;
    else if (code != CODE_OK)
        return code == CODE_NO_MEMORY ? code : CODE_OK;
    size_t length = text.length;
    if (length > 0 && text.data[length - 1] == '\n')
        length--;
    struct run_parameter *parameter = &facts->parameters[facts->parameter_count];
    *parameter = (struct run_parameter){strdup(key), strndup(buffer_text(&text), length)};
    if (!parameter->key || !parameter->value) {
        free(parameter->key);
        free(parameter->value);
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    }
    facts->parameter_count++;
    return CODE_OK;
}

static enum code read_parameters(struct tree *tree, const char *run, struct run_facts *facts, struct failure *why)
{
    SCOPE_FREE char *folder = path_below(run, "params");
    if (!folder)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", run);
    struct key_list keys;
    enum code code = key_list_read(tree, folder, RUN_PARAMETERS_MAX, PARAMETER_DEPTH, &keys, why);
    if (code != CODE_OK)
        return code;
    facts->parameters = calloc(keys.count + 1, sizeof *facts->parameters);
    if (!facts->parameters)
        code = failure_set(why, CODE_NO_MEMORY, "%s: out of memory", run);
    for (size_t i = 0; code == CODE_OK && i < keys.count; i++)
        code = read_parameter(tree, run, keys.keys[i], facts, why);
    key_list_free(&keys);
    return code;
}

static void find_newest(struct run_facts *facts)
{
    for (size_t i = 0; i < facts->metrics.count; i++) {
        const struct metric_point *last = metric_series_last(&facts->metrics.items[i]);
        if (last && last->ms > facts->seen_ms)
            facts->seen_ms = last->ms;
    }
}

static void name_run(const char *run, struct run_facts *facts)
{
    const char *name = strrchr(run, '/');
    name = name ? name + 1 : run;
    const char *experiment = name;
    while (experiment > run && experiment[-1] == '/')
        experiment--;
    size_t end = (size_t)(experiment - run);
    while (experiment > run && experiment[-1] != '/')
        experiment--;
    snprintf(facts->name, sizeof facts->name, "%s", name);
    snprintf(facts->experiment, sizeof facts->experiment, "%.*s", (int)(end - (size_t)(experiment - run)), experiment);
}

enum code run_facts_read(struct tree *tree, const char *run, size_t metric_bytes, struct run_facts *out, struct failure *why)
{
    *out = (struct run_facts){0};
    name_run(run, out);
    enum code code = read_events(tree, run, out, why);
    if (code == CODE_OK)
        code = read_parameters(tree, run, out, why);
    if (code == CODE_OK)
        code = metric_set_read(tree, run, metric_bytes, &out->metrics, why);
    if (code != CODE_OK) {
        run_facts_free(out);
        return code;
    }
    read_progress(tree, run, out);
    read_output(tree, run, out);
    find_newest(out);
    return CODE_OK;
}

void run_facts_free(struct run_facts *facts)
{
    for (size_t i = 0; i < facts->parameter_count; i++) {
        free(facts->parameters[i].key);
        free(facts->parameters[i].value);
    }
    free(facts->parameters);
    metric_set_free(&facts->metrics);
    *facts = (struct run_facts){0};
}

const char *run_facts_parameter(const struct run_facts *facts, const char *key)
{
    for (size_t i = 0; i < facts->parameter_count; i++)
        if (strcmp(facts->parameters[i].key, key) == 0)
            return facts->parameters[i].value;
    return NULL;
}

double run_facts_duration_s(const struct run_facts *facts)
{
    const struct run_summary *summary = &facts->summary;
    int64_t end = run_state_is_over(summary->state) ? summary->ended_ms : facts->seen_ms;
    if (summary->started_ms <= 0 || end <= summary->started_ms)
        return 0;
    return (double)(end - summary->started_ms) / 1000;
}
