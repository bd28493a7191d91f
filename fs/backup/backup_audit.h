/* The audit log in a backup: one union of its files, of which each point needs the beginnings.  FORMAT.md. */
#ifndef CYTOFS_BACKUP_AUDIT_H
#define CYTOFS_BACKUP_AUDIT_H

#include "backup_folder.h"
#include "buffer.h"

#define BACKUP_AUDIT_FILE "audit" /* of a point: its list */

/* A file of the log as a point needs it: the first `bytes` of the backup's file of that name and variant. */
struct backup_audit_file {
    uint64_t first; /* number of the file's first line: its name */
    uint32_t variant;
    uint64_t bytes;
};

/* The list's text; from it: CODE_CORRUPT for anything else than was written.  *files is the caller's to free. */
void backup_audit_print(const struct backup_audit_file *files, size_t count, struct buffer *out);
MUST_CHECK enum code backup_audit_parse(const char *text, size_t length, struct backup_audit_file **files, size_t *count,
                                        struct failure *why);

/* Saves the log that lies in the store, up to its last whole line, for the point that is being made: after the catalog,
 * which remembers where the log was at least.  *bytes grows by what was written. */
MUST_CHECK enum code backup_audit_save(const struct backup_folder *folder, const char *store, uint64_t *bytes,
                                       struct failure *why);

/* Puts the log of a point back into a store that has none. */
MUST_CHECK enum code backup_audit_restore(const struct backup_folder *folder, uint32_t point, const char *store,
                                          struct failure *why);

#endif
