/* Clients that outlive the process: see tree_parting.h.
 *
 * A file without a name that somebody has open is a row with no links in the catalog; what becomes of it is decided by its
 * last user's leaving (tree_names.c), or when the tree is opened (tree.c).  Parting suspends the first, keep_nameless the
 * second; tree_drop_nameless makes up for both by taking and giving back a reference on each such row. */
#include "tree_parting.h"

#include "catalog_inode.h"
#include "tree_commit.h"
#include "tree_derived.h"
#include "tree_file.h"

#define ROWS_AT_ONCE 64

void tree_begin_parting(struct tree *tree)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    tree->parting = true;
}

uint64_t tree_finish(struct tree *tree)
{
    commit_stop(tree);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return tree->commit.number;
}

uint64_t tree_opened_at(const struct tree *tree)
{
    return tree->opened_at;
}

enum code tree_drop_nameless(struct tree *tree, struct failure *why)
{
    pthread_mutex_lock(&tree->lock);
    tree->keeps_nameless = false;
    pthread_mutex_unlock(&tree->lock);
    for (uint64_t after = 0;;) {
        uint64_t inodes[ROWS_AT_ONCE];
        size_t count;
        pthread_mutex_lock(&tree->lock);
        enum code code = catalog_inode_orphans(tree->catalog, after, inodes, ROWS_AT_ONCE, &count, why);
        pthread_mutex_unlock(&tree->lock);
        if (code != CODE_OK || count == 0)
            return code;
        after = inodes[count - 1];
        for (size_t i = 0; i < count; i++) {
            tree_remember(tree, (struct node_id){inodes[i]});
            tree_forget(tree, (struct node_id){inodes[i]}, 1);
        }
    }
}

unsigned tree_file_flags(const struct tree_file *file)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&file->tree->lock);
    unsigned flags = file->flags & ~(unsigned)(OPEN_TRUNCATE | OPEN_EXCLUSIVE);
    return file->node && file->node->changed ? flags | OPEN_CHANGED : flags;
}

enum code tree_derived_place(struct tree *tree, struct node_id node, struct node_id *folder, char name[TREE_NAME_MAX + 1],
                             struct failure *why)
{
    return derived_folder(tree, node, &folder->value, name, why);
}
