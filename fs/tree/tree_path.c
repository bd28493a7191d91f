/* The tree by path: see tree_path.h.  Each change is one operation, and no rule watches it. */
#include "tree_path.h"

#include <stdlib.h>
#include <string.h>

#include "timing.h"
#include "tree_alias.h"
#include "tree_commit.h"
#include "tree_contents.h"
#include "tree_derived.h"
#include "tree_entry.h"
#include "tree_file.h"
#include "tree_folder.h"
#include "tree_maker.h"
#include "tree_names.h"
#include "tree_operation.h"

#define LINKS_FOLLOWED_MAX 8
#define READ_STEP          ((size_t)1 << 20)

/* Walking ---------------------------------------------------------------------------------------------------------- */

/* The next component of *path to name, which has room for TREE_NAME_MAX + 1; false at the end.  Empty ones are skipped. */
static enum code next_component(const char **path, char *name, bool *more, struct failure *why)
{
    *path += strspn(*path, "/");
    size_t length = strcspn(*path, "/");
    *more = length > 0;
    if (length > TREE_NAME_MAX)
        return failure_set(why, CODE_NAME_TOO_LONG, "%.40s...: a name of %zu bytes is too long", *path, length);
    memcpy(name, *path, length);
    name[length] = 0;
    *path += length;
    return CODE_OK;
}

static bool is_last(const char *rest)
{
    return rest[strspn(rest, "/")] == 0;
}

/* The stored folder that holds the path's last component, and that component.  With the lock. */
static enum code find_parent(struct tree *tree, const char *path, struct node **parent, char name[TREE_NAME_MAX + 1],
                             struct failure *why)
{
    const char *rest = path;
    bool more;
    enum code code = node_get(tree, INODE_ROOT, parent, why);
    if (code == CODE_OK)
        code = next_component(&rest, name, &more, why);
    if (code == CODE_OK && !more)
        return failure_set(why, CODE_INVALID, "the path is empty");
    while (code == CODE_OK && !is_last(rest)) {
        struct node *folder;
        code = entry_find(tree, *parent, name, &folder, why);
        if (code == CODE_OK && folder->row.kind != CATALOG_INODE_FOLDER)
            code = failure_set(why, CODE_NOT_DIRECTORY, "\"%s\" is not a folder", name);
        if (code == CODE_OK) {
            *parent = folder;
            code = next_component(&rest, name, &more, why);
        }
    }
    return code == CODE_OK ? code : failure_wrap(why, code, "%s", path);
}

/* The stored node at a path; "" is the root.  With the lock. */
static enum code find_stored(struct tree *tree, const char *path, struct node **out, struct failure *why)
{
    char name[TREE_NAME_MAX + 1];
    if (is_last(path))
        return node_get(tree, INODE_ROOT, out, why);
    struct node *parent;
    enum code code = find_parent(tree, path, &parent, name, why);
    if (code != CODE_OK)
        return code;
    code = entry_find(tree, parent, name, out, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "%s", path);
}

/* Appends `target`, seen from the folder of `path`, without "." and "..". */
static enum code resolve(const char *path, const char *target, struct buffer *out, struct failure *why)
{
    if (target[0] == '/')
        return failure_set(why, CODE_NOT_FOUND, "%s: the symbolic link leads out of the lab", path);
    const char *slash = strrchr(path, '/');
    buffer_append(out, path, slash ? (size_t)(slash - path) : 0);
    char name[TREE_NAME_MAX + 1];
    for (bool more = true; more;) {
        enum code code = next_component(&target, name, &more, why);
        if (code != CODE_OK)
            return code;
        if (!more || strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") != 0) {
            buffer_printf(out, "%s%s", out->length ? "/" : "", name);
            continue;
        }
        if (out->length == 0)
            return failure_set(why, CODE_NOT_FOUND, "%s: the symbolic link leads out of the lab", path);
        char *last = strrchr(out->data, '/');
        out->length = last ? (size_t)(last - out->data) : 0;
        out->data[out->length] = 0;
    }
    return buffer_check(out, "a path", why);
}

/* What tree_lookup says of a path. */
static enum code look(struct tree *tree, const char *path, struct node_attributes *out, struct failure *why)
{
    char name[TREE_NAME_MAX + 1];
    struct node *parent;
    if (is_last(path))
        return tree_attributes(tree, TREE_ROOT, out, why);
    pthread_mutex_lock(&tree->lock);
    enum code code = find_parent(tree, path, &parent, name, why);
    struct node_id folder = {code == CODE_OK ? parent->row.inode : 0};
    pthread_mutex_unlock(&tree->lock);
    if (code == CODE_OK) {
        code = tree_lookup(tree, folder, name, out, why);
        if (code != CODE_OK)
            return failure_wrap(why, code, "%s", path);
    }
    return code;
}

