/* A backup's folder: one union of packs, and points in time that need parts of it.
 *
 *     DIR/BACKUP                "cytofs backup 1", and whose store it is of
 *     DIR/lock                  flock(2)ed while in use
 *     DIR/packs/NNNNNNNN.pack   as in the store; NNNNNNNN-V.pack where the store was put back and went on differently
 *     DIR/audit/                files of the audit log, as in the store (backup_audit.h)
 *     DIR/points/NNNNNN/        point (backup_point.h), catalog.db, FORMAT: complete or absent
 *     DIR/points/new, old       being made, being removed
 */
#ifndef CYTOFS_BACKUP_FOLDER_H
#define CYTOFS_BACKUP_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "backup_point.h"
#include "failure.h"
#include "identity.h"

struct backup_folder;

/* Opens and locks it: for writing, makes it (and the folders above) where it is missing or empty, and clears away what an
 * interrupted backup left half-made.  CODE_NOT_FOUND: no backup is there; CODE_NOT_EMPTY: something else; CODE_BUSY;
 * CODE_INVALID: it is the backup of another store than `store` (NULL: of any); CODE_NEWER_FORMAT, CODE_CORRUPT. */
MUST_CHECK enum code backup_folder_create(const char *path, const struct store_id *store, struct backup_folder **out,
                                          struct failure *why);
MUST_CHECK enum code backup_folder_open(const char *path, struct backup_folder **out, struct failure *why);
void backup_folder_close(struct backup_folder *folder); /* NULL is fine */

const struct store_id *backup_folder_store(const struct backup_folder *folder);

/* The numbers of its points, ascending; free(3) *numbers. */
MUST_CHECK enum code backup_folder_points(const struct backup_folder *folder, uint32_t **numbers, size_t *count,
                                          struct failure *why);

/* A failure names the point.  *out is to be freed in either case. */
MUST_CHECK enum code backup_folder_read_point(const struct backup_folder *folder, uint32_t number, struct backup_point *out,
                                              struct failure *why);

/* Paths; NULL without memory.  free(3) them.  Point 0 is the one that is being made. */
char *backup_folder_pack_path(const struct backup_folder *folder, uint32_t pack, uint32_t variant);
char *backup_folder_audit_path(const struct backup_folder *folder, const char *name);
char *backup_folder_point_path(const struct backup_folder *folder, uint32_t number, const char *name);

/* Makes the folder of the point that is being made. */
MUST_CHECK enum code backup_folder_begin_point(const struct backup_folder *folder, struct failure *why);

/* Writes its text, and shows it under its number, durable with all packs that were written. */
MUST_CHECK enum code backup_folder_end_point(const struct backup_folder *folder, const struct backup_point *point,
                                             struct failure *why);

/* Removes a point; its packs stay until the next call of _remove_packs, which removes those that no point needs. */
MUST_CHECK enum code backup_folder_remove_point(const struct backup_folder *folder, uint32_t number, struct failure *why);
MUST_CHECK enum code backup_folder_remove_packs(const struct backup_folder *folder, uint64_t *bytes, struct failure *why);

#endif
