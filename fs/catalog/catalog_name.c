/* Rows of `names`. */
#include "catalog_name.h"

#include "catalog_internal.h"

enum code catalog_name_find(struct catalog *catalog, const struct catalog_name *name, uint64_t *inode, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code =
        database_first(catalog->database, SQL_NAME_FIND,
                       DATABASE_BIND(DATABASE_INTEGER(name->parent), DATABASE_BYTES(name->bytes, name->count)), why);
    if (code == CODE_NO_DATA)
        return CODE_NOT_FOUND;
    if (code != CODE_OK)
        return code;
    *inode = (uint64_t)database_integer(catalog->database, SQL_NAME_FIND, 0);
    database_done(catalog->database, SQL_NAME_FIND);
    return CODE_OK;
}

enum code catalog_name_insert(struct catalog *catalog, const struct catalog_name *name, uint64_t inode, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(
        catalog->database, SQL_NAME_INSERT,
        DATABASE_BIND(DATABASE_INTEGER(name->parent), DATABASE_BYTES(name->bytes, name->count), DATABASE_INTEGER(inode)),
        why);
}

enum code catalog_name_delete(struct catalog *catalog, const struct catalog_name *name, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_NAME_DELETE,
                        DATABASE_BIND(DATABASE_INTEGER(name->parent), DATABASE_BYTES(name->bytes, name->count)), why);
}

enum code catalog_name_list(struct catalog *catalog, uint64_t parent, catalog_name_visit *visit, void *context,
                            struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    enum code code = database_first(database, SQL_NAME_LIST, DATABASE_BIND(DATABASE_INTEGER(parent)), why);
    for (; code == CODE_OK; code = database_next(database, SQL_NAME_LIST, why)) {
        struct catalog_name name = {.parent = parent};
        name.bytes = database_bytes(database, SQL_NAME_LIST, 0, &name.count);
        if (!visit(context, &name, (uint64_t)database_integer(database, SQL_NAME_LIST, 1))) {
            database_done(database, SQL_NAME_LIST);
            return CODE_OK;
        }
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code catalog_name_of_inode(struct catalog *catalog, uint64_t inode, catalog_name_visit *visit, void *context,
                                struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    enum code code = database_first(database, SQL_NAME_OF_INODE, DATABASE_BIND(DATABASE_INTEGER(inode)), why);
    for (; code == CODE_OK; code = database_next(database, SQL_NAME_OF_INODE, why)) {
        struct catalog_name name = {.parent = (uint64_t)database_integer(database, SQL_NAME_OF_INODE, 0)};
        name.bytes = database_bytes(database, SQL_NAME_OF_INODE, 1, &name.count);
        if (!visit(context, &name, inode)) {
            database_done(database, SQL_NAME_OF_INODE);
            return CODE_OK;
        }
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code catalog_name_count(struct catalog *catalog, uint64_t parent, uint64_t max, uint64_t *count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_first(catalog->database, SQL_NAME_COUNT,
                                    DATABASE_BIND(DATABASE_INTEGER(parent), DATABASE_INTEGER(max)), why);
    if (code != CODE_OK)
        return code;
    *count = (uint64_t)database_integer(catalog->database, SQL_NAME_COUNT, 0);
    database_done(catalog->database, SQL_NAME_COUNT);
    return CODE_OK;
}

enum code catalog_name_walk(struct catalog *catalog, const struct catalog_name *after, uint64_t max,
                            catalog_name_visit *visit, void *context, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    enum code code =
        database_first(database, SQL_NAME_WALK,
                       DATABASE_BIND(DATABASE_INTEGER(after->parent),
                                     DATABASE_BYTES(after->bytes ? after->bytes : "", after->count), DATABASE_INTEGER(max)),
                       why);
    for (; code == CODE_OK; code = database_next(database, SQL_NAME_WALK, why)) {
        struct catalog_name name = {.parent = (uint64_t)database_integer(database, SQL_NAME_WALK, 0)};
        name.bytes = database_bytes(database, SQL_NAME_WALK, 1, &name.count);
        if (!visit(context, &name, (uint64_t)database_integer(database, SQL_NAME_WALK, 2))) {
            database_done(database, SQL_NAME_WALK);
            return CODE_OK;
        }
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code catalog_name_next_parent(struct catalog *catalog, uint64_t after, uint64_t *parent, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_first(catalog->database, SQL_NAME_NEXT_PARENT, DATABASE_BIND(DATABASE_INTEGER(after)), why);
    if (code != CODE_OK)
        return code;
    *parent = (uint64_t)database_integer(catalog->database, SQL_NAME_NEXT_PARENT, 0);
    database_done(catalog->database, SQL_NAME_NEXT_PARENT);
    return CODE_OK;
}
