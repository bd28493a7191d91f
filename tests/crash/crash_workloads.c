/* What users and programs do to files: see crash_workloads.h.  Every call that changes the tree is a step. */
#include "crash_workloads.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_store.h"
#include "crash_step.h"
#include "random.h"
#include "scope.h"
#include "tree_collect.h"

static struct tree *tree_of(struct crash_run *run)
{
    return run->lab.tree;
}

/* Before recording */

static void with_folder(struct crash_run *run)
{
    crash_step_make_folder(run, "experiments/e");
    crash_step_save(run, "experiments/e/a", 5000, 1, false);
    crash_step_save(run, "experiments/e/b", 300000, 2, false);
}

static void with_dataset(struct crash_run *run)
{
    crash_step_make_folder(run, "datasets/d");
    crash_step_make_folder(run, "datasets/d/inner");
    char path[CRASH_STEP_PATH];
    for (unsigned i = 0; i < 4; i++)
        crash_step_save(run, crash_step_numbered(path, "datasets/d/inner", "x", i), 3000 * i + 10, i, false);
}

/* Files ----------------------------------------------------------------------------------------------------------------- */

static void create_and_fsync(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    for (unsigned i = 0; i < 5; i++)
        crash_step_save(run, crash_step_numbered(path, "experiments/e", "new", i), 700 * i * i * i, i, true);
}

static void replace(struct crash_run *run, bool synced)
{
    for (unsigned i = 0; i < 6; i++) {
        const char *target = i % 2 ? "experiments/e/a" : "experiments/e/b";
        crash_step_save(run, "experiments/e/.tmp", i % 3 ? 4000 + i : 200000 + i, 10 + i, synced);
        crash_step_rename(run, "experiments/e/.tmp", target, 0);
        if (i == 3)
            crash_step_sync(run);
    }
}

static void replace_without_fsync(struct crash_run *run)
{
    replace(run, false);
}

static void replace_with_fsync(struct crash_run *run)
{
    replace(run, true);
}

static void overwrite_in_place(struct crash_run *run)
{
    struct tree_file *file = crash_step_create(run, "experiments/e/b", 0);
    for (unsigned i = 0; i < 8; i++) {
        crash_step_put(run, file, i * 40000, 1000 + i * 3000, 20 + i);
        if (i % 2)
            crash_step_sync_file(run, file);
    }
    tree_release(file);
}

static void append_with_fsync(struct crash_run *run)
{
    struct tree_file *file = crash_step_create(run, "experiments/e/log", OPEN_APPEND);
    for (unsigned i = 0; i < 12; i++) {
        crash_step_put(run, file, 0, 100 + i * 700, 30 + i);
        crash_step_sync_file(run, file);
    }
    tree_release(file);
}

static void rotate_a_log(struct crash_run *run)
{
    struct tree_file *file = crash_step_create(run, "experiments/e/log", OPEN_APPEND);
    for (unsigned i = 0; i < 12; i++) {
        crash_step_put(run, file, 0, 900, 40 + i);
        if (i % 4 != 3)
            continue;
        crash_step_sync_file(run, file);
        tree_release(file);
        if (i > 3)
            crash_step_rename(run, "experiments/e/log.1", "experiments/e/log.2", 0);
        crash_step_rename(run, "experiments/e/log", "experiments/e/log.1", 0);
        file = crash_step_create(run, "experiments/e/log", OPEN_APPEND);
    }
    tree_release(file);
}

static void truncate_up_and_down(struct crash_run *run)
{
    static const uint64_t sizes[] = {1, 0, 200000, 131072, 131073, 400000, 10};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        crash_step_resize(run, i % 2 ? "experiments/e/a" : "experiments/e/b", sizes[i]);
        struct tree_file *file = crash_step_create(run, "experiments/e/b", 0);
        crash_step_put(run, file, sizes[i] / 2, 500, 50 + i);
        if (i % 3 == 1)
            crash_step_sync_file(run, file);
        tree_release(file);
    }
}

static void punch_holes(struct crash_run *run)
{
    struct tree_file *file = crash_step_create(run, "experiments/e/b", 0);
    int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    CRASH_STEP(run, tree_allocate(file, hole, 1000, 5000, &run->why));
    CRASH_STEP(run, tree_allocate(file, hole, 100000, 131072, &run->why));
    crash_step_sync_file(run, file);
    CRASH_STEP(run, tree_allocate(file, FALLOC_FL_ZERO_RANGE, 250000, 200000, &run->why));
    crash_step_put(run, file, 110000, 4000, 60);
    CRASH_STEP(run, tree_allocate(file, 0, 0, 500000, &run->why));
    crash_step_sync_file(run, file);
    tree_release(file);
}

