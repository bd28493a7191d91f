/* The log of recent writes, STORE/recent.log: makes small writes durable with one short write and one sync, without a
 * commit.
 *
 * A file whose only changes since the last commit are writes of a few bytes keeps a copy of them.  When it is fsynced, they
 * are sealed and appended to the log.  Each commit holds all that the log holds, and so makes it void: records carry the
 * number of the commit that they follow.  When a lab is opened, the records that follow the catalog's last commit are
 * written anew (FORMAT.md in this folder).
 */
#ifndef CYTOFS_TREE_RECENT_H
#define CYTOFS_TREE_RECENT_H

#include "tree_node.h"

struct contents_write; /* tree_contents.h */

/* Opens the log beside the catalog and applies what it holds; in memory only where the tree is read-only.  While the tree is
 * not served yet.  CODE_DENIED where it holds writes into a space that this member has no key of: nothing may be changed
 * before somebody who has it has opened the lab. */
MUST_CHECK enum code recent_open(struct tree *tree, struct failure *why);
void recent_close(struct tree *tree);

/* What lies at its beginning is overwritten, where a commit has made it void.  Without the lock. */
void recent_wipe(struct tree *tree);

/* A write into the node was just made, and its changed_in set: keeps a copy and takes changed_in back to `before`, where the
 * log could hold it.  With the lock. */
void recent_note_write(struct tree *tree, struct node *node, uint64_t before, const struct contents_write *write);

/* The kept copies are needed no more. */
void recent_forget(struct tree *tree, struct node *node);

/* What it takes to make all changes of a node durable.  With the lock. */
enum recent_need { RECENT_NOTHING, RECENT_LOG, RECENT_ROUND };
enum recent_need recent_need_of(const struct tree *tree, const struct node *node);

/* Copies of writes on their way into the log. */
struct recent_batch {
    struct recent_writes *first, **end;
    uint64_t bytes; /* that they take in the log */
};

/* Moves the node's copies into the batch.  With the lock. */
void recent_take(struct tree *tree, struct node *node, struct recent_batch *batch);

/* Somebody wants the node's changes durable: what is written into it next is due, that is, he will again.  With the lock. */
void recent_note_sync(struct node *node);

/* How many nodes have copies that are due. */
static inline unsigned recent_due(const struct tree *tree)
{
    return tree->recent.due_count;
}

/* Moves what is due into the batch as well, as far as it is little; the next time only if its fsync did come.  Gives of how
 * many nodes.  With the lock. */
unsigned recent_take_due(struct tree *tree, struct recent_batch *batch);

/* Seals and writes the batch, and syncs it; it is empty afterwards, whatever happens.  Without the lock, by the leader only
 * (commit.leading).  After a failure only a commit makes those writes durable. */
MUST_CHECK enum code recent_write(struct tree *tree, struct recent_batch *batch, struct failure *why);

#endif
