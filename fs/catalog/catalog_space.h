/* Rows of `spaces`, `wraps` and `members`: which key spaces there are, and whose keys open them. */
#ifndef CYTOFS_CATALOG_SPACE_H
#define CYTOFS_CATALOG_SPACE_H

#include <stddef.h>

#include "catalog.h"

#define CATALOG_ID_BYTES         16
#define CATALOG_PUBLIC_KEY_BYTES 32
#define CATALOG_WRAP_BYTES_MAX   256
#define CATALOG_MEMBER_NAME_MAX  100

struct catalog_space {
    uint64_t space;
    uint8_t id[CATALOG_ID_BYTES];
    uint32_t generation;
};

struct catalog_member {
    uint64_t member;
    uint8_t id[CATALOG_ID_BYTES];
    uint8_t public_key[CATALOG_PUBLIC_KEY_BYTES];
    char name[CATALOG_MEMBER_NAME_MAX + 1];
};

struct catalog_wrap {
    uint64_t space, member, sender;
    uint32_t generation;
    size_t count; /* bytes in wrapped */
    uint8_t wrapped[CATALOG_WRAP_BYTES_MAX];
};

MUST_CHECK enum code catalog_space_put(struct catalog *catalog, const struct catalog_space *space, struct failure *why);

/* The space with the lowest number above `after`; CODE_NO_DATA behind the last. */
MUST_CHECK enum code catalog_space_next(struct catalog *catalog, uint64_t after, struct catalog_space *out,
                                        struct failure *why);

/* Removes a space and every wrap of its key: whatever was sealed with it is out of reach from then on. */
MUST_CHECK enum code catalog_space_delete(struct catalog *catalog, uint64_t space, struct failure *why);

MUST_CHECK enum code catalog_space_put_wrap(struct catalog *catalog, const struct catalog_wrap *wrap,
                                            struct failure *why);

/* wrap: in, space, member and generation; out, the rest.  CODE_NO_DATA where the member was not given the key. */
MUST_CHECK enum code catalog_space_get_wrap(struct catalog *catalog, struct catalog_wrap *wrap, struct failure *why);

/* member->member is set. */
MUST_CHECK enum code catalog_space_add_member(struct catalog *catalog, struct catalog_member *member,
                                              struct failure *why);

/* CODE_NO_DATA where there is none. */
MUST_CHECK enum code catalog_space_find_member(struct catalog *catalog, const uint8_t id[CATALOG_ID_BYTES],
                                               struct catalog_member *out, struct failure *why);
MUST_CHECK enum code catalog_space_get_member(struct catalog *catalog, uint64_t member, struct catalog_member *out,
                                              struct failure *why);

#endif
