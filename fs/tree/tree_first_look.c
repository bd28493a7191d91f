/* The first look into folders: see tree_first_look.h.
 *
 * Proofs are of folders, not of names (tree_authentic.c): that a name is the one that was written last, or
 * that there is none, is known only when all names of its folder have been added up.  Doing so for whoever
 * comes first makes his look-up cost a microsecond for each name beside his; so it is done in the order in
 * which the names lie on the disk, once.
 *
 * That it was done is remembered in the node (node->checked), and so for TREE_IDLE_FOLDERS_MAX folders.  Of a
 * lab with more the others are looked at when they are needed: they hold few names each. */
#include "tree_first_look.h"

#include "catalog_name.h"
#include "logging.h"
#include "tree_authentic.h"
#include "tree_node.h"

/* A lack of keys is none of this lab's faults, and damage is told to whoever meets it. */
static enum code look_into(struct tree *tree, uint64_t inode, struct failure *why)
{
    struct node *folder;
    enum code code = node_get(tree, inode, &folder, why);
    if (code == CODE_OK)
        code = authentic_check(tree, folder, why);
    if (code == CODE_CORRUPT || code == CODE_NOT_FOUND)
        logging_warning("folder %llu: %s", (unsigned long long)inode, why->text);
    return code == CODE_CORRUPT || code == CODE_NOT_FOUND || code == CODE_DENIED ? CODE_OK : code;
}

enum code first_look_take(struct tree *tree, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    uint64_t folder = 0;
    enum code code = CODE_OK;
    for (size_t seen = 0; code == CODE_OK && seen < TREE_IDLE_FOLDERS_MAX; seen++) {
        code = catalog_name_next_parent(tree->catalog, folder, &folder, why);
        if (code == CODE_OK)
            code = look_into(tree, folder, why);
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}
