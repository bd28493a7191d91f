/* Steps, descriptions and claims: see crash_run.h.  Marks are a kind in the upper byte and a number. */
#include "crash_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checksum.h"
#include "disk_calls.h"
#include "scope.h"

#define MARK_SHIFT   56
#define CONTENTS_MAX ((size_t)64 << 20)
#define CLAIMS_MAX   20000
#define VERSIONS_MAX 20000
#define FOLDERS_DEEP 64

enum { MARK_POSSIBLE = 1, MARK_KEPT, MARK_CLAIM, MARK_CLAIM_KEPT, MARK_FILE_KEPT, MARK_BEGUN, MARK_DONE, MARK_MIRRORED };

static void mark(unsigned kind, size_t number)
{
    disk_calls_mark((uint64_t)kind << MARK_SHIFT | number);
}

void crash_run_need(struct crash_run *run, enum code code, const char *what)
{
    if (code == CODE_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, run->why.text);
    exit(3);
}

/* Describing ---------------------------------------------------------------------------------------------------------- */

static enum code describe_attributes(struct tree *tree, struct node_id node, struct buffer *out, struct failure *why)
{
    SCOPE_BUFFER names = {0};
    enum code code = tree_list_xattrs(tree, node, &names, why);
    for (size_t at = 0; code == CODE_OK && at < names.length; at += strlen(names.data + at) + 1) {
        SCOPE_BUFFER value = {0};
        code = tree_get_xattr(tree, node, names.data + at, &value, why);
        buffer_printf(out, " %s=%016llx", names.data + at,
                      (unsigned long long)checksum_64(buffer_text(&value), value.length, 0));
    }
    return code;
}

static enum code describe_contents(struct tree *tree, const char *path, const struct node_attributes *node,
                                   struct buffer *out, struct failure *why)
{
    SCOPE_BUFFER contents = {0};
    enum code code = CODE_OK;
    if (node->kind == NODE_FILE)
        code = tree_path_read(tree, path, CONTENTS_MAX, &contents, why);
    else if (node->kind == NODE_LINK)
        code = tree_path_read_link(tree, path, &contents, why);
    if (code == CODE_OK)
        buffer_printf(out, " %016llx", (unsigned long long)checksum_64(buffer_text(&contents), contents.length, 0));
    return code;
}

static enum code describe_below(struct tree *tree, const char *path, unsigned depth, struct buffer *out,
                                struct failure *why);

static enum code describe_node(struct tree *tree, const char *path, const struct node_attributes *node, unsigned depth,
                               struct buffer *out, struct failure *why)
{
    if (node->derived)
        return CODE_OK;
    buffer_printf(out, "%s %d %o %llu %u %lld", path, node->kind, node->mode, (unsigned long long)node->size, node->links,
                  (long long)node->modify_ns);
    enum code code = describe_attributes(tree, node->id, out, why);
    if (code == CODE_DENIED) { /* somebody else's home */
        buffer_append_text(out, " closed\n");
        return CODE_OK;
    }
    if (code == CODE_OK)
        code = describe_contents(tree, path, node, out, why);
    buffer_append_text(out, "\n");
    if (code == CODE_OK && node->kind == NODE_FOLDER)
        code = describe_below(tree, path, depth + 1, out, why);
    return code;
}

static enum code describe_snapshots(struct tree *tree, const char *path, unsigned depth, struct buffer *out,
                                    struct failure *why)
{
    SCOPE_BUFFER inner = {0};
    buffer_printf(&inner, "%s/.snap", path);
    struct node_attributes node;
    if (strncmp(path, "datasets/", 9) != 0 || strchr(path + 9, '/') ||
        tree_path_attributes(tree, buffer_text(&inner), &node, NULL) != CODE_OK)
        return CODE_OK;
    return describe_below(tree, buffer_text(&inner), depth + 1, out, why);
}

