/* The scenario: see fault_scenario.h.  A store is made once and copied for each run, since making it costs most. */
#include "fault_scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "chunk_store.h"
#include "crash_run.h"
#include "disk_state.h"
#include "file.h"
#include "mirror_fill.h"
#include "mirror_set.h"
#include "random.h"
#include "scope.h"
#include "tree_collect.h"

#define LARGE_BYTES 300000

struct scenario {
    const struct fault_switch *fault;
    const char *name;
    uint64_t n;
    struct fault_outcome *outcome;
    struct crash_run run;
    size_t floor; /* the newest version that was acknowledged */
    bool failed;
};

static void violation(struct scenario *scenario, const char *where, const char *what)
{
    printf("violation: %s, call %llu, %s: %s\n", scenario->name, (unsigned long long)scenario->n, where, what);
    fflush(stdout);
    scenario->outcome->violations++;
}

static void note_version(struct scenario *scenario)
{
    struct crash_run *run = &scenario->run;
    scenario->fault->pause(scenario->fault->context, true);
    struct buffer text = {0};
    struct failure why;
    run->versions = realloc(run->versions, (run->version_count + 1) * sizeof *run->versions);
    if (!run->versions)
        abort();
    if (crash_run_describe(run->lab.tree, &text, &why) != CODE_OK)
        violation(scenario, "looking at the lab", why.text);
    run->versions[run->version_count++] = strdup(buffer_text(&text));
    buffer_free(&text);
    scenario->fault->pause(scenario->fault->context, false);
}

/* After each call about the tree. */
static bool went_well(struct scenario *scenario, enum code code, const char *what)
{
    if (code != CODE_OK) {
        if (!scenario->outcome->first_failure[0])
            snprintf(scenario->outcome->first_failure, sizeof scenario->outcome->first_failure, "%.180s",
                     scenario->run.why.text);
        scenario->failed = true;
        if (scenario->fault->mirrored)
            violation(scenario, what, scenario->run.why.text);
        if (strlen(scenario->run.why.text) < 8)
            violation(scenario, what, "fails without saying why");
    }
    if (scenario->run.lab.tree)
        note_version(scenario);
    return code == CODE_OK;
}

static void acknowledged(struct scenario *scenario, enum code code, const char *what)
{
    if (went_well(scenario, code, what))
        scenario->floor = scenario->run.version_count - 1;
}

#define TRY(scenario, call)  went_well(scenario, (call), #call)
#define KEEP(scenario, call) acknowledged(scenario, (call), #call)

/* The day ------------------------------------------------------------------------------------------------------------------
 */

static void save(struct scenario *scenario, const char *name, size_t count, uint64_t seed, bool synced)
{
    static char bytes[LARGE_BYTES];
    struct tree *tree = scenario->run.lab.tree;
    struct failure *why = &scenario->run.why;
    struct node_attributes folder, node;
    struct tree_file *file;
    struct random random = {seed};
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)random_next(&random);
    if (!TRY(scenario, tree_path_attributes(tree, "datasets/d", &folder, why)) ||
        !TRY(scenario, tree_create_file(tree, folder.id, name, 0644, OPEN_WRITE, &node, &file, why)))
        return;
    TRY(scenario, tree_write(file, 0, bytes, count, why));
    if (synced)
        KEEP(scenario, tree_fsync(file, why));
    tree_release(file);
}

static void change_names(struct scenario *scenario)
{
    struct tree *tree = scenario->run.lab.tree;
    struct failure *why = &scenario->run.why;
    struct node_attributes folder, node;
    if (!TRY(scenario, tree_path_attributes(tree, "datasets/d", &folder, why)))
        return;
    const struct tree_rename rename = {folder.id, folder.id, "one", "two", 0, 0, 0};
    const struct attribute_change cut = {.which = CHANGE_SIZE, .size = 140000};
    TRY(scenario, tree_rename(tree, &rename, why));
    TRY(scenario, tree_make_folder(tree, folder.id, "sub", 0755, &node, why));
    if (TRY(scenario, tree_path_attributes(tree, "datasets/d/large", &node, why))) {
        TRY(scenario, tree_set_xattr(tree, node.id, "user.note", "a note", 6, 0, why));
        TRY(scenario, tree_change(tree, node.id, &cut, &node, why));
    }
    TRY(scenario, tree_unlink(tree, folder.id, "old", why));
}

static void read_all(struct scenario *scenario)
{
    static const char *const paths[] = {"datasets/d/old", "datasets/d/large", "datasets/d/small"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        SCOPE_BUFFER bytes = {0};
        TRY(scenario, tree_path_read(scenario->run.lab.tree, paths[i], 1 << 20, &bytes, &scenario->run.why));
    }
}

