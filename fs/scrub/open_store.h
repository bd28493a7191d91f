/* A store opened without any key, to look after its bytes: its folders, its chunks, its catalog's pages. */
#ifndef CYTOFS_OPEN_STORE_H
#define CYTOFS_OPEN_STORE_H

#include "failure.h"

struct mirror_set;
struct chunk_store;
struct catalog;

struct open_store {
    struct mirror_set *mirrors;
    struct chunk_store *chunks;
    struct catalog *catalog;    /* NULL where it cannot be opened */
    struct failure catalog_why; /* then: why */
};

/* Opens the store at path for writing.  A catalog that cannot be opened is no failure of the call. */
MUST_CHECK enum code open_store_open(const char *path, struct open_store *out, struct failure *why);

/* Safe on a zeroed one. */
void open_store_close(struct open_store *store);

#endif
