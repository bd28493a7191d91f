/* What the lab tells about itself: see lab_view.h.
 *
 *   README          who you are, what is here, five things to try; follows the whole tree
 *   lab/health      live figures, renewed each second; numbers have a fixed width so that the size stands still
 *   lab/last-error  the newest refusals in words, newest as tree_recent_failures has them
 *   lab/trace       the trace categories; written to, it switches them in the running server
 *
 * health, last-error and trace show the state of the running program, not of stored files: they are the exception to
 * "derived files are functions of stored ones".  Callbacks keep nothing but a start time; any thread. */
#include "lab_view.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "logging.h"
#include "rule.h"
#include "scope.h"
#include "timing.h"
#include "tree.h"
#include "tree_path.h"
#include "tree_members.h"
#include "tree_quota.h"
#include "viewer.h"

static atomic_int_fast64_t started_ns; /* monotonic; when the first tree was given its views */

/* README ---------------------------------------------------------------------------------------------------------- */

struct first_name {
    char name[TREE_NAME_MAX + 1];
};

static bool keep_first_folder(void *context, const char *name, const struct node_attributes *attributes)
{
    struct first_name *first = context;
    if (attributes->kind != NODE_FOLDER || name[0] == '.')
        return true;
    snprintf(first->name, sizeof first->name, "%s", name);
    return false;
}

static void describe_first_steps(struct tree *tree, struct buffer *out)
{
    struct failure ignored;
    struct first_name dataset = {""};
    if (tree_path_list(tree, "datasets", keep_first_folder, &dataset, &ignored) != CODE_OK)
        dataset.name[0] = '\0';
    if (dataset.name[0])
        buffer_printf(out, "  1. ls datasets/%s\n", dataset.name);
    else
        buffer_append_text(out, "  1. cytofs synth fluo16 datasets/cells makes a small dataset of synthetic cells\n"
                                "     (cytofs import brings your own images in)\n");
    buffer_printf(out,
                  "  2. Write this into jobs/first.yaml with any editor; saving it starts the training:\n"
                  "         dataset: datasets/%s\n"
                  "         train: {network: celldet-n, epochs: 30}\n"
                  "         register: my-detector\n",
                  dataset.name[0] ? dataset.name : "cells");
    buffer_append_text(out, "  3. cat jobs/queue                     what runs, what waits and why\n"
                            "     tail -f jobs/first/log             jobs/first leads to the latest run\n"
                            "  4. ls jobs/first/metrics jobs/first/plots, and experiments/first/board.csv to compare runs\n"
                            "  5. ls -l models/my-detector, then\n"
                            "     ln -sfn 1 models/my-detector/production   puts version 1 into production\n");
}

static const char *role_now(struct tree *tree)
{
    const struct viewer *viewer = viewer_current();
    enum member_role role = ROLE_ADMIN;
    if (viewer)
        role = viewer->role;
    else if (members_role(tree, tree_member_name(tree), &role, NULL) != CODE_OK)
        role = ROLE_ADMIN; /* a lab of before there were lists of members */
    return member_role_name(role);
}

/* "Your files have 1.2 GiB; limits: storage 100.0 GiB, jobs 4, gpus 1, cpus no limit." */
static void describe_quota(struct tree *tree, struct buffer *out)
{
    const struct quota quota = tree_quota_of(tree, tree_viewer_name(tree));
    char used[QUOTA_TEXT_MAX];
    quota_print_bytes(tree_quota_storage(tree, viewer_current()).bytes, used);
    buffer_printf(out, "Your files have %s; quotas: ", used);
    for (int kind = 0; kind < QUOTA_KINDS; kind++) {
        buffer_printf(out, "%s%s ", kind ? ", " : "", quota_kind_name((enum quota_kind)kind));
        quota_print_most((enum quota_kind)kind, quota.most[kind], out);
    }
    buffer_append_text(out, ".\n");
}

static enum code render_readme(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct tree *tree = context;
    struct tree_statistics numbers;
    tree_statistics(tree, &numbers);
    buffer_printf(out,
                  "Welcome to the lab, %s.\n\n"
                  "This is a file system: whatever you do here, you do with files (cp, ls, cat, ln, rm, any editor).\n"
                  "You are %s; your role is %s.  Here now: files %" PRIu64 ", folders %" PRIu64
                  ", %.1f MB; on disk all of it is encrypted.\n",
                  tree_viewer_name(tree), tree_viewer_name(tree), role_now(tree), numbers.files, numbers.folders,
                  (double)numbers.bytes_logical / 1e6);
    describe_quota(tree, out);
    buffer_append_text(out, "\nFive things to try\n");
    describe_first_steps(tree, out);
    buffer_append_text(out, "\n"
                            "home/");
    buffer_append_text(out, tree_viewer_name(tree));
    buffer_append_text(out,
                       " is yours alone; datasets, models and experiments are everyone's (ls lab/members).\n"
                       "Who may read a dataset, and how to share it or not: cat lab/spaces/<dataset>.\n"
                       "If a job spec is refused, jobs/<name>.error says why.  If anything else is: cat lab/last-error.\n"
                       "How the server is doing: cat lab/health.\n");
    return buffer_check(out, path, why);
}