static enum code describe_below(struct tree *tree, const char *path, unsigned depth, struct buffer *out, struct failure *why)
{
    struct node_attributes node;
    struct tree_folder *folder;
    const char *name;
    if (depth > FOLDERS_DEEP)
        return failure_set(why, CODE_CORRUPT, "%s: folders without an end", path);
    enum code code = tree_path_attributes(tree, path, &node, why);
    if (code == CODE_OK)
        code = tree_open_folder(tree, node.id, &folder, why);
    if (code != CODE_OK)
        return code;
    for (uint64_t cursor = 0; code == CODE_OK && tree_folder_entry(folder, cursor, &name, &node); cursor++) {
        SCOPE_BUFFER inner = {0};
        buffer_printf(&inner, "%s%s%s", path, path[0] ? "/" : "", name);
        code = describe_node(tree, buffer_text(&inner), &node, depth, out, why);
    }
    tree_close_folder(folder);
    return code == CODE_OK ? describe_snapshots(tree, path, depth, out, why) : code;
}

enum code crash_run_describe(struct tree *tree, struct buffer *out, struct failure *why)
{
    return describe_below(tree, "", 0, out, why);
}

/* Steps --------------------------------------------------------------------------------------------------------------- */

/* The tree as it is now is version `version_count`. */
static void add_version(struct crash_run *run)
{
    struct buffer text = {0};
    crash_run_need(run, crash_run_describe(run->lab.tree, &text, &run->why), "describing the lab");
    if (!run->versions && !(run->versions = calloc(VERSIONS_MAX, sizeof *run->versions)))
        abort();
    if (run->version_count == VERSIONS_MAX)
        abort();
    run->versions[run->version_count++] = strdup(buffer_text(&text));
    buffer_free(&text);
}

void crash_run_before(struct crash_run *run)
{
    mark(MARK_POSSIBLE, run->version_count);
}

void crash_run_after(struct crash_run *run, enum code code, const char *what)
{
    crash_run_need(run, code, what);
    add_version(run);
}

void crash_run_synced(struct crash_run *run, enum code code, const char *what)
{
    crash_run_need(run, code, what);
    mark(MARK_KEPT, run->version_count - 1);
}

void crash_run_synced_file(struct crash_run *run, enum code code, const char *path)
{
    crash_run_need(run, code, "fsync");
    if (!run->kept && !(run->kept = calloc(VERSIONS_MAX, sizeof *run->kept)))
        abort();
    if (!path || run->kept_count == VERSIONS_MAX)
        return;
    run->kept[run->kept_count] = (struct crash_kept){strdup(path), run->version_count - 1};
    mark(MARK_FILE_KEPT, run->kept_count++);
}

size_t crash_run_claim(struct crash_run *run, const char *path, const char *text)
{
    pthread_mutex_lock(&run->claims_lock);
    if (!run->claims && !(run->claims = calloc(CLAIMS_MAX, sizeof *run->claims)))
        abort();
    if (run->claim_count == CLAIMS_MAX)
        abort();
    size_t claim = run->claim_count++;
    run->claims[claim] = (struct crash_claim){strdup(path), strdup(text)};
    mark(MARK_CLAIM, claim);
    pthread_mutex_unlock(&run->claims_lock);
    return claim;
}

void crash_run_kept(size_t claim)
{
    mark(MARK_CLAIM_KEPT, claim);
}

void crash_run_begun(uint64_t deed)
{
    mark(MARK_BEGUN, deed);
}

void crash_run_done(uint64_t deed)
{
    mark(MARK_DONE, deed);
}

void crash_run_mirrored(bool mirrored)
{
    mark(MARK_MIRRORED, mirrored);
}

void crash_run_begin_here(struct crash_run *run)
{
    run->from = run->record.count;
}

void crash_run_make(struct crash_run *run)
{
    struct lab_store_made made = {0};
    const struct lab_store_plan plan = {.path = run->store, .member = "ada", .key = run->key};
    crash_run_need(run, lab_store_create(&plan, &made, &run->why), "making the lab");
    buffer_free(&made.key_path);
}

void crash_run_open(struct crash_run *run)
{
    crash_run_need(run, lab_store_open(run->store, &(struct lab_store_options){.key = run->key}, &run->lab, &run->why),
                   "opening the lab");
    crash_run_before(run);
    add_version(run);
    mark(MARK_KEPT, run->version_count - 1);
}

void crash_run_close(struct crash_run *run)
{
    lab_store_close(&run->lab);
    mark(MARK_KEPT, run->version_count - 1);
}

/* What is allowed ---------------------------------------------------------------------------------------------------------
 */

