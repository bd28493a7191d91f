/* Nodes: rows of inodes in memory, while somebody uses them or they differ from the catalog.  All calls with the
 * tree's lock held.
 */
#ifndef CYTOFS_TREE_NODE_H
#define CYTOFS_TREE_NODE_H

#include "tree_internal.h"

struct node {
    struct catalog_inode row;
    struct node *hash_next;
    struct node *dirty_previous, *dirty_next; /* in tree->dirty_nodes while dirty */
    struct node *idle_previous, *idle_next;   /* in the idle list while idle */
    bool dirty, idle;
    bool gone;                               /* deleted from the catalog; goes away with its last user */
    bool checked;                            /* what hangs on it in the catalog was held against row.sum */
    uint8_t kept_proof[CATALOG_PROOF_BYTES]; /* of its row in the catalog; zeros where it has none */

    uint64_t lookups;     /* references of clients */
    uint32_t handles;     /* open files */
    uint32_t writers;     /* of them, open for writing */
    uint32_t opened;      /* of them, opened by clients: the last of these to go is what rules call released */
    bool changed;         /* contents changed since rules were last told */
    struct piece *pieces; /* contents in memory (tree_piece.h) */

    struct {
        uint64_t chunks, version; /* those that it has, not counting holes, when it had this version */
        int64_t counted_ns;       /* monotonic; 0: never */
    } full;                       /* tree_range.h */
    struct {
        int64_t owner;
        uint64_t bytes;
    } counted;                    /* tree_usage.h */
    uint64_t changed_in;          /* the commit round that makes its last change durable, but for those in `recent` */
    struct recent_writes *recent; /* small writes that the log could hold (tree_recent.h), or NULL */
    bool syncs;                   /* its last writes were fsynced, so the next ones probably will be */

    uint64_t parent; /* a folder that holds it; 0: not looked up.  The only one where links == 1 */
    char *path;      /* from the root, by one of its names, or NULL; valid while path_epoch is the tree's */
    uint64_t path_epoch;
};

/* The node of an inode, from memory or the catalog; CODE_NOT_FOUND where it is gone.  Valid until the lock is released,
 * and longer while it has references, handles or changes. */
MUST_CHECK enum code node_get(struct tree *tree, uint64_t inode, struct node **out, struct failure *why);

/* The node if it is in memory, else NULL. */
struct node *node_peek(struct tree *tree, uint64_t inode);

/* A new node, dirty, not yet named: with a fresh number where row->inode is 0, else with that one, which tree_reserve gave
 * out and nobody had yet.  Origin and stamps are filled in. */
MUST_CHECK enum code node_make(struct tree *tree, const struct catalog_inode *row, struct node **out, struct failure *why);

/* Before a change of node->row, parent or gone inside an operation: remembers what to restore if it fails, marks dirty. */
void node_change(struct tree *tree, struct node *node);

/* Marks the row as differing from the catalog's. */
void node_mark_dirty(struct tree *tree, struct node *node);
void node_mark_clean(struct tree *tree, struct node *node);

/* To be called when the node gained or lost a user: idle nodes may be forgotten at any later call. */
void node_settle(struct tree *tree, struct node *node);

/* Frees idle nodes beyond TREE_IDLE_NODES_MAX, idle folders beyond TREE_IDLE_FOLDERS_MAX; where no pointers to nodes are at
 * hand. */
void node_trim(struct tree *tree);

/* One more user, one fewer: a node with users stays where it is while the lock is released. */
void node_hold(struct tree *tree, struct node *node);
void node_let_go(struct tree *tree, struct node *node);

/* A change happened at the node: stamps it and every folder above with a new number and the time; observers hear that its
 * attributes changed. */
void node_stamp(struct tree *tree, struct node *node, int64_t now_ns);

/* The same for a caller that tells observers more than that. */
void node_stamp_untold(struct tree *tree, struct node *node, int64_t now_ns);

/* The folder that holds the node (any, of several names); CODE_NOT_FOUND for one without a name. */
MUST_CHECK enum code node_parent(struct tree *tree, struct node *node, uint64_t *parent, struct failure *why);

/* A folder's path from the root, "" for the root; valid until the lock is released.  CODE_NAME_TOO_LONG where it would
 * have more than TREE_PATH_MAX bytes: such a folder is there, but no rule sees what is in it. */
MUST_CHECK enum code node_folder_path(struct tree *tree, struct node *node, const char **path, struct failure *why);

/* Appends a node's path, by one of its names. */
MUST_CHECK enum code node_path(struct tree *tree, struct node *node, struct buffer *out, struct failure *why);

/* What is no folder gained or lost a name.  (The renaming of a folder counts tree->name_epoch up.) */
void node_forget_path(struct node *node);

/* What a write or a change of owner by somebody without privilege does to a file's mode: no set-uid bit, and no set-gid bit
 * where it means a group to run as.  Folders keep theirs.  The caller marks the row. */
void node_drop_set_id(struct node *node);

struct node_attributes node_describe(const struct node *node);

/* Forgets all nodes: nobody may use any.  For who has changed rows behind their backs. */
void node_forget_all(struct tree *tree);

/* Frees all nodes, when the tree is closed. */
void node_free_all(struct tree *tree);

#endif
