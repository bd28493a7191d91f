/* The catalog as pages of files: checked, mended and mirrored without knowing what they hold, and without any key. */
#ifndef CYTOFS_CATALOG_PAGES_H
#define CYTOFS_CATALOG_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "catalog.h"

#define CATALOG_PAGES_STEP 64 /* pages looked at in one step, at most */

/* A mirror_set_options.newest: which folder's catalog holds most of what was committed, as told by its log. */
MUST_CHECK enum code catalog_pages_newest(const char *const *paths, size_t count, size_t *index, struct failure *why);

/* Looks at pages of the file of one side (0 without mirrors), from `first` on (1: the first), up to CATALOG_PAGES_STEP of
 * them.  A damaged one is taken from another current side and mended, where `mend` says so and there is one.  *checked: how
 * many there were; fewer than a step at the end of the file. */
struct catalog_pages_found {
    size_t checked;
    size_t blank;                         /* of zeros: never written */
    uint64_t damaged[CATALOG_PAGES_STEP]; /* numbers of damaged pages */
    bool mended[CATALOG_PAGES_STEP];
    size_t damaged_count;
};
MUST_CHECK enum code catalog_pages_check(struct catalog *catalog, size_t side, uint64_t first, bool mend,
                                         struct catalog_pages_found *out, struct failure *why);

/* The same of a file that is not open, on no side. */
MUST_CHECK enum code catalog_pages_check_file(const char *path, uint64_t first, struct catalog_pages_found *out,
                                              struct failure *why);

/* Reads everything through the database: structure that page checksums do not show (pages of zeros in wrong places). */
MUST_CHECK enum code catalog_pages_check_structure(struct catalog *catalog, struct failure *why);

/* A closed database's log, frame by frame; all zeros where there is none. */
struct catalog_pages_log {
    uint64_t frames;    /* whole ones, from the first on */
    uint64_t committed; /* of them, up to the end of a transaction: what opening will take in */
    uint64_t beyond;    /* whole frames of the same run behind one that is not: damage, or a write that a crash tore */
    bool bad_header;
};
MUST_CHECK enum code catalog_pages_check_log(const char *path, struct catalog_pages_log *out, struct failure *why);

/* Brings the files of a side that is being filled up to date, while the catalog is in use; only pages that differ are
 * written. Then, while nothing can change the catalog, calls join, and takes the side into use where that returns CODE_OK.
 */
struct catalog_pages_fill {
    size_t side;
    const char *path; /* of the side's database file */
    enum code (*join)(void *context, struct failure *why);
    bool (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_all); /* false: stop (CODE_INTERRUPTED) */
    void *context;
};
MUST_CHECK enum code catalog_pages_fill(struct catalog *catalog, const struct catalog_pages_fill *fill, struct failure *why);

#endif