void crash_run_window(const struct crash_run *run, size_t end, struct crash_window *out)
{
    *out = (struct crash_window){.end = end};
    for (size_t i = 0; i < end; i++) {
        const struct disk_op *op = &run->record.ops[i];
        size_t number = op->offset & ((UINT64_C(1) << MARK_SHIFT) - 1);
        uint64_t kind = op->change == DISK_MARK ? op->offset >> MARK_SHIFT : 0;
        if (kind == MARK_POSSIBLE)
            out->newest = number;
        else if (kind == MARK_KEPT)
            out->floor = number;
        else if (kind == MARK_FILE_KEPT)
            out->fsyncs_floor = run->kept[number].version;
        else if (kind == MARK_BEGUN)
            out->begun = number;
        else if (kind == MARK_DONE)
            out->done = number;
        else if (kind == MARK_MIRRORED)
            out->mirrored = number;
    }
    if (out->fsyncs_floor < out->floor)
        out->fsyncs_floor = out->floor;
}

/* The first line in which two descriptions differ. */
static void tell_difference(const char *wanted, const char *found, struct buffer *why)
{
    while (*wanted && *found) {
        size_t left = strcspn(wanted, "\n"), right = strcspn(found, "\n");
        if (left != right || strncmp(wanted, found, left) != 0)
            break;
        wanted += left + (wanted[left] != '\0');
        found += right + (found[right] != '\0');
    }
    buffer_printf(why, "the newest has \"%.*s\", found is \"%.*s\"", (int)strcspn(wanted, "\n"), wanted,
                  (int)strcspn(found, "\n"), found);
}

/* File by file ---------------------------------------------------------------------------------------------------------- */

/* The line of a description that begins here, with its path's length. */
struct line {
    const char *text;
    size_t length, path_length;
};

static bool next_line(const char **at, struct line *out)
{
    if (**at == '\0')
        return false;
    out->text = *at;
    out->length = strcspn(*at, "\n");
    out->path_length = strcspn(*at, " \n");
    *at += out->length + ((*at)[out->length] != '\0');
    return true;
}

static bool find_line(const char *text, const struct line *wanted, struct line *out)
{
    while (next_line(&text, out))
        if (out->path_length == wanted->path_length && memcmp(out->text, wanted->text, wanted->path_length) == 0)
            return true;
    return false;
}

/* Whether both have the same names, leading to nodes of the same kinds, modes and numbers of links. */
static bool names_are_equal(const char *left, const char *right)
{
    struct line a, b;
    for (;;) {
        bool more = next_line(&left, &a);
        if (more != next_line(&right, &b))
            return false;
        if (!more)
            return true;
        unsigned kind_a = 0, mode_a = 0, links_a = 0, kind_b = 0, mode_b = 0, links_b = 0;
        if (a.path_length != b.path_length || memcmp(a.text, b.text, a.path_length) != 0 ||
            sscanf(a.text + a.path_length, "%u %o %*u %u", &kind_a, &mode_a, &links_a) != 3 ||
            sscanf(b.text + b.path_length, "%u %o %*u %u", &kind_b, &mode_b, &links_b) != 3 || kind_a != kind_b ||
            mode_a != mode_b || links_a != links_b)
            return false;
    }
}

/* The oldest version that the file may be of. */
static size_t floor_of(const struct crash_run *run, const struct crash_window *window, const struct line *line)
{
    size_t floor = window->floor;
    for (size_t i = 0; i < window->end; i++) {
        const struct disk_op *op = &run->record.ops[i];
        size_t number = op->offset & ((UINT64_C(1) << MARK_SHIFT) - 1);
        if (op->change != DISK_MARK || op->offset >> MARK_SHIFT != MARK_FILE_KEPT)
            continue;
        const struct crash_kept *kept = &run->kept[number];
        if (strlen(kept->path) == line->path_length && memcmp(kept->path, line->text, line->path_length) == 0 &&
            kept->version > floor)
            floor = kept->version;
    }
    return floor;
}

static bool line_is_legal(const struct crash_run *run, const struct crash_window *window, const struct line *line)
{
    struct line found;
    for (size_t i = floor_of(run, window, line); i <= window->newest && i < run->version_count; i++)
        if (find_line(run->versions[i], line, &found) && found.length == line->length &&
            memcmp(found.text, line->text, line->length) == 0)
            return true;
    return false;
}

