/* Rows of `spaces`, `wraps` and `members`: which key spaces there are, and whose keys open them. */
#ifndef CYTOFS_CATALOG_SPACE_H
#define CYTOFS_CATALOG_SPACE_H

#include <stddef.h>

#include "buffer.h"
#include "catalog.h"

#define CATALOG_ID_BYTES         16
#define CATALOG_PUBLIC_KEY_BYTES 32
#define CATALOG_WRAP_BYTES_MAX   256
#define CATALOG_MEMBER_NAME_MAX  100

struct catalog_space {
    uint64_t space;
    uint8_t id[CATALOG_ID_BYTES];
    uint32_t generation; /* of the key that new things are sealed with, from 1 */
    uint32_t oldest;     /* of the oldest key that something may still be sealed with */
    bool shared;         /* with everyone in the lab, as it says in the clear */
};

enum { CATALOG_MEMBER_RECOVERY = 1 }; /* the key that lies on paper */

struct catalog_member {
    uint64_t member;
    uint8_t id[CATALOG_ID_BYTES];
    uint8_t public_key[CATALOG_PUBLIC_KEY_BYTES];
    char name[CATALOG_MEMBER_NAME_MAX + 1];
    uint32_t flags;     /* CATALOG_MEMBER_* */
    int64_t added_ms;   /* since 1970 */
    int64_t removed_ms; /* 0: is a member */
};

struct catalog_wrap {
    uint64_t space, member, sender;
    uint32_t generation;
    size_t count; /* bytes in wrapped */
    uint8_t wrapped[CATALOG_WRAP_BYTES_MAX];
};

MUST_CHECK enum code catalog_space_put(struct catalog *catalog, const struct catalog_space *space, struct failure *why);

/* Changes everything but the id. */
MUST_CHECK enum code catalog_space_set(struct catalog *catalog, const struct catalog_space *space, struct failure *why);

/* The space with the lowest number above `after`; CODE_NO_DATA behind the last. */
MUST_CHECK enum code catalog_space_next(struct catalog *catalog, uint64_t after, struct catalog_space *out,
                                        struct failure *why);

/* Who may read the space, as sealed bytes; appended to *out (nothing, where it was never written). */
MUST_CHECK enum code catalog_space_get_readers(struct catalog *catalog, uint64_t space, struct buffer *out,
                                               struct failure *why);
MUST_CHECK enum code catalog_space_set_readers(struct catalog *catalog, uint64_t space, const void *bytes, size_t count,
                                               struct failure *why);

/* Removes a space and every wrap of its key: whatever was sealed with it is out of reach from then on. */
MUST_CHECK enum code catalog_space_delete(struct catalog *catalog, uint64_t space, struct failure *why);

/* Makes or replaces the wrap of that space, generation and member. */
MUST_CHECK enum code catalog_space_put_wrap(struct catalog *catalog, const struct catalog_wrap *wrap, struct failure *why);

/* wrap: in, space, member and generation; out, the rest.  CODE_NO_DATA where the member was not given the key. */
MUST_CHECK enum code catalog_space_get_wrap(struct catalog *catalog, struct catalog_wrap *wrap, struct failure *why);

/* Removes the wraps of generations before `generation`, or those of one member. */
MUST_CHECK enum code catalog_space_delete_old_wraps(struct catalog *catalog, uint64_t space, uint32_t generation,
                                                    struct failure *why);
MUST_CHECK enum code catalog_space_delete_wraps_of(struct catalog *catalog, uint64_t space, uint64_t member,
                                                   struct failure *why);

/* The member with the lowest number above `after` that has a wrap of the space; CODE_NO_DATA behind the last. */
MUST_CHECK enum code catalog_space_next_holder(struct catalog *catalog, uint64_t space, uint64_t after, uint64_t *member,
                                               struct failure *why);

/* member->member and added_ms are set. */
MUST_CHECK enum code catalog_space_add_member(struct catalog *catalog, struct catalog_member *member, struct failure *why);

/* From now on the row only says that somebody was a member. */
MUST_CHECK enum code catalog_space_remove_member(struct catalog *catalog, uint64_t member, struct failure *why);

/* CODE_NO_DATA where there is none. */
MUST_CHECK enum code catalog_space_find_member(struct catalog *catalog, const uint8_t id[CATALOG_ID_BYTES],
                                               struct catalog_member *out, struct failure *why);
MUST_CHECK enum code catalog_space_get_member(struct catalog *catalog, uint64_t member, struct catalog_member *out,
                                              struct failure *why);

/* The member with the lowest number above `after`, removed ones too; CODE_NO_DATA behind the last. */
MUST_CHECK enum code catalog_space_next_member(struct catalog *catalog, uint64_t after, struct catalog_member *out,
                                               struct failure *why);

#endif
