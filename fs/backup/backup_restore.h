/* Putting a store back from a backup's folder, and looking at what is there. */
#ifndef CYTOFS_BACKUP_RESTORE_H
#define CYTOFS_BACKUP_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "backup_point.h"
#include "failure.h"

struct backup_restore_options {
    uint32_t point;                                                           /* its number */
    bool (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_all); /* false stops; may be NULL */
    void *context;
    /* Told about each place that is damaged, with chunks that files need; `number` is the pack's. */
    void (*damaged)(void *context, const struct backup_damage *damage);
};

struct backup_restore_summary {
    uint64_t bytes;          /* of packs */
    uint32_t packs, damages; /* places */
    uint64_t damaged_chunks;
};

/* Makes the folder `store` (new, empty, or left by an interrupted restore of the same point) the store as it was at that
 * point.  It is a store only when all is there and durable.  Damaged packs are no failure: what is whole is put back, and
 * the summary tells.  CODE_CORRUPT: the point's text or its catalog is damaged, nothing can be made of this point. */
MUST_CHECK enum code backup_restore(const char *folder, const char *store, const struct backup_restore_options *options,
                                    struct backup_restore_summary *out, struct failure *why);

/* The point that `at` names: its number, or a moment (when.h) for the last one at or before it; NULL or "": the newest that
 * can be read.  CODE_NOT_FOUND says which there are. */
MUST_CHECK enum code backup_restore_choose(const char *folder, const char *at, uint32_t *point, struct failure *why);

/* Calls `each` for every point in the order of their numbers; one whose text is damaged is given as NULL with its number and
 * the failure. */
typedef void backup_restore_visit(void *context, uint32_t number, const struct backup_point *point,
                                  const struct failure *why);
MUST_CHECK enum code backup_restore_list(const char *folder, backup_restore_visit *each, void *context, struct failure *why);

#endif