static void live_a_day(struct scenario *scenario)
{
    struct failure *why = &scenario->run.why;
    struct tree *tree = scenario->run.lab.tree;
    struct tree_collect_summary collected;
    char label[TREE_NAME_MAX + 1] = "s";
    read_all(scenario);
    save(scenario, "one", 2000, 1, true);
    save(scenario, "small", 100, 2, true); /* a small write into a file that is there: the log of recent writes */
    save(scenario, "large", LARGE_BYTES, 3, false);
    change_names(scenario);
    KEEP(scenario, tree_sync(tree, why));
    TRY(scenario, tree_path_snapshot(tree, "datasets/d", false, label, why));
    save(scenario, "large", LARGE_BYTES, 4, true);
    TRY(scenario, chunk_store_seal(scenario->run.lab.chunks, why));
    TRY(scenario, tree_collect(tree, &(struct tree_collect_options){.dead_percent = 1}, &collected, why));
    save(scenario, "two", 30, 5, true);
    KEEP(scenario, tree_sync(tree, why));
}

/* Afterwards
 * ------------------------------------------------------------------------------------------------------------------ */

static void go_on(struct scenario *scenario)
{
    struct failure *why = &scenario->run.why;
    struct tree *tree = scenario->run.lab.tree;
    bool well = TRY(scenario, tree_path_write(tree, "jobs/after", 0644, "after", 5, why));
    enum code code = well ? tree_sync(tree, why) : why->code;
    acknowledged(scenario, code, "syncing afterwards");
    if (code == CODE_OK)
        return;
    if (scenario->outcome->refused++ == 0)
        snprintf(scenario->outcome->first_refusal, sizeof scenario->outcome->first_refusal, "%.180s", why->text);
    if (scenario->fault->must_go_on || scenario->fault->mirrored)
        violation(scenario, "going on", why->text);
}

static void look(struct scenario *scenario, const char *store)
{
    struct crash_run *run = &scenario->run;
    struct check_summary summary;
    SCOPE_BUFFER wrong = {0};
    bool by_file;
    const struct crash_window window = {.floor = scenario->floor,
                                        .fsyncs_floor = scenario->floor,
                                        .newest = run->version_count ? run->version_count - 1 : 0};
    if (lab_store_open(store, &(struct lab_store_options){.key = run->key}, &run->lab, &run->why) != CODE_OK) {
        violation(scenario, "opening again", run->why.text);
        return;
    }
    if (run->version_count && !crash_run_is_legal(run, run->lab.tree, &window, &by_file, &wrong))
        violation(scenario, "opened again", buffer_text(&wrong));
    buffer_clear(&wrong);
    if (check_run(run->lab.tree, &(struct check_options){.contents = true}, &wrong, &summary, &run->why) != CODE_OK)
        violation(scenario, "the check", run->why.text);
    else if (wrong.length)
        violation(scenario, "the check", buffer_text(&wrong));
    lab_store_close(&run->lab);
}

/* Folders that are put back
 * ---------------------------------------------------------------------------------------------------- */

struct saved_folder {
    struct disk_record record;
    struct disk_point now;
    struct disk_image image;
};

static void save_folder(const char *path, struct saved_folder *out)
{
    disk_record_begin(&out->record, path);
    disk_point_make(&out->now, &out->record, out->record.count);
    disk_image_make(&out->image, &out->now, &(struct disk_choice){.luck = LUCK_ALL, .sector = 512});
}

static void put_back(const struct saved_folder *saved, const char *path)
{
    if (file_remove_tree(path, NULL) != CODE_OK || !disk_image_write(&saved->image, path))
        abort();
}

static void saved_free(struct saved_folder *saved)
{
    disk_image_free(&saved->image);
    disk_point_free(&saved->now);
    disk_record_free(&saved->record);
}

/* The mirror
 * ------------------------------------------------------------------------------------------------------------------- */

static enum code settle(void *context, struct failure *why)
{
    const struct scenario *scenario = context;
    return tree_sync(scenario->run.lab.tree, why);
}

/* Every folder that was lost comes back, in the lab that is open. */
static void bring_back(struct scenario *scenario)
{
    struct lab_store *lab = &scenario->run.lab;
    struct failure *why = &scenario->run.why;
    const struct mirror_fill fill = {.mirrors = lab->mirrors,
                                     .chunks = lab->chunks,
                                     .catalog = tree_catalog(lab->tree),
                                     .settle = settle,
                                     .context = scenario};
    for (size_t side = 0; side < mirror_set_count(lab->mirrors); side++) {
        size_t same = side;
        if (mirror_set_is_current(lab->mirrors, side))
            continue;
        if (TRY(scenario, mirror_set_add(lab->mirrors, mirror_set_path(lab->mirrors, side), &same, why)))
            TRY(scenario, mirror_fill_run(&fill, same, why));
    }
}

/* Each folder by itself, while the other one is put aside; from the same beginning, so that they do not part. */
static void look_at_each(struct scenario *scenario)
{
    const struct crash_run *run = &scenario->run;
    char second[128], aside[160];
    struct saved_folder closed;
    save_folder(run->root, &closed);
    snprintf(second, sizeof second, "%s/" FAULT_SCENARIO_MIRROR, run->root);
    const char *const folders[] = {run->store, second};
    for (size_t i = 0; i < 2; i++) {
        snprintf(aside, sizeof aside, "%s.aside", folders[i]);
        if (rename(folders[i], aside) != 0)
            violation(scenario, "putting a folder aside", strerror(errno));
        look(scenario, folders[1 - i]);
        put_back(&closed, run->root);
    }
    saved_free(&closed);
}

