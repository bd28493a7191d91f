/* The recovery key of a lab, replaced: what it opened is opened by another one from now on, and by the old one no longer. */
#ifndef CYTOFS_TREE_RECOVERY_H
#define CYTOFS_TREE_RECOVERY_H

#include "failure.h"
#include "member_card.h"

struct tree;

/* `key` (recovery_key.h) is the lab's recovery key from now on; a lab that has none is given its first.  Each space that the
 * old one could read gets a new key, wrapped for those who read it and for `key`: those whose keys are at hand now, others
 * by the next of their readers who opens the lab; what is there is sealed anew in the background.  An admin's: CODE_DENIED.
 * CODE_EXISTS for a key that the lab knows or knew.  One operation, durable when it returns; without the lock. */
MUST_CHECK enum code recovery_replace(struct tree *tree, const struct member_public *key, struct failure *why);

#endif
