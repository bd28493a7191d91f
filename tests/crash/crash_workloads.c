/* The workloads: see crash_workloads.h.  Files hold bytes that follow from a seed; every call that changes the tree is a step. */
#include "crash_workloads.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_store.h"
#include "crash_run.h"
#include "random.h"
#include "scope.h"
#include "tree_collect.h"

#define BYTES_MAX  ((size_t)4 << 20)
#define PATH_BYTES 200

/* Shorthands ------------------------------------------------------------------------------------------------------------ */

static struct tree *tree_of(struct crash_run *run)
{
    return run->lab.tree;
}

static struct node_id node_at(struct crash_run *run, const char *path)
{
    struct node_attributes node;
    crash_run_need(run, tree_path_attributes(tree_of(run), path, &node, &run->why), path);
    return node.id;
}

/* The folder that holds the path's last component. */
static struct node_id folder_of(struct crash_run *run, const char *path, const char **name)
{
    char above[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    snprintf(above, sizeof above, "%.*s", slash ? (int)(slash - path) : 0, path);
    *name = slash ? slash + 1 : path;
    return node_at(run, above);
}

static struct tree_file *create(struct crash_run *run, const char *path, unsigned flags)
{
    struct tree_file *file = NULL;
    struct node_attributes node;
    const char *name;
    struct node_id folder = folder_of(run, path, &name);
    CRASH_STEP(run, tree_create_file(tree_of(run), folder, name, 0644, OPEN_WRITE | flags, &node, &file, &run->why));
    return file;
}

static void fill(char *bytes, size_t count, uint64_t seed)
{
    struct random random = {seed};
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)random_next(&random);
}

static void put(struct crash_run *run, struct tree_file *file, uint64_t offset, size_t count, uint64_t seed)
{
    static char bytes[BYTES_MAX];
    fill(bytes, count, seed);
    CRASH_STEP(run, tree_write(file, offset, bytes, count, &run->why));
}

static void sync_file(struct crash_run *run, struct tree_file *file)
{
    struct failure why;
    SCOPE_BUFFER path = {0};
    bool named = tree_node_path(tree_of(run), tree_file_node(file), &path, &why) == CODE_OK;
    CRASH_SYNC_FILE(run, tree_fsync(file, &run->why), named ? buffer_text(&path) : NULL);
}

static void save(struct crash_run *run, const char *path, size_t count, uint64_t seed, bool synced)
{
    struct tree_file *file = create(run, path, OPEN_TRUNCATE);
    put(run, file, 0, count, seed);
    if (synced)
        sync_file(run, file);
    tree_release(file);
}

static void make_folder(struct crash_run *run, const char *path)
{
    struct node_attributes node;
    const char *name;
    struct node_id folder = folder_of(run, path, &name);
    CRASH_STEP(run, tree_make_folder(tree_of(run), folder, name, 0755, &node, &run->why));
}

static void remove_folder(struct crash_run *run, const char *path)
{
    const char *name;
    struct node_id folder = folder_of(run, path, &name);
    CRASH_STEP(run, tree_remove_folder(tree_of(run), folder, name, &run->why));
}

static void unlink_at(struct crash_run *run, const char *path)
{
    const char *name;
    struct node_id folder = folder_of(run, path, &name);
    CRASH_STEP(run, tree_unlink(tree_of(run), folder, name, &run->why));
}

static void rename_at(struct crash_run *run, const char *from, const char *to, unsigned flags)
{
    struct tree_rename rename = {.flags = flags};
    rename.from_folder = folder_of(run, from, &rename.from_name);
    rename.to_folder = folder_of(run, to, &rename.to_name);
    CRASH_STEP(run, tree_rename(tree_of(run), &rename, &run->why));
}

static void make_link(struct crash_run *run, const char *path, const char *target)
{
    struct node_attributes node;
    const char *name;
    struct node_id folder = folder_of(run, path, &name);
    CRASH_STEP(run, tree_make_link(tree_of(run), folder, name, target, &node, &run->why));
}

static void resize(struct crash_run *run, const char *path, uint64_t size)
{
    struct node_attributes node;
    const struct attribute_change change = {.which = CHANGE_SIZE, .size = size};
    CRASH_STEP(run, tree_change(tree_of(run), node_at(run, path), &change, &node, &run->why));
}

static void sync_all(struct crash_run *run)
{
    CRASH_SYNC(run, tree_sync(tree_of(run), &run->why));
}

