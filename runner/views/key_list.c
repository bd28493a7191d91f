/* Listing keys: see key_list.h.  One folder is listed whole before the folders in it are entered, so no listing is open
 * while another is made.  Any thread. */
#include "key_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope.h"
#include "tree_path.h"

struct entries {
    char **names; /* with a '/' behind a folder's */
    size_t count, capacity, max;
    bool cut, failed;
};

static bool grow(char ***names, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    char **grown = realloc(*names, wanted * sizeof *grown);
    if (!grown)
        return false;
    *names = grown;
    *capacity = wanted;
    return true;
}

static bool collect_entry(void *context, const char *name, const struct node_attributes *attributes)
{
    struct entries *entries = context;
    if (name[0] == '.' || attributes->kind == NODE_LINK)
        return true;
    if (entries->count == entries->max) {
        entries->cut = true;
        return false;
    }
    char *copy = NULL;
    if (!grow(&entries->names, entries->count, &entries->capacity) ||
        asprintf(&copy, "%s%s", name, attributes->kind == NODE_FOLDER ? "/" : "") < 0) {
        entries->failed = true;
        return false;
    }
    entries->names[entries->count++] = copy;
    return true;
}

static void free_entries(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        free(entries->names[i]);
    free(entries->names);
}

struct walk {
    struct tree *tree;
    const char *folder;
    struct key_list *list;
    size_t keys_max;
    struct failure *why;
};

static enum code walk_folder(struct walk *walk, const char *prefix, int depth_left);

/* entry: a name of the folder at prefix, with '/' behind it for a folder. */
static enum code take_entry(struct walk *walk, const char *prefix, const char *entry, int depth_left)
{
    struct key_list *list = walk->list;
    char *key = NULL;
    if (asprintf(&key, "%s%s", prefix, entry) < 0)
        return failure_set(walk->why, CODE_NO_MEMORY, "%s: out of memory", walk->folder);
    if (key[strlen(key) - 1] == '/') {
        enum code code = CODE_OK;
        if (depth_left > 1)
            code = walk_folder(walk, key, depth_left - 1);
        else
            list->cut = true;
        free(key);
        return code;
    }
    if (list->count == walk->keys_max) {
        list->cut = true;
        free(key);
        return CODE_OK;
    }
    if (!grow(&list->keys, list->count, &list->capacity)) {
        free(key);
        return failure_set(walk->why, CODE_NO_MEMORY, "%s: out of memory", walk->folder);
    }
    list->keys[list->count++] = key;
    return CODE_OK;
}

static enum code walk_folder(struct walk *walk, const char *prefix, int depth_left)
{
    SCOPE_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s", walk->folder, prefix) < 0)
        return failure_set(walk->why, CODE_NO_MEMORY, "%s: out of memory", walk->folder);
    path[strlen(path) - 1] = 0; /* the '/' behind the prefix, or behind the folder where that is empty */
    struct entries entries = {.max = walk->keys_max};
    enum code code = tree_path_list(walk->tree, path, collect_entry, &entries, walk->why);
    if (code == CODE_OK && entries.failed)
        code = failure_set(walk->why, CODE_NO_MEMORY, "%s: out of memory", path);
    if (code == CODE_NOT_FOUND || code == CODE_NOT_DIRECTORY)
        code = CODE_OK; /* gone meanwhile, or never there */
    walk->list->cut |= entries.cut;
    for (size_t i = 0; code == CODE_OK && i < entries.count; i++)
        code = take_entry(walk, prefix, entries.names[i], depth_left);
    free_entries(&entries);
    return code;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum code key_list_read(struct tree *tree, const char *folder, size_t keys_max, int depth_max, struct key_list *out,
                        struct failure *why)
{
    *out = (struct key_list){0};
    struct walk walk = {.tree = tree, .folder = folder, .list = out, .keys_max = keys_max, .why = why};
    enum code code = walk_folder(&walk, "", depth_max);
    if (code != CODE_OK)
        key_list_free(out);
    else if (out->count)
        qsort(out->keys, out->count, sizeof *out->keys, compare_keys);
    return code;
}

void key_list_free(struct key_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->keys[i]);
    free(list->keys);
    *list = (struct key_list){0};
}
