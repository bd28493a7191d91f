/* Those who wait for an fsync, without a thread each.  Whoever comes while nobody leads and no more are expected
 * (gathering.h) becomes the leader: he takes all who wait, makes their changes durable at one go, with a line in the log of
 * recent writes if that does (tree_recent.h), else with a commit, and tells them. */
#ifndef CYTOFS_TREE_WAITING_H
#define CYTOFS_TREE_WAITING_H

#include "tree_node.h"

/* Before the first may wait, and after: nobody waits in vain for others who do not come.  Stopped twice is well. */
MUST_CHECK enum code waiting_start(struct tree *tree, struct failure *why);
void waiting_stop(struct tree *tree);

typedef void commit_told(void *context, enum code code, const struct failure *why);

/* Makes all changes of the node durable and calls told(context, ...) then, once, from any thread, maybe before this returns,
 * and without any lock.  The node is kept by a handle of the caller's until then.  Without the lock. */
void waiting_add(struct tree *tree, struct node *node, commit_told *told, void *context);

/* Whether somebody waits, nobody leads, and no more are expected: waiting_lead should be called.  With the lock. */
bool waiting_is_due(const struct tree *tree);

/* Takes care of those who wait, unless somebody leads or more are expected.  Without the lock. */
void waiting_lead(struct tree *tree);

/* As waiting_add, waiting. */
MUST_CHECK enum code waiting_sync(struct tree *tree, struct node *node, struct failure *why);

#endif
