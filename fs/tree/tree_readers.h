/* Who may read which of the lab's spaces, and changes of that.  Without the tree's lock; every change is one operation, and
 * durable when it returns.
 *
 * A space is named as in lab/spaces: `lab` and `models` for the lab's own and the registry, `cells` or `datasets/cells` for
 * a dataset, `home-ada` or `home/ada` for a member's home.  What a change needs is its key: whoever can read a space may
 * share it, and nobody else can.
 */
#ifndef CYTOFS_TREE_READERS_H
#define CYTOFS_TREE_READERS_H

#include "buffer.h"
#include "failure.h"
#include "rule.h"

struct tree;

#define READERS_EVERYONE "everyone"

/* A space gets one more reader, or everyone in the lab, now and later. */
MUST_CHECK enum code readers_share(struct tree *tree, const char *space, const char *who, struct failure *why);

/* Takes a reader out, or everyone but oneself, and rotates the key.  A space that was shared with everyone is from then on
 * shared with those who were left, by name. */
MUST_CHECK enum code readers_unshare(struct tree *tree, const char *space, const char *who, struct failure *why);

/* Gives up one's own key of a space; the next reader who opens the lab rotates it.  CODE_INVALID for the last one. */
MUST_CHECK enum code readers_leave(struct tree *tree, const char *space, struct failure *why);

/* A new key for the same readers: new things are sealed with it at once, what is there in the background. */
MUST_CHECK enum code readers_rotate(struct tree *tree, const char *space, struct failure *why);

void readers_list_spaces(struct tree *tree, rule_emit *emit, void *context);

/* Who may read it, which generation its key has, how far a rotation is.  CODE_NOT_FOUND. */
MUST_CHECK enum code readers_describe_space(struct tree *tree, const char *space, struct buffer *out, struct failure *why);

#endif
