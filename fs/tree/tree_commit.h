/* Durability: what changed since the last commit becomes durable in one step. */
#ifndef CYTOFS_TREE_COMMIT_H
#define CYTOFS_TREE_COMMIT_H

#include "tree_internal.h"

MUST_CHECK enum code commit_start(struct tree *tree, struct failure *why);

/* A last commit, and the end of the thread. */
void commit_stop(struct tree *tree);

/* Makes everything that happened before the call durable.  Without the lock.  Calls that overlap share a commit. */
MUST_CHECK enum code commit_wait(struct tree *tree, struct failure *why);

/* The round that makes durable what is changed now.  With the lock. */
static inline uint64_t commit_round_of_changes(const struct tree *tree)
{
    return tree->commit.started + (tree->commit.collecting ? 0 : 1);
}

/* Makes a round now, in the caller's thread, which has set commit.leading; takes that back.  Without the lock. */
MUST_CHECK enum code commit_round(struct tree *tree, struct failure *why);

/* Asks for a round soon.  With the lock. */
void commit_ask(struct tree *tree);

/* The same, where so much has changed that waiting would cost memory.  With the lock. */
void commit_hint(struct tree *tree);

/* A round is made for the pack, which nothing names, as soon as it may be dropped, even where nothing else has changed. With
 * the lock. */
void commit_leave_pack(struct tree *tree, uint32_t pack);

/* Waits until there is room for more unwritten contents and nodes.  With the lock, which is released meanwhile. */
MUST_CHECK enum code commit_make_room(struct tree *tree, struct failure *why);

/* The same before a name is made; CODE_NO_SPACE where the disk is so full that names should only go. */
MUST_CHECK enum code commit_make_room_for_name(struct tree *tree, struct failure *why);

/* Waits at the gate, then seals all contents in memory into the chunk store and brings all rows into the catalog's
 * transaction, without making either durable: the catalog then describes the tree as it is.  With the lock, outside of
 * operations. */
MUST_CHECK enum code commit_bring_up_to_date(struct tree *tree, struct failure *why);

#endif
