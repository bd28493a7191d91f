/* Users of the server's own machine, who come through its UNIX socket: which member each of them is.  The kernel says who
 * the user is; the lab's list, who that is here.
 *
 *   lab/users    CONTROL; a line each: `USER MEMBER`, USER being a login name or a number.  Writing such lines sets them,
 * `USER -` takes one out.
 *
 * The list is kept as a record of the lab (tree_record.h).
 */
#ifndef CYTOFS_PEOPLE_USERS_H
#define CYTOFS_PEOPLE_USERS_H

#include <sys/types.h>

#include "failure.h"
#include "member_card.h"

struct tree;

/* Before the tree is served. */
MUST_CHECK enum code people_users_add(struct tree *tree, struct failure *why);

/* The member that this user is; without an entry, the user of this very process is the member whose key opened the lab.
 * CODE_DENIED. */
MUST_CHECK enum code people_users_find(struct tree *tree, uid_t uid, char member[MEMBER_NAME_MAX + 1], struct failure *why);

#endif
