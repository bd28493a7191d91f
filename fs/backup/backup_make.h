/* Making a backup: one more point in time in a backup's folder. */
#ifndef CYTOFS_BACKUP_MAKE_H
#define CYTOFS_BACKUP_MAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"
#include "identity.h"

struct chunk_store; /* chunk_store.h */

/* The store that is saved.  While this runs no pack of it may go away (tree_hold_packs, or the store's lock). */
struct backup_source {
    struct store_id id;
    const char *folder; /* the store's own */
    /* Asked for chunks whose record in the folder is damaged (a mirror may have them); NULL: none. */
    struct chunk_store *chunks;
    /* Writes the catalog as of the last commit to a new file; NULL: the store is not in use, and its file is copied. */
    enum code (*save_catalog)(void *context, const char *path, struct failure *why);
    void *context;
};

struct backup_progress {
    uint64_t bytes_done, bytes_all; /* of packs */
};

struct backup_options {
    uint32_t keep; /* points that are kept, the new one among them; 0: all */
    bool again;    /* read and compare also what earlier points hold: finds and mends rot in the backup */
    /* Told now and then; false stops (CODE_INTERRUPTED: the next backup goes on from there).  May be NULL. */
    bool (*progress)(void *context, const struct backup_progress *progress);
    void *context;
};

struct backup_summary {
    uint32_t point;     /* its number */
    bool unchanged;     /* nothing was committed since that point: no new one was made */
    uint32_t packs;     /* that it needs */
    uint64_t bytes;     /* of them */
    uint64_t bytes_new; /* written now, catalog and all */
    uint32_t damages;   /* places with damage that no copy could mend; the point names them */
    uint64_t damaged_chunks;
    uint32_t points_removed;
    uint64_t bytes_removed;
};

/* As backup_folder_create and: CODE_NO_SPACE; CODE_CORRUPT where the catalog itself is damaged.  Damaged packs are no
 * failure: all else is saved, and the summary tells. */
MUST_CHECK enum code backup_make(const char *folder, const struct backup_source *source,
                                 const struct backup_options *options, struct backup_summary *out, struct failure *why);

/* What came out, for the person: one line or several, without a last line feed. */
void backup_make_describe(const char *folder, const struct backup_summary *summary, struct buffer *out);

#endif
