/* The audit log's files: STORE/audit/<number of its first line, 20 digits>.log, each the continuation of the one before
 * (FORMAT.md).  One writer at a time. */
#ifndef CYTOFS_AUDIT_LOG_H
#define CYTOFS_AUDIT_LOG_H

#include "audit_chain.h"

#define AUDIT_FILE_BYTES (8u << 20) /* beyond that the next file is begun */

struct audit_log;
struct audit_copies;

/* Opens the log in the folder for appending, and makes it where there is none.  What a crash left of a last line is cut off.
 */
MUST_CHECK enum code audit_log_open(const char *folder, const struct aead_key *key, struct audit_log **out,
                                    struct failure *why);
void audit_log_close(struct audit_log *log);

/* The folders that it is written to: the one that it was opened in, and others that were attached since. */
struct audit_copies *audit_log_copies(struct audit_log *log);

/* Appends a line; audit_log_sync makes all so far durable. */
MUST_CHECK enum code audit_log_append(struct audit_log *log, const char *text, struct failure *why);
MUST_CHECK enum code audit_log_sync(struct audit_log *log, struct failure *why);

struct audit_place audit_log_place(const struct audit_log *log);

/* Calls `each` (NULL: none) for the text of every line from `from` on.  All lines of the files that are read for it are
 * checked, and, with `known`, that the log was once there and went on from it.  first: the first line that was looked at.
 * CODE_CORRUPT says which line is missing or not as it was written. */
typedef void audit_log_visit(void *context, uint64_t number, const char *text);
struct audit_reading {
    uint64_t from;
    audit_log_visit *each;
    void *context;
};
struct audit_read {
    uint64_t first;
    struct audit_place end;
    bool torn; /* the last line is not whole: a crash, or it is being written */
};
MUST_CHECK enum code audit_log_read(const char *folder, const struct aead_key *key, const struct audit_reading *reading,
                                    const struct audit_place *known, struct audit_read *out, struct failure *why);

#endif