/* The same, following symbolic links in the last component, each as far as who made it may see. */
static enum code look_through(struct tree *tree, const char *path, struct node_attributes *out, struct failure *why)
{
    int64_t makers[LINKS_FOLLOWED_MAX];
    SCOPE_BUFFER here = {.max = TREE_PATH_MAX};
    buffer_append_text(&here, path);
    for (int i = 0; i < LINKS_FOLLOWED_MAX; i++) {
        enum code code = buffer_check(&here, "a path", why);
        if (code == CODE_OK)
            code = look(tree, here.data, out, why);
        for (int j = 0; code == CODE_OK && out->kind != NODE_LINK && j < i; j++) {
            code = maker_may_read(tree, makers[j], out->id, why);
            if (code != CODE_OK)
                return failure_wrap(why, code, "%s", path);
        }
        if (code != CODE_OK || out->kind != NODE_LINK)
            return code;
        makers[i] = out->owner;
        SCOPE_BUFFER target = {.max = TREE_LINK_TARGET_MAX + 1};
        SCOPE_BUFFER there = {.max = TREE_PATH_MAX};
        code = tree_read_link(tree, out->id, &target, why);
        if (code == CODE_OK)
            code = resolve(here.data, buffer_text(&target), &there, why);
        if (code != CODE_OK)
            return code;
        buffer_clear(&here);
        buffer_append_text(&here, buffer_text(&there));
    }
    return failure_set(why, CODE_INVALID, "%s: too many symbolic links lead to each other", path);
}

enum code tree_path_attributes(struct tree *tree, const char *path, struct node_attributes *out, struct failure *why)
{
    return look_through(tree, path, out, why);
}

enum code tree_path_maker(struct tree *tree, const char *path, int64_t *owner, struct failure *why)
{
    struct node_attributes attributes;
    enum code code = look(tree, path, &attributes, why);
    *owner = code == CODE_OK ? attributes.owner : TREE_MOUNTER;
    return code;
}

enum code tree_check_link(struct tree *tree, struct node_id link, struct failure *why)
{
    struct node_attributes attributes;
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    enum code code = tree_attributes(tree, link, &attributes, why);
    if (code != CODE_OK || attributes.owner <= UINT32_MAX)
        return code; /* whoever opened the store made it */
    code = tree_node_path(tree, link, &path, why);
    if (code == CODE_OK)
        code = look_through(tree, buffer_text(&path), &attributes, why);
    return code == CODE_OK
               ? code
               : failure_wrap(why, CODE_DENIED, "a symbolic link that a member made is not followed for programs");
}

bool tree_path_exists(struct tree *tree, const char *path)
{
    struct node_attributes attributes;
    return look(tree, path, &attributes, NULL) == CODE_OK;
}

/* Reading ---------------------------------------------------------------------------------------------------------- */

/* Appends the contents from `offset` on, until the end. */
static enum code read_from(struct tree_file *file, uint64_t offset, size_t max, struct buffer *out, struct failure *why)
{
    size_t step = max < READ_STEP ? max + 1 : READ_STEP;
    for (size_t total = 0, got;; total += got) {
        void *bytes = buffer_reserve(out, step);
        if (!bytes)
            return failure_set(why, CODE_TOO_LARGE, "the file is larger than %zu bytes", max);
        enum code code = tree_read(file, offset + total, bytes, step, &got, why);
        if (code != CODE_OK)
            return code;
        if (total + got > max)
            return failure_set(why, CODE_TOO_LARGE, "the file is larger than %zu bytes", max);
        out->length += got;
        out->data[out->length] = 0;
        if (got < step)
            return CODE_OK;
    }
}

static enum code open_for_reading(struct tree *tree, const char *path, struct node_attributes *attributes,
                                  struct tree_file **file, struct failure *why)
{
    enum code code = look_through(tree, path, attributes, why);
    if (code == CODE_OK && attributes->stream)
        code = failure_set(why, CODE_INVALID, "%s is a stream without an end", path);
    return code == CODE_OK ? tree_open_file(tree, attributes->id, OPEN_READ | OPEN_UNSEEN, file, why) : code;
}

enum code tree_path_read(struct tree *tree, const char *path, size_t max, struct buffer *out, struct failure *why)
{
    struct node_attributes attributes;
    struct tree_file *file;
    size_t before = out->length;
    enum code code = open_for_reading(tree, path, &attributes, &file, why);
    if (code != CODE_OK)
        return code;
    code = read_from(file, 0, max, out, why);
    tree_release(file);
    if (code == CODE_OK)
        return CODE_OK;
    out->length = before;
    if (out->data)
        out->data[before] = 0;
    return failure_wrap(why, code, "%s", path);
}

