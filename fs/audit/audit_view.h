/* The audit log as files:
 *
 *     lab/audit         its newest lines, oldest first
 *     lab/audit-check   "1234 lines, each as it was written", or what is wrong: looks at all of them
 *
 * For stewards and admins, and whoever opened the store. */
#ifndef CYTOFS_AUDIT_VIEW_H
#define CYTOFS_AUDIT_VIEW_H

#include "failure.h"

struct audit;
struct tree;

struct audit_view {
    struct tree *tree;
    struct audit *audit; /* NULL: no log is kept; constant while the tree is served */
};

/* Adds the rules, which borrow *view.  Call it once per tree, before the tree is served. */
MUST_CHECK enum code audit_view_add(struct audit_view *view, struct failure *why);

#endif
