/* Other names of snapshots: .snap/<number> and .snap/<date> lead to .snap/<label>, as symbolic links that are not listed and
 * have no rows.  Folders of several names would confuse the kernel, and a link tells what was found. */
#ifndef CYTOFS_TREE_ALIAS_H
#define CYTOFS_TREE_ALIAS_H

#include "tree_node.h"

/* Whether the id is that of such a link.  Its bits say which snapshot it leads to; nothing is kept in memory. */
bool alias_is(struct node_id id);

/* The folder of the snapshot that it leads to, which may be gone. */
struct node_id alias_folder(struct node_id id);

/* Whether a name is a number or a moment (when.h), and so never a label. */
bool alias_is_reserved(const char *name);

/* In a .snap folder: the snapshot of that number, or the last one made at or before that moment.  CODE_NOT_FOUND.  With the
 * lock. */
MUST_CHECK enum code alias_find(struct tree *tree, struct node *snapshots, const char *name, struct node_attributes *out,
                                struct failure *why);

/* Of an alias' id.  CODE_NOT_FOUND where the snapshot is gone.  Without the lock. */
MUST_CHECK enum code alias_describe(struct tree *tree, struct node_id id, struct node_attributes *out, struct failure *why);
MUST_CHECK enum code alias_target(struct tree *tree, struct node_id id, struct buffer *target, struct failure *why);

#endif