/* lab/health ------------------------------------------------------------------------------------------------------ */

static void stamp_each_second(void *context, const char *path, uint64_t *version, int64_t *modify_ns)
{
    (void)context;
    (void)path;
    int64_t second = timing_wall_ns() / 1000000000;
    *version = (uint64_t)second;
    *modify_ns = second * 1000000000;
}

/* "mirror" in front of each line. */
static void describe_mirrors(struct tree *tree, struct buffer *out)
{
    SCOPE_BUFFER text = {0};
    tree_describe_mirrors(tree, &text);
    for (const char *line = buffer_text(&text); *line; line += strcspn(line, "\n"), line += *line == '\n')
        buffer_printf(out, "%-24s %.*s\n", "mirror", (int)strcspn(line, "\n"), line);
}

static enum code render_health(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct tree *tree = context;
    struct tree_statistics numbers;
    tree_statistics(tree, &numbers);
    const struct {
        const char *name;
        uint64_t value;
    } lines[] = {
        {"uptime_s", (uint64_t)(timing_monotonic_ns() - atomic_load(&started_ns)) / 1000000000},
        {"files", numbers.files},
        {"folders", numbers.folders},
        {"bytes", numbers.bytes_logical},
        {"bytes_stored", numbers.bytes_stored},
        {"bytes_shared", numbers.bytes_shared},
        {"bytes_free", numbers.bytes_free},
        {"bytes_not_yet_written", numbers.dirty_bytes},
        {"commits", numbers.commits},
    };
    buffer_printf(out, "%-24s %20s\n%-24s %20s\n", "member", tree_viewer_name(tree), "role", role_now(tree));
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        buffer_printf(out, "%-24s %20" PRIu64 "\n", lines[i].name, lines[i].value);
    describe_mirrors(tree, out);
    return buffer_check(out, path, why);
}

/* lab/last-error -------------------------------------------------------------------------------------------------- */

static void stamp_failures(void *context, const char *path, uint64_t *version, int64_t *modify_ns)
{
    (void)path;
    tree_failures_stamp(context, version, modify_ns);
}

static enum code render_last_error(void *context, const char *path, struct buffer *out, struct failure *why)
{
    tree_recent_failures(context, out);
    if (out->length == 0)
        buffer_append_text(out, "nothing was refused since the server started\n");
    return buffer_check(out, path, why);
}

/* lab/trace ------------------------------------------------------------------------------------------------------- */

static enum code render_trace(void *context, const char *path, struct buffer *out, struct failure *why)
{
    (void)context;
    for (int category = 0; category < TRACE_COUNT; category++)
        buffer_printf(out, "%-8s %s\n", logging_trace_name((enum trace_category)category),
                      logging_trace_enabled((enum trace_category)category) ? "on " : "off");
    buffer_append_text(out, "(echo tree,jobs > lab/trace switches exactly these on; echo none > lab/trace all off;\n"
                            " the lines appear in the server's log)\n");
    return buffer_check(out, path, why);
}

static enum code select_trace(void *context, const char *path, const char *text, size_t count, struct failure *why)
{
    (void)context;
    (void)path;
    SCOPE_BUFFER names = {.max = 4096};
    buffer_append(&names, text, count);
    enum code code = buffer_check(&names, "the list of trace categories", why);
    return code == CODE_OK ? logging_trace_select(buffer_text(&names), why) : code;
}

enum code lab_view_add(struct tree *tree, struct failure *why)
{
    int_fast64_t none = 0;
    atomic_compare_exchange_strong(&started_ns, &none, timing_monotonic_ns());
    const struct rule rules[] = {
        {.kind = RULE_DERIVED, .pattern = "README", .context = tree, .render = render_readme, .personal = true},
        {.kind = RULE_DERIVED,
         .pattern = "lab/health",
         .context = tree,
         .render = render_health,
         .personal = true,
         .stamp = stamp_each_second},
        {.kind = RULE_DERIVED,
         .pattern = "lab/last-error",
         .context = tree,
         .render = render_last_error,
         .personal = true,
         .stamp = stamp_failures},
        {.kind = RULE_CONTROL, .pattern = "lab/trace", .context = tree, .render = render_trace, .command = select_trace},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        enum code code = rule_add(tree, &rules[i], why);
        if (code != CODE_OK)
            return failure_wrap(why, code, "adding %s", rules[i].pattern);
    }
    return CODE_OK;
}
