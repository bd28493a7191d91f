/* Records: small texts that the lab itself keeps, sealed like everything else and seen by no client.
 *
 * A record hangs as an extended attribute on a folder of the lab's frame, under a name that no program can ask for (those
 * begin with user., trusted. or security.).  So it is sealed with that folder's space, proved, sealed anew by rotations, and
 * comes along in backups. Without the tree's lock.
 */
#ifndef CYTOFS_TREE_RECORD_H
#define CYTOFS_TREE_RECORD_H

#include "buffer.h"
#include "failure.h"

struct tree;

#define RECORD_PREFIX    "cytofs." /* names of records begin with it */
#define RECORD_BYTES_MAX 65536

/* The folder that it hangs on, by path: "lab/members" for what every member may know, "home/<name>" for what is that
 * member's alone. */
struct record_place {
    const char *folder, *name;
};

/* Appends it to *out.  CODE_NO_DATA where there is none; CODE_DENIED without the space's key. */
MUST_CHECK enum code record_get(struct tree *tree, const struct record_place *place, struct buffer *out,
                                struct failure *why);

/* Makes or replaces it; durable when it returns. */
MUST_CHECK enum code record_put(struct tree *tree, const struct record_place *place, const void *bytes, size_t count,
                                struct failure *why);

#endif
