/* One operation of a user each: see crash_step.h. */
#include "crash_step.h"

#include <stdio.h>
#include <string.h>

#include "random.h"
#include "scope.h"

static struct tree *tree_of(struct crash_run *run)
{
    return run->lab.tree;
}

struct node_id crash_step_node(struct crash_run *run, const char *path)
{
    struct node_attributes node;
    crash_run_need(run, tree_path_attributes(tree_of(run), path, &node, &run->why), path);
    return node.id;
}

/* The folder that holds the path's last component. */
static struct node_id folder_of(struct crash_run *run, const char *path, const char **name)
{
    char above[CRASH_STEP_PATH];
    const char *slash = strrchr(path, '/');
    snprintf(above, sizeof above, "%.*s", slash ? (int)(slash - path) : 0, path);
    *name = slash ? slash + 1 : path;
    return crash_step_node(run, above);
}

struct tree_file *crash_step_create(struct crash_run *run, const char *path, unsigned flags)
{
    struct tree_file *file = NULL;
    struct node_attributes node;
    const char *name;
    struct node_id folder = folder_of(run, path, &name);
    CRASH_STEP(run, tree_create_file(tree_of(run), folder, name, 0644, OPEN_WRITE | flags, &node, &file, &run->why));
    return file;
}

void crash_step_fill(char *bytes, size_t count, uint64_t seed)
{
    struct random random = {seed};
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)random_next(&random);
}

void crash_step_put(struct crash_run *run, struct tree_file *file, uint64_t offset, size_t count, uint64_t seed)
{
    static char bytes[CRASH_STEP_BYTES_MAX];
    crash_step_fill(bytes, count, seed);
    CRASH_STEP(run, tree_write(file, offset, bytes, count, &run->why));
}

void crash_step_sync_file(struct crash_run *run, struct tree_file *file)
{
    struct failure why;
    SCOPE_BUFFER path = {0};
    bool named = tree_node_path(tree_of(run), tree_file_node(file), &path, &why) == CODE_OK;
    CRASH_SYNC_FILE(run, tree_fsync(file, &run->why), named ? buffer_text(&path) : NULL);
}

void crash_step_save(struct crash_run *run, const char *path, size_t count, uint64_t seed, bool synced)
{
    struct tree_file *file = crash_step_create(run, path, OPEN_TRUNCATE);
    crash_step_put(run, file, 0, count, seed);
    if (synced)
        crash_step_sync_file(run, file);
    tree_release(file);
}

void crash_step_make_folder(struct crash_run *run, const char *path)
{
    struct node_attributes node;
    const char *name;
    struct node_id folder = folder_of(run, path, &name);
    CRASH_STEP(run, tree_make_folder(tree_of(run), folder, name, 0755, &node, &run->why));
}

void crash_step_remove_folder(struct crash_run *run, const char *path)
{
    const char *name;
    struct node_id folder = folder_of(run, path, &name);
    CRASH_STEP(run, tree_remove_folder(tree_of(run), folder, name, &run->why));
}

void crash_step_unlink(struct crash_run *run, const char *path)
{
    const char *name;
    struct node_id folder = folder_of(run, path, &name);
    CRASH_STEP(run, tree_unlink(tree_of(run), folder, name, &run->why));
}

void crash_step_rename(struct crash_run *run, const char *from, const char *to, unsigned flags)
{
    struct tree_rename rename = {.flags = flags};
    rename.from_folder = folder_of(run, from, &rename.from_name);
    rename.to_folder = folder_of(run, to, &rename.to_name);
    CRASH_STEP(run, tree_rename(tree_of(run), &rename, &run->why));
}

void crash_step_make_link(struct crash_run *run, const char *path, const char *target)
{
    struct node_attributes node;
    const char *name;
    struct node_id folder = folder_of(run, path, &name);
    CRASH_STEP(run, tree_make_link(tree_of(run), folder, name, target, &node, &run->why));
}

void crash_step_resize(struct crash_run *run, const char *path, uint64_t size)
{
    struct node_attributes node;
    const struct attribute_change change = {.which = CHANGE_SIZE, .size = size};
    CRASH_STEP(run, tree_change(tree_of(run), crash_step_node(run, path), &change, &node, &run->why));
}

void crash_step_sync(struct crash_run *run)
{
    CRASH_SYNC(run, tree_sync(tree_of(run), &run->why));
}

const char *crash_step_numbered(char path[CRASH_STEP_PATH], const char *folder, const char *stem, unsigned number)
{
    snprintf(path, CRASH_STEP_PATH, "%s/%s%u", folder, stem, number);
    return path;
}
