/* Digests of spaces, and the rows that the lab's own digest covers. */
#include "catalog_digest.h"

#include <string.h>

#include "bytes.h"
#include "catalog_internal.h"

enum code catalog_digest_get(struct catalog *catalog, uint64_t space, uint8_t digest[CATALOG_DIGEST_BYTES_MAX],
                             size_t *count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_first(catalog->database, SQL_DIGEST_GET, DATABASE_BIND(DATABASE_INTEGER(space)), why);
    if (code != CODE_OK)
        return code;
    const void *bytes = database_bytes(catalog->database, SQL_DIGEST_GET, 0, count);
    if (*count > CATALOG_DIGEST_BYTES_MAX)
        code = failure_set(why, CODE_CORRUPT, "the catalog: the digest of a key space has %zu bytes", *count);
    else
        memcpy(digest, bytes, *count);
    database_done(catalog->database, SQL_DIGEST_GET);
    return code;
}

enum code catalog_digest_put(struct catalog *catalog, uint64_t space, const uint8_t *digest, size_t count,
                             struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_DIGEST_PUT,
                        DATABASE_BIND(DATABASE_INTEGER(space), DATABASE_BYTES(digest, count)), why);
}

/* One column after the other: 'i' a number, 'b' bytes. */
static void append_columns(struct database *database, int statement, const char *kinds, struct buffer *row)
{
    for (int column = 0; kinds[column]; column++) {
        uint8_t number[8];
        if (kinds[column] == 'i') {
            bytes_store64(number, (uint64_t)database_integer(database, statement, column));
            buffer_append(row, number, sizeof number);
            continue;
        }
        size_t count;
        const void *bytes = database_bytes(database, statement, column, &count);
        bytes_store32(number, (uint32_t)count);
        buffer_append(row, number, 4);
        buffer_append(row, bytes, count);
    }
}

enum code catalog_digest_few(struct catalog *catalog, catalog_digest_visit *visit, void *context, struct failure *why)
{
    static const struct {
        int statement;
        const char *letter, *kinds;
    } tables[] = {{SQL_DIGEST_SPACES, "s", "ibiiibb"}, {SQL_DIGEST_MEMBERS, "m", "ibbbiii"}};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    SCOPE_BUFFER row = {0};
    struct database *database = catalog->database;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        int statement = tables[i].statement;
        enum code code = database_first(database, statement, DATABASE_NO_PARAMETERS, why);
        for (; code == CODE_OK; code = database_next(database, statement, why)) {
            buffer_clear(&row);
            buffer_append(&row, tables[i].letter, 1);
            append_columns(database, statement, tables[i].kinds, &row);
            if (row.failed || !visit(context, row.data, row.length)) {
                database_done(database, statement);
                return row.failed ? buffer_check(&row, "a row of the catalog", why) : CODE_OK;
            }
        }
        if (code != CODE_NO_DATA)
            return code;
    }
    return CODE_OK;
}
