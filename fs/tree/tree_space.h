/* Key spaces: the lab's own, the registry's, one per dataset, one per member's home.  With the tree's lock held.
 *
 * A space's key has generations.  New things are sealed with the newest; what was sealed with an older one is sealed anew in
 * the background (tree_reseal.h), and opens until then.  A struct space is what the catalog said when it was loaded: it
 * never changes, and lives until the tree is closed, so that readers may use its keys without the lock.  A change of the
 * catalog's rows is followed by space_forget, and the next space_find loads the space anew.
 */
#ifndef CYTOFS_TREE_SPACE_H
#define CYTOFS_TREE_SPACE_H

#include "space_keys.h"
#include "tree_internal.h"
#include "tree_roster.h"

#define SPACE_GENERATIONS_MAX 1000 /* in use at the same time */

struct space {
    uint64_t number;
    struct space_id id;
    uint32_t generation, oldest;    /* newest and oldest in use */
    struct space_keys keys;         /* of the newest; borrowed from generations */
    struct space_keys *generations; /* from the oldest on; empty where the member was not given that one */
    struct roster roster;           /* who may read it */
    bool listed;                    /* false: made before there were such lists */
    struct space *next_retired;
};

/* The space, opened with the member's key when first asked for.  CODE_DENIED where the member was not given its key;
 * CODE_CORRUPT where the key comes from nobody of this lab, or the list of readers is not theirs. */
MUST_CHECK enum code space_find(struct tree *tree, uint64_t number, struct space **out, struct failure *why);

/* The keys of one generation; NULL where the member does not have them.  Needs no lock. */
const struct space_keys *space_keys_of(const struct space *space, uint32_t generation);

/* Makes a space with this number and a random key, wrapped for everyone on the list; inside an operation. */
MUST_CHECK enum code space_make(struct tree *tree, uint64_t number, const struct roster *readers, struct failure *why);

/* Forgets a space's keys, in the catalog; inside an operation. */
MUST_CHECK enum code space_delete(struct tree *tree, uint64_t number, struct failure *why);

/* Gives the list another content; inside an operation, then space_forget.  No key changes hands by that. */
MUST_CHECK enum code space_set_roster(struct tree *tree, const struct space *space, const struct roster *roster,
                                      struct failure *why);

/* Wraps every generation in use for one more reader, who must be in the catalog; inside an operation. */
MUST_CHECK enum code space_wrap(struct tree *tree, const struct space *space, const struct reader *reader,
                                struct failure *why);

/* A new generation of the key, wrapped for those on the list, and the wraps of all others gone; inside an operation, then
 * space_forget. */
MUST_CHECK enum code space_rotate(struct tree *tree, const struct space *space, const struct roster *roster,
                                  struct failure *why);

/* Nothing is sealed with an older generation any more: forgets those; inside an operation, then space_forget. */
MUST_CHECK enum code space_end_rotation(struct tree *tree, const struct space *space, struct failure *why);

/* The catalog's rows about the space have changed, or a change of them was taken back. */
void space_forget(struct tree *tree, uint64_t number);

/* Forgets it and wipes its keys: whoever still holds the struct finds none.  Nobody may be using them. */
void space_wipe(struct tree *tree, uint64_t number);

void space_free_all(struct tree *tree);

#endif
