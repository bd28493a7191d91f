/* A copy is a handful of set operations over a temporary table that maps each inode to its copy.  Names, attributes and chunk
 * rows are taken over as they are: what they hold is bound to the inode's origin, which the copy keeps.
 */
#include "catalog_snapshot.h"

#include "catalog_internal.h"

static enum code fill_map(struct database *database, const struct catalog_copy *copy, uint64_t *count,
                          struct failure *why)
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

enum code catalog_snapshot_copy(struct catalog *catalog, const struct catalog_copy *copy, uint64_t *count,
                                struct failure *why)
{
    static const int steps[] = {SQL_COPY_NAMES,      SQL_COPY_CHUNKS, SQL_COPY_PACKS,
                                SQL_COPY_ATTRIBUTES, SQL_COPY_LINKS,  SQL_COPY_CLEAR};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    enum code code = fill_map(database, copy, count, why);
    if (code == CODE_OK)
        code = database_run(database, SQL_COPY_INODES, DATABASE_BIND(DATABASE_INTEGER(copy->flags)), why);
    for (size_t i = 0; code == CODE_OK && i < sizeof steps / sizeof *steps; i++)
        code = database_run(database, steps[i], DATABASE_NO_PARAMETERS, why);
    return code;
}
