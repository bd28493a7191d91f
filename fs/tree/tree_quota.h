/* Quotas of a lab's members: what the lab has written down, and what is used of storage.  Without the tree's lock; any
 * thread.
 *
 * They are a record of the lab (tree_record.h, FORMAT.md).  Storage is kept to by the tree itself (tree_usage.h); runs are
 * kept to by whoever plans them (runner/jobs), who asks here.
 */
#ifndef CYTOFS_TREE_QUOTA_H
#define CYTOFS_TREE_QUOTA_H

#include "quota.h"

struct tree;
struct viewer;

/* Reads the record, when the lab is opened.  One that cannot be read is told in the log, and nobody has quotas. */
void tree_quota_load(struct tree *tree);

/* What holds for the member: nothing of it is QUOTA_UNSET. */
struct quota tree_quota_of(struct tree *tree, const char *member);

/* What is said of the member, or of "everyone" else, alone. */
struct quota tree_quota_said(struct tree *tree, const char *name);

/* Says it; durable when it returns.  The member exists, or is "everyone". */
MUST_CHECK enum code tree_quota_say(struct tree *tree, const char *name, const struct quota *quota, struct failure *why);

/* A member has left: nothing is said of that name any more. */
MUST_CHECK enum code tree_quota_forget(struct tree *tree, const char *name, struct failure *why);

struct tree_quota_storage {
    uint64_t bytes; /* of the member's files */
    uint64_t held;  /* set aside for files on their way */
    uint64_t most;  /* QUOTA_UNLIMITED: any number */
};
/* NULL: the member who opened the lab. */
struct tree_quota_storage tree_quota_storage(struct tree *tree, const struct viewer *viewer);

/* Of a member by name; CODE_NOT_FOUND. */
MUST_CHECK enum code tree_quota_storage_of(struct tree *tree, const char *member, struct tree_quota_storage *out,
                                           struct failure *why);

/* Sets bytes of the viewer's quota aside for files that he will put (tree_put.h), so that none of them is refused then: up
 * to so many more, and a part of what is left at most.  Returns how many.  tree_quota_let_go: they are not needed. */
uint64_t tree_quota_hold(struct tree *tree, const struct viewer *viewer, uint64_t bytes);
void tree_quota_let_go(struct tree *tree, const struct viewer *viewer, uint64_t bytes);

/* Sets aside what had been set aside in an earlier life of the server, whatever is left. */
void tree_quota_take_back(struct tree *tree, const struct viewer *viewer, uint64_t bytes);

#endif
