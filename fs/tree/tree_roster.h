/* Who may read a space: the list that its readers keep, sealed with the space's key, so that nobody else can add to it.
 *
 *     cytofs readers 1
 *     everyone yes                     or no: whoever becomes a member of the lab is given the key too
 *     due no                           yes: somebody has left, and the key must be rotated by one who stays
 *     reader <id> <public key> <flags> <name>       one a reader
 *     former <id> <public key> <flags> <name>       in the lab's own list: was a member once
 *     role <id> <role>                              in the lab's own list, behind all readers: who was given a role by name
 *
 * The lab's own space (SPACE_LAB) has every member as a reader, and its list is the truth about who is a member and under
 * which name; the table `members` only says the same in the clear.  Plain values; no lock.
 */
#ifndef CYTOFS_TREE_ROSTER_H
#define CYTOFS_TREE_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "member_card.h"
#include "member_role.h"

#define ROSTER_READERS_MAX 4096

struct reader {
    struct member_public public;
    char name[MEMBER_NAME_MAX + 1];
    uint32_t flags; /* CATALOG_MEMBER_* */
    bool former;
};

struct roster_role {
    struct member_id id;
    enum member_role role;
};

struct roster {
    bool everyone, due;
    struct roster_role *roles; /* of readers; the roster's own */
    size_t role_count;
    struct reader *readers; /* the roster's own; roster_free */
    size_t count;
};

void roster_free(struct roster *roster);
#define SCOPE_ROSTER __attribute__((cleanup(roster_free))) struct roster

/* *out becomes a copy; it must be empty. */
MUST_CHECK enum code roster_copy(const struct roster *from, struct roster *out, struct failure *why);

/* Adds a reader; one with the same id is replaced. */
MUST_CHECK enum code roster_add(struct roster *roster, const struct reader *reader, struct failure *why);
void roster_remove(struct roster *roster, const struct member_id *id);

/* The reader of that id or name, former ones too; NULL where there is none.  A name finds who is there before who was. */
struct reader *roster_find(const struct roster *roster, const struct member_id *id);
struct reader *roster_find_name(const struct roster *roster, const char *name);

/* The recovery key that is a reader now; NULL where there is none. */
const struct reader *roster_find_recovery(const struct roster *roster);

/* The role that the reader was given; false: none was named. */
bool roster_role(const struct roster *roster, const struct member_id *id, enum member_role *role);
MUST_CHECK enum code roster_set_role(struct roster *roster, const struct member_id *id, enum member_role role,
                                     struct failure *why);

/* The text; and from it: CODE_CORRUPT for anything that roster_print would not write. */
void roster_print(const struct roster *roster, struct buffer *out);
MUST_CHECK enum code roster_parse(const void *text, size_t count, struct roster *out, struct failure *why);

#endif
