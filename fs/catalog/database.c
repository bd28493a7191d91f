/* The one file that talks SQL to SQLite; page_vfs.c and its neighbours are the others that include its header.
 *
 * The database runs in WAL mode with synchronous=NORMAL: a COMMIT appends to the log file (path-wal) and syncs nothing
 * but around checkpoints, where SQLite itself keeps log and file in order.  Durability after a COMMIT is asked for
 * explicitly with database_sync, an fdatasync of the log; so a commit can be waited for without blocking other
 * statements.  The log's name is made durable once, when it is first synced.
 *
 * Exclusive locking keeps the log's index in this process' memory (no shared-memory file) and a second process out.
 * Closing any descriptor of the database FILE would drop SQLite's POSIX locks; the log file carries none, so holding a
 * descriptor of our own on it is safe.
 *
 * Checkpoints are ours to order (after_commit), so that they can be held back: while they are, the file does not change and
 * the log is only appended to, and the state of the last commit can be copied as bytes beside everything else
 * (database_freeze).
 */
#include "database.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog_pages.h"
#include "log_format.h"
#include "logging.h"
#include "page_sum.h"
#include "page_vfs.h"
#include "scope.h"

#define CACHE_BYTES       ((uint64_t)16384 << 10) /* of pages; as CACHE_KIB says it in SQL */
#define CACHE_KIB         "16384"
#define CHECKPOINT_FRAMES 4000      /* in the log; then it is brought into the file */
#define SUMMED_SUFFIX     ".summed" /* an older file's copy that has checksums, until it takes its place */

struct database {
    sqlite3 *connection;
    sqlite3_stmt **statements;
    size_t statement_count;
    struct page_vfs *vfs;    /* NULL in memory */
    uint64_t log_frames;     /* committed in the log and not all of them in the file yet */
    unsigned frozen;         /* how often; no checkpoint meanwhile */
    uint64_t fail_countdown; /* statements until the injected failure; 0: none */
    enum code fail_code;
};

static enum code code_of(int sqlite_code)
{
    if (sqlite_code == SQLITE_IOERR_DATA)
        return CODE_CORRUPT;
    switch (sqlite_code & 0xFF) {
    case SQLITE_FULL:
        return CODE_NO_SPACE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return CODE_BUSY;
    case SQLITE_NOMEM:
        return CODE_NO_MEMORY;
    case SQLITE_READONLY:
        return CODE_READ_ONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return CODE_CORRUPT;
    case SQLITE_CONSTRAINT:
        return CODE_EXISTS;
    case SQLITE_TOOBIG:
        return CODE_TOO_LARGE;
    default:
        return CODE_IO;
    }
}

static enum code describe(struct database *database, int sqlite_code, struct failure *why)
{
    if (sqlite_code == SQLITE_BUSY)
        return failure_set(why, CODE_BUSY, "the catalog is in use by another process (is this lab mounted already?)");
    int extended = sqlite3_extended_errcode(database->connection);
    if (extended == SQLITE_IOERR_DATA)
        return failure_set(why, CODE_CORRUPT, "the catalog: %s", page_vfs_damage(database->vfs));
    return failure_set(why, code_of(sqlite_code), "the catalog: %s", sqlite3_errmsg(database->connection));
}

