/* Proofs that the catalog's rows are those that were written last: whoever can edit the store can make the lab refuse, and
 * not make it believe.  FORMAT.md (fs/catalog) draws the messages.
 *
 * Rows of names, chunks and attributes are changed through this file only, so that each node's sum keeps up with them.
 * All calls with the tree's lock held.
 */
#ifndef CYTOFS_TREE_AUTHENTIC_H
#define CYTOFS_TREE_AUTHENTIC_H

#include "catalog_attribute.h"
#include "catalog_chunk.h"
#include "catalog_name.h"
#include "tree_node.h"

/* The node's names, chunks and attributes in the catalog held against its row, unless that was done since the node was
 * loaded.  To be called before any of them is believed or changed.  CODE_CORRUPT says what is wrong; CODE_DENIED without
 * the space's key. */
MUST_CHECK enum code authentic_check(struct tree *tree, struct node *node, struct failure *why);

/* Changes of rows: the catalog's own calls of that kind, and node->row.sum with them.  Inside an operation; or inside one of
 * the catalog alone, where the caller puts the sum back if it fails. */
MUST_CHECK enum code authentic_put_chunk(struct tree *tree, struct node *node, const struct catalog_chunk *row,
                                         struct failure *why);
MUST_CHECK enum code authentic_drop_chunk(struct tree *tree, struct node *node, uint64_t index, struct failure *why);
MUST_CHECK enum code authentic_drop_chunks(struct tree *tree, struct node *node, uint64_t from, uint64_t to,
                                           struct failure *why); /* half-open, to INT64_MAX */
MUST_CHECK enum code authentic_put_name(struct tree *tree, struct node *folder, const struct catalog_name *name,
                                        uint64_t inode, struct failure *why);
MUST_CHECK enum code authentic_drop_name(struct tree *tree, struct node *folder, const struct catalog_name *name,
                                         struct failure *why);
MUST_CHECK enum code authentic_put_attribute(struct tree *tree, struct node *node, const struct catalog_attribute *row,
                                             struct failure *why);
MUST_CHECK enum code authentic_drop_attribute(struct tree *tree, struct node *node, const struct catalog_attribute *row,
                                              struct failure *why);

/* Makes the node's sum anew from its rows under the key of another generation, which is that of the row from then on; after
 * the rows have been checked, or (accept) whatever they are.  Inside an operation. */
MUST_CHECK enum code authentic_renew(struct tree *tree, struct node *node, uint32_t generation, struct failure *why);
MUST_CHECK enum code authentic_accept(struct tree *tree, struct node *node, struct failure *why);

/* The same for a row that was held against its proof, of an inode that is not in memory. */
MUST_CHECK enum code authentic_check_hanging(struct tree *tree, const struct catalog_inode *row, struct failure *why);

/* A row as it came from the catalog held against its own proof: CODE_CORRUPT.  Without the space's key it is let pass. */
MUST_CHECK enum code authentic_check_row(struct tree *tree, const struct catalog_inode *row, struct failure *why);

/* Writes the node's row with its proof; then, when that was kept, authentic_row_kept.  A row whose space's key is not at
 * hand stays as it is in the catalog. */
MUST_CHECK enum code authentic_put_row(struct tree *tree, struct node *node, struct failure *why);
void authentic_row_kept(struct tree *tree, struct node *node);

/* The node's row has been deleted, and that was kept. */
void authentic_row_gone(struct tree *tree, struct node *node);

/* The rows that catalog_snapshot_copy has just made get proofs of their own, and the selected ones are about to be
 * deleted: what they weigh in their space is added or taken away when the operation is kept. */
MUST_CHECK enum code authentic_copy_rows(struct tree *tree, uint32_t flags, struct failure *why);
MUST_CHECK enum code authentic_drop_rows(struct tree *tree, struct failure *why);

/* Deletes the row of an inode that has no name and no node, with what hangs on it; inside an operation.  One whose space's
 * key is not at hand stays. */
MUST_CHECK enum code authentic_drop_orphan(struct tree *tree, uint64_t inode, struct failure *why);

/* A row of the catalog without a node gets its sum and proof; inside an operation of the catalog. */
MUST_CHECK enum code authentic_prove(struct tree *tree, struct catalog_inode *row, struct failure *why);

#endif
