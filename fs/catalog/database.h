/* SQLite behind one door: a connection, its prepared statements, values in and out.
 *
 * Statements are the entries of one table, given at database_prepare, and are named by their index in it.  Nothing here
 * locks: the catalog calls it under its own mutex.
 */
#ifndef CYTOFS_DATABASE_H
#define CYTOFS_DATABASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define DATABASE_PAGE_BYTES 4096

struct database;
struct mirror_set;

/* A parameter: a number, or bytes where `bytes` is not NULL. */
struct database_value {
    int64_t integer;
    const void *bytes;
    size_t count;
    bool null;
};

#define DATABASE_INTEGER(value)     ((struct database_value){.integer = (int64_t)(value)})
#define DATABASE_NULL               ((struct database_value){.null = true})
#define DATABASE_BYTES(start, size) ((struct database_value){.bytes = (start), .count = (size)})

/* The parameters of a statement, in order, as its two arguments `values, count`. */
#define DATABASE_BIND(...)                                                                                                  \
    (const struct database_value[]){__VA_ARGS__},                                                                           \
        sizeof((const struct database_value[]){__VA_ARGS__}) / sizeof(struct database_value)
#define DATABASE_NO_PARAMETERS NULL, 0

struct database_options {
    const char *path; /* NULL: in memory */
    bool read_only;
    struct mirror_set *mirrors; /* folders that hold the file too, under the same base name; NULL: none */
};

/* Opens the file (made where it is missing, unless read_only).  It is held exclusively: CODE_BUSY where another process has
 * it open.  One from before pages had checksums gets them now, unless read_only. */
MUST_CHECK enum code database_open(const struct database_options *options, struct database **out, struct failure *why);
void database_close(struct database *database);

/* Runs statements that are not worth keeping (schema, pragmas). */
MUST_CHECK enum code database_script(struct database *database, const char *sql, struct failure *why);

/* Prepares statements[0 .. count-1]. */
MUST_CHECK enum code database_prepare(struct database *database, const char *const *statements, size_t count,
                                      struct failure *why);

/* Forgets the prepared statements, so that others can be. */
void database_unprepare(struct database *database);

/* Runs a statement that gives no rows. */
MUST_CHECK enum code database_run(struct database *database, int statement, const struct database_value *values,
                                  size_t count, struct failure *why);

/* Starts a statement and fetches its first row; then the next ones.  CODE_NO_DATA (with *why untouched) where there is
 * none, and the statement is over; a caller that stops earlier calls database_done. */
MUST_CHECK enum code database_first(struct database *database, int statement, const struct database_value *values,
                                    size_t count, struct failure *why);
MUST_CHECK enum code database_next(struct database *database, int statement, struct failure *why);
void database_done(struct database *database, int statement);

/* A column of the row just fetched.  Bytes are valid until the next call about this statement. */
int64_t database_integer(struct database *database, int statement, int column);
const void *database_bytes(struct database *database, int statement, int column, size_t *count);

/* Rows changed by the statement that ran last. */
int64_t database_changes(struct database *database);

/* Whether a transaction is open. */
bool database_in_transaction(struct database *database);

/* Makes what was committed durable.  May run beside other calls: it touches only the log file's descriptor. */
MUST_CHECK enum code database_sync(struct database *database, struct failure *why);

/* Whether so much is changed in memory that SQLite may write to the log before the COMMIT. */
bool database_is_crowded(const struct database *database);

/* Takes room on the disk for whatever a COMMIT now could write, and `bytes` more.  CODE_NO_SPACE: there is none; nothing has
 * happened. */
MUST_CHECK enum code database_reserve(struct database *database, uint64_t bytes, struct failure *why);

/* Whether the disk has hardly room for the log, as database_reserve found it last. */
bool database_is_tight(const struct database *database);

/* The state of the last commit as bytes: the database file as it is and the first log_bytes of its log (0: none of it).
 * Neither changes until database_thaw, while everything else goes on; the log grows.  They count. */
void database_freeze(struct database *database, uint64_t *log_bytes);
void database_thaw(struct database *database);

/* Reads count bytes (whole pages at a page's boundary) of the database file itself, beside its locks; *got is less at
 * its end only. */
MUST_CHECK enum code database_read_file(struct database *database, uint64_t offset, void *bytes, size_t count, size_t *got,
                                        struct failure *why);

/* The file's path with "-wal" behind it; NULL in memory. */
const char *database_log_path(const struct database *database);

/* Reads whole pages of the file on one side of the mirrors (0 without any), whether good or not; writes them, to mend them;
 * takes a side in whose files equal the others'. */
MUST_CHECK enum code database_read_side(struct database *database, size_t side, uint64_t offset, void *bytes, size_t count,
                                        size_t *got, struct failure *why);
MUST_CHECK enum code database_write_side(struct database *database, size_t side, uint64_t offset, const void *bytes,
                                         size_t count, struct failure *why);
MUST_CHECK enum code database_attach_side(struct database *database, size_t side, struct failure *why);

/* Whether its pages have checksums. */
bool database_is_summed(const struct database *database);

/* Reads every page: CODE_CORRUPT where the file's own structure is damaged. */
MUST_CHECK enum code database_check_whole(struct database *database, struct failure *why);

/* For tests: the count-th statement from now fails with `code`, without having run.  0: none does. */
void database_fail_after(struct database *database, uint64_t count, enum code code);

#endif
