/* Rows of `spaces`, `wraps` and `members`. */
#include "catalog_space.h"

#include <string.h>

#include "catalog_internal.h"
#include "timing.h"

/* Copies a column of exactly `count` bytes. */
static enum code take_bytes(struct database *database, int statement, int column, void *out, size_t count,
                            struct failure *why)
{
    size_t have;
    const void *bytes = database_bytes(database, statement, column, &have);
    if (have != count)
        return failure_set(why, CODE_CORRUPT, "the catalog: a key or an id has %zu bytes where %zu belong", have, count);
    memcpy(out, bytes, count);
    return CODE_OK;
}

enum code catalog_space_put(struct catalog *catalog, const struct catalog_space *space, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_SPACE_PUT,
                        DATABASE_BIND(DATABASE_INTEGER(space->space), DATABASE_BYTES(space->id, CATALOG_ID_BYTES),
                                      DATABASE_INTEGER(space->generation), DATABASE_INTEGER(space->oldest),
                                      DATABASE_INTEGER(space->shared)),
                        why);
}

enum code catalog_space_set(struct catalog *catalog, const struct catalog_space *space, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_SPACE_SET,
                        DATABASE_BIND(DATABASE_INTEGER(space->space), DATABASE_INTEGER(space->generation),
                                      DATABASE_INTEGER(space->oldest), DATABASE_INTEGER(space->shared)),
                        why);
}

enum code catalog_space_next(struct catalog *catalog, uint64_t after, struct catalog_space *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    enum code code = database_first(database, SQL_SPACE_LIST, DATABASE_BIND(DATABASE_INTEGER(after)), why);
    if (code != CODE_OK)
        return code;
    int64_t generation = database_integer(database, SQL_SPACE_LIST, 2);
    int64_t oldest = database_integer(database, SQL_SPACE_LIST, 3);
    out->space = (uint64_t)database_integer(database, SQL_SPACE_LIST, 0);
    out->generation = (uint32_t)generation;
    out->oldest = (uint32_t)oldest;
    out->shared = database_integer(database, SQL_SPACE_LIST, 4) != 0;
    code = take_bytes(database, SQL_SPACE_LIST, 1, out->id, CATALOG_ID_BYTES, why);
    database_done(database, SQL_SPACE_LIST);
    if (code == CODE_OK && (oldest < 1 || generation < oldest || generation > UINT32_MAX))
        code = failure_set(why, CODE_CORRUPT, "the catalog: a key space has impossible generations of its key");
    return code;
}

enum code catalog_space_get_readers(struct catalog *catalog, uint64_t space, struct buffer *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    enum code code = database_first(database, SQL_SPACE_GET_READERS, DATABASE_BIND(DATABASE_INTEGER(space)), why);
    if (code != CODE_OK)
        return code;
    size_t count;
    const void *bytes = database_bytes(database, SQL_SPACE_GET_READERS, 0, &count);
    buffer_append(out, bytes, count);
    database_done(database, SQL_SPACE_GET_READERS);
    return buffer_check(out, "who may read", why);
}

enum code catalog_space_set_readers(struct catalog *catalog, uint64_t space, const void *bytes, size_t count,
                                    struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_SPACE_SET_READERS,
                        DATABASE_BIND(DATABASE_INTEGER(space), DATABASE_BYTES(bytes, count)), why);
}

enum code catalog_space_delete(struct catalog *catalog, uint64_t space, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_run(catalog->database, SQL_WRAP_DELETE_SPACE, DATABASE_BIND(DATABASE_INTEGER(space)), why);
    if (code == CODE_OK)
        code = database_run(catalog->database, SQL_SPACE_DELETE, DATABASE_BIND(DATABASE_INTEGER(space)), why);
    return code;
}

enum code catalog_space_put_wrap(struct catalog *catalog, const struct catalog_wrap *wrap, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_WRAP_PUT,
                        DATABASE_BIND(DATABASE_INTEGER(wrap->space), DATABASE_INTEGER(wrap->member),
                                      DATABASE_INTEGER(wrap->sender), DATABASE_INTEGER(wrap->generation),
                                      DATABASE_BYTES(wrap->wrapped, wrap->count)),
                        why);
}

enum code catalog_space_get_wrap(struct catalog *catalog, struct catalog_wrap *wrap, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    enum code code = database_first(
        database, SQL_WRAP_GET,
        DATABASE_BIND(DATABASE_INTEGER(wrap->space), DATABASE_INTEGER(wrap->member), DATABASE_INTEGER(wrap->generation)),
        why);
    if (code != CODE_OK)
        return code;
    wrap->sender = (uint64_t)database_integer(database, SQL_WRAP_GET, 0);
    const void *bytes = database_bytes(database, SQL_WRAP_GET, 1, &wrap->count);
    if (wrap->count > CATALOG_WRAP_BYTES_MAX)
        code = failure_set(why, CODE_CORRUPT, "the catalog: a wrapped key has %zu bytes", wrap->count);
    else
        memcpy(wrap->wrapped, bytes, wrap->count);
    database_done(database, SQL_WRAP_GET);
    return code;
}

