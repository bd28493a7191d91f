/* Key spaces: the lab's own, the registry's, one per dataset.  With the tree's lock held. */
#ifndef CYTOFS_TREE_SPACE_H
#define CYTOFS_TREE_SPACE_H

#include "space_keys.h"
#include "tree_internal.h"

struct space {
    uint64_t number;
    struct space_id id;
    struct space_keys keys; /* may be used without the lock: the object lives until the tree is closed */
    struct space *next_retired;
};

/* The space, opened with the member's key when first asked for.  CODE_DENIED where the member was not given its key. */
MUST_CHECK enum code space_find(struct tree *tree, uint64_t number, struct space **out, struct failure *why);

/* Makes a space with this number and a random key, wrapped for the tree's member; inside an operation. */
MUST_CHECK enum code space_make(struct tree *tree, uint64_t number, struct failure *why);

/* Forgets a space's keys, in the catalog; inside an operation. */
MUST_CHECK enum code space_delete(struct tree *tree, uint64_t number, struct failure *why);

void space_free_all(struct tree *tree);

#endif
