/* A spec as it lies in jobs/: see jobs_spec.h.  A pure function of the file's text and of the names in
 * datasets/.  Any thread; no lock needed. */
#include "jobs_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope.h"
#include "suggest.h"
#include "tree_maker.h"
#include "tree_path.h"

#define NAMES_MAX 1000

struct names {
    char *names[NAMES_MAX + 1];
    size_t count;
};

static bool collect_name(void *context, const char *name, const struct node_attributes *attributes)
{
    struct names *names = context;
    if (attributes->kind != NODE_FOLDER || name[0] == '.')
        return true;
    char *copy = strdup(name);
    if (copy)
        names->names[names->count++] = copy;
    return copy && names->count < NAMES_MAX;
}

/* What there is instead, in a few words: ", did you mean datasets/cells?" or ", there are cells, nuclei". */
static void hint_at_names(struct tree *tree, const char *folder, const char *wanted, char *out, size_t size)
{
    SCOPE_FREE struct names *names = calloc(1, sizeof *names);
    out[0] = 0;
    if (!names)
        return;
    if (tree_path_list(tree, folder, collect_name, names, NULL) != CODE_OK)
        names->count = 0;
    const char *nearest = suggest_nearest(wanted, (const char *const *)names->names);
    if (nearest)
        snprintf(out, size, ", did you mean %s/%s?", folder, nearest);
    else if (names->count == 0)
        snprintf(out, size, ", %s is empty", folder);
    else
        for (size_t i = 0; i < names->count && strlen(out) + strlen(names->names[i]) + 16 < size; i++)
            snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? ", " : " (there is ", names->names[i]);
    if (!nearest && names->count > 0)
        snprintf(out + strlen(out), size - strlen(out), ")");
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
}

static bool is_folder(struct tree *tree, const char *path)
{
    struct node_attributes attributes;
    return tree_path_attributes(tree, path, &attributes, NULL) == CODE_OK && attributes.kind == NODE_FOLDER;
}

static void check_dataset(struct tree *tree, struct jobs_spec *out)
{
    char folder[SPEC_DATASET_MAX], message[256], hint[128];
    spec_find_dataset(out->text.data, out->text.length, folder);
    if (!*folder || is_folder(tree, folder))
        return;
    char *snap = strstr(folder, "/.snap/");
    if (snap)
        *snap = 0;
    if (snap && is_folder(tree, folder))
        snprintf(message, sizeof message, "\"%.60s\" has no snapshot \"%.60s\" (see: ls %.60s/.snap)", folder, snap + 7,
                 folder);
    else {
        hint_at_names(tree, "datasets", folder + strlen("datasets/"), hint, sizeof hint);
        snprintf(message, sizeof message, "there is no dataset %.100s%s", folder, hint);
    }
    spec_add_finding(&out->findings, out->text.data, out->text.length, "dataset", message);
}

/* jobs/<job>, jobs/<job>.error and jobs/<job>.yaml must be three different files, and none of the fixed ones.
 */
static void check_name(struct jobs_spec *out)
{
    static const char *const taken[] = {"queue", "nodes", "events"};
    static const char *const endings[] = {".error", ".yaml"};
    char message[256] = "";
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (!strcmp(out->job, taken[i]))
            snprintf(message, sizeof message, "no job can be called \"%s\": jobs/%s is something else", taken[i], taken[i]);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t length = strlen(out->job), ending = strlen(endings[i]);
        if (length >= ending && !strcmp(out->job + length - ending, endings[i]))
            snprintf(message, sizeof message, "a job's name must not end in %s", endings[i]);
    }
    if (*message)
        spec_add_finding(&out->findings, out->text.data, out->text.length, "", message);
}

/* What a member of another machine may have the server do: read what that member may read, and run no programs of his own
 * unless he is an admin, since a program can do whatever the server's user can. */
static void check_maker(struct tree *tree, const struct viewer *maker, int64_t owner, struct jobs_spec *out)
{
    char message[256], folder[SPEC_DATASET_MAX];
    struct node_attributes attributes;
    spec_find_dataset(out->text.data, out->text.length, folder);
    if (*folder && tree_path_attributes(tree, folder, &attributes, NULL) == CODE_OK &&
        maker_may_read(tree, owner, attributes.id, NULL) != CODE_OK) {
        snprintf(message, sizeof message, "%.100s was not shared with %.60s", folder, maker->name);
        spec_add_finding(&out->findings, out->text.data, out->text.length, "dataset", message);
    }
    if (out->spec && out->spec->action == SPEC_RUN && maker->role != ROLE_ADMIN) {
        snprintf(
            message, sizeof message,
            "as a %s you may not run programs of your own on the lab's server: use train:, or ask an admin to submit it",
            member_role_name(maker->role));
        spec_add_finding(&out->findings, out->text.data, out->text.length, "run", message);
    }
}

/* Who made the spec, whoever looks at it now. */
static enum code find_maker(struct tree *tree, const char *path, struct jobs_spec *out, struct failure *why)
{
    int64_t owner;
    enum code code = tree_path_maker(tree, path, &owner, why);
    if (code == CODE_OK)
        code = maker_find(tree, owner, &out->maker, why);
    out->is_local = code == CODE_NOT_FOUND;
    if (out->is_local) {
        snprintf(out->maker.name, sizeof out->maker.name, "%s", tree_member_name(tree));
        return CODE_OK;
    }
    if (code != CODE_OK)
        return failure_wrap(why, code, "%s", path);
    check_maker(tree, &out->maker, owner, out);
    return CODE_OK;
}

enum code jobs_spec_read(struct tree *tree, const char *path, struct jobs_spec *out, struct failure *why)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = strlen(name);
    out->text = (struct buffer){0};
    out->spec = NULL;
    out->findings.count = 0;
    if (length <= strlen(".yaml") || length > JOBS_NAME_MAX)
        return failure_set(why, CODE_NAME_TOO_LONG, "%s: the name is too short or too long", path);
    snprintf(out->job, sizeof out->job, "%.*s", (int)(length - strlen(".yaml")), name);
    enum code code = tree_path_read(tree, path, SPEC_BYTES_MAX, &out->text, why);
    if (code == CODE_TOO_LARGE) {
        snprintf(out->findings.items[0].text, sizeof out->findings.items[0].text, "the spec has more than %d bytes",
                 SPEC_BYTES_MAX);
        out->findings.items[0].line = out->findings.items[0].column = 1;
        out->findings.count = 1;
        return CODE_OK;
    }
    if (code != CODE_OK)
        return code;
    if (out->text.length == 0)
        return failure_set(why, CODE_NO_DATA, "%s: is empty", path);
    code = spec_parse(out->text.data, out->text.length, out->job, &out->spec, &out->findings, why);
    if (code != CODE_OK && code != CODE_INVALID)
        return code;
    code = find_maker(tree, path, out, why);
    if (code != CODE_OK)
        return code;
    check_dataset(tree, out);
    check_name(out);
    if (out->findings.count > 0) {
        spec_destroy(out->spec);
        out->spec = NULL;
    }
    return CODE_OK;
}

void jobs_spec_free(struct jobs_spec *spec)
{
    buffer_free(&spec->text);
    spec_destroy(spec->spec);
    spec->spec = NULL;
}
