/* Members and who may read what, as files: lab/members/<name> and lab/spaces/<space>.
 *
 *   lab/members/<name>   read: who that is.  A member's card written to a new name adds a member of that name; rm removes one
 *   lab/spaces/<space>   read: who may read it.  Written: "share NAME", "share everyone", "unshare NAME", "leave", "rotate"
 */
#ifndef CYTOFS_MEMBER_VIEW_H
#define CYTOFS_MEMBER_VIEW_H

#include <stddef.h>

#include "failure.h"

struct tree;

/* Adds the rules.  Call it once per tree, before the tree is served. */
MUST_CHECK enum code member_view_add(struct tree *tree, struct failure *why);

/* What writing `text` into lab/spaces/<space> does. */
MUST_CHECK enum code member_view_command(struct tree *tree, const char *space, const char *text, size_t count,
                                         struct failure *why);

#endif
