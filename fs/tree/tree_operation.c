/* Operations: see tree_operation.h.  The tree's lock is held throughout, so there is one operation at a time, and one
 * undo record suffices.
 */
#include "tree_operation.h"

#include "tree_authentic.h"
#include "tree_node.h"
#include "tree_piece.h"
#include "tree_space_sum.h"
#include "tree_tell.h"
#include "tree_usage.h"

enum code operation_allowed(struct tree *tree, struct failure *why)
{
    if (tree->read_only)
        return failure_set(why, CODE_READ_ONLY, "this lab is open for reading only");
    if (tree->commit.broken.code != CODE_OK)
        return failure_set(why, CODE_IO, "nothing can be changed until the lab is mounted anew: %s",
                           tree->commit.broken.text);
    return CODE_OK;
}

enum code operation_begin(struct tree *tree, struct failure *why)
{
    while (tree->commit.committing)
        pthread_cond_wait(&tree->commit.finished, &tree->lock);
    enum code code = operation_allowed(tree, why);
    if (code == CODE_OK)
        code = catalog_operation_begin(tree->catalog, why);
    if (code != CODE_OK)
        return code;
    space_sum_begin(tree);
    tree->undo.count = 0;
    tree->undo.active = true;
    return CODE_OK;
}

enum code operation_end(struct tree *tree, enum code code, struct failure *why)
{
    enum code kept = catalog_operation_end(tree->catalog, code == CODE_OK, why);
    if (code == CODE_OK)
        code = kept;
    tree->undo.active = false;
    space_sum_end(tree, code == CODE_OK);
    tell_operation_end(tree, code == CODE_OK);
    if (code != CODE_OK) {
        for (size_t i = 0; i < tree->undo.count; i++) {
            struct node *node = tree->undo.nodes[i];
            node->row = tree->undo.rows[i];
            node->parent = tree->undo.parents[i];
            node->gone = tree->undo.gone[i];
            node_forget_path(node); /* it may be by a name that was not kept */
        }
    }
    /* A node that is gone has nothing to write, and weighs nothing. */
    for (size_t i = 0; i < tree->undo.count; i++) {
        struct node *node = tree->undo.nodes[i];
        if (node->gone) {
            if (code == CODE_OK)
                authentic_row_gone(tree, node);
            node_mark_clean(tree, node);
            piece_drop_from(tree, node, 0);
        }
        usage_settle(tree, node);
        node_settle(tree, node);
    }
    return code;
}
