/* What the tree's own files need of open files. */
#ifndef CYTOFS_TREE_FILE_H
#define CYTOFS_TREE_FILE_H

#include "tree_node.h"

/* A flag for tree_open_file: the server's own look at a file, which rules do not hear of. */
enum { OPEN_UNSEEN = 1 << 16 };

struct tree_file {
    struct tree *tree;
    unsigned flags; /* OPEN_* */

    struct node *node; /* stored; else NULL */
    bool append_only;  /* a rule lets it only grow */

    struct derived *entry;       /* derived; else NULL */
    bool making;                 /* the entry is unborn, for this handle */
    struct rendering *rendering; /* NULL for a stream */
    struct stream *stream;       /* NULL for anything else */
};

/* Contents of a node changed, from that byte on: times, version, stamp.  With the lock. */
void file_note_change(struct tree *tree, struct node *node, uint64_t from);

/* Whether the node may be written: CODE_IS_DIRECTORY, CODE_READ_ONLY, CODE_INVALID for a link.  With the lock. */
MUST_CHECK enum code file_check_writable(struct tree *tree, const struct node *node, struct failure *why);

/* Sets the size of a stored file; with the lock, which is released while the gate is closed.  The node is held. */
MUST_CHECK enum code file_resize(struct tree *tree, struct node *node, uint64_t size, struct failure *why);

#endif