static const char *numbered(char path[PATH_BYTES], const char *pattern_folder, const char *stem, unsigned number)
{
    snprintf(path, PATH_BYTES, "%s/%s%u", pattern_folder, stem, number);
    return path;
}

/* Before recording */

static void with_folder(struct crash_run *run)
{
    make_folder(run, "experiments/e");
    save(run, "experiments/e/a", 5000, 1, false);
    save(run, "experiments/e/b", 300000, 2, false);
}

static void with_dataset(struct crash_run *run)
{
    make_folder(run, "datasets/d");
    make_folder(run, "datasets/d/inner");
    char path[PATH_BYTES];
    for (unsigned i = 0; i < 4; i++)
        save(run, numbered(path, "datasets/d/inner", "x", i), 3000 * i + 10, i, false);
}

/* Files ----------------------------------------------------------------------------------------------------------------- */

static void create_and_fsync(struct crash_run *run)
{
    char path[PATH_BYTES];
    for (unsigned i = 0; i < 5; i++)
        save(run, numbered(path, "experiments/e", "new", i), 700 * i * i * i, i, true);
}

static void replace(struct crash_run *run, bool synced)
{
    for (unsigned i = 0; i < 6; i++) {
        const char *target = i % 2 ? "experiments/e/a" : "experiments/e/b";
        save(run, "experiments/e/.tmp", i % 3 ? 4000 + i : 200000 + i, 10 + i, synced);
        rename_at(run, "experiments/e/.tmp", target, 0);
        if (i == 3)
            sync_all(run);
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
    struct tree_file *file = create(run, "experiments/e/b", 0);
    for (unsigned i = 0; i < 8; i++) {
        put(run, file, i * 40000, 1000 + i * 3000, 20 + i);
        if (i % 2)
            sync_file(run, file);
    }
    tree_release(file);
}

static void append_with_fsync(struct crash_run *run)
{
    struct tree_file *file = create(run, "experiments/e/log", OPEN_APPEND);
    for (unsigned i = 0; i < 12; i++) {
        put(run, file, 0, 100 + i * 700, 30 + i);
        sync_file(run, file);
    }
    tree_release(file);
}

static void rotate_a_log(struct crash_run *run)
{
    struct tree_file *file = create(run, "experiments/e/log", OPEN_APPEND);
    for (unsigned i = 0; i < 12; i++) {
        put(run, file, 0, 900, 40 + i);
        if (i % 4 != 3)
            continue;
        sync_file(run, file);
        tree_release(file);
        if (i > 3)
            rename_at(run, "experiments/e/log.1", "experiments/e/log.2", 0);
        rename_at(run, "experiments/e/log", "experiments/e/log.1", 0);
        file = create(run, "experiments/e/log", OPEN_APPEND);
    }
    tree_release(file);
}

static void truncate_up_and_down(struct crash_run *run)
{
    static const uint64_t sizes[] = {1, 0, 200000, 131072, 131073, 400000, 10};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        resize(run, i % 2 ? "experiments/e/a" : "experiments/e/b", sizes[i]);
        struct tree_file *file = create(run, "experiments/e/b", 0);
        put(run, file, sizes[i] / 2, 500, 50 + i);
        if (i % 3 == 1)
            sync_file(run, file);
        tree_release(file);
    }
}

static void punch_holes(struct crash_run *run)
{
    struct tree_file *file = create(run, "experiments/e/b", 0);
    int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    CRASH_STEP(run, tree_allocate(file, hole, 1000, 5000, &run->why));
    CRASH_STEP(run, tree_allocate(file, hole, 100000, 131072, &run->why));
    sync_file(run, file);
    CRASH_STEP(run, tree_allocate(file, FALLOC_FL_ZERO_RANGE, 250000, 200000, &run->why));
    put(run, file, 110000, 4000, 60);
    CRASH_STEP(run, tree_allocate(file, 0, 0, 500000, &run->why));
    sync_file(run, file);
    tree_release(file);
}

static void a_large_file(struct crash_run *run)
{
    struct tree_file *file = create(run, "experiments/e/large", 0);
    for (unsigned i = 0; i < 3; i++)
        put(run, file, (uint64_t)i << 20, (size_t)1 << 20, 70 + i);
    sync_file(run, file);
    put(run, file, 1500000, 400000, 79);
    sync_file(run, file);
    tree_release(file);
}

