/* For tests that edit a catalog with plain SQLite, as somebody who means harm would: gives its pages the checksums that
 * belong to what they hold now. */
#ifndef CYTOFS_RESUM_H
#define CYTOFS_RESUM_H

#include "failure.h"

/* The file must not be open, and have no log.  One without room for checksums is left alone. */
MUST_CHECK enum code resum_file(const char *path, struct failure *why);

#endif
