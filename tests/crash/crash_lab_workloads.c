/* What happens to a lab as a whole: keys rotated, mirrors, backups, jobs, databases, stores of an older format.  See
 * crash_workloads.h.
 *
 * Where it is about more than the lab's own files (a backup's folder, the runs of a job, the rows of a database), a deed
 * stands for each thing that was acknowledged, and `look` says what must be there. */
#include "crash_workloads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup_make.h"
#include "backup_restore.h"
#include "check.h"
#include "crash_database.h"
#include "crash_step.h"
#include "file.h"
#include "jobs.h"
#include "member_key.h"
#include "mirror_fill.h"
#include "mirror_set.h"
#include "scope.h"
#include "tree_homes.h"
#include "tree_members.h"
#include "tree_readers.h"
#include "tree_recovery.h"

static void with_dataset(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    crash_step_make_folder(run, "datasets/d");
    for (unsigned i = 0; i < 4; i++)
        crash_step_save(run, crash_step_numbered(path, "datasets/d", "x", i), 30000 * i + 10, i, false);
}

/* Keys ------------------------------------------------------------------------------------------------------------------ */

#define ROTATION_ROUNDS 60000 /* a millisecond each, at least: a machine with more to do needs some of them */

/* Until nothing is sealed with an older key any more; commits do it, a little in each. */
static void seal_anew(struct crash_run *run, const char *space)
{
    for (unsigned i = 0; i < ROTATION_ROUNDS; i++) {
        SCOPE_BUFFER text = {0};
        crash_run_need(run, readers_describe_space(run->lab.tree, space, &text, &run->why), space);
        if (!strstr(buffer_text(&text), "rotation"))
            return;
        crash_step_sync(run);
        usleep(1000);
    }
    fprintf(stderr, "the rotation of %s does not end\n", space);
    exit(3);
}

static void keys_are_rotated(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    static const char *const spaces[] = {"d", "lab", "d"};
    for (unsigned i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        CRASH_STEP(run, readers_rotate(run->lab.tree, spaces[i], &run->why));
        crash_step_save(run, crash_step_numbered(path, "datasets/d", "new", i), 2000, 10 + i, true);
        crash_step_save(run, "datasets/d/x1", 40000, 20 + i, false);
        seal_anew(run, spaces[i]);
    }
}

/* Rotations that overtake each other, a home that is deleted by who cannot read it, another recovery key. */
static void people_come_and_go(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    struct member_key *bob = NULL, *paper = NULL;
    crash_run_need(run, member_key_generate(&bob, &run->why), "a key");
    crash_run_need(run, member_key_generate(&paper, &run->why), "a key");
    struct member_card card = {.name = "bob", .public = *member_key_public(bob)};
    CRASH_STEP(run, members_add(run->lab.tree, &card, ROLE_SCIENTIST, &run->why));
    CRASH_STEP(run, homes_make(run->lab.tree, "bob", &run->why));
    for (unsigned i = 0; i < 3; i++) {
        CRASH_STEP(run, readers_rotate(run->lab.tree, "d", &run->why));
        crash_step_save(run, crash_step_numbered(path, "datasets/d", "between", i), 5000, 50 + i, true);
    }
    CRASH_STEP(run, members_remove(run->lab.tree, "bob", &run->why));
    CRASH_STEP(run, homes_delete(run->lab.tree, "home-bob", &run->why));
    crash_step_save(run, "datasets/d/x2", 9000, 60, true);
    CRASH_STEP(run, recovery_replace(run->lab.tree, member_key_public(paper), &run->why));
    seal_anew(run, "d");
    crash_step_sync(run);
    member_key_destroy(bob);
    member_key_destroy(paper);
}

/* Mirrors --------------------------------------------------------------------------------------------------------------- */

struct filling {
    struct crash_run *run;
    unsigned steps_left; /* files that are saved while it is filled */
};

