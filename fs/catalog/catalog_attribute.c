/* Rows of `attributes`. */
#include "catalog_attribute.h"

#include "catalog_internal.h"

enum code catalog_attribute_get(struct catalog *catalog, const struct catalog_attribute *attribute, struct buffer *value,
                                struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_first(
        catalog->database, SQL_ATTRIBUTE_GET,
        DATABASE_BIND(DATABASE_INTEGER(attribute->inode), DATABASE_BYTES(attribute->name, attribute->name_count)), why);
    if (code != CODE_OK)
        return code;
    size_t count;
    const void *bytes = database_bytes(catalog->database, SQL_ATTRIBUTE_GET, 0, &count);
    buffer_append(value, bytes, count);
    database_done(catalog->database, SQL_ATTRIBUTE_GET);
    return buffer_check(value, "an attribute", why);
}

enum code catalog_attribute_put(struct catalog *catalog, const struct catalog_attribute *attribute, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_ATTRIBUTE_PUT,
                        DATABASE_BIND(DATABASE_INTEGER(attribute->inode),
                                      DATABASE_BYTES(attribute->name, attribute->name_count),
                                      DATABASE_BYTES(attribute->value, attribute->value_count)),
                        why);
}

enum code catalog_attribute_delete(struct catalog *catalog, const struct catalog_attribute *attribute, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_run(
        catalog->database, SQL_ATTRIBUTE_DELETE,
        DATABASE_BIND(DATABASE_INTEGER(attribute->inode), DATABASE_BYTES(attribute->name, attribute->name_count)), why);
    if (code == CODE_OK && database_changes(catalog->database) == 0)
        return CODE_NO_DATA;
    return code;
}

enum code catalog_attribute_delete_all(struct catalog *catalog, uint64_t inode, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_ATTRIBUTE_DELETE_ALL, DATABASE_BIND(DATABASE_INTEGER(inode)), why);
}

/* With the mutex held. */
static enum code list(struct catalog *catalog, int statement, uint64_t inode, catalog_attribute_visit *visit, void *context,
                      struct failure *why)
{
    struct database *database = catalog->database;
    enum code code = database_first(database, statement, DATABASE_BIND(DATABASE_INTEGER(inode)), why);
    for (; code == CODE_OK; code = database_next(database, statement, why)) {
        struct catalog_attribute attribute = {.inode = inode};
        attribute.name = database_bytes(database, statement, 0, &attribute.name_count);
        attribute.value = database_bytes(database, statement, 1, &attribute.value_count);
        if (!visit(context, &attribute)) {
            database_done(database, statement);
            return CODE_OK;
        }
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code catalog_attribute_list(struct catalog *catalog, uint64_t inode, catalog_attribute_visit *visit, void *context,
                                 struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return list(catalog, SQL_ATTRIBUTE_LIST, inode, visit, context, why);
}

enum code catalog_attribute_list_all(struct catalog *catalog, uint64_t inode, catalog_attribute_visit *visit, void *context,
                                     struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return list(catalog, SQL_ATTRIBUTE_LIST_ALL, inode, visit, context, why);
}