/* Runs
 * ------------------------------------------------------------------------------------------------------------------------
 */

static void make_paths(struct crash_run *run, const char *folder)
{
    snprintf(run->root, sizeof run->root, "%.40s/" FAULT_SCENARIO_RUN, folder);
    snprintf(run->store, sizeof run->store, "%s/store", run->root);
    snprintf(run->key, sizeof run->key, "%s/member.key", run->root);
}

static void make_mirror(struct crash_run *run)
{
    const struct mirror_fill fill = {
        .mirrors = run->lab.mirrors, .chunks = run->lab.chunks, .catalog = tree_catalog(run->lab.tree)};
    char second[128];
    size_t side = 0;
    snprintf(second, sizeof second, "%s/" FAULT_SCENARIO_MIRROR, run->root);
    crash_run_need(run, mirror_set_add(run->lab.mirrors, second, &side, &run->why), "adding a mirror");
    crash_run_need(run, tree_sync(run->lab.tree, &run->why), "syncing");
    crash_run_need(run, mirror_fill_run(&fill, side, &run->why), "filling a mirror");
}

static void make_store(struct crash_run *run, bool mirrored)
{
    static char bytes[LARGE_BYTES];
    crash_run_need(run, file_make_folders(run->root, &run->why), "making a folder");
    crash_run_make(run);
    crash_run_need(run, lab_store_open(run->store, &(struct lab_store_options){.key = run->key}, &run->lab, &run->why),
                   "opening the lab");
    struct tree *tree = run->lab.tree;
    crash_run_need(run, tree_path_make_folders(tree, "datasets/d", &run->why), "mkdir");
    static const char *const paths[] = {"datasets/d/old", "datasets/d/large", "datasets/d/small"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        memset(bytes, 'a' + (int)i, sizeof bytes);
        crash_run_need(run, tree_path_write(tree, paths[i], 0644, bytes, i < 2 ? LARGE_BYTES : 200, &run->why), "writing");
    }
    if (mirrored)
        make_mirror(run);
    lab_store_close(&run->lab);
}

/* By the mirror, where the folder that is named first cannot be opened. */
static enum code open_lab(struct scenario *scenario)
{
    struct crash_run *run = &scenario->run;
    const struct lab_store_options options = {.key = run->key};
    char second[128];
    enum code code = lab_store_open(run->store, &options, &run->lab, &run->why);
    if (code == CODE_OK || !scenario->fault->mirrored)
        return code;
    snprintf(second, sizeof second, "%s/" FAULT_SCENARIO_MIRROR, run->root);
    return lab_store_open(second, &options, &run->lab, &run->why);
}

/* False: there is no n-th call. */
static bool run_once(struct scenario *scenario, bool on)
{
    const struct fault_switch *fault = scenario->fault;
    struct crash_run *run = &scenario->run;
    fault->arm(fault->context, scenario->n, on);
    enum code code = open_lab(scenario);
    if (code == CODE_OK)
        note_version(scenario);
    else
        went_well(scenario, code, "opening");
    if (code == CODE_OK)
        live_a_day(scenario);
    uint64_t calls = fault->count(fault->context);
    fault->disarm(fault->context);
    if (code == CODE_OK)
        go_on(scenario);
    if (code == CODE_OK && fault->mirrored)
        bring_back(scenario);
    lab_store_close(&run->lab);
    if (fault->mirrored)
        look_at_each(scenario);
    else
        look(scenario, run->store);
    scenario->outcome->runs++;
    scenario->outcome->failed += scenario->failed;
    for (size_t i = 0; i < run->version_count; i++)
        free(run->versions[i]);
    free(run->versions);
    return calls >= scenario->n;
}

void fault_scenario_run(const struct fault_switch *fault, const char *name, const char *folder, uint64_t stride, bool on,
                        struct fault_outcome *out)
{
    struct crash_run original = {0};
    struct saved_folder made;
    umask(0077);
    *out = (struct fault_outcome){0};
    fault->disarm(fault->context);
    make_paths(&original, folder);
    (void)!file_remove_tree(original.root, NULL);
    make_store(&original, fault->mirrored);
    save_folder(original.root, &made);
    bool more = true;
    for (uint64_t n = 1; more; n += stride) {
        struct scenario scenario = {.fault = fault, .name = name, .n = n, .outcome = out};
        make_paths(&scenario.run, folder);
        put_back(&made, scenario.run.root);
        more = run_once(&scenario, on);
    }
    saved_free(&made);
    if (out->first_failure[0])
        printf("    fails: %s\n", out->first_failure);
    if (out->first_refusal[0])
        printf("    does not go on: %s\n", out->first_refusal);
    printf("fault %s%s runs %llu failed %llu refused-to-go-on %llu violations %llu\n", name, on ? " from-then-on" : "",
           (unsigned long long)out->runs, (unsigned long long)out->failed, (unsigned long long)out->refused,
           (unsigned long long)out->violations);
    fflush(stdout);
    (void)!file_remove_tree(original.root, NULL);
}