static enum code settle(void *context, struct failure *why)
{
    const struct filling *filling = context;
    return tree_sync(filling->run->lab.tree, why);
}

static bool save_meanwhile(void *context, uint64_t done, uint64_t all)
{
    struct filling *filling = context;
    char path[CRASH_STEP_PATH];
    (void)done;
    (void)all;
    if (filling->steps_left > 0) {
        crash_step_numbered(path, "datasets/d", "meanwhile", filling->steps_left--);
        crash_step_save(filling->run, path, 3000, filling->steps_left, filling->steps_left % 2);
    }
    return true;
}

static void add_mirror(struct crash_run *run, unsigned steps_meanwhile)
{
    struct filling filling = {run, steps_meanwhile};
    struct lab_store *lab = &run->lab;
    const struct mirror_fill fill = {.mirrors = lab->mirrors,
                                     .chunks = lab->chunks,
                                     .catalog = tree_catalog(lab->tree),
                                     .settle = settle,
                                     .progress = save_meanwhile,
                                     .context = &filling};
    size_t side = 0;
    crash_run_need(run, mirror_set_add(lab->mirrors, run->mirror, &side, &run->why), "adding a mirror");
    crash_run_need(run, mirror_fill_run(&fill, side, &run->why), "filling a mirror");
}

static void with_mirror(struct crash_run *run)
{
    with_dataset(run);
    crash_step_save(run, "datasets/d/log", 100, 7, false);
    add_mirror(run, 0);
}

static void written_with_a_mirror(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    crash_run_mirrored(true);
    struct tree_file *log = crash_step_create(run, "datasets/d/log", OPEN_APPEND);
    for (unsigned i = 0; i < 8; i++) {
        crash_step_put(run, log, 0, 200, 30 + i);
        crash_step_sync_file(run, log); /* by the log of recent writes */
        if (i % 3 == 0)
            crash_step_save(run, crash_step_numbered(path, "datasets/d", "new", i), 9000, 40 + i, i % 2);
        if (i == 5)
            crash_step_sync(run);
    }
    tree_release(log);
    crash_step_rename(run, "datasets/d/x0", "datasets/d/x1", 0);
    crash_step_sync(run);
}

static void a_mirror_comes_and_goes(struct crash_run *run)
{
    add_mirror(run, 4);
    crash_run_mirrored(true);
    crash_step_save(run, "datasets/d/with", 5000, 50, true);
    crash_run_mirrored(false);
    crash_run_need(run, mirror_set_remove(run->lab.mirrors, run->mirror, &run->why), "removing the mirror");
    crash_step_save(run, "datasets/d/without", 5000, 51, true);
}

/* Backups --------------------------------------------------------------------------------------------------------------- */

#define BACKUPS 3

/* Deed n is backup n.  It holds the lab as it was between its beginning and its end. */
static struct {
    size_t first, last; /* versions */
} backups[BACKUPS + 1];

static bool write_meanwhile(void *context, const struct backup_progress *progress)
{
    struct filling *filling = context;
    return save_meanwhile(filling, progress->bytes_done, progress->bytes_all);
}

static enum code save_catalog(void *tree, const char *path, struct failure *why)
{
    return tree_save_catalog(tree, path, why);
}

static void make_backup(struct crash_run *run, size_t number)
{
    struct filling filling = {run, 2};
    struct backup_summary summary;
    const struct backup_options options = {.keep = 2, .progress = write_meanwhile, .context = &filling};
    const struct backup_source source = {.id = *mirror_set_id(run->lab.mirrors),
                                         .folder = run->store,
                                         .chunks = run->lab.chunks,
                                         .save_catalog = save_catalog,
                                         .context = run->lab.tree};
    crash_step_sync(run);
    backups[number].first = run->version_count - 1;
    crash_run_begun(number);
    tree_hold_packs(run->lab.tree);
    crash_run_need(run, backup_make(run->backup, &source, &options, &summary, &run->why), "making a backup");
    tree_release_packs(run->lab.tree);
    backups[number].last = run->version_count - 1;
    crash_run_done(number);
}