enum code database_script(struct database *database, const char *sql, struct failure *why)
{
    int result = sqlite3_exec(database->connection, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? CODE_OK : describe(database, result, why);
}

/* Called after each commit, with the number of frames in the log; what SQLite would do of itself, unless frozen. */
static int after_commit(void *context, sqlite3 *connection, const char *name, int frames)
{
    struct database *database = context;
    database->log_frames = (uint64_t)frames;
    if (database->frozen || frames < CHECKPOINT_FRAMES)
        return SQLITE_OK;
    int in_log = 0, in_file = 0;
    if (sqlite3_wal_checkpoint_v2(connection, name, SQLITE_CHECKPOINT_PASSIVE, &in_log, &in_file) == SQLITE_OK &&
        in_log == in_file)
        database->log_frames = 0; /* the next commit begins the log anew */
    return SQLITE_OK;
}

/* What a crash left in the log goes into the file, so that log_frames is known; on a full disk it stays where it is, and is
 * counted. */
static enum code empty_log(struct database *database, struct failure *why)
{
    int result = sqlite3_wal_checkpoint_v2(database->connection, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    sqlite3_wal_hook(database->connection, after_commit, database);
    if ((result & 0xFF) != SQLITE_FULL || !database->vfs)
        return result == SQLITE_OK ? CODE_OK : describe(database, result, why);
    struct catalog_pages_log log;
    enum code code = catalog_pages_check_log(page_vfs_log_path(database->vfs), &log, why);
    if (code == CODE_OK)
        database->log_frames = log.committed;
    return code;
}

static enum code connect(struct database *database, const struct database_options *options, struct failure *why)
{
    /* Read-only stores are opened for writing too: a log left by a crash has to be replayed. */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (options->read_only ? 0 : SQLITE_OPEN_CREATE);
    int result = sqlite3_open_v2(options->path ? options->path : ":memory:", &database->connection, flags,
                                 database->vfs ? page_vfs_name(database->vfs) : NULL);
    if (result != SQLITE_OK)
        return failure_set(why, code_of(result), "opening the catalog %s: %s", options->path ? options->path : "in memory",
                           sqlite3_errstr(result));
    int reserved = PAGE_SUM_BYTES; /* heeded in a new file; an old one keeps its own */
    if (!database->vfs || page_vfs_is_summed(database->vfs))
        sqlite3_file_control(database->connection, NULL, SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    enum code code =
        database_script(database,
                        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA page_size=4096; PRAGMA journal_mode=WAL;"
                        "PRAGMA synchronous=NORMAL; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
                        "PRAGMA cache_size=-" CACHE_KIB "; PRAGMA wal_autocheckpoint=0; PRAGMA trusted_schema=OFF;"
                        "PRAGMA cell_size_check=ON; BEGIN IMMEDIATE; COMMIT;",
                        why);
    return code == CODE_OK ? empty_log(database, why) : code;
}

static enum code sync_path(const char *path, int flags, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, flags | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? CODE_OK : failure_set_errno(why, errno, "%s: cannot be synced", path);
}

/* The copy takes the file's place.  The file must not have a log: that would be taken for the copy's. */
static enum code replace_file(const char *path, const char *copy, struct failure *why)
{
    SCOPE_FREE char *log = NULL;
    SCOPE_FREE char *folder = strdup(path);
    if (!folder || asprintf(&log, "%s-wal", path) < 0)
        return failure_set(why, CODE_NO_MEMORY, "no memory");
    if (access(log, F_OK) == 0)
        return failure_set(why, CODE_IO, "%s is still there", log);
    enum code code = sync_path(copy, O_RDONLY, why);
    if (code == CODE_OK && rename(copy, path) != 0)
        code = failure_set_errno(why, errno, "%s: cannot be replaced", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    return code == CODE_OK ? sync_path(slash ? folder : ".", O_RDONLY | O_DIRECTORY, why) : code;
}

/* Writes a copy of an older file that has checksums: VACUUM makes it with the reserved bytes that were asked for. */
static enum code copy_summed(struct database *database, const char *copy, struct failure *why)
{
    int reserved = PAGE_SUM_BYTES;
    sqlite3_file_control(database->connection, NULL, SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    sqlite3_stmt *vacuum = NULL;
    int result = sqlite3_prepare_v2(database->connection, "VACUUM INTO ?1", -1, &vacuum, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_bind_text(vacuum, 1, copy, -1, SQLITE_STATIC);
    if (result == SQLITE_OK)
        result = sqlite3_step(vacuum);
    enum code code = result == SQLITE_DONE ? CODE_OK : describe(database, result, why);
    sqlite3_finalize(vacuum);
    return code;
}

/* Gives an older file, which is open, checksums, and opens it anew. */
static enum code bring_over(struct database *database, const struct database_options *options, struct failure *why)
{
    SCOPE_FREE char *copy = NULL;
    if (asprintf(&copy, "%s" SUMMED_SUFFIX, options->path) < 0) {
        copy = NULL;
        return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    }
    unlink(copy); /* of an earlier try */
    enum code code = copy_summed(database, copy, why);
    sqlite3_close(database->connection);
    database->connection = NULL;
    if (code == CODE_OK)
        code = replace_file(options->path, copy, why);
    if (code != CODE_OK) {
        unlink(copy);
        return failure_wrap(why, code, "giving the catalog checksums");
    }
    logging_info("%s: its pages have checksums now", options->path);
    return connect(database, options, why);
}

enum code database_open(const struct database_options *options, struct database **out, struct failure *why)
{
    *out = NULL;
    struct database *database = calloc(1, sizeof *database);
    if (!database)
        return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    enum code code = options->path ? page_vfs_create(options->path, options->mirrors, &database->vfs, why) : CODE_OK;
    if (code == CODE_OK)
        code = connect(database, options, why);
    if (code == CODE_OK && options->path && !options->read_only && !page_vfs_is_summed(database->vfs))
        code = bring_over(database, options, why);
    if (code != CODE_OK) {
        database_close(database);
        return code;
    }
    *out = database;
    return CODE_OK;
}

void database_close(struct database *database)
{
    if (!database)
        return;
    database_unprepare(database);
    sqlite3_close(database->connection);
    page_vfs_destroy(database->vfs);
    free(database);
}

enum code database_prepare(struct database *database, const char *const *statements, size_t count, struct failure *why)
{
    database->statements = calloc(count, sizeof *database->statements);
    if (!database->statements)
        return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    for (size_t i = 0; i < count; i++) {
        int result = sqlite3_prepare_v3(database->connection, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                                        &database->statements[i], NULL);
        if (result != SQLITE_OK) {
            enum code code = describe(database, result, why);
            return failure_wrap(why, code, "preparing \"%s\"", statements[i]);
        }
        database->statement_count = i + 1;
    }
    return CODE_OK;
}

void database_unprepare(struct database *database)
{
    for (size_t i = 0; i < database->statement_count; i++)
        sqlite3_finalize(database->statements[i]);
    free(database->statements);
    database->statements = NULL;
    database->statement_count = 0;
}

static enum code bind(struct database *database, sqlite3_stmt *statement, const struct database_value *values, size_t count,
                      struct failure *why)
{
    for (size_t i = 0; i < count; i++) {
        int place = (int)i + 1, result;
        if (values[i].null)
            result = sqlite3_bind_null(statement, place);
        else if (values[i].bytes)
            result = sqlite3_bind_blob64(statement, place, values[i].bytes, values[i].count, SQLITE_STATIC);
        else
            result = sqlite3_bind_int64(statement, place, values[i].integer);
        if (result != SQLITE_OK)
            return describe(database, result, why);
    }
    return CODE_OK;
}

static bool injected(struct database *database)
{
    return database->fail_countdown && --database->fail_countdown == 0;
}

static enum code step(struct database *database, int index, struct failure *why)
{
    sqlite3_stmt *statement = database->statements[index];
    if (injected(database)) {
        sqlite3_reset(statement);
        return failure_set(why, database->fail_code, "the catalog: a failure was injected for a test");
    }
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW)
        return CODE_OK;
    enum code code = result == SQLITE_DONE ? CODE_NO_DATA : describe(database, result, why);
    sqlite3_reset(statement);
    return code;
}

enum code database_first(struct database *database, int statement, const struct database_value *values, size_t count,
                         struct failure *why)
{
    enum code code = bind(database, database->statements[statement], values, count, why);
    return code == CODE_OK ? step(database, statement, why) : code;
}

enum code database_next(struct database *database, int statement, struct failure *why)
{
    return step(database, statement, why);
}

void database_done(struct database *database, int statement)
{
    sqlite3_reset(database->statements[statement]);
}

enum code database_run(struct database *database, int statement, const struct database_value *values, size_t count,
                       struct failure *why)
{
    enum code code = database_first(database, statement, values, count, why);
    if (code == CODE_OK)
        database_done(database, statement);
    return code == CODE_NO_DATA ? CODE_OK : code;
}

int64_t database_integer(struct database *database, int statement, int column)
{
    return sqlite3_column_int64(database->statements[statement], column);
}

const void *database_bytes(struct database *database, int statement, int column, size_t *count)
{
    const void *bytes = sqlite3_column_blob(database->statements[statement], column);
    *count = (size_t)sqlite3_column_bytes(database->statements[statement], column);
    return bytes ? bytes : "";
}

int64_t database_changes(struct database *database)
{
    return sqlite3_changes64(database->connection);
}

bool database_in_transaction(struct database *database)
{
    return !sqlite3_get_autocommit(database->connection);
}

enum code database_sync(struct database *database, struct failure *why)
{
    return database->vfs ? page_vfs_sync_log(database->vfs, why) : CODE_OK;
}

/* All pages that it has in memory, changed or not: at most CACHE_BYTES and those that one statement needs. */
static uint64_t cached_bytes(const struct database *database)
{
    int bytes = 0, most = 0;
    sqlite3_db_status(database->connection, SQLITE_DBSTATUS_CACHE_USED, &bytes, &most, 0);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

bool database_is_crowded(const struct database *database)
{
    return cached_bytes(database) >= CACHE_BYTES / 4 * 3;
}

enum code database_reserve(struct database *database, uint64_t bytes, struct failure *why)
{
    if (!database->vfs)
        return CODE_OK;
    uint64_t pages = cached_bytes(database) / DATABASE_PAGE_BYTES + 16;
    return page_vfs_reserve_log(database->vfs, pages * LOG_FRAME_BYTES + bytes, why);
}

bool database_is_tight(const struct database *database)
{
    return database->vfs && page_vfs_log_is_tight(database->vfs);
}

void database_freeze(struct database *database, uint64_t *log_bytes)
{
    database->frozen++;
    *log_bytes = database->log_frames ? LOG_HEADER_BYTES + database->log_frames * LOG_FRAME_BYTES : 0;
}

void database_thaw(struct database *database)
{
    database->frozen--;
}

/* Page by page, as SQLite itself asks for them. */
enum code database_read_file(struct database *database, uint64_t offset, void *bytes, size_t count, size_t *got,
                             struct failure *why)
{
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    int result = sqlite3_file_control(database->connection, NULL, SQLITE_FCNTL_FILE_POINTER, &file);
    if (result == SQLITE_OK)
        result = file->pMethods->xFileSize(file, &size);
    for (*got = 0; result == SQLITE_OK && *got < count && offset + *got < (uint64_t)size; *got += DATABASE_PAGE_BYTES)
        result = file->pMethods->xRead(file, (char *)bytes + *got, DATABASE_PAGE_BYTES, (sqlite3_int64)(offset + *got));
    if (result != SQLITE_OK)
        return failure_set(why, code_of(result), "the catalog's file cannot be read: %s", sqlite3_errstr(result));
    return CODE_OK;
}

const char *database_log_path(const struct database *database)
{
    return database->vfs ? page_vfs_log_path(database->vfs) : NULL;
}

bool database_is_summed(const struct database *database)
{
    return database->vfs && page_vfs_is_summed(database->vfs);
}

enum code database_read_side(struct database *database, size_t side, uint64_t offset, void *bytes, size_t count, size_t *got,
                             struct failure *why)
{
    return page_vfs_read_raw(database->vfs, side, offset, bytes, count, got, why);
}

enum code database_write_side(struct database *database, size_t side, uint64_t offset, const void *bytes, size_t count,
                              struct failure *why)
{
    return page_vfs_write_raw(database->vfs, side, offset, bytes, count, why);
}

enum code database_attach_side(struct database *database, size_t side, struct failure *why)
{
    return page_vfs_attach(database->vfs, side, why);
}

enum code database_check_whole(struct database *database, struct failure *why)
{
    sqlite3_stmt *check;
    int result = sqlite3_prepare_v2(database->connection, "PRAGMA quick_check(1)", -1, &check, NULL);
    if (result != SQLITE_OK)
        return describe(database, result, why);
    enum code code = CODE_OK;
    result = sqlite3_step(check);
    if (result != SQLITE_ROW)
        code = describe(database, result, why);
    else if (strcmp((const char *)sqlite3_column_text(check, 0), "ok") != 0)
        code = failure_set(why, CODE_CORRUPT, "the catalog is damaged: %s", sqlite3_column_text(check, 0));
    sqlite3_finalize(check);
    return code;
}

void database_fail_after(struct database *database, uint64_t count, enum code code)
{
    database->fail_countdown = count;
    database->fail_code = code;
}
