/* Rows of `attributes`: extended attributes, and under the empty name a symbolic link's target.  Opaque bytes. */
#ifndef CYTOFS_CATALOG_ATTRIBUTE_H
#define CYTOFS_CATALOG_ATTRIBUTE_H

#include <stddef.h>

#include "buffer.h"
#include "catalog.h"

struct catalog_attribute {
    uint64_t inode;
    const void *name; /* "" with count 0: the link target */
    size_t name_count;
    const void *value;
    size_t value_count;
};

/* Appends the value to *value; CODE_NO_DATA with *why untouched where there is none.  Only inode and name are read. */
MUST_CHECK enum code catalog_attribute_get(struct catalog *catalog, const struct catalog_attribute *attribute,
                                           struct buffer *value, struct failure *why);
MUST_CHECK enum code catalog_attribute_put(struct catalog *catalog, const struct catalog_attribute *attribute,
                                           struct failure *why);

/* CODE_NO_DATA with *why untouched where there is none. */
MUST_CHECK enum code catalog_attribute_delete(struct catalog *catalog, const struct catalog_attribute *attribute,
                                              struct failure *why);
MUST_CHECK enum code catalog_attribute_delete_all(struct catalog *catalog, uint64_t inode, struct failure *why);

/* Told about one extended attribute; a false return stops.  It must not call the catalog. */
typedef bool catalog_attribute_visit(void *context, const struct catalog_attribute *attribute);
MUST_CHECK enum code catalog_attribute_list(struct catalog *catalog, uint64_t inode, catalog_attribute_visit *visit,
                                            void *context, struct failure *why);

/* The same, and about a link's target. */
MUST_CHECK enum code catalog_attribute_list_all(struct catalog *catalog, uint64_t inode, catalog_attribute_visit *visit,
                                                void *context, struct failure *why);

#endif
