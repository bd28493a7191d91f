/* Where in the lab a node lies, and what it is to a viewer: what rights are decided by (fs/session/rights_table.h). */
#ifndef CYTOFS_TREE_PLACE_H
#define CYTOFS_TREE_PLACE_H

#include "tree.h"

struct node; /* tree_internal.h */
struct viewer;

enum place_area {
    PLACE_ROOT, /* the root itself, and files in it */
    PLACE_DATASETS,
    PLACE_HOME,
    PLACE_JOBS,
    PLACE_EXPERIMENTS,
    PLACE_MODELS,
    PLACE_LAB,
    PLACE_LAB_MEMBERS,
    PLACE_LAB_SPACES,
    PLACE_LAB_QUOTAS,
    PLACE_LAB_NODES,
    PLACE_ELSEWHERE /* without a name, or nowhere that is known */
};

struct tree_place {
    enum place_area area;
    unsigned depth;      /* components below the area's folder; 0: that folder itself */
    enum node_kind kind; /* of what is there */
    bool exists;         /* false: a name that could be made */
    bool derived;        /* a rule makes it */
    bool readable;       /* the viewer is among those who may read the space that it lies in, or would lie in */
    bool own; /* the viewer made it, or the thing that it is part of: the dataset, the job, the run, the version; a home that
                 is the viewer's.  What does not exist yet, and is not part of such a thing, is nobody's */
    bool made;                    /* the viewer made this very thing */
    char name[TREE_NAME_MAX + 1]; /* of the last component; "" where it was not asked by name and is no derived file */
};

/* Of a node, or, with a name, of what has or would have that name in it.  CODE_NOT_FOUND where the node is gone. */
MUST_CHECK enum code tree_place(struct tree *tree, struct node_id node, const char *name, const struct viewer *viewer,
                                struct tree_place *out, struct failure *why);

/* Inside the tree, with the lock: whether the viewer made the node, also by having opened the store. */
bool tree_place_made_by(const struct tree *tree, const struct node *node, const struct viewer *viewer);

#endif
