/* Leftovers of interrupted work: see tree_leftovers.h.
 *
 * They may be folders of any size, so they cannot go in one operation.  Each is first moved aside, to a name that nobody
 * knows, which is one operation: from then on it cannot be finished.  Then it is removed from below, an operation per name;
 * since nobody sees it, nobody sees it half gone, and what a crash leaves of it is a leftover again.
 */
#include "tree_leftovers.h"

#include <stdio.h>
#include <string.h>

#include "catalog_name.h"
#include "timing.h"
#include "tree_authentic.h"
#include "tree_entry.h"
#include "tree_names.h"
#include "tree_operation.h"
#include "tree_seal.h"

#define DEEP_MAX 200 /* folders in each other below a leftover */

struct listing {
    struct tree *tree;
    const struct node *folder;
    struct buffer *names; /* each with its terminator */
    bool only_hidden;     /* out: nothing but leftovers and a dataset's .snap */
    enum code code;
    struct failure *why;
};

static bool is_leftover(const char *name)
{
    return strncmp(name, TREE_STAGING_PREFIX, sizeof TREE_STAGING_PREFIX - 1) == 0;
}

static bool add_name(void *context, const struct catalog_name *row, uint64_t inode)
{
    (void)inode;
    struct listing *listing = context;
    char name[TREE_NAME_MAX + 1];
    listing->code = seal_open_name(listing->tree, listing->folder, row->bytes, row->count, name, listing->why);
    if (listing->code != CODE_OK)
        return false;
    listing->only_hidden &= entry_is_hidden(listing->folder, name);
    buffer_append(listing->names, name, strlen(name) + 1);
    return true;
}

/* The names in a folder, and whether all of them are hidden; takes the lock. */
static enum code list(struct tree *tree, struct node_id id, struct buffer *names, bool *only_hidden, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *folder;
    enum code code = names_folder(tree, id, &folder, why);
    if (code == CODE_OK)
        code = authentic_check(tree, folder, why);
    struct listing listing = {tree, folder, names, true, CODE_OK, why};
    if (code == CODE_OK)
        code = catalog_name_list(tree->catalog, folder->row.inode, add_name, &listing, why);
    if (code == CODE_OK)
        code = listing.code;
    *only_hidden = listing.only_hidden;
    return code == CODE_OK ? buffer_check(names, "the names in a folder", why) : code;
}

/* Finds a name, says what it is; takes the lock. */
static enum code find(struct tree *tree, struct node_id parent, const char *name, struct node_attributes *out,
                      struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *folder, *node;
    enum code code = names_folder(tree, parent, &folder, why);
    if (code == CODE_OK)
        code = entry_find(tree, folder, name, &node, why);
    if (code == CODE_OK)
        *out = node_describe(node);
    return code;
}

/* One operation: removes a file or an empty folder (to: NULL), or gives it another name in its folder. */
static enum code change(struct tree *tree, struct node_id parent, const char *name, const char *to, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *folder = NULL, *node;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = names_folder(tree, parent, &folder, why);
    if (code == CODE_OK)
        code = entry_check_folder(folder, true, why);
    if (code == CODE_OK)
        code = entry_find(tree, folder, name, &node, why);
    if (code == CODE_OK)
        code = to                                       ? entry_move(tree, folder, name, folder, to, node, why)
               : node->row.kind == CATALOG_INODE_FOLDER ? entry_delete_folder(tree, folder, name, node, why)
                                                        : entry_delete(tree, folder, name, node, why);
    code = operation_end(tree, code, why);
    if (code == CODE_OK) {
        tree->name_epoch += to != NULL;
        node_stamp(tree, folder, timing_wall_ns());
    }
    return code;
}

static enum code remove_all(struct tree *tree, struct node_id parent, const char *name, int depth, struct failure *why)
{
    SCOPE_BUFFER names = {0};
    struct node_attributes node;
    bool only_hidden;
    enum code code = find(tree, parent, name, &node, why);
    if (code == CODE_OK && depth > DEEP_MAX)
        return failure_set(why, CODE_NOT_EMPTY, "something unfinished in it is too deep to be removed");
    if (code == CODE_OK && node.kind == NODE_FOLDER)
        code = list(tree, node.id, &names, &only_hidden, why);
    for (size_t at = 0; code == CODE_OK && at < names.length; at += strlen(names.data + at) + 1)
        code = remove_all(tree, node.id, names.data + at, depth + 1, why);
    return code == CODE_OK ? change(tree, parent, name, NULL, why) : code;
}

static enum code remove_leftover(struct tree *tree, struct node_id folder, const char *name, struct failure *why)
{
    char aside[64];
    snprintf(aside, sizeof aside, TREE_STAGING_PREFIX "gone-%016llx", (unsigned long long)timing_wall_ns());
    enum code code = change(tree, folder, name, aside, why);
    return code == CODE_OK ? remove_all(tree, folder, aside, 0, why) : code;
}

enum code leftovers_remove(struct tree *tree, struct node_id parent, const char *name, struct failure *why)
{
    SCOPE_BUFFER names = {0};
    struct node_attributes folder;
    bool only_hidden = false;
    enum code code = find(tree, parent, name, &folder, why);
    if (code == CODE_OK)
        code = list(tree, folder.id, &names, &only_hidden, why);
    if (code == CODE_OK && !only_hidden)
        return failure_set(why, CODE_NOT_EMPTY, "the folder is not empty");
    for (size_t at = 0; code == CODE_OK && at < names.length; at += strlen(names.data + at) + 1)
        if (is_leftover(names.data + at))
            code = remove_leftover(tree, folder.id, names.data + at, why);
    return code;
}
