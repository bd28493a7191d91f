/* Repairing rows as rows: what makes no sense whatever the keys say, and what follows from other rows. */
#ifndef CYTOFS_CATALOG_REPAIR_H
#define CYTOFS_CATALOG_REPAIR_H

#include "catalog.h"

/* Inside an operation: columns of inodes get values that can be (a kind from what hangs on the inode, a size from its
 * chunks); chunks at impossible places become chunks of a pack that cannot be; rows that hang on nothing go; numbers that
 * were given out are counted on from; what lives in each pack is counted anew.  *changed: rows. */
MUST_CHECK enum code catalog_repair_rows(struct catalog *catalog, uint64_t *changed, struct failure *why);

/* Chunks of which it is known that their bytes are lost, by the nonces that their rows keep. */
MUST_CHECK enum code catalog_repair_note_lost(struct catalog *catalog, const uint8_t *nonce, struct failure *why);
bool catalog_repair_is_lost(struct catalog *catalog, const uint8_t *nonce);

#endif
