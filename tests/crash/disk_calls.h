/* The C library's calls that change files, seen from below: linked into a test program, these stand in front of the
 * library's own, for the program's code and for SQLite alike.  Calls about files below one folder are recorded
 * (disk_record.h), and can be made to fail; all others go straight through.  The code under test knows nothing of it.
 */
#ifndef CYTOFS_DISK_CALLS_H
#define CYTOFS_DISK_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "disk_record.h"

enum disk_call { DISK_CALL_OPEN, DISK_CALL_READ, DISK_CALL_WRITE, DISK_CALL_SIZE, DISK_CALL_SYNC, DISK_CALL_NAMES };

struct disk_watch {
    const char *root;           /* absolute, without symbolic links in it */
    struct disk_record *record; /* NULL: nothing is recorded.  Filled in under the lock of disk_calls_mark */
    /* Whether this call fails: an errno, or 0.  A write or read may be made shorter by lowering *count (else NULL).  May be
     * NULL.  Called by any thread. */
    int (*refuse)(void *context, enum disk_call call, size_t *count);
    void *context;
};

/* From now on; NULL: no more.  Files must be opened while they are watched to be seen. */
void disk_calls_watch(const struct disk_watch *watch);

/* Puts a mark into the record, if there is one. */
void disk_calls_mark(uint64_t mark);

#endif
