/* Orphans: see tree_orphans.h.  Few of them have a node in memory: those that somebody has open, or has asked for since. */
#include "tree_orphans.h"

#include "catalog_inode.h"
#include "tree_authentic.h"
#include "tree_entry.h"
#include "tree_node.h"
#include "tree_operation.h"

#define ROWS_AT_ONCE 256

static enum code collect_one(struct tree *tree, uint64_t inode, uint64_t space, struct failure *why)
{
    struct catalog_inode row;
    struct node *node = node_peek(tree, inode);
    if (node)
        return space == ORPHANS_OF_ALL || node->row.space == space ? entry_collect(tree, node, why) : CODE_OK;
    enum code code = catalog_inode_get(tree->catalog, inode, &row, why);
    if (code != CODE_OK || (space != ORPHANS_OF_ALL && row.space != space))
        return code;
    return authentic_drop_orphan(tree, inode, why);
}

enum code orphans_collect(struct tree *tree, uint64_t space, struct failure *why)
{
    for (uint64_t after = 0;;) {
        uint64_t inodes[ROWS_AT_ONCE];
        size_t count;
        enum code code = catalog_inode_orphans(tree->catalog, after, inodes, ROWS_AT_ONCE, &count, why);
        if (code != CODE_OK || count == 0)
            return code;
        after = inodes[count - 1];
        code = operation_begin(tree, why);
        if (code != CODE_OK)
            return code;
        for (size_t i = 0; code == CODE_OK && i < count; i++)
            code = collect_one(tree, inodes[i], space, why);
        code = operation_end(tree, code, why);
        if (code != CODE_OK)
            return code;
    }
}