static void backups_are_made(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    for (unsigned i = 1; i <= BACKUPS; i++) {
        crash_step_save(run, crash_step_numbered(path, "datasets/d", "x", i), 25000 * i, 60 + i, false);
        make_backup(run, i);
        crash_step_unlink(run, "datasets/d/meanwhile1");
        crash_step_unlink(run, "datasets/d/meanwhile2");
    }
}

/* What is restored from the backup is the lab as it was then. */
static void restore(const struct crash_run *run, uint32_t point, struct buffer *wrong)
{
    struct failure why;
    struct lab_store lab;
    struct backup_restore_summary summary;
    char store[96];
    SCOPE_BUFFER found = {0};
    snprintf(store, sizeof store, "%s/restored", run->root);
    enum code code = backup_restore(run->backup, store, &(struct backup_restore_options){.point = point}, &summary, &why);
    if (code == CODE_OK)
        code = lab_store_open(store, &(struct lab_store_options){.key = run->key, .accept_older = true}, &lab, &why);
    if (code != CODE_OK) {
        buffer_printf(wrong, "backup %u: %s", point, why.text);
        return;
    }
    bool legal = false;
    if (crash_run_describe(lab.tree, &found, &why) != CODE_OK)
        buffer_printf(wrong, "backup %u: %s", point, why.text);
    for (size_t i = backups[point].first; !legal && i <= backups[point].last; i++)
        legal = strcmp(run->versions[i], buffer_text(&found)) == 0;
    if (!legal)
        buffer_printf(wrong, "backup %u is none of the states of its time", point);
    lab_store_close(&lab);
    (void)!file_remove_tree(store, NULL);
}

struct points {
    bool there[BACKUPS + 2];
    struct buffer *wrong;
};

static void note_point(void *context, uint32_t number, const struct backup_point *point, const struct failure *why)
{
    struct points *points = context;
    if (!point || number > BACKUPS)
        buffer_printf(points->wrong, "backup %u: %s", number, point ? "was never made" : why->text);
    else
        points->there[number] = true;
}

static void look_at_backups(const struct crash_run *run, const struct crash_window *window, struct buffer *wrong)
{
    struct failure why;
    struct points points = {.wrong = wrong};
    enum code code = backup_restore_list(run->backup, note_point, &points, &why);
    if (code != CODE_OK && window->done > 0)
        buffer_printf(wrong, "the backup cannot be looked at: %s", why.text);
    if (window->done > 0 && !points.there[window->done] && !points.there[window->done + 1])
        buffer_printf(wrong, "backup %llu is gone", (unsigned long long)window->done);
    for (uint32_t point = 1; !wrong->length && point <= BACKUPS; point++)
        if (points.there[point])
            restore(run, point, wrong);
}

/* Jobs -------------------------------------------------------------------------------------------------------------------
 */

#define JOBS 3

/* Deed n: the spec of job n was fsynced; deed JOBS + n: its writer's close has returned. */
static void make_spec(unsigned number, char text[100])
{
    snprintf(text, 100, "experiment: e%u\nrun: \"echo %u\"\n", number, number);
}

static void submit(struct crash_run *run, unsigned number)
{
    struct node_attributes folder, node;
    struct tree_file *file;
    char name[20], text[100];
    snprintf(name, sizeof name, "job%u.yaml", number);
    make_spec(number, text);
    crash_run_begun(number);
    crash_run_need(run, tree_path_attributes(run->lab.tree, "jobs", &folder, &run->why), "jobs");
    crash_run_need(run, tree_create_file(run->lab.tree, folder.id, name, 0644, OPEN_WRITE, &node, &file, &run->why), name);
    crash_run_need(run, tree_write(file, 0, text, strlen(text), &run->why), name);
    crash_run_need(run, tree_fsync(file, &run->why), name);
    crash_run_done(number);
    tree_release(file);
}

