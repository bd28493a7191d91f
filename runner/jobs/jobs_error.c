/* jobs/<job>.error: every mistake in jobs/<job>.yaml, with line and column.  It exists while the text has
 * any; it is a pure function of the text and of the names in datasets/, so nothing has to be written or
 * removed. */
#include "jobs_error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs_run.h"
#include "jobs_spec.h"
#include "rule.h"

#define SPECS_LISTED_MAX 10000

/* "jobs/a.error" to "jobs/a.yaml". */
static bool spec_path_of(const char *path, char out[JOBS_PATH_MAX])
{
    size_t stem = strlen(path) - strlen(".error");
    return snprintf(out, JOBS_PATH_MAX, "%.*s.yaml", (int)stem, path) < JOBS_PATH_MAX;
}

static enum code render_error(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct jobs *jobs = context;
    char spec_path[JOBS_PATH_MAX];
    struct jobs_spec spec;
    if (!spec_path_of(path, spec_path))
        return failure_set(why, CODE_NAME_TOO_LONG, "%s: the name is too long", path);
    enum code code = jobs_spec_read(jobs->tree, spec_path, &spec, why);
    if (code == CODE_OK && spec.findings.count > 0) {
        spec_format_findings(&spec.findings, spec_path, buffer_text(&spec.text), spec.text.length, out);
        code = buffer_check(out, path, why);
    } else if (code == CODE_OK || code == CODE_NO_DATA) {
        code = failure_set(why, CODE_NOT_FOUND, "%s: there is no mistake in %s", path, spec_path);
    }
    jobs_spec_free(&spec);
    return code;
}

static void stamp_error(void *context, const char *path, uint64_t *version, int64_t *modify_ns)
{
    struct jobs *jobs = context;
    char spec_path[JOBS_PATH_MAX];
    uint64_t jobs_version, datasets_version;
    int64_t ignored_ns;
    struct node_attributes attributes = {.modify_ns = 0};
    tree_path_stamp(jobs->tree, "jobs", &jobs_version, &ignored_ns);
    tree_path_stamp(jobs->tree, "datasets", &datasets_version, &ignored_ns);
    *version = jobs_version + datasets_version;
    if (!spec_path_of(path, spec_path) || tree_path_attributes(jobs->tree, spec_path, &attributes, NULL) != CODE_OK)
        attributes.modify_ns = 0;
    *modify_ns = attributes.modify_ns;
}

struct spec_names {
    char **names; /* (SPECS_LISTED_MAX) */
    size_t count;
};

static bool collect_spec(void *context, const char *name, const struct node_attributes *attributes)
{
    struct spec_names *specs = context;
    size_t length = strlen(name), ending = strlen(".yaml");
    if (attributes->kind == NODE_FOLDER || name[0] == '.' || length <= ending ||
        strcmp(name + length - ending, ".yaml") != 0)
        return true;
    char *copy = strdup(name);
    if (copy)
        specs->names[specs->count++] = copy;
    return copy && specs->count < SPECS_LISTED_MAX;
}

static void list_errors(void *context, const char *folder, rule_emit *emit, void *emit_context)
{
    struct jobs *jobs = context;
    struct spec_names specs = {calloc(SPECS_LISTED_MAX, sizeof(char *)), 0};
    if (specs.names && tree_path_list(jobs->tree, folder, collect_spec, &specs, NULL) != CODE_OK)
        specs.count = 0;
    for (size_t i = 0; i < specs.count; i++) {
        char path[JOBS_PATH_MAX];
        struct jobs_spec spec = {.spec = NULL};
        if (jobs_run_path(folder, specs.names[i], path) && jobs_spec_read(jobs->tree, path, &spec, NULL) == CODE_OK &&
            spec.findings.count > 0) {
            char name[JOBS_NAME_MAX + 8];
            snprintf(name, sizeof name, "%s.error", spec.job);
            emit(emit_context, name);
        }
        jobs_spec_free(&spec);
        free(specs.names[i]);
    }
    free(specs.names);
}

enum code jobs_error_add_rules(struct jobs *jobs, struct failure *why)
{
    struct rule error = {.kind = RULE_DERIVED,
                         .pattern = "jobs/*.error",
                         .context = jobs,
                         .list = list_errors,
                         .render = render_error,
                         .stamp = stamp_error};
    return rule_add(jobs->tree, &error, why);
}
