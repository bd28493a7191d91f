/* What the tree keeps in the catalog to prove it: a digest a space.  The digests of single inodes are in their rows. */
#ifndef CYTOFS_CATALOG_DIGEST_H
#define CYTOFS_CATALOG_DIGEST_H

#include <stddef.h>

#include "buffer.h"
#include "catalog.h"

#define CATALOG_DIGEST_BYTES_MAX 64

/* The space's digest as it was put, up to CATALOG_DIGEST_BYTES_MAX opaque bytes; *count is 0 where there is none yet.
 * CODE_NO_DATA where there is no such space. */
MUST_CHECK enum code catalog_digest_get(struct catalog *catalog, uint64_t space, uint8_t digest[CATALOG_DIGEST_BYTES_MAX],
                                        size_t *count, struct failure *why);
MUST_CHECK enum code catalog_digest_put(struct catalog *catalog, uint64_t space, const uint8_t *digest, size_t count,
                                        struct failure *why);

/* Told about one row of `spaces` (with the digests of all but space 1) or `members`: the table's first letter,
 * then the columns in the schema's order, numbers as 8 bytes (little-endian), bytes behind their count (4).  A false
 * return stops.  It must not call the catalog. */
typedef bool catalog_digest_visit(void *context, const void *row, size_t count);
MUST_CHECK enum code catalog_digest_few(struct catalog *catalog, catalog_digest_visit *visit, void *context,
                                        struct failure *why);

#endif