static void a_large_file(struct crash_run *run)
{
    struct tree_file *file = crash_step_create(run, "experiments/e/large", 0);
    for (unsigned i = 0; i < 3; i++)
        crash_step_put(run, file, (uint64_t)i << 20, (size_t)1 << 20, 70 + i);
    crash_step_sync_file(run, file);
    crash_step_put(run, file, 1500000, 400000, 79);
    crash_step_sync_file(run, file);
    tree_release(file);
}

static void unlink_while_open(struct crash_run *run)
{
    struct tree_file *kept = crash_step_create(run, "experiments/e/b", 0);
    crash_step_unlink(run, "experiments/e/b");
    crash_step_put(run, kept, 100, 150000, 80);
    crash_step_sync_file(run, kept);
    struct tree_file *again = crash_step_create(run, "experiments/e/b", 0);
    crash_step_put(run, again, 0, 5000, 81);
    crash_step_sync_file(run, again);
    tree_release(kept);
    crash_step_sync(run);
    tree_release(again);
}

/* Names ----------------------------------------------------------------------------------------------------------------- */

static void folders_come_and_go(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    for (unsigned i = 0; i < 3; i++) {
        crash_step_make_folder(run, "experiments/e/one");
        crash_step_make_folder(run, "experiments/e/one/two");
        crash_step_save(run, crash_step_numbered(path, "experiments/e/one/two", "f", i), 100, 90 + i, false);
        if (i == 1)
            crash_step_sync(run);
        crash_step_unlink(run, path);
        crash_step_remove_folder(run, "experiments/e/one/two");
        crash_step_remove_folder(run, "experiments/e/one");
        if (i == 2)
            crash_step_sync(run);
    }
}

static void exchange_two(struct crash_run *run)
{
    crash_step_make_folder(run, "experiments/e/folder");
    for (unsigned i = 0; i < 4; i++) {
        crash_step_rename(run, "experiments/e/a", i % 2 ? "experiments/e/folder" : "experiments/e/b", RENAME_EXCHANGE_FLAG);
        if (i % 2)
            crash_step_sync(run);
    }
}

static void folders_renamed_over(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    crash_step_make_folder(run, "experiments/e/target");
    for (unsigned i = 0; i < 3; i++) {
        crash_step_make_folder(run, "experiments/e/source");
        crash_step_save(run, crash_step_numbered(path, "experiments/e/source", "f", i), 2000, 100 + i, i == 1);
        crash_step_rename(run, "experiments/e/source", "experiments/e/target", 0);
        crash_step_sync(run);
        crash_step_unlink(run, crash_step_numbered(path, "experiments/e/target", "f", i));
    }
    crash_step_rename(run, "experiments/e/target", "experiments/moved", 0);
    crash_step_rename(run, "experiments/moved", "jobs/moved", RENAME_NO_REPLACE_FLAG);
    crash_step_sync(run);
}

static void hard_links(struct crash_run *run)
{
    struct node_attributes node;
    struct node_id folder = crash_step_node(run, "experiments/e"), file = crash_step_node(run, "experiments/e/b");
    char name[32];
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "link%u", i);
        CRASH_STEP(run, tree_hard_link(tree_of(run), file, folder, name, &node, &run->why));
        if (i == 2)
            crash_step_sync(run);
    }
    crash_step_unlink(run, "experiments/e/b");
    crash_step_unlink(run, "experiments/e/link1");
    crash_step_sync(run);
    crash_step_rename(run, "experiments/e/link0", "experiments/e/link2", 0); /* two names of one file: nothing happens */
    crash_step_unlink(run, "experiments/e/link0");
}

static void symbolic_links(struct crash_run *run)
{
    for (unsigned i = 0; i < 4; i++) {
        char target[64];
        snprintf(target, sizeof target, "../some/where/%u", i);
        crash_step_make_link(run, "experiments/e/l", target);
        if (i % 2)
            crash_step_sync(run);
        crash_step_unlink(run, "experiments/e/l");
    }
}

