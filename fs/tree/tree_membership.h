/* What every change of who belongs to the lab or reads what has in common. */
#ifndef CYTOFS_TREE_MEMBERSHIP_H
#define CYTOFS_TREE_MEMBERSHIP_H

#include "tree_audit.h"
#include "tree_internal.h"
#include "tree_roster.h"

/* A change, inside an operation and with the lock. */
typedef enum code membership_operation(struct tree *tree, const void *argument, struct failure *why);

/* Carries the change out as one operation and makes it durable.  Without the lock. */
MUST_CHECK enum code membership_carry_out(struct tree *tree, membership_operation *change, const void *argument,
                                          struct failure *why);

/* Tells the audit log of what was done, if `code` says that it was: "<space or member>", "share bob".  Returns `code`. */
enum code membership_told(struct tree *tree, enum code code, enum audit_verb verb, const char *about, const char *format,
                          ...) __attribute__((format(printf, 5, 6)));

/* Who is a member now, on the lab's own list; with the lock, until spaces change.  CODE_NOT_FOUND. */
MUST_CHECK enum code membership_find(struct tree *tree, const char *name, const struct reader **out, struct failure *why);

/* Whether the recovery key opened the lab: whoever does that makes a member in place of one whose key was lost.  With the
 * lock. */
bool membership_is_recovering(struct tree *tree);

/* CODE_DENIED where who asks is no admin, nor has opened the lab with the recovery key.  Without the lock. */
MUST_CHECK enum code membership_check_admin(struct tree *tree, struct failure *why);

/* Inside an operation: gives a reader every space that is shared with everyone; where the recovery key opened the lab, all
 * that it opens. */
MUST_CHECK enum code membership_give_shared(struct tree *tree, const struct reader *reader, struct failure *why);

/* Inside an operation: a new key for each space but the lab's own that the one who goes could read and we can. */
MUST_CHECK enum code membership_rotate_without(struct tree *tree, const struct member_id *id, struct failure *why);

#endif