enum code catalog_space_delete_old_wraps(struct catalog *catalog, uint64_t space, uint32_t generation, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_WRAP_DELETE_OLD,
                        DATABASE_BIND(DATABASE_INTEGER(space), DATABASE_INTEGER(generation)), why);
}

enum code catalog_space_delete_wraps_of(struct catalog *catalog, uint64_t space, uint64_t member, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_WRAP_DELETE_MEMBER,
                        DATABASE_BIND(DATABASE_INTEGER(space), DATABASE_INTEGER(member)), why);
}

enum code catalog_space_next_holder(struct catalog *catalog, uint64_t space, uint64_t after, uint64_t *member,
                                    struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_first(catalog->database, SQL_WRAP_NEXT_MEMBER,
                                    DATABASE_BIND(DATABASE_INTEGER(space), DATABASE_INTEGER(after)), why);
    if (code != CODE_OK)
        return code;
    *member = (uint64_t)database_integer(catalog->database, SQL_WRAP_NEXT_MEMBER, 0);
    database_done(catalog->database, SQL_WRAP_NEXT_MEMBER);
    return CODE_OK;
}

enum code catalog_space_add_member(struct catalog *catalog, struct catalog_member *member, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    member->added_ms = timing_wall_ms();
    enum code code = database_first(catalog->database, SQL_MEMBER_PUT,
                                    DATABASE_BIND(DATABASE_BYTES(member->id, CATALOG_ID_BYTES),
                                                  DATABASE_BYTES(member->public_key, CATALOG_PUBLIC_KEY_BYTES),
                                                  DATABASE_BYTES(member->name, strlen(member->name)),
                                                  DATABASE_INTEGER(member->added_ms), DATABASE_INTEGER(member->flags)),
                                    why);
    if (code != CODE_OK)
        return code;
    member->member = (uint64_t)database_integer(catalog->database, SQL_MEMBER_PUT, 0);
    database_done(catalog->database, SQL_MEMBER_PUT);
    return CODE_OK;
}

enum code catalog_space_remove_member(struct catalog *catalog, uint64_t member, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_MEMBER_REMOVE,
                        DATABASE_BIND(DATABASE_INTEGER(member), DATABASE_INTEGER(timing_wall_ms())), why);
}

/* Takes the member whose row is at hand, and ends the statement. */
static enum code take_member(struct database *database, int statement, struct catalog_member *out, struct failure *why)
{
    out->member = (uint64_t)database_integer(database, statement, 0);
    enum code code = take_bytes(database, statement, 1, out->id, CATALOG_ID_BYTES, why);
    if (code == CODE_OK)
        code = take_bytes(database, statement, 2, out->public_key, CATALOG_PUBLIC_KEY_BYTES, why);
    size_t count;
    const void *name = database_bytes(database, statement, 3, &count);
    if (count > CATALOG_MEMBER_NAME_MAX)
        count = CATALOG_MEMBER_NAME_MAX;
    memcpy(out->name, name, count);
    out->name[count] = 0;
    out->added_ms = database_integer(database, statement, 4);
    out->flags = (uint32_t)database_integer(database, statement, 5);
    out->removed_ms = database_integer(database, statement, 6);
    database_done(database, statement);
    return code;
}

enum code catalog_space_find_member(struct catalog *catalog, const uint8_t id[CATALOG_ID_BYTES], struct catalog_member *out,
                                    struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code =
        database_first(catalog->database, SQL_MEMBER_FIND, DATABASE_BIND(DATABASE_BYTES(id, CATALOG_ID_BYTES)), why);
    return code == CODE_OK ? take_member(catalog->database, SQL_MEMBER_FIND, out, why) : code;
}

enum code catalog_space_next_member(struct catalog *catalog, uint64_t after, struct catalog_member *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_first(catalog->database, SQL_MEMBER_LIST, DATABASE_BIND(DATABASE_INTEGER(after)), why);
    return code == CODE_OK ? take_member(catalog->database, SQL_MEMBER_LIST, out, why) : code;
}

enum code catalog_space_get_member(struct catalog *catalog, uint64_t member, struct catalog_member *out, struct failure *why)
{
    enum code code = catalog_space_next_member(catalog, member - 1, out, why);
    return code == CODE_OK && out->member != member ? CODE_NO_DATA : code;
}
