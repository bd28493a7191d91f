/* Copying and dropping are a handful of set operations over a temporary table that lists the subtree's inodes, each with
 * the number that its copy gets.  Names, attributes and chunk
 * rows are taken over as they are: what they hold is bound to the inode's origin, which the copy keeps.
 */
#include "catalog_snapshot.h"

#include "catalog_internal.h"

static enum code fill_map(struct database *database, const struct catalog_copy *copy, uint64_t *count, struct failure *why)
{
    enum code code = database_run(database, SQL_COPY_CLEAR, DATABASE_NO_PARAMETERS, why);
    if (code == CODE_OK)
        code = database_run(database, SQL_COPY_WALK,
                            DATABASE_BIND(DATABASE_INTEGER(copy->folder), DATABASE_INTEGER(copy->first_inode),
                                          DATABASE_INTEGER(copy->except)),
                            why);
    if (code == CODE_OK)
        code = database_run(database, SQL_COPY_SEED,
                            DATABASE_BIND(DATABASE_INTEGER(copy->folder), DATABASE_INTEGER(copy->first_inode)), why);
    if (code == CODE_OK)
        code = database_first(database, SQL_COPY_COUNT, DATABASE_NO_PARAMETERS, why);
    if (code != CODE_OK)
        return code;
    *count = (uint64_t)database_integer(database, SQL_COPY_COUNT, 0);
    database_done(database, SQL_COPY_COUNT);
    return CODE_OK;
}

static enum code run_all(struct database *database, const int *steps, size_t count, struct failure *why)
{
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < count; i++)
        code = database_run(database, steps[i], DATABASE_NO_PARAMETERS, why);
    return code;
}

enum code catalog_snapshot_copy(struct catalog *catalog, const struct catalog_copy *copy, uint64_t *count,
                                struct failure *why)
{
    static const int steps[] = {SQL_COPY_NAMES, SQL_COPY_CHUNKS, SQL_COPY_PACKS, SQL_COPY_ATTRIBUTES, SQL_COPY_LINKS};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    enum code code = fill_map(database, copy, count, why);
    if (code == CODE_OK)
        code = database_run(database, SQL_COPY_INODES, DATABASE_BIND(DATABASE_INTEGER(copy->flags)), why);
    return code == CODE_OK ? run_all(database, steps, sizeof steps / sizeof *steps, why) : code;
}

enum code catalog_snapshot_select(struct catalog *catalog, uint64_t folder, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    uint64_t count;
    struct catalog_copy everything = {.folder = folder, .first_inode = 1};
    return fill_map(catalog->database, &everything, &count, why);
}

enum code catalog_snapshot_select_space(struct catalog *catalog, uint64_t space, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_run(catalog->database, SQL_COPY_CLEAR, DATABASE_NO_PARAMETERS, why);
    return code == CODE_OK ? database_run(catalog->database, SQL_COPY_SPACE, DATABASE_BIND(DATABASE_INTEGER(space)), why)
                           : code;
}

enum code catalog_snapshot_next(struct catalog *catalog, uint64_t after, uint64_t *old, uint64_t *copy, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_first(catalog->database, SQL_COPY_NEXT, DATABASE_BIND(DATABASE_INTEGER(after)), why);
    if (code != CODE_OK)
        return code;
    *old = (uint64_t)database_integer(catalog->database, SQL_COPY_NEXT, 0);
    *copy = (uint64_t)database_integer(catalog->database, SQL_COPY_NEXT, 1);
    database_done(catalog->database, SQL_COPY_NEXT);
    return CODE_OK;
}

bool catalog_snapshot_contains(struct catalog *catalog, uint64_t inode)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_first(catalog->database, SQL_COPY_CONTAINS, DATABASE_BIND(DATABASE_INTEGER(inode)), NULL);
    if (code == CODE_OK)
        database_done(catalog->database, SQL_COPY_CONTAINS);
    return code == CODE_OK;
}

enum code catalog_snapshot_delete(struct catalog *catalog, struct failure *why)
{
    static const int steps[] = {SQL_COPY_DROP_PACKS, SQL_COPY_DROP_CHUNKS, SQL_COPY_DROP_ATTRIBUTES, SQL_COPY_DROP_NAMES,
                                SQL_COPY_DROP_INODES};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return run_all(catalog->database, steps, sizeof steps / sizeof *steps, why);
}
