/* What the tree writes into catalog rows and chunks, sealed with the keys of a node's space and bound to its place.
 * FORMAT.md (fs/catalog) draws the associated data.  With the tree's lock held, but for the chunk calls.
 *
 * A space's key has generations (tree_space.h).  What is new is sealed with the newest (SEAL_NEWEST); what is there may be
 * sealed with any from the newest down to node->row.generation, so a name that is looked for is sealed with one after the
 * other (seal_generations), and opening tries them.
 */
#ifndef CYTOFS_TREE_SEAL_H
#define CYTOFS_TREE_SEAL_H

#include "catalog_chunk.h"
#include "tree_internal.h"

#define SEAL_NAME_BYTES_MAX (TREE_NAME_MAX + 16)

#define SEAL_NEWEST UINT32_MAX

/* From which generation down to which something of the node may be sealed.  Nearly always both are the same. */
struct seal_generations {
    uint32_t newest, oldest;
};
MUST_CHECK enum code seal_generations(struct tree *tree, const struct node *node, struct seal_generations *out,
                                      struct failure *why);

/* A name for the rows of `folder`, sealed with one generation: *count bytes to sealed.  Checks the name: CODE_NAME_TOO_LONG,
 * CODE_INVALID for an empty one, "." and "..", and one with '/'. */
MUST_CHECK enum code seal_name(struct tree *tree, const struct node *folder, uint32_t generation, const char *name,
                               uint8_t sealed[SEAL_NAME_BYTES_MAX], size_t *count, struct failure *why);
MUST_CHECK enum code seal_open_name(struct tree *tree, const struct node *folder, const void *sealed, size_t count,
                                    char name[TREE_NAME_MAX + 1], struct failure *why);

/* The target of a symbolic link; appended to *out. */
MUST_CHECK enum code seal_target(struct tree *tree, const struct node *link, const char *target, struct buffer *out,
                                 struct failure *why);
MUST_CHECK enum code seal_open_target(struct tree *tree, const struct node *link, const struct buffer *sealed,
                                      struct buffer *out, struct failure *why);

/* An extended attribute's name, and its value under the sealed name; appended to *out. */
MUST_CHECK enum code seal_xattr_name(struct tree *tree, const struct node *node, uint32_t generation, const char *name,
                                     struct buffer *out, struct failure *why);
MUST_CHECK enum code seal_open_xattr_name(struct tree *tree, const struct node *node, const void *sealed, size_t count,
                                          struct buffer *out, struct failure *why);
MUST_CHECK enum code seal_xattr(struct tree *tree, const struct node *node, const struct buffer *sealed_name,
                                const void *value, size_t count, struct buffer *out, struct failure *why);
MUST_CHECK enum code seal_open_xattr(struct tree *tree, const struct node *node, const struct buffer *sealed_name,
                                     const struct buffer *sealed, struct buffer *out, struct failure *why);

/* Where a chunk belongs; a plain value, so that chunks can be read without the lock. */
struct seal_place {
    const struct space *space;
    uint64_t origin, index;
};

/* count + AEAD_OVERHEAD bytes to sealed, with the space's newest key; the nonce is copied out too. */
MUST_CHECK enum code seal_chunk(const struct seal_place *place, const void *plain, size_t count, uint8_t *sealed,
                                uint8_t nonce[CATALOG_CHUNK_NONCE_BYTES], struct failure *why);

/* row->bytes - AEAD_OVERHEAD bytes to plain.  CODE_CORRUPT also where the chunk is whole but not the one that the row
 * names: an older version put back. */
MUST_CHECK enum code seal_open_chunk(const struct seal_place *place, const struct catalog_chunk *row, const uint8_t *sealed,
                                     void *plain, struct failure *why);

#endif