static void unlink_while_open(struct crash_run *run)
{
    struct tree_file *kept = create(run, "experiments/e/b", 0);
    unlink_at(run, "experiments/e/b");
    put(run, kept, 100, 150000, 80);
    sync_file(run, kept);
    struct tree_file *again = create(run, "experiments/e/b", 0);
    put(run, again, 0, 5000, 81);
    sync_file(run, again);
    tree_release(kept);
    sync_all(run);
    tree_release(again);
}

/* Names ----------------------------------------------------------------------------------------------------------------- */

static void folders_come_and_go(struct crash_run *run)
{
    char path[PATH_BYTES];
    for (unsigned i = 0; i < 3; i++) {
        make_folder(run, "experiments/e/one");
        make_folder(run, "experiments/e/one/two");
        save(run, numbered(path, "experiments/e/one/two", "f", i), 100, 90 + i, false);
        if (i == 1)
            sync_all(run);
        unlink_at(run, path);
        remove_folder(run, "experiments/e/one/two");
        remove_folder(run, "experiments/e/one");
        if (i == 2)
            sync_all(run);
    }
}

static void exchange_two(struct crash_run *run)
{
    make_folder(run, "experiments/e/folder");
    for (unsigned i = 0; i < 4; i++) {
        rename_at(run, "experiments/e/a", i % 2 ? "experiments/e/folder" : "experiments/e/b", RENAME_EXCHANGE_FLAG);
        if (i % 2)
            sync_all(run);
    }
}

static void folders_renamed_over(struct crash_run *run)
{
    char path[PATH_BYTES];
    make_folder(run, "experiments/e/target");
    for (unsigned i = 0; i < 3; i++) {
        make_folder(run, "experiments/e/source");
        save(run, numbered(path, "experiments/e/source", "f", i), 2000, 100 + i, i == 1);
        rename_at(run, "experiments/e/source", "experiments/e/target", 0);
        sync_all(run);
        unlink_at(run, numbered(path, "experiments/e/target", "f", i));
    }
    rename_at(run, "experiments/e/target", "experiments/moved", 0);
    rename_at(run, "experiments/moved", "jobs/moved", RENAME_NO_REPLACE_FLAG);
    sync_all(run);
}

static void hard_links(struct crash_run *run)
{
    struct node_attributes node;
    struct node_id folder = node_at(run, "experiments/e"), file = node_at(run, "experiments/e/b");
    char name[32];
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "link%u", i);
        CRASH_STEP(run, tree_hard_link(tree_of(run), file, folder, name, &node, &run->why));
        if (i == 2)
            sync_all(run);
    }
    unlink_at(run, "experiments/e/b");
    unlink_at(run, "experiments/e/link1");
    sync_all(run);
    rename_at(run, "experiments/e/link0", "experiments/e/link2", 0); /* two names of one file: nothing happens */
    unlink_at(run, "experiments/e/link0");
}

static void symbolic_links(struct crash_run *run)
{
    for (unsigned i = 0; i < 4; i++) {
        char target[64];
        snprintf(target, sizeof target, "../some/where/%u", i);
        make_link(run, "experiments/e/l", target);
        if (i % 2)
            sync_all(run);
        unlink_at(run, "experiments/e/l");
    }
}

/* ln -sfn: a link of another name, renamed. */
static void deploy_a_version(struct crash_run *run)
{
    make_folder(run, "models/m");
    for (unsigned i = 1; i <= 4; i++) {
        char path[PATH_BYTES], target[16];
        make_folder(run, numbered(path, "models/m", ".cytofs-", i));
        snprintf(path, sizeof path, "models/m/.cytofs-%u/model.safetensors", i);
        save(run, path, 20000, 110 + i, true);
        snprintf(path, sizeof path, "models/m/.cytofs-%u", i);
        snprintf(target, sizeof target, "%u", i);
        char final[PATH_BYTES];
        rename_at(run, path, numbered(final, "models/m", "", i), 0);
        make_link(run, "models/m/CuF3xx", target);
        rename_at(run, "models/m/CuF3xx", "models/m/production", 0);
        if (i % 2)
            sync_all(run);
    }
}