static void jobs_are_submitted(struct crash_run *run)
{
    struct jobs *jobs;
    crash_run_open(run);
    crash_run_need(run, jobs_add(run->lab.tree, &(struct jobs_options){.clock_ms = NULL}, &jobs, &run->why), "jobs");
    for (unsigned i = 1; i <= JOBS; i++) {
        submit(run, i);
        if (i == 2)
            crash_run_need(run, tree_sync(run->lab.tree, &run->why), "syncing");
    }
    crash_run_close(run);
    jobs_destroy(jobs);
}

static unsigned count_names(struct tree *tree, const char *path)
{
    struct node_attributes node;
    struct tree_folder *folder;
    const char *name;
    unsigned count = 0;
    if (tree_path_attributes(tree, path, &node, NULL) != CODE_OK ||
        tree_open_folder(tree, node.id, &folder, NULL) != CODE_OK)
        return 0;
    for (uint64_t cursor = 0; tree_folder_entry(folder, cursor, &name, &node); cursor++)
        count += !node.derived && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
    tree_close_folder(folder);
    return count;
}

static bool holds(struct tree *tree, const char *path, const char *text)
{
    SCOPE_BUFFER found = {0};
    return tree_path_read(tree, path, 10000, &found, NULL) == CODE_OK && strcmp(buffer_text(&found), text) == 0;
}

/* A spec that was fsynced has its run, one that was not may have none; nothing has half a run, or two. */
static void look_at_job(struct tree *tree, unsigned number, bool must, struct buffer *wrong)
{
    char spec[40], runs[40], copy[60], events[60], text[100];
    SCOPE_BUFFER queue = {0};
    snprintf(spec, sizeof spec, "jobs/job%u.yaml", number);
    snprintf(runs, sizeof runs, "experiments/e%u", number);
    snprintf(copy, sizeof copy, "%s/001/spec.yaml", runs);
    snprintf(events, sizeof events, "%s/001/events", runs);
    make_spec(number, text);
    bool whole = holds(tree, spec, text);
    unsigned count = count_names(tree, runs);
    if (must && !whole)
        buffer_printf(wrong, "%s is not what was fsynced", spec);
    else if (whole && (count != 1 || !holds(tree, copy, text) || !tree_path_exists(tree, events)))
        buffer_printf(wrong, "job %u has %u runs, or not a whole one", number, count);
    else if (!whole && count > 0)
        buffer_printf(wrong, "job %u has a run without its spec", number);
    snprintf(copy, sizeof copy, "e%u/001", number);
    if (whole &&
        (tree_path_read(tree, "jobs/queue", 1 << 20, &queue, NULL) != CODE_OK || !strstr(buffer_text(&queue), copy)))
        buffer_printf(wrong, "job %u is not in the queue: %s", number, buffer_text(&queue));
}

static void look_at_jobs(const struct crash_run *run, const struct crash_window *window, struct buffer *wrong)
{
    struct lab_store lab;
    struct jobs *jobs;
    struct failure why;
    enum code code = lab_store_open(run->store, &(struct lab_store_options){.key = run->key}, &lab, &why);
    if (code == CODE_OK)
        code = jobs_add(lab.tree, &(struct jobs_options){.clock_ms = NULL}, &jobs, &why);
    if (code != CODE_OK) {
        buffer_printf(wrong, "the jobs do not go on: %s", why.text);
        return;
    }
    for (unsigned i = 1; i <= JOBS && !wrong->length; i++)
        look_at_job(lab.tree, i, i <= window->done, wrong);
    lab_store_close(&lab);
    jobs_destroy(jobs);
}

/* Databases ----------------------------------------------------------------------------------------------------------------
 */

#define TRANSACTIONS 6

static void with_database(struct crash_run *run)
{
    crash_step_make_folder(run, "experiments/e");
    struct crash_database *database = crash_database_open(run->lab.tree, "experiments/e");
    crash_database_begin(database);
    crash_database_close(database);
}

