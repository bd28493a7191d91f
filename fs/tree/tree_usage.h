/* How many bytes of files each member has, and whether there may be more.
 *
 * What counts is the logical size of the files that a member owns, also of those that were removed, as long as they are
 * open; what lies in snapshots counts for nobody.  What no member of another machine made counts for the member who opened
 * the lab.  All calls with the tree's lock held.
 */
#ifndef CYTOFS_TREE_USAGE_H
#define CYTOFS_TREE_USAGE_H

#include "tree_internal.h"

struct node;

/* A row of the catalog is there, when the lab is opened; and it goes without ever having been a node. */
void usage_take_row(struct tree *tree, const struct catalog_inode *row);
void usage_drop_row(struct tree *tree, const struct catalog_inode *row);

/* Counts all rows of the catalog anew, where rows have gone otherwise; when it holds what memory holds
 * (commit_bring_up_to_date). */
void usage_recount(struct tree *tree);

/* The node's size, owner or being may have changed: counts the difference. */
void usage_settle(struct tree *tree, struct node *node);

/* The node is as the rows say that were taken. */
void usage_note_counted(struct node *node);

/* Whether the node's owner may have it grow to that size: CODE_QUOTA.  `promised` of what comes was set aside for it before.
 */
MUST_CHECK enum code usage_admit(struct tree *tree, const struct node *node, uint64_t size, uint64_t promised,
                                 struct failure *why);

/* So far a file that can only be appended to may grow whatever was used: they are the books of runs, whose state depends on
 * them. */
#define USAGE_BOOKS_BYTES ((uint64_t)1 << 20)

/* Sets up to `bytes` of what the owner has left aside for later; returns how many.  Some of that is needed no longer; or was
 * set aside before, in another life of the server, whatever is left. */
uint64_t usage_hold(struct tree *tree, int64_t owner, uint64_t bytes);
void usage_let_go(struct tree *tree, int64_t owner, uint64_t bytes);
void usage_take_back(struct tree *tree, int64_t owner, uint64_t bytes);

struct usage_numbers {
    uint64_t bytes; /* of files */
    uint64_t held;  /* set aside */
    uint64_t most;  /* QUOTA_UNLIMITED: any number */
};
struct usage_numbers usage_of(struct tree *tree, int64_t owner);

/* Limits have changed, or members: asks for each owner's anew. */
void usage_renew_limits(struct tree *tree);

void usage_free(struct tree *tree);

#endif
