/* A catalog's committed state as a file of its own, made while the catalog is in use. */
#ifndef CYTOFS_CATALOG_IMAGE_H
#define CYTOFS_CATALOG_IMAGE_H

#include "catalog.h"

/* Makes the file at `path` (which must not exist) an image of the state of the last commit, checked page by page, without a
 * log of its own, and durable but for its name.  Other calls go on meanwhile; one image is taken at a time.  On failure
 * nothing is left there.  CODE_CORRUPT: the catalog's own structure is damaged; CODE_UNSUPPORTED: it lies in memory. */
MUST_CHECK enum code catalog_image_take(struct catalog *catalog, const char *path, struct failure *why);

/* The same of a catalog that no process has open, `from`, with what a crash left in its log. */
MUST_CHECK enum code catalog_image_take_closed(const char *from, const char *path, struct failure *why);

/* CODE_CORRUPT where a page of the catalog is damaged or its own structure is: every page is read. */
MUST_CHECK enum code catalog_image_check(struct catalog *catalog, struct failure *why);

#endif
