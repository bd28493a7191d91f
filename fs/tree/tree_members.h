/* Who is a member of the lab, and changes of that.  Without the tree's lock; every change is one operation, and durable when
 * it returns.  Who may read what: tree_readers.h. */
#ifndef CYTOFS_TREE_MEMBERS_H
#define CYTOFS_TREE_MEMBERS_H

#include "buffer.h"
#include "failure.h"
#include "member_card.h"
#include "member_role.h"
#include "rule.h"

struct tree;

#define MEMBERS_RECOVERY_NAME "recovery" /* the member whose key lies on paper */

/* Adds a member with that role (an admin, where the recovery key opened the lab): the lab's own space, the registry, and
 * whatever is shared with everyone is wrapped for the card's key. CODE_EXISTS where the name or the key is taken. */
MUST_CHECK enum code members_add(struct tree *tree, const struct member_card *card, enum member_role role,
                                 struct failure *why);

/* Who a member is: id and public key, as the lab's own list says.  CODE_NOT_FOUND. */
MUST_CHECK enum code members_find(struct tree *tree, const char *name, struct member_public *out, struct failure *why);

/* A member's role.  Who was given none: an admin, if that is the first member, else a scientist.  CODE_NOT_FOUND. */
MUST_CHECK enum code members_role(struct tree *tree, const char *name, enum member_role *role, struct failure *why);

/* CODE_INVALID where the lab would be left without an admin. */
MUST_CHECK enum code members_set_role(struct tree *tree, const char *name, enum member_role role, struct failure *why);

/* Removes one: each space that both could read gets a new key for those who stay; other spaces of that member get theirs
 * from the next reader who opens the lab.  CODE_NOT_FOUND; CODE_INVALID for oneself. */
MUST_CHECK enum code members_remove(struct tree *tree, const char *name, struct failure *why);

/* The names of those who are members now. */
void members_list(struct tree *tree, rule_emit *emit, void *context);

/* The name of the member who made the lab, or who is in that member's place. */
MUST_CHECK enum code members_first(struct tree *tree, char name[MEMBER_NAME_MAX + 1], struct failure *why);

/* Who that is, as text: name, fingerprint, since when, which spaces.  CODE_NOT_FOUND. */
MUST_CHECK enum code members_describe(struct tree *tree, const char *name, struct buffer *out, struct failure *why);

#endif
