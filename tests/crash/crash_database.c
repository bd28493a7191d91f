/* SQLite over the tree: see crash_database.h.
 *
 * The VFS does what the one for POSIX files does over a mount: writes go to tree_write, xSync to tree_fsync, deletions that
 * must be durable to tree_sync.  Locks are for several processes, of which there is one.  synchronous=EXTRA, since only that
 * promises that a transaction is not taken back by a journal whose deletion was lost. */
#include "crash_database.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "scope.h"
#include "tree.h"
#include "tree_path.h"

#define NAME       "rows.db"
#define PATH_BYTES 200
#define ROWS_EACH  40
#define FILE_MAX   ((size_t)16 << 20)

struct crash_database {
    struct tree *tree;
    char folder[PATH_BYTES];
    sqlite3_vfs vfs;
    sqlite3 *handle;
};

struct lab_file {
    sqlite3_file base;
    struct tree *tree;
    struct tree_file *file;
};

/* Files --------------------------------------------------------------------------------------------------------------------
 */

static int lab_close(sqlite3_file *base)
{
    tree_release(((struct lab_file *)base)->file);
    return SQLITE_OK;
}

static int lab_read(sqlite3_file *base, void *bytes, int count, sqlite3_int64 offset)
{
    size_t got = 0;
    if (tree_read(((struct lab_file *)base)->file, (uint64_t)offset, bytes, (size_t)count, &got, NULL) != CODE_OK)
        return SQLITE_IOERR_READ;
    memset((char *)bytes + got, 0, (size_t)count - got);
    return got == (size_t)count ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int lab_write(sqlite3_file *base, const void *bytes, int count, sqlite3_int64 offset)
{
    enum code code = tree_write(((struct lab_file *)base)->file, (uint64_t)offset, bytes, (size_t)count, NULL);
    return code == CODE_OK ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int lab_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct lab_file *file = (struct lab_file *)base;
    struct node_attributes node;
    const struct attribute_change change = {.which = CHANGE_SIZE, .size = (uint64_t)size};
    enum code code = tree_change(file->tree, tree_file_node(file->file), &change, &node, NULL);
    return code == CODE_OK ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int lab_sync(sqlite3_file *base, int flags)
{
    (void)flags;
    return tree_fsync(((struct lab_file *)base)->file, NULL) == CODE_OK ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

static int lab_size(sqlite3_file *base, sqlite3_int64 *size)
{
    struct lab_file *file = (struct lab_file *)base;
    struct node_attributes node;
    if (tree_attributes(file->tree, tree_file_node(file->file), &node, NULL) != CODE_OK)
        return SQLITE_IOERR_FSTAT;
    *size = (sqlite3_int64)node.size;
    return SQLITE_OK;
}

static int lab_lock(sqlite3_file *base, int level)
{
    (void)base;
    (void)level;
    return SQLITE_OK;
}

static int lab_is_reserved(sqlite3_file *base, int *reserved)
{
    (void)base;
    *reserved = 0;
    return SQLITE_OK;
}

static int lab_control(sqlite3_file *base, int operation, void *argument)
{
    (void)base;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int lab_sector(sqlite3_file *base)
{
    (void)base;
    return 0;
}

static const sqlite3_io_methods methods = {.iVersion = 1,
                                           .xClose = lab_close,
                                           .xRead = lab_read,
                                           .xWrite = lab_write,
                                           .xTruncate = lab_truncate,
                                           .xSync = lab_sync,
                                           .xFileSize = lab_size,
                                           .xLock = lab_lock,
                                           .xUnlock = lab_lock,
                                           .xCheckReservedLock = lab_is_reserved,
                                           .xFileControl = lab_control,
                                           .xSectorSize = lab_sector,
                                           .xDeviceCharacteristics = lab_sector};

/* Names --------------------------------------------------------------------------------------------------------------------
 */

static int lab_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *flags_out)
{
    const struct crash_database *database = vfs->pAppData;
    struct lab_file *file = (struct lab_file *)base;
    struct node_attributes folder, node;
    *file = (struct lab_file){.tree = database->tree};
    if (!name || tree_path_attributes(database->tree, database->folder, &folder, NULL) != CODE_OK ||
        tree_create_file(database->tree, folder.id, name, 0644, OPEN_READ | OPEN_WRITE, &node, &file->file, NULL) != CODE_OK)
        return SQLITE_CANTOPEN;
    file->base.pMethods = &methods;
    if (flags_out)
        *flags_out = flags;
    return SQLITE_OK;
}

static int lab_delete(sqlite3_vfs *vfs, const char *name, int durable)
{
    const struct crash_database *database = vfs->pAppData;
    struct node_attributes folder;
    enum code code = tree_path_attributes(database->tree, database->folder, &folder, NULL);
    if (code == CODE_OK)
        code = tree_unlink(database->tree, folder.id, name, NULL);
    if (code == CODE_OK && durable)
        code = tree_sync(database->tree, NULL);
    return code == CODE_OK ? SQLITE_OK : code == CODE_NOT_FOUND ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
}

static int lab_access(sqlite3_vfs *vfs, const char *name, int flags, int *there)
{
    const struct crash_database *database = vfs->pAppData;
    char path[PATH_BYTES * 2];
    (void)flags;
    snprintf(path, sizeof path, "%s/%s", database->folder, name);
    *there = tree_path_exists(database->tree, path);
    return SQLITE_OK;
}

static int lab_full_name(sqlite3_vfs *vfs, const char *name, int count, char *out)
{
    (void)vfs;
    snprintf(out, (size_t)count, "%s", name);
    return SQLITE_OK;
}

/* Use ----------------------------------------------------------------------------------------------------------------------
 */

static void need(const struct crash_database *database, int result, const char *what)
{
    if (result == SQLITE_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(database->handle));
    exit(3);
}

struct crash_database *crash_database_open(struct tree *tree, const char *folder)
{
    struct crash_database *database = calloc(1, sizeof *database);
    const sqlite3_vfs *usual = sqlite3_vfs_find(NULL);
    if (!database || !usual)
        abort();
    database->tree = tree;
    snprintf(database->folder, sizeof database->folder, "%s", folder);
    database->vfs = *usual; /* its clock and its random numbers */
    database->vfs.iVersion = 1;
    database->vfs.szOsFile = sizeof(struct lab_file);
    database->vfs.zName = "lab";
    database->vfs.pAppData = database;
    database->vfs.xOpen = lab_open;
    database->vfs.xDelete = lab_delete;
    database->vfs.xAccess = lab_access;
    database->vfs.xFullPathname = lab_full_name;
    need(database, sqlite3_vfs_register(&database->vfs, 0), "registering a VFS");
    need(database, sqlite3_open_v2(NAME, &database->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "lab"), "opening");
    const char *ways =
        "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA; PRAGMA temp_store=MEMORY; PRAGMA cache_size=4;";
    need(database, sqlite3_exec(database->handle, ways, NULL, NULL, NULL), "opening");
    return database;
}

void crash_database_close(struct crash_database *database)
{
    need(database, sqlite3_close(database->handle), "closing");
    sqlite3_vfs_unregister(&database->vfs);
    free(database);
}

void crash_database_begin(struct crash_database *database)
{
    need(database,
         sqlite3_exec(database->handle, "CREATE TABLE rows(n INTEGER PRIMARY KEY, at INTEGER, text TEXT)", NULL, NULL, NULL),
         "making the table");
}

void crash_database_commit(struct crash_database *database, uint64_t n)
{
    char words[400];
    snprintf(words, sizeof words,
             "BEGIN; UPDATE rows SET at = %llu; "
             "WITH RECURSIVE more(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM more WHERE i < %d) "
             "INSERT INTO rows(at, text) SELECT %llu, hex(randomblob(100)) FROM more; COMMIT;",
             (unsigned long long)n, ROWS_EACH, (unsigned long long)n);
    need(database, sqlite3_exec(database->handle, words, NULL, NULL, NULL), "a transaction");
}

/* Afterwards
 * ------------------------------------------------------------------------------------------------------------------ */

static void copy_out(struct tree *tree, const char *folder, const char *name, const char *to, struct buffer *wrong)
{
    char from[PATH_BYTES * 2], path[PATH_BYTES];
    struct failure why;
    SCOPE_BUFFER bytes = {0};
    snprintf(from, sizeof from, "%s/%s", folder, name);
    snprintf(path, sizeof path, "%s/%s", to, name);
    if (!tree_path_exists(tree, from))
        return;
    if (tree_path_read(tree, from, FILE_MAX, &bytes, &why) != CODE_OK ||
        file_write(path, buffer_text(&bytes), bytes.length, &why) != CODE_OK)
        buffer_printf(wrong, "%s", why.text);
}

/* The first column of the first row. */
static char *ask(sqlite3 *handle, const char *question)
{
    sqlite3_stmt *statement = NULL;
    char *answer = NULL;
    if (sqlite3_prepare_v2(handle, question, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW &&
        sqlite3_column_text(statement, 0))
        answer = strdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return answer;
}

static void look(sqlite3 *handle, uint64_t first, uint64_t last, struct buffer *wrong)
{
    SCOPE_FREE char *sound = ask(handle, "PRAGMA integrity_check");
    SCOPE_FREE char *state =
        ask(handle, "SELECT count(*) || ' ' || ifnull(min(at), 0) || ' ' || ifnull(max(at), 0) FROM rows");
    unsigned long long rows = 0, oldest = 0, newest = 0;
    if (!sound || strcmp(sound, "ok") != 0)
        buffer_printf(wrong, "the database is damaged: %s", sound ? sound : sqlite3_errmsg(handle));
    else if (!state || sscanf(state, "%llu %llu %llu", &rows, &oldest, &newest) != 3 || rows != newest * ROWS_EACH ||
             oldest != newest)
        buffer_printf(wrong, "half a transaction: rows, oldest and newest are %s", state ? state : sqlite3_errmsg(handle));
    else if (newest < first || newest > last)
        buffer_printf(wrong, "transaction %llu is the last, not one from %llu to %llu", newest, (unsigned long long)first,
                      (unsigned long long)last);
}

void crash_database_look(struct tree *tree, const char *folder, uint64_t first, uint64_t last, struct buffer *wrong)
{
    char copy[64] = "/tmp/cytofs-database-XXXXXX", path[PATH_BYTES];
    sqlite3 *handle = NULL;
    if (!mkdtemp(copy))
        abort();
    copy_out(tree, folder, NAME, copy, wrong);
    copy_out(tree, folder, NAME "-journal", copy, wrong);
    snprintf(path, sizeof path, "%s/" NAME, copy);
    if (!wrong->length && sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        buffer_printf(wrong, "the database does not open: %s", sqlite3_errmsg(handle));
    if (!wrong->length)
        look(handle, first, last, wrong);
    sqlite3_close(handle);
    (void)!file_remove_tree(copy, NULL);
}