/* Deed n is transaction n. */
static void a_database_is_written(struct crash_run *run)
{
    struct crash_database *database = crash_database_open(run->lab.tree, "experiments/e");
    for (unsigned i = 1; i <= TRANSACTIONS; i++) {
        crash_run_begun(i);
        crash_database_commit(database, i);
        crash_run_done(i);
    }
    crash_database_close(database);
}

static void look_at_database(const struct crash_run *run, const struct crash_window *window, struct buffer *wrong)
{
    struct lab_store lab;
    struct failure why;
    if (lab_store_open(run->store, &(struct lab_store_options){.key = run->key}, &lab, &why) != CODE_OK) {
        buffer_printf(wrong, "does not open: %s", why.text);
        return;
    }
    crash_database_look(lab.tree, "experiments/e", window->done, window->begun, wrong);
    lab_store_close(&lab);
}

/* An older store ---------------------------------------------------------------------------------------------------------
 */

static void unpack_old_store(struct crash_run *run)
{
    char command[400];
    snprintf(command, sizeof command, "tar -xzf '%s' -C '%s' && mv '%s/ada.key' '%s' && chmod 600 '%s'", CRASH_OLD_STORE,
             run->root, run->root, run->key, run->key);
    if (system(command) != 0)
        exit(3);
}

/* It is brought to the present format when it is opened. */
static void an_old_store_is_opened(struct crash_run *run)
{
    crash_run_open(run);
    crash_run_close(run);
}

/* A line about what somebody has stored.  The folders of the lab's own, which the opening completes, have its time. */
static bool is_compared(const char *line)
{
    return strncmp(line, "datasets/", 9) == 0 || strncmp(line, "experiments/", 12) == 0;
}

static void look_at_old_store(const struct crash_run *run, const struct crash_window *window, struct buffer *wrong)
{
    struct lab_store lab;
    struct failure why;
    SCOPE_BUFFER found = {0};
    (void)window;
    enum code code = lab_store_open(run->store, &(struct lab_store_options){.key = run->key}, &lab, &why);
    if (code == CODE_OK)
        code = crash_run_describe(lab.tree, &found, &why);
    if (code != CODE_OK)
        buffer_printf(wrong, "%s", why.text);
    for (const char *line = run->versions[0]; *line && !wrong->length; line += strcspn(line, "\n"), line += *line == '\n') {
        SCOPE_BUFFER whole = {0};
        buffer_printf(&whole, "%.*s\n", (int)strcspn(line, "\n"), line);
        if (is_compared(line) && !strstr(buffer_text(&found), buffer_text(&whole)))
            buffer_printf(wrong, "lost: %s", buffer_text(&whole));
    }
    lab_store_close(&lab);
}

const struct crash_workload crash_lab_workloads[] = {
    {.name = "keys-rotated", .prepare = with_dataset, .run = keys_are_rotated},
    {.name = "people-come-and-go", .prepare = with_dataset, .run = people_come_and_go},
    {.name = "written-with-a-mirror", .prepare = with_mirror, .run = written_with_a_mirror},
    {.name = "a-mirror-comes-and-goes", .prepare = with_dataset, .run = a_mirror_comes_and_goes},
    {.name = "backups", .prepare = with_dataset, .run = backups_are_made, .look = look_at_backups},
    {.name = "jobs",
     .prepare = with_dataset,
     .run = jobs_are_submitted,
     .itself = true,
     .left_open = true,
     .look = look_at_jobs,
     .books = true},
    {.name = "database", .prepare = with_database, .run = a_database_is_written, .look = look_at_database, .books = true},
    {.name = "an-old-store",
     .prepare = unpack_old_store,
     .run = an_old_store_is_opened,
     .itself = true,
     .left_open = true,
     .bare = true,
     .look = look_at_old_store,
     .books = true},
};
const unsigned crash_lab_workload_count = sizeof crash_lab_workloads / sizeof *crash_lab_workloads;