static void attributes(struct crash_run *run)
{
    static char value[60000];
    struct node_id node = node_at(run, "experiments/e/a");
    struct node_attributes after;
    for (unsigned i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof name, "user.%u", i % 4);
        fill(value, sizeof value, i);
        CRASH_STEP(run, tree_set_xattr(tree_of(run), node, name, value, i * i * 1000, 0, &run->why));
        const struct attribute_change change = {
            .which = CHANGE_MODE | CHANGE_MODIFY, .mode = 0600 + i, .modify_ns = 1000000007 * (int64_t)i};
        CRASH_STEP(run, tree_change(tree_of(run), node, &change, &after, &run->why));
        if (i % 2)
            sync_all(run);
    }
    CRASH_STEP(run, tree_remove_xattr(tree_of(run), node, "user.1", &run->why));
    sync_all(run);
}

/* Datasets and snapshots ---------------------------------------------------------------------------------------------------- */

static void a_new_dataset(struct crash_run *run)
{
    char path[PATH_BYTES];
    make_folder(run, "datasets/new");
    for (unsigned i = 0; i < 6; i++)
        save(run, numbered(path, "datasets/new", "image", i), 3000 * i, 120 + i, i == 3);
    sync_all(run);
}

static void a_dataset_is_removed(struct crash_run *run)
{
    char path[PATH_BYTES];
    for (unsigned i = 0; i < 4; i++)
        unlink_at(run, numbered(path, "datasets/d/inner", "x", i));
    remove_folder(run, "datasets/d/inner");
    sync_all(run);
    remove_folder(run, "datasets/d");
    make_folder(run, "datasets/d");
    save(run, "datasets/d/x0", 500, 130, false);
    sync_all(run);
}

static void snapshots(struct crash_run *run)
{
    char path[PATH_BYTES];
    for (unsigned i = 0; i < 3; i++) {
        make_folder(run, numbered(path, "datasets/d/.snap", "s", i));
        save(run, numbered(path, "datasets/d/inner", "x", i), 9000, 140 + i, false);
        unlink_at(run, "datasets/d/inner/x3");
        sync_all(run);
        save(run, "datasets/d/inner/x3", 100, 143 + i, false);
        if (i)
            remove_folder(run, numbered(path, "datasets/d/.snap", "s", i - 1));
    }
    sync_all(run);
}

/* Much of what was written is overwritten and given back, while a little of each pack is kept. */
static void dead_space_is_given_back(struct crash_run *run)
{
    char path[PATH_BYTES];
    for (unsigned i = 0; i < 4; i++) {
        save(run, numbered(path, "datasets/d/inner", "kept", i), 3000, 150 + i, false);
        save(run, "datasets/d/inner/busy", 200000, 160 + i, true);
        crash_run_need(run, chunk_store_seal(run->lab.chunks, &run->why), "ending a pack");
    }
    crash_run_begin_here(run);
    const struct tree_collect_options eager = {.dead_percent = 1};
    struct tree_collect_summary result;
    crash_run_need(run, tree_collect(tree_of(run), &eager, &result, &run->why), "giving space back");
    save(run, "datasets/d/inner/busy", 1000, 170, true);
    crash_run_need(run, tree_collect(tree_of(run), &eager, &result, &run->why), "giving space back");
}

/* Threads: each writes files of its own and is told when they are durable ---------------------------------------------------- */

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
    char path[PATH_BYTES], text[600];
    snprintf(path, sizeof path, "experiments/e/w%u-%u", writer->number, number);
    int length = snprintf(text, sizeof text, "writer %u, file %u: %0*u\n", writer->number, number, (int)number * 40 + 1, 0u);
    (void)crash_run_claim(run, path, "");
    size_t claim = crash_run_claim(run, path, text);
    need_here(tree_path_attributes(run->lab.tree, "experiments/e", &folder, &why), &why);
    need_here(tree_create_file(run->lab.tree, folder.id, strrchr(path, '/') + 1, 0644, OPEN_WRITE, &node, &file, &why), &why);
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
    char path[PATH_BYTES], line[64];
    snprintf(path, sizeof path, "experiments/e/log%u", writer->number);
    int length = snprintf(line, sizeof line, "line %u of writer %u\n", number, writer->number);
    buffer_append_text(log, line);
    size_t claim = crash_run_claim(run, path, buffer_text(log));
    need_here(tree_path_attributes(run->lab.tree, "experiments/e", &folder, &why), &why);
    need_here(tree_create_file(run->lab.tree, folder.id, strrchr(path, '/') + 1, 0644, OPEN_WRITE | OPEN_APPEND, &node, &file, &why), &why);
    need_here(tree_write(file, 0, line, (size_t)length, &why), &why);
    need_here(tree_fsync(file, &why), &why);
    crash_run_kept(claim);
    tree_release(file);
}