/* ln -sfn: a link of another name, renamed. */
static void deploy_a_version(struct crash_run *run)
{
    crash_step_make_folder(run, "models/m");
    for (unsigned i = 1; i <= 4; i++) {
        char path[CRASH_STEP_PATH], target[16];
        crash_step_make_folder(run, crash_step_numbered(path, "models/m", ".cytofs-", i));
        snprintf(path, sizeof path, "models/m/.cytofs-%u/model.safetensors", i);
        crash_step_save(run, path, 20000, 110 + i, true);
        snprintf(path, sizeof path, "models/m/.cytofs-%u", i);
        snprintf(target, sizeof target, "%u", i);
        char final[CRASH_STEP_PATH];
        crash_step_rename(run, path, crash_step_numbered(final, "models/m", "", i), 0);
        crash_step_make_link(run, "models/m/CuF3xx", target);
        crash_step_rename(run, "models/m/CuF3xx", "models/m/production", 0);
        if (i % 2)
            crash_step_sync(run);
    }
}

static void attributes(struct crash_run *run)
{
    static char value[60000];
    struct node_id node = crash_step_node(run, "experiments/e/a");
    struct node_attributes after;
    for (unsigned i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof name, "user.%u", i % 4);
        crash_step_fill(value, sizeof value, i);
        CRASH_STEP(run, tree_set_xattr(tree_of(run), node, name, value, i * i * 1000, 0, &run->why));
        const struct attribute_change change = {
            .which = CHANGE_MODE | CHANGE_MODIFY, .mode = 0600 + i, .modify_ns = 1000000007 * (int64_t)i};
        CRASH_STEP(run, tree_change(tree_of(run), node, &change, &after, &run->why));
        if (i % 2)
            crash_step_sync(run);
    }
    CRASH_STEP(run, tree_remove_xattr(tree_of(run), node, "user.1", &run->why));
    crash_step_sync(run);
}

/* Datasets and snapshots
 * ---------------------------------------------------------------------------------------------------- */

static void a_new_dataset(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    crash_step_make_folder(run, "datasets/new");
    for (unsigned i = 0; i < 6; i++)
        crash_step_save(run, crash_step_numbered(path, "datasets/new", "image", i), 3000 * i, 120 + i, i == 3);
    crash_step_sync(run);
}

static void a_dataset_is_removed(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    for (unsigned i = 0; i < 4; i++)
        crash_step_unlink(run, crash_step_numbered(path, "datasets/d/inner", "x", i));
    crash_step_remove_folder(run, "datasets/d/inner");
    crash_step_sync(run);
    crash_step_remove_folder(run, "datasets/d");
    crash_step_make_folder(run, "datasets/d");
    crash_step_save(run, "datasets/d/x0", 500, 130, false);
    crash_step_sync(run);
}

static void snapshots(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    for (unsigned i = 0; i < 3; i++) {
        crash_step_make_folder(run, crash_step_numbered(path, "datasets/d/.snap", "s", i));
        crash_step_save(run, crash_step_numbered(path, "datasets/d/inner", "x", i), 9000, 140 + i, false);
        crash_step_unlink(run, "datasets/d/inner/x3");
        crash_step_sync(run);
        crash_step_save(run, "datasets/d/inner/x3", 100, 143 + i, false);
        if (i)
            crash_step_remove_folder(run, crash_step_numbered(path, "datasets/d/.snap", "s", i - 1));
    }
    crash_step_sync(run);
}

/* Much of what was written is overwritten and given back, while a little of each pack is kept. */
static void dead_space_is_given_back(struct crash_run *run)
{
    char path[CRASH_STEP_PATH];
    for (unsigned i = 0; i < 4; i++) {
        crash_step_save(run, crash_step_numbered(path, "datasets/d/inner", "kept", i), 3000, 150 + i, false);
        crash_step_save(run, "datasets/d/inner/busy", 200000, 160 + i, true);
        crash_run_need(run, chunk_store_seal(run->lab.chunks, &run->why), "ending a pack");
    }
    crash_run_begin_here(run);
    const struct tree_collect_options eager = {.dead_percent = 1};
    struct tree_collect_summary result;
    crash_run_need(run, tree_collect(tree_of(run), &eager, &result, &run->why), "giving space back");
    crash_step_save(run, "datasets/d/inner/busy", 1000, 170, true);
    crash_run_need(run, tree_collect(tree_of(run), &eager, &result, &run->why), "giving space back");
}

/* Threads: each writes files of its own and is told when they are durable
 * ---------------------------------------------------- */

