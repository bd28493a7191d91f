/* What members do, told to whoever keeps the lab's audit log (fs/audit): by sessions of members on other machines, and by
 * the tree itself where who belongs to the lab, or who may read what, changes. */
#ifndef CYTOFS_TREE_AUDIT_H
#define CYTOFS_TREE_AUDIT_H

#include "tree.h"

enum audit_verb {
    AUDIT_READ, /* contents or a folder's names left for a member */
    AUDIT_WRITE,
    AUDIT_MAKE,
    AUDIT_REMOVE,
    AUDIT_RENAME,
    AUDIT_DEPLOY,  /* an alias of a model's versions was set or taken away, or something below serving/ */
    AUDIT_SHARE,   /* a space's readers or key */
    AUDIT_PEOPLE,  /* a member came, left, or got another role */
    AUDIT_SESSION, /* a member's machine was connected, or has gone */
    AUDIT_REFUSED,
    AUDIT_VERBS
};

/* On whose behalf it happens is asked by viewer_current(); NULL: whoever opened the store.  Any thread, without any lock of
 * the tree; copies what it is given.  detail may be "". */
typedef void tree_audit_sink(void *context, enum audit_verb verb, const char *path, const char *detail);

/* Before the tree is served, and, with NULL, when nobody uses it any more. */
void tree_audit_set(struct tree *tree, tree_audit_sink *sink, void *context);

/* Whether anybody listens. */
bool tree_audit_listens(const struct tree *tree);

void tree_audit(struct tree *tree, enum audit_verb verb, const char *path, const char *detail);

/* The same about a node, or, with a name, about that name in it. */
void tree_audit_node(struct tree *tree, enum audit_verb verb, struct node_id node, const char *name, const char *detail);

#endif
