/* Rows of `names`: the entries of folders.  A name is 1 .. CATALOG_NAME_BYTES_MAX opaque bytes. */
#ifndef CYTOFS_CATALOG_NAME_H
#define CYTOFS_CATALOG_NAME_H

#include <stddef.h>

#include "catalog.h"

#define CATALOG_NAME_BYTES_MAX 512

struct catalog_name {
    uint64_t parent;
    const void *bytes;
    size_t count;
};

/* The inode of that name; CODE_NOT_FOUND with *why untouched: the caller knows the name in clear. */
MUST_CHECK enum code catalog_name_find(struct catalog *catalog, const struct catalog_name *name, uint64_t *inode,
                                       struct failure *why);

/* CODE_EXISTS where the name is taken. */
MUST_CHECK enum code catalog_name_insert(struct catalog *catalog, const struct catalog_name *name, uint64_t inode,
                                         struct failure *why);
MUST_CHECK enum code catalog_name_delete(struct catalog *catalog, const struct catalog_name *name, struct failure *why);

/* Told about one name; a false return stops.  It must not call the catalog. */
typedef bool catalog_name_visit(void *context, const struct catalog_name *name, uint64_t inode);

/* All entries of a folder, in no order that means anything. */
MUST_CHECK enum code catalog_name_list(struct catalog *catalog, uint64_t parent, catalog_name_visit *visit, void *context,
                                       struct failure *why);

/* All names of an inode. */
MUST_CHECK enum code catalog_name_of_inode(struct catalog *catalog, uint64_t inode, catalog_name_visit *visit, void *context,
                                           struct failure *why);

/* How many entries a folder has, counting no further than max. */
MUST_CHECK enum code catalog_name_count(struct catalog *catalog, uint64_t parent, uint64_t max, uint64_t *count,
                                        struct failure *why);

/* Up to max names behind `after` in (parent, bytes) order; for checking. */
MUST_CHECK enum code catalog_name_walk(struct catalog *catalog, const struct catalog_name *after, uint64_t max,
                                       catalog_name_visit *visit, void *context, struct failure *why);

/* The folder with the lowest number above `after` that holds a name; CODE_NO_DATA where there is none. */
MUST_CHECK enum code catalog_name_next_parent(struct catalog *catalog, uint64_t after, uint64_t *parent,
                                              struct failure *why);

#endif