#define WRITERS 6

struct writer {
    struct crash_run *run;
    unsigned number;
    pthread_t thread;
};

static void need_here(enum code code, const struct failure *why)
{
    if (code == CODE_OK)
        return;
    fprintf(stderr, "a writer: %s\n", why->text);
    exit(3);
}

/* A file is nothing, empty, or the whole text. */
static void write_one(struct writer *writer, unsigned number)
{
    struct crash_run *run = writer->run;
    struct failure why;
    struct node_attributes folder, node;
    struct tree_file *file;
    char path[CRASH_STEP_PATH], text[600];
    snprintf(path, sizeof path, "experiments/e/w%u-%u", writer->number, number);
    int length = snprintf(text, sizeof text, "writer %u, file %u: %0*u\n", writer->number, number, (int)number * 40 + 1, 0u);
    (void)crash_run_claim(run, path, "");
    size_t claim = crash_run_claim(run, path, text);
    need_here(tree_path_attributes(run->lab.tree, "experiments/e", &folder, &why), &why);
    need_here(tree_create_file(run->lab.tree, folder.id, strrchr(path, '/') + 1, 0644, OPEN_WRITE, &node, &file, &why),
              &why);
    need_here(tree_write(file, 0, text, (size_t)length, &why), &why);
    if (number % 3 != 2) {
        need_here(tree_fsync(file, &why), &why);
        crash_run_kept(claim);
    }
    tree_release(file);
}

/* A log of the writer's own grows by whole lines. */
static void append_one(struct writer *writer, struct buffer *log, unsigned number)
{
    struct crash_run *run = writer->run;
    struct failure why;
    struct node_attributes folder, node;
    struct tree_file *file;
    char path[CRASH_STEP_PATH], line[64];
    snprintf(path, sizeof path, "experiments/e/log%u", writer->number);
    int length = snprintf(line, sizeof line, "line %u of writer %u\n", number, writer->number);
    buffer_append_text(log, line);
    size_t claim = crash_run_claim(run, path, buffer_text(log));
    need_here(tree_path_attributes(run->lab.tree, "experiments/e", &folder, &why), &why);
    need_here(tree_create_file(run->lab.tree, folder.id, strrchr(path, '/') + 1, 0644, OPEN_WRITE | OPEN_APPEND, &node,
                               &file, &why),
              &why);
    need_here(tree_write(file, 0, line, (size_t)length, &why), &why);
    need_here(tree_fsync(file, &why), &why);
    crash_run_kept(claim);
    tree_release(file);
}

static void *write_and_append(void *context)
{
    struct writer *writer = context;
    char path[CRASH_STEP_PATH];
    SCOPE_BUFFER log = {0};
    snprintf(path, sizeof path, "experiments/e/log%u", writer->number);
    (void)crash_run_claim(writer->run, path, "");
    for (unsigned i = 0; i < 8; i++) {
        write_one(writer, i);
        append_one(writer, &log, i);
    }
    return NULL;
}

static void many_writers(struct crash_run *run)
{
    struct writer writers[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.run = run, .number = i};
        if (pthread_create(&writers[i].thread, NULL, write_and_append, &writers[i]) != 0)
            exit(3);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
}

/* Many kinds at once
 * -------------------------------------------------------------------------------------------------------- */

static void one_of_many(struct crash_run *run, struct random *random, unsigned number)
{
    char path[CRASH_STEP_PATH], other[CRASH_STEP_PATH];
    crash_step_numbered(path, "experiments/e", "m", random_below(random, 4));
    crash_step_numbered(other, "experiments/e", "m", random_below(random, 4));
    bool exists = tree_path_exists(tree_of(run), path);
    switch (random_below(random, 8)) {
    case 0:
    case 1:
        crash_step_save(run, path, random_below(random, 2) ? random_below(random, 300) : random_below(random, 200000),
                        number, random_below(random, 2));
        break;
    case 2:
        if (exists)
            crash_step_unlink(run, path);
        break;
    case 3:
        if (exists)
            crash_step_rename(run, path, other, 0);
        break;
    case 4:
        if (exists)
            crash_step_resize(run, path, random_below(random, 150000));
        break;
    case 5:
        crash_step_sync(run);
        break;
    case 6:
        crash_step_save(run, "datasets/d/inner/x0", random_below(random, 5000), number, false);
        break;
    default:
        if (exists && tree_path_exists(tree_of(run), other) && strcmp(path, other) != 0)
            crash_step_rename(run, path, other, RENAME_EXCHANGE_FLAG);
    }
}