static bool is_legal_by_file(const struct crash_run *run, const struct crash_window *window, const char *found)
{
    bool names = false;
    for (size_t i = window->floor; !names && i <= window->newest && i < run->version_count; i++)
        names = names_are_equal(run->versions[i], found);
    struct line line;
    while (names && next_line(&found, &line))
        if (!line_is_legal(run, window, &line))
            return false;
    return names;
}

static bool version_is_legal(const struct crash_run *run, struct tree *tree, const struct crash_window *window,
                             bool *by_file, struct buffer *why)
{
    SCOPE_BUFFER found = {0};
    struct failure refused;
    if (run->version_count == 0)
        return true;
    if (crash_run_describe(tree, &found, &refused) != CODE_OK) {
        buffer_printf(why, "cannot be read: %s", refused.text);
        return false;
    }
    for (size_t i = window->fsyncs_floor; i <= window->newest && i < run->version_count; i++)
        if (strcmp(run->versions[i], buffer_text(&found)) == 0)
            return true;
    *by_file = is_legal_by_file(run, window, buffer_text(&found));
    if (*by_file)
        return true;
    buffer_printf(why, "is none of the states %zu to %zu: ", window->floor, window->newest);
    size_t newest = window->newest < run->version_count ? window->newest : run->version_count - 1;
    tell_difference(run->versions[newest], buffer_text(&found), why);
    return false;
}

/* Whether one of the claims on the path from the last one kept on, of those made before the moment, holds. */
static bool claim_is_legal(const struct crash_run *run, struct tree *tree, const char *path, size_t floor,
                           const bool *possible, struct buffer *why)
{
    SCOPE_BUFFER found = {0};
    struct failure refused;
    if (!tree_path_exists(tree, path)) {
        if (floor == SIZE_MAX)
            return true;
        buffer_printf(why, "%s is gone", path);
        return false;
    }
    if (tree_path_read(tree, path, CONTENTS_MAX, &found, &refused) != CODE_OK) {
        buffer_printf(why, "%s", refused.text);
        return false;
    }
    for (size_t i = floor == SIZE_MAX ? 0 : floor; i < run->claim_count; i++)
        if (possible[i] && strcmp(run->claims[i].path, path) == 0 && strcmp(run->claims[i].text, buffer_text(&found)) == 0)
            return true;
    buffer_printf(why, "%s holds what it may not: %.60s", path, buffer_text(&found));
    return false;
}

static bool claims_are_legal(const struct crash_run *run, struct tree *tree, const struct crash_window *window,
                             struct buffer *why)
{
    SCOPE_FREE bool *possible = calloc(run->claim_count + 1, sizeof *possible);
    SCOPE_FREE bool *kept = calloc(run->claim_count + 1, sizeof *kept);
    for (size_t i = 0; i < window->end; i++) {
        const struct disk_op *op = &run->record.ops[i];
        size_t number = op->offset & ((UINT64_C(1) << MARK_SHIFT) - 1);
        if (op->change == DISK_MARK && op->offset >> MARK_SHIFT == MARK_CLAIM)
            possible[number] = true;
        if (op->change == DISK_MARK && op->offset >> MARK_SHIFT == MARK_CLAIM_KEPT)
            kept[number] = true;
    }
    for (size_t i = 0; i < run->claim_count; i++) {
        size_t floor = SIZE_MAX, first = i;
        for (size_t k = 0; k < run->claim_count; k++) {
            if (strcmp(run->claims[k].path, run->claims[i].path) != 0)
                continue;
            first = k < first ? k : first;
            floor = kept[k] ? k : floor;
        }
        if (first == i && !claim_is_legal(run, tree, run->claims[i].path, floor, possible, why))
            return false;
    }
    return true;
}

bool crash_run_is_legal(const struct crash_run *run, struct tree *tree, const struct crash_window *window, bool *by_file,
                        struct buffer *why)
{
    *by_file = false;
    return run->claim_count ? claims_are_legal(run, tree, window, why) : version_is_legal(run, tree, window, by_file, why);
}

void crash_run_free(struct crash_run *run)
{
    for (size_t i = 0; i < run->version_count; i++)
        free(run->versions[i]);
    for (size_t i = 0; i < run->claim_count; i++) {
        free(run->claims[i].path);
        free(run->claims[i].text);
    }
    for (size_t i = 0; i < run->kept_count; i++)
        free(run->kept[i].path);
    free(run->kept);
    free(run->versions);
    free(run->claims);
    disk_record_free(&run->record);
}
