/* The files of the log of recent writes: one in each folder of the store, equal as far as anything in them counts.  Bytes go
 * in and come out; what they mean is tree_recent.c's.  The leader's own (commit.leading), but for recent_log_takes_writes.
 */
#ifndef CYTOFS_TREE_RECENT_LOG_H
#define CYTOFS_TREE_RECENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

struct mirror_set;
struct recent_log;

/* Beside the catalog, and on the other sides of `mirrors` (NULL: none).  read_only: it may lack, and nothing is written. */
MUST_CHECK enum code recent_log_open(const char *catalog_path, struct mirror_set *mirrors, bool read_only,
                                     struct recent_log **out, struct failure *why);
void recent_log_close(struct recent_log *log);

/* Whether what is written now counts in each folder: not while one of them is being brought up to date.  Any thread. */
bool recent_log_takes_writes(const struct recent_log *log);

/* Reads from the folder that leads; how much there is of it. */
size_t recent_log_read(struct recent_log *log, uint64_t offset, void *bytes, size_t count);

/* Writes into every current folder and syncs.  A folder that refuses is lost, as long as another one is left; that is
 * durable too before this returns.  CODE_NO_SPACE: the log cannot take it now, and holds up to `offset` what it held. */
MUST_CHECK enum code recent_log_write(struct recent_log *log, uint64_t offset, const void *bytes, size_t count,
                                      struct failure *why);

/* From now on the log ends at its beginning, in the folders where it is open; best effort, and not synced: what lies there
 * is void. */
void recent_log_wipe(struct recent_log *log);

#endif
