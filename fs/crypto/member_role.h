/* What a member may do in the lab, beside reading the spaces whose keys he has: the name of it, and no more.  Which
 * operation on what each role may carry out is one table (README.md of whoever checks it). */
#ifndef CYTOFS_MEMBER_ROLE_H
#define CYTOFS_MEMBER_ROLE_H

#include <stddef.h>

#include "failure.h"

enum member_role {
    ROLE_VIEWER,    /* reads what is shared */
    ROLE_SCIENTIST, /* own experiments, jobs, new datasets, new versions of models */
    ROLE_STEWARD,   /* all datasets, aliases in production, the audit log */
    ROLE_ADMIN,     /* members, roles, quotas; reads nothing by that role */
    ROLE_NODE,      /* what its jobs were given */
    ROLE_ENDPOINT,  /* what its deployments were given */
    ROLE_COUNT
};

#define MEMBER_ROLES_TEXT "viewer, scientist, steward, admin, node or endpoint"

/* "viewer", "scientist" ...; never NULL. */
const char *member_role_name(enum member_role role);

/* CODE_INVALID where it is none of the names; the text needs no terminator. */
MUST_CHECK enum code member_role_parse(const char *text, size_t length, enum member_role *out, struct failure *why);

#endif
