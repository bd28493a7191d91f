/* Chunks in memory: for tests and for labs that are thrown away.  sync does nothing. */
#ifndef CYTOFS_CHUNK_STORE_MEMORY_H
#define CYTOFS_CHUNK_STORE_MEMORY_H

#include <stdint.h>

#include "chunk_store.h"

/* Packs end at roll_bytes (0: 64 MiB).  Packs hold the same bytes as those in files, with a store id of
 * zeros. */
MUST_CHECK enum code chunk_store_memory_create(uint64_t roll_bytes, struct chunk_store **out, struct failure *why);

#endif
