/* The tree's own operations on names, for users and for the file server itself (which no rule watches). */
#ifndef CYTOFS_TREE_NAMES_H
#define CYTOFS_TREE_NAMES_H

#include "tree_node.h"

/* What to make.  Times and the space are filled in. */
struct names_new {
    uint64_t inode; /* one that was set aside (tree_reserve); 0: the next one */
    enum catalog_inode_kind kind;
    uint32_t mode;
    bool owned;           /* it has an owner and a group of its own, else it belongs to whoever mounts */
    int64_t owner, group; /* numbers, or TREE_MOUNTER */
    uint64_t device;      /* of a device */
    const char *target;   /* of a link */
    bool server;          /* made by the file server itself */
    bool for_folder;      /* as in struct tree_new */
};

struct names_new names_translate(const struct tree_new *what);

/* Makes a node and names it; with the lock, inside an operation.  A folder made directly in datasets/ gets a space and a
 * .snap folder. */
MUST_CHECK enum code names_make(struct tree *tree, struct node *folder, const char *name, const struct names_new *what,
                                struct node **out, struct failure *why);

/* A stored folder; CODE_NOT_DIRECTORY.  With the lock. */
MUST_CHECK enum code names_folder(struct tree *tree, struct node_id id, struct node **out, struct failure *why);

/* Unlinks a file or link; with the lock, inside an operation. */
MUST_CHECK enum code names_remove_file(struct tree *tree, struct node *folder, const char *name, struct failure *why);

/* Appends a symbolic link's target; CODE_INVALID for anything else.  With the lock. */
MUST_CHECK enum code names_read_target(struct tree *tree, uint64_t inode, struct buffer *target, struct failure *why);

/* To be called when the node lost a lookup or a handle, with the lock, outside of an operation: one without names and users
 * is deleted.  May wait at the gate; the node must not be used afterwards. */
void names_lost_user(struct tree *tree, struct node *node);

/* CODE_NOT_PERMITTED (or `taken`, where it is CODE_EXISTS) if a rule makes a file of this name.  Without the lock. */
MUST_CHECK enum code names_check_underived(struct tree *tree, struct node_id folder, const char *name, enum code taken,
                                           struct failure *why);

#endif
