/* The catalog: everything about the tree but the bytes of files.  Inodes, names, where chunks lie, keys and members.
 *
 * It stores what it is given: names, link targets, attributes and keys arrive encrypted (the tree does that) and are
 * opaque bytes here.  FORMAT.md draws the schema.
 *
 * One database connection under one mutex: any thread may call any function.  Changes collect in one open transaction
 * until catalog_commit; a single operation that must not leave half of itself behind is put between
 * catalog_operation_begin and _end.  catalog_sync makes what was committed durable and may run beside everything else.
 *
 * The calls that read and write rows are in catalog_inode.h, catalog_name.h, catalog_chunk.h, catalog_attribute.h,
 * catalog_space.h and catalog_snapshot.h.
 */
#ifndef CYTOFS_CATALOG_H
#define CYTOFS_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"

#define CATALOG_FORMAT 3 /* the newest schema version known here */

struct catalog;
struct mirror_set;

/* Opens the file at path, or a catalog in memory where path is NULL, and brings its schema up to CATALOG_FORMAT.
 * create: the file must not hold a catalog yet (CODE_EXISTS), else it must (CODE_NOT_FOUND).  CODE_BUSY where another
 * process has it; CODE_NEWER_FORMAT; CODE_CORRUPT where it is no catalog. */
struct catalog_options {
    const char *path;
    bool create;
    bool read_only;             /* nothing is written but what a crash left in the log */
    struct mirror_set *mirrors; /* the folders that hold the file; NULL: only that of `path` */
};
MUST_CHECK enum code catalog_open(const struct catalog_options *options, struct catalog **out, struct failure *why);

/* Forgets what was not committed.  NULL is fine. */
void catalog_close(struct catalog *catalog);

/* An operation's changes: kept by end(keep), taken back by end(!keep).  No nesting.  end fails only where keeping
 * fails; then they are taken back. */
MUST_CHECK enum code catalog_operation_begin(struct catalog *catalog, struct failure *why);
MUST_CHECK enum code catalog_operation_end(struct catalog *catalog, bool keep, struct failure *why);

/* CODE_NO_SPACE where the disk has hardly room for the catalog's log: what is left is kept for changes that make room.  Ask
 * before making something new. */
MUST_CHECK enum code catalog_has_room(struct catalog *catalog, struct failure *why);

/* Ends the open transaction (if there is one): all changes so far become one step.  On failure they are still pending
 * and a later commit may succeed (CODE_NO_SPACE: when there is room on the disk), unless *lost tells that the database has
 * dropped them. */
MUST_CHECK enum code catalog_commit(struct catalog *catalog, bool *lost, struct failure *why);
MUST_CHECK enum code catalog_sync(struct catalog *catalog, struct failure *why);

/* Between these, many reads are one: each costs a third less than by itself.  Nothing is changed meanwhile, by whomever;
 * where changes wait for a commit already, neither does anything. */
MUST_CHECK enum code catalog_reading_begin(struct catalog *catalog, struct failure *why);
void catalog_reading_end(struct catalog *catalog);

/* Whether changes wait for a commit. */
bool catalog_pending(struct catalog *catalog);

/* Numbers that the catalog keeps; 0 where it was never set. */
enum catalog_number {
    CATALOG_NEXT_INODE, /* never reused */
    CATALOG_NEXT_SPACE,
    CATALOG_LAST_STAMP, /* the highest change stamp given out */
    CATALOG_CREATED_MS, /* since 1970 */
    CATALOG_COMMIT,     /* counts commits: tells whether the log of recent writes follows this one */
    CATALOG_NUMBER_COUNT
};
MUST_CHECK enum code catalog_get_number(struct catalog *catalog, enum catalog_number which, uint64_t *out,
                                        struct failure *why);
MUST_CHECK enum code catalog_set_number(struct catalog *catalog, enum catalog_number which, uint64_t value,
                                        struct failure *why);

/* For tests: see database_fail_after. */
void catalog_fail_after(struct catalog *catalog, uint64_t count, enum code code);

#endif