enum code tree_path_read_tail(struct tree *tree, const char *path, size_t count, struct buffer *out, struct failure *why)
{
    struct node_attributes attributes;
    struct tree_file *file;
    enum code code = open_for_reading(tree, path, &attributes, &file, why);
    if (code != CODE_OK)
        return code;
    uint64_t offset = attributes.size > count ? attributes.size - count : 0;
    void *bytes = buffer_reserve(out, count + 1);
    size_t got = 0;
    code =
        bytes ? tree_read(file, offset, bytes, count, &got, why) : failure_set(why, CODE_NO_MEMORY, "%s: no memory", path);
    tree_release(file);
    if (code == CODE_OK) {
        out->length += got;
        out->data[out->length] = 0;
    }
    return code;
}

/* Changing --------------------------------------------------------------------------------------------------------- */

/* The node of that name in the folder, or NULL. */
static enum code find_if_any(struct tree *tree, struct node *parent, const char *name, struct node **out,
                             struct failure *why)
{
    enum code code = entry_find(tree, parent, name, out, why);
    if (code != CODE_NOT_FOUND)
        return code;
    *out = NULL;
    return CODE_OK;
}

/* Makes a node in place of whatever file or link has the name; inside an operation. */
static enum code make_or_replace(struct tree *tree, const char *path, const struct names_new *what, struct node **node,
                                 struct failure *why)
{
    char name[TREE_NAME_MAX + 1];
    struct node *parent, *old;
    enum code code = find_parent(tree, path, &parent, name, why);
    if (code == CODE_OK)
        code = entry_check_folder(parent, true, why);
    if (code == CODE_OK)
        code = find_if_any(tree, parent, name, &old, why);
    if (code == CODE_OK && old && old->row.kind == CATALOG_INODE_FOLDER)
        code = failure_set(why, CODE_IS_DIRECTORY, "%s is a folder", path);
    if (code == CODE_OK && old)
        code = entry_delete(tree, parent, name, old, why);
    return code == CODE_OK ? names_make(tree, parent, name, what, node, why) : code;
}

enum code tree_path_write(struct tree *tree, const char *path, uint32_t mode, const void *bytes, size_t count,
                          struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct names_new what = {.kind = CATALOG_INODE_FILE, .mode = mode, .server = true};
    struct node *node = NULL;
    enum code code = commit_make_room(tree, why);
    if (code == CODE_OK)
        code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = make_or_replace(tree, path, &what, &node, why);
    if (code == CODE_OK)
        code = contents_write(tree, node, &(struct contents_write){.bytes = bytes, .count = count}, why);
    code = operation_end(tree, code, why);
    if (code == CODE_OK) {
        node_stamp(tree, node, timing_wall_ns());
        commit_hint(tree);
    }
    return code;
}

static enum code find_or_make_file(struct tree *tree, const char *path, struct node **node, struct failure *why)
{
    char name[TREE_NAME_MAX + 1];
    struct names_new what = {.kind = CATALOG_INODE_FILE, .mode = 0644, .server = true};
    struct node *parent;
    enum code code = find_parent(tree, path, &parent, name, why);
    if (code != CODE_OK)
        return code;
    code = entry_find(tree, parent, name, node, why);
    return code == CODE_NOT_FOUND ? names_make(tree, parent, name, &what, node, why) : code;
}

enum code tree_path_append(struct tree *tree, const char *path, const void *bytes, size_t count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node = NULL;
    enum code code = commit_make_room(tree, why);
    if (code == CODE_OK)
        code = find_stored(tree, path, &node, why);
    if (code == CODE_NOT_FOUND) {
        code = operation_begin(tree, why);
        if (code == CODE_OK)
            code = operation_end(tree, find_or_make_file(tree, path, &node, why), why);
    }
    if (code == CODE_OK)
        code = file_check_writable(tree, node, why);
    uint64_t from = code == CODE_OK ? node->row.size : 0;
    if (code == CODE_OK)
        code = contents_write(tree, node, &(struct contents_write){.offset = from, .bytes = bytes, .count = count}, why);
    if (code == CODE_OK) {
        bool changed = node->changed;
        file_note_change(tree, node, from);
        node->changed = changed; /* what the server appends is no news for rules */
    }
    return code;
}

