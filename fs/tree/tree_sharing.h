/* Chunks that several rows name: contents that are in the space already are not stored again.  FORMAT.md (fs/catalog). */
#ifndef CYTOFS_TREE_SHARING_H
#define CYTOFS_TREE_SHARING_H

#include "catalog_chunk.h"
#include "tree_node.h"

struct space;

#define SHARING_BYTES_MIN 4096 /* smaller chunks are not looked for: their rows cost as much as they save */

/* Gives the row the print of the contents under the space's newest key; false where they are too short for one, or it could
 * not be made.  Needs no lock. */
bool sharing_print(const struct space *space, const void *plain, uint32_t length, struct catalog_chunk *row);

/* Gives the row its print, where the contents are worth one, and looks for a chunk of the space with the same print and,
 * compared byte by byte, the same contents.  True where there is one: the row then has its address, nonce and generation.
 * With the lock or without it; without, what was found counts only if sharing_is_there says so under the lock. */
bool sharing_find(struct tree *tree, const struct space *space, const void *plain, uint32_t length,
                  struct catalog_chunk *row);

/* Whether some row of the catalog names the row's chunk now.  With the lock. */
bool sharing_is_there(struct tree *tree, const struct catalog_chunk *row);

/* Lets `to` have whole chunks of `from` without moving their bytes: as much as lies in whole chunks on both sides, has
 * been stored, and is of one space, from the beginning of the range on.  Returns how many bytes that were, 0 where the
 * caller has to copy.  A hole ends it.  to->row.size grows with it; times are the caller's.  With the lock, on files that
 * may be written, not inside an operation. */
struct sharing_range {
    uint64_t from_offset, to_offset, count;
};
uint64_t sharing_copy(struct tree *tree, struct node *from, struct node *to, const struct sharing_range *range);

#endif
