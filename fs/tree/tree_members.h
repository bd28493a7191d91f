/* Who is a member of the lab, who may read which of its spaces, and changes of both.  Without the tree's lock; every change is
 * one operation, and durable when it returns.
 *
 * A space is named as in lab/spaces: `lab` and `models` for the lab's own and the registry, `cells` or `datasets/cells` for a
 * dataset, `home-ada` or `home/ada` for a member's home.  What a change needs is its key: whoever can read a space may share
 * it, and nobody else can.
 */
#ifndef CYTOFS_TREE_MEMBERS_H
#define CYTOFS_TREE_MEMBERS_H

#include "buffer.h"
#include "failure.h"
#include "member_card.h"
#include "member_role.h"
#include "rule.h"

struct tree;

#define MEMBERS_RECOVERY_NAME "recovery" /* the member whose key lies on paper */
#define MEMBERS_EVERYONE      "everyone"

/* Adds a member with that role (an admin, where the recovery key opened the lab): the lab's own space, the registry, and whatever is shared with everyone is wrapped for the card's key.
 * CODE_EXISTS where the name or the key is taken. */
MUST_CHECK enum code members_add(struct tree *tree, const struct member_card *card, enum member_role role, struct failure *why);

/* Makes home/<name> for a member who has none yet, with a key that is that member's alone: not even the tree's own member opens it
 * afterwards. */
MUST_CHECK enum code members_make_home(struct tree *tree, const char *name, struct failure *why);

/* Who a member is: id and public key, as the lab's own list says.  CODE_NOT_FOUND. */
MUST_CHECK enum code members_find(struct tree *tree, const char *name, struct member_public *out, struct failure *why);

/* A member's role.  Who was given none: an admin, if that is the first member, else a scientist.  CODE_NOT_FOUND. */
MUST_CHECK enum code members_role(struct tree *tree, const char *name, enum member_role *role, struct failure *why);

/* CODE_INVALID where the lab would be left without an admin. */
MUST_CHECK enum code members_set_role(struct tree *tree, const char *name, enum member_role role, struct failure *why);

/* Removes one: each space that both could read gets a new key for those who stay; other spaces of that member get theirs from
 * the next reader who opens the lab.  CODE_NOT_FOUND; CODE_INVALID for oneself. */
MUST_CHECK enum code members_remove(struct tree *tree, const char *name, struct failure *why);

/* The names of those who are members now. */
void members_list(struct tree *tree, rule_emit *emit, void *context);

/* The name of the member who made the lab, or who is in that member's place. */
MUST_CHECK enum code members_first(struct tree *tree, char name[MEMBER_NAME_MAX + 1], struct failure *why);

/* Who that is, as text: name, fingerprint, since when, which spaces.  CODE_NOT_FOUND. */
MUST_CHECK enum code members_describe(struct tree *tree, const char *name, struct buffer *out, struct failure *why);

/* A space gets one more reader, or everyone in the lab, now and later. */
MUST_CHECK enum code members_share(struct tree *tree, const char *space, const char *who, struct failure *why);

/* Takes a reader out, or everyone but oneself, and rotates the key.  A space that was shared with everyone is from then on
 * shared with those who were left, by name. */
MUST_CHECK enum code members_unshare(struct tree *tree, const char *space, const char *who, struct failure *why);

/* Gives up one's own key of a space; the next reader who opens the lab rotates it.  CODE_INVALID for the last one. */
MUST_CHECK enum code members_leave(struct tree *tree, const char *space, struct failure *why);

/* A new key for the same readers: new things are sealed with it at once, what is there in the background. */
MUST_CHECK enum code members_rotate(struct tree *tree, const char *space, struct failure *why);

void members_list_spaces(struct tree *tree, rule_emit *emit, void *context);

/* Who may read it, which generation its key has, how far a rotation is.  CODE_NOT_FOUND. */
MUST_CHECK enum code members_describe_space(struct tree *tree, const char *space, struct buffer *out,
                                            struct failure *why);

#endif