enum code tree_path_make_folders(struct tree *tree, const char *path, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct names_new what = {.kind = CATALOG_INODE_FOLDER, .mode = 0755, .server = true};
    char name[TREE_NAME_MAX + 1];
    struct node *folder, *child = NULL;
    bool more = true;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    const char *rest = path;
    code = node_get(tree, INODE_ROOT, &folder, why);
    bool made = false;
    while (code == CODE_OK) {
        code = next_component(&rest, name, &more, why);
        if (code != CODE_OK || !more)
            break;
        code = entry_find(tree, folder, name, &child, why);
        if (code == CODE_NOT_FOUND) {
            code = names_make(tree, folder, name, &what, &child, why);
            made = true;
        }
        if (code == CODE_OK && child->row.kind != CATALOG_INODE_FOLDER)
            code = failure_set(why, CODE_NOT_DIRECTORY, "%s: \"%s\" is not a folder", path, name);
        folder = child;
    }
    code = operation_end(tree, code, why);
    if (code == CODE_OK && made)
        node_stamp(tree, folder, timing_wall_ns());
    return code;
}

enum code tree_path_link(struct tree *tree, const char *path, const char *target, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct names_new what = {.kind = CATALOG_INODE_LINK, .mode = 0777, .target = target, .server = true};
    struct node *node = NULL;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = operation_end(tree, make_or_replace(tree, path, &what, &node, why), why);
    if (code == CODE_OK)
        node_stamp(tree, node, timing_wall_ns());
    return code;
}

enum code tree_path_read_link(struct tree *tree, const char *path, struct buffer *target, struct failure *why)
{
    struct node_attributes attributes;
    enum code code = look(tree, path, &attributes, why);
    return code == CODE_OK ? tree_read_link(tree, attributes.id, target, why) : code;
}

static enum code remove_path(struct tree *tree, const char *path, struct node **parent, struct failure *why)
{
    char name[TREE_NAME_MAX + 1];
    struct node *node;
    enum code code = find_parent(tree, path, parent, name, why);
    if (code == CODE_OK)
        code = entry_check_folder(*parent, true, why);
    if (code == CODE_OK)
        code = entry_find(tree, *parent, name, &node, why);
    if (code != CODE_OK)
        return code;
    if (node->row.kind != CATALOG_INODE_FOLDER)
        return entry_delete(tree, *parent, name, node, why);
    if (node->row.flags & (CATALOG_INODE_FIXED | CATALOG_INODE_SNAPSHOTS))
        return failure_set(why, CODE_NOT_PERMITTED, "%s is part of the lab's frame and stays", path);
    return entry_delete_folder(tree, *parent, name, node, why);
}

enum code tree_path_remove(struct tree *tree, const char *path, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *parent = NULL;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = operation_end(tree, remove_path(tree, path, &parent, why), why);
    if (code == CODE_OK)
        node_stamp(tree, parent, timing_wall_ns());
    return code == CODE_NOT_FOUND ? CODE_OK : code;
}

/* Looking ---------------------------------------------------------------------------------------------------------- */

enum code tree_path_list(struct tree *tree, const char *path, tree_path_visit *each, void *context, struct failure *why)
{
    struct node_attributes attributes;
    struct tree_folder *folder;
    enum code code = look(tree, path, &attributes, why);
    if (code == CODE_OK)
        code = folder_open_stored(tree, attributes.id, &folder, why);
    if (code != CODE_OK)
        return code;
    const char *name;
    for (uint64_t cursor = 0; tree_folder_entry(folder, cursor, &name, NULL); cursor++) {
        if (!folder_stored_attributes(folder, cursor, &attributes))
            continue;
        if (!each(context, name, &attributes))
            break;
    }
    tree_close_folder(folder);
    return CODE_OK;
}

void tree_path_stamp(struct tree *tree, const char *path, uint64_t *version, int64_t *modify_ns)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node;
    *version = 0;
    *modify_ns = 0;
    if (find_stored(tree, path, &node, NULL) == CODE_OK) {
        *version = node->row.stamp;
        *modify_ns = node->row.stamp_ns;
    }
}

enum code tree_path_snapshot(struct tree *tree, const char *path, bool reuse, char label[TREE_NAME_MAX + 1],
                             struct failure *why)
{
    struct node_attributes attributes;
    enum code code = look(tree, path, &attributes, why);
    if (code == CODE_OK)
        code = tree_snapshot(tree, attributes.id, reuse, label, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "making a snapshot of %s", path);
}

enum code tree_node_path(struct tree *tree, struct node_id id, struct buffer *out, struct failure *why)
{
    if (alias_is(id))
        return alias_target(tree, id, out, why);
    if (tree_is_derived(id)) {
        struct derived *entry;
        enum code code = derived_get(tree, id, &entry, why);
        if (code != CODE_OK)
            return code;
        code = derived_path(tree, entry, out, why);
        derived_unpin(tree, entry);
        return code;
    }
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node;
    enum code code = node_get(tree, id.value, &node, why);
    return code == CODE_OK ? node_path(tree, node, out, why) : code;
}
