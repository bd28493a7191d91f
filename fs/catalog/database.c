/* The one file that includes sqlite3.h.
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

#include "scope.h"

#define CHECKPOINT_FRAMES 4000 /* in the log; then it is brought into the file */
#define LOG_HEADER_BYTES  32 /* of the log, and of each frame in it: the format of SQLite's WAL */
#define FRAME_HEADER_BYTES 24

struct database {
    sqlite3 *connection;
    sqlite3_stmt **statements;
    size_t statement_count;
    char *log_path;          /* NULL in memory */
    char *folder_path;       /* holds the file */
    int log_fd;              /* opened by the first sync; -1 */
    uint64_t log_frames;     /* committed in the log and not all of them in the file yet */
    bool frozen;             /* no checkpoint meanwhile */
    uint64_t fail_countdown; /* statements until the injected failure; 0: none */
    enum code fail_code;
};

static enum code code_of(int sqlite_code)
{
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

/* What a crash left in the log goes into the file, so that log_frames is known. */
static enum code empty_log(struct database *database, struct failure *why)
{
    int result = sqlite3_wal_checkpoint_v2(database->connection, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    sqlite3_wal_hook(database->connection, after_commit, database);
    return result == SQLITE_OK ? CODE_OK : describe(database, result, why);
}

/* Remembers where the log lies, and its folder. */
static enum code name_log(struct database *database, const char *path, struct failure *why)
{
    const char *slash = strrchr(path, '/');
    database->folder_path = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (asprintf(&database->log_path, "%s-wal", path) < 0)
        database->log_path = NULL;
    if (!database->folder_path || !database->log_path)
        return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    return CODE_OK;
}

enum code database_open(const char *path, bool read_only, struct database **out, struct failure *why)
{
    *out = NULL;
    struct database *database = calloc(1, sizeof *database);
    if (!database)
        return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    database->log_fd = -1;
    enum code code = CODE_OK;
    if (path)
        code = name_log(database, path, why);
    if (code == CODE_OK) {
        /* Read-only stores are opened for writing too: a log left by a crash has to be replayed. */
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (read_only ? 0 : SQLITE_OPEN_CREATE);
        int result = sqlite3_open_v2(path ? path : ":memory:", &database->connection, flags, NULL);
        if (result != SQLITE_OK)
            code = failure_set(why, code_of(result), "opening the catalog %s: %s", path ? path : "in memory",
                               sqlite3_errstr(result));
    }
    if (code == CODE_OK)
        code = database_script(database,
                               "PRAGMA locking_mode=EXCLUSIVE; PRAGMA page_size=4096; PRAGMA journal_mode=WAL;"
                               "PRAGMA synchronous=NORMAL; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
                               "PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=0; PRAGMA trusted_schema=OFF;"
                               "PRAGMA cell_size_check=ON; BEGIN IMMEDIATE; COMMIT;",
                               why);
    if (code == CODE_OK)
        code = empty_log(database, why);
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
    if (database->log_fd >= 0)
        close(database->log_fd);
    free(database->log_path);
    free(database->folder_path);
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

static enum code bind(struct database *database, sqlite3_stmt *statement, const struct database_value *values,
                      size_t count, struct failure *why)
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

/* The log's first sync also makes its name durable. */
static enum code open_log(struct database *database, struct failure *why)
{
    database->log_fd = open(database->log_path, O_RDWR | O_CLOEXEC);
    if (database->log_fd < 0)
        return failure_set_errno(why, errno, "opening %s", database->log_path);
    SCOPE_CLOSE int folder = open(database->folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fsync(folder) != 0)
        return failure_set_errno(why, errno, "syncing %s", database->folder_path);
    return CODE_OK;
}

enum code database_sync(struct database *database, struct failure *why)
{
    if (!database->log_path)
        return CODE_OK;
    if (database->log_fd < 0) {
        enum code code = open_log(database, why);
        if (code != CODE_OK)
            return code;
    }
    if (fdatasync(database->log_fd) != 0)
        return failure_set_errno(why, errno, "syncing %s", database->log_path);
    return CODE_OK;
}

void database_freeze(struct database *database, uint64_t *log_bytes)
{
    database->frozen = true;
    *log_bytes = database->log_frames
                     ? LOG_HEADER_BYTES + database->log_frames * (FRAME_HEADER_BYTES + DATABASE_PAGE_BYTES)
                     : 0;
}

void database_thaw(struct database *database)
{
    database->frozen = false;
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
    return database->log_path;
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