static void mixed(struct crash_run *run)
{
    struct random random = {7};
    for (unsigned i = 0; i < 60; i++)
        one_of_many(run, &random, i);
}

/* Enough commits to bring the catalog's log into its file while the lab is in use, and to begin it anew. */
static void a_long_log(struct crash_run *run)
{
    static char value[60000];
    struct node_id node = crash_step_node(run, "experiments/e/a");
    for (unsigned i = 0; i < 90; i++) {
        for (unsigned k = 0; k < 4; k++) {
            char name[16];
            snprintf(name, sizeof name, "user.%u", k);
            crash_step_fill(value, sizeof value, i * 4 + k);
            CRASH_STEP(run, tree_set_xattr(tree_of(run), node, name, value, sizeof value, 0, &run->why));
        }
        if (i == 55)
            crash_run_begin_here(run);
        crash_step_sync(run);
    }
}

/* The beginning and the end
 * ----------------------------------------------------------------------------------------------------- */

static void init(struct crash_run *run)
{
    crash_run_make(run);
    crash_run_open(run);
    crash_step_save(run, "experiments/first", 1000, 1, true);
    crash_run_close(run);
}

/* What a kill has left behind is opened, and the power goes meanwhile. */
static void recovery(struct crash_run *run)
{
    crash_run_open(run);
    crash_run_close(run);
}

static void with_changes(struct crash_run *run)
{
    with_folder(run);
    with_dataset(run);
    mixed(run);
    crash_step_sync(run);
    (void)crash_step_create(run, "experiments/e/orphan", 0);
    crash_step_save(run, "experiments/e/unsynced", 70000, 3, false);
    crash_step_unlink(run, "experiments/e/orphan");
    crash_step_sync(run);
    crash_step_save(run, "experiments/e/lost", 70000, 4, false);
}

static void with_both(struct crash_run *run)
{
    with_folder(run);
    with_dataset(run);
}

const struct crash_workload crash_workloads[] = {
    {.name = "init", .run = init, .itself = true},
    {.name = "create-and-fsync", .prepare = with_folder, .run = create_and_fsync},
    {.name = "replace-without-fsync", .prepare = with_folder, .run = replace_without_fsync},
    {.name = "replace-with-fsync", .prepare = with_folder, .run = replace_with_fsync},
    {.name = "overwrite-in-place", .prepare = with_folder, .run = overwrite_in_place},
    {.name = "append-with-fsync", .prepare = with_folder, .run = append_with_fsync},
    {.name = "rotate-a-log", .prepare = with_folder, .run = rotate_a_log},
    {.name = "truncate-up-and-down", .prepare = with_folder, .run = truncate_up_and_down},
    {.name = "punch-holes", .prepare = with_folder, .run = punch_holes},
    {.name = "a-large-file", .prepare = with_folder, .run = a_large_file},
    {.name = "unlink-while-open", .prepare = with_folder, .run = unlink_while_open},
    {.name = "folders-come-and-go", .prepare = with_folder, .run = folders_come_and_go},
    {.name = "exchange", .prepare = with_folder, .run = exchange_two},
    {.name = "folders-renamed-over", .prepare = with_folder, .run = folders_renamed_over},
    {.name = "hard-links", .prepare = with_folder, .run = hard_links},
    {.name = "symbolic-links", .prepare = with_folder, .run = symbolic_links},
    {.name = "deploy-a-version", .prepare = with_folder, .run = deploy_a_version},
    {.name = "attributes", .prepare = with_folder, .run = attributes},
    {.name = "a-new-dataset", .prepare = with_dataset, .run = a_new_dataset},
    {.name = "a-dataset-removed", .prepare = with_dataset, .run = a_dataset_is_removed},
    {.name = "snapshots", .prepare = with_dataset, .run = snapshots},
    {.name = "giving-space-back", .prepare = with_dataset, .run = dead_space_is_given_back},
    {.name = "many-writers", .prepare = with_folder, .run = many_writers},
    {.name = "mixed", .prepare = with_both, .run = mixed},
    {.name = "a-long-log", .prepare = with_folder, .run = a_long_log},
    {.name = "recovery", .prepare = with_changes, .run = recovery, .itself = true, .left_open = true},
};
const unsigned crash_workload_count = sizeof crash_workloads / sizeof *crash_workloads;