static void *write_and_append(void *context)
{
    struct writer *writer = context;
    char path[PATH_BYTES];
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

/* Many kinds at once -------------------------------------------------------------------------------------------------------- */

static void one_of_many(struct crash_run *run, struct random *random, unsigned number)
{
    char path[PATH_BYTES], other[PATH_BYTES];
    numbered(path, "experiments/e", "m", random_below(random, 4));
    numbered(other, "experiments/e", "m", random_below(random, 4));
    bool exists = tree_path_exists(tree_of(run), path);
    switch (random_below(random, 8)) {
    case 0:
    case 1:
        save(run, path, random_below(random, 2) ? random_below(random, 300) : random_below(random, 200000), number,
             random_below(random, 2));
        break;
    case 2:
        if (exists)
            unlink_at(run, path);
        break;
    case 3:
        if (exists)
            rename_at(run, path, other, 0);
        break;
    case 4:
        if (exists)
            resize(run, path, random_below(random, 150000));
        break;
    case 5:
        sync_all(run);
        break;
    case 6:
        save(run, "datasets/d/inner/x0", random_below(random, 5000), number, false);
        break;
    default:
        if (exists && tree_path_exists(tree_of(run), other) && strcmp(path, other) != 0)
            rename_at(run, path, other, RENAME_EXCHANGE_FLAG);
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
    struct node_id node = node_at(run, "experiments/e/a");
    for (unsigned i = 0; i < 90; i++) {
        for (unsigned k = 0; k < 4; k++) {
            char name[16];
            snprintf(name, sizeof name, "user.%u", k);
            fill(value, sizeof value, i * 4 + k);
            CRASH_STEP(run, tree_set_xattr(tree_of(run), node, name, value, sizeof value, 0, &run->why));
        }
        if (i == 55)
            crash_run_begin_here(run);
        sync_all(run);
    }
}

/* The beginning and the end ----------------------------------------------------------------------------------------------------- */

static void init(struct crash_run *run)
{
    crash_run_make(run);
    crash_run_open(run);
    save(run, "experiments/first", 1000, 1, true);
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
    sync_all(run);
    (void)create(run, "experiments/e/orphan", 0);
    save(run, "experiments/e/unsynced", 70000, 3, false);
    unlink_at(run, "experiments/e/orphan");
    sync_all(run);
    save(run, "experiments/e/lost", 70000, 4, false);
}

static void with_both(struct crash_run *run)
{
    with_folder(run);
    with_dataset(run);
}

const struct crash_workload crash_workloads[] = {
    {.name = "init", .run = init, .itself = true},
    {"create-and-fsync", with_folder, create_and_fsync, false, false},
    {"replace-without-fsync", with_folder, replace_without_fsync, false, false},
    {"replace-with-fsync", with_folder, replace_with_fsync, false, false},
    {"overwrite-in-place", with_folder, overwrite_in_place, false, false},
    {"append-with-fsync", with_folder, append_with_fsync, false, false},
    {"rotate-a-log", with_folder, rotate_a_log, false, false},
    {"truncate-up-and-down", with_folder, truncate_up_and_down, false, false},
    {"punch-holes", with_folder, punch_holes, false, false},
    {"a-large-file", with_folder, a_large_file, false, false},
    {"unlink-while-open", with_folder, unlink_while_open, false, false},
    {"folders-come-and-go", with_folder, folders_come_and_go, false, false},
    {"exchange", with_folder, exchange_two, false, false},
    {"folders-renamed-over", with_folder, folders_renamed_over, false, false},
    {"hard-links", with_folder, hard_links, false, false},
    {"symbolic-links", with_folder, symbolic_links, false, false},
    {"deploy-a-version", with_folder, deploy_a_version, false, false},
    {"attributes", with_folder, attributes, false, false},
    {"a-new-dataset", with_dataset, a_new_dataset, false, false},
    {"a-dataset-removed", with_dataset, a_dataset_is_removed, false, false},
    {"snapshots", with_dataset, snapshots, false, false},
    {"giving-space-back", with_dataset, dead_space_is_given_back, false, false},
    {"many-writers", with_folder, many_writers, false, false},
    {"mixed", with_both, mixed, false, false},
    {"a-long-log", with_folder, a_long_log, false, false},
    {"recovery", with_changes, recovery, true, true},
};
const unsigned crash_workload_count = sizeof crash_workloads / sizeof *crash_workloads;
