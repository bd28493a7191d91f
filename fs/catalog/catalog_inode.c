/* Rows of `inodes`.  A row that is read is checked before it is believed: the file may have been edited. */
#include "catalog_inode.h"

#include <string.h>

#include "catalog_attribute.h"
#include "catalog_chunk.h"
#include "catalog_internal.h"

/* Nobody in particular (-1), a user of some machine, or a member (viewer.h). */
static bool is_owner(int64_t uid)
{
    return (uid >= -1 && uid <= UINT32_MAX) || uid >> CATALOG_MEMBER_OWNER_BIT == 1;
}

static enum code take_row(struct database *database, int statement, struct catalog_inode *out, struct failure *why)
{
    int64_t column[18];
    for (int i = 0; i < 18; i++)
        column[i] = database_integer(database, statement, i);
    *out = (struct catalog_inode){.inode = (uint64_t)column[0],
                                  .kind = (enum catalog_inode_kind)column[1],
                                  .flags = (uint32_t)column[2],
                                  .space = (uint64_t)column[3],
                                  .mode = (uint32_t)column[4] & 07777,
                                  .size = (uint64_t)column[5],
                                  .links = (uint32_t)column[6],
                                  .access_ns = column[7],
                                  .modify_ns = column[8],
                                  .change_ns = column[9],
                                  .version = (uint64_t)column[10],
                                  .origin = (uint64_t)column[11],
                                  .stamp = (uint64_t)column[12],
                                  .stamp_ns = column[13],
                                  .uid = column[14],
                                  .gid = column[15],
                                  .rdev = (uint64_t)column[16],
                                  .generation = (uint32_t)column[17]};
    size_t digest_bytes;
    const uint8_t *digest = database_bytes(database, statement, 18, &digest_bytes);
    out->sealed = digest_bytes == CATALOG_SUM_BYTES + CATALOG_PROOF_BYTES;
    if (out->sealed) {
        memcpy(out->sum, digest, CATALOG_SUM_BYTES);
        memcpy(out->proof, digest + CATALOG_SUM_BYTES, CATALOG_PROOF_BYTES);
    }
    bool sane = column[0] > 0 && column[1] >= 0 && column[1] <= CATALOG_INODE_BLOCK && column[5] >= 0 && column[6] >= 0 &&
                column[6] <= UINT32_MAX && column[11] > 0 && is_owner(column[14]) && column[15] >= -1 &&
                column[15] <= UINT32_MAX && column[17] >= 1 && column[17] <= UINT32_MAX &&
                (out->sealed || digest_bytes == 0);
    return sane ? CODE_OK
                : failure_set(why, CODE_CORRUPT, "the catalog: inode %lld has impossible values (run: cytofs fsck)",
                              (long long)column[0]);
}

enum code catalog_inode_get(struct catalog *catalog, uint64_t inode, struct catalog_inode *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_first(catalog->database, SQL_INODE_GET, DATABASE_BIND(DATABASE_INTEGER(inode)), why);
    if (code == CODE_NO_DATA)
        return failure_set(why, CODE_NOT_FOUND, "there is no such file any more");
    if (code != CODE_OK)
        return code;
    code = take_row(catalog->database, SQL_INODE_GET, out, why);
    database_done(catalog->database, SQL_INODE_GET);
    return code;
}

enum code catalog_inode_put(struct catalog *catalog, const struct catalog_inode *row, struct failure *why)
{
    uint8_t digest[CATALOG_SUM_BYTES + CATALOG_PROOF_BYTES];
    memcpy(digest, row->sum, CATALOG_SUM_BYTES);
    memcpy(digest + CATALOG_SUM_BYTES, row->proof, CATALOG_PROOF_BYTES);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(
        catalog->database, SQL_INODE_PUT,
        DATABASE_BIND(DATABASE_INTEGER(row->inode), DATABASE_INTEGER(row->kind), DATABASE_INTEGER(row->flags),
                      DATABASE_INTEGER(row->space), DATABASE_INTEGER(row->mode), DATABASE_INTEGER(row->size),
                      DATABASE_INTEGER(row->links), DATABASE_INTEGER(row->access_ns), DATABASE_INTEGER(row->modify_ns),
                      DATABASE_INTEGER(row->change_ns), DATABASE_INTEGER(row->version), DATABASE_INTEGER(row->origin),
                      DATABASE_INTEGER(row->stamp), DATABASE_INTEGER(row->stamp_ns), DATABASE_INTEGER(row->uid),
                      DATABASE_INTEGER(row->gid), DATABASE_INTEGER(row->rdev), DATABASE_INTEGER(row->generation),
                      DATABASE_BYTES(digest, row->sealed ? sizeof digest : 0)),
        why);
}

enum code catalog_inode_delete(struct catalog *catalog, uint64_t inode, struct failure *why)
{
    enum code code = catalog_chunk_delete_from(catalog, inode, 0, why);
    if (code == CODE_OK)
        code = catalog_attribute_delete_all(catalog, inode, why);
    if (code != CODE_OK)
        return code;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_INODE_DELETE, DATABASE_BIND(DATABASE_INTEGER(inode)), why);
}

enum code catalog_inode_orphans(struct catalog *catalog, uint64_t after, uint64_t *inodes, size_t max, size_t *count,
                                struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    *count = 0;
    enum code code = database_first(catalog->database, SQL_INODE_ORPHANS,
                                    DATABASE_BIND(DATABASE_INTEGER(after), DATABASE_INTEGER(max)), why);
    for (; code == CODE_OK; code = database_next(catalog->database, SQL_INODE_ORPHANS, why))
        inodes[(*count)++] = (uint64_t)database_integer(catalog->database, SQL_INODE_ORPHANS, 0);
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code catalog_inode_walk(struct catalog *catalog, uint64_t after, struct catalog_inode *rows, size_t max, size_t *count,
                             struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    *count = 0;
    enum code code = database_first(catalog->database, SQL_INODE_WALK,
                                    DATABASE_BIND(DATABASE_INTEGER(after), DATABASE_INTEGER(max)), why);
    while (code == CODE_OK) {
        code = take_row(catalog->database, SQL_INODE_WALK, &rows[(*count)++], why);
        if (code != CODE_OK)
            database_done(catalog->database, SQL_INODE_WALK);
        else
            code = database_next(catalog->database, SQL_INODE_WALK, why);
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code catalog_inode_totals(struct catalog *catalog, struct catalog_totals *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    *out = (struct catalog_totals){0};
    struct database *database = catalog->database;
    enum code code = database_first(database, SQL_INODE_TOTALS, DATABASE_NO_PARAMETERS, why);
    for (; code == CODE_OK; code = database_next(database, SQL_INODE_TOTALS, why)) {
        int64_t kind = database_integer(database, SQL_INODE_TOTALS, 0);
        uint64_t count = (uint64_t)database_integer(database, SQL_INODE_TOTALS, 1);
        if (kind == CATALOG_INODE_FILE) {
            out->files = count;
            out->bytes = (uint64_t)database_integer(database, SQL_INODE_TOTALS, 2);
        } else if (kind == CATALOG_INODE_FOLDER) {
            out->folders = count;
        } else {
            out->links += count; /* and pipes, sockets, devices */
        }
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code catalog_inode_older(struct catalog *catalog, const struct catalog_older *older, uint64_t *inodes, size_t max,
                              size_t *count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    *count = 0;
    enum code code = database_first(database, SQL_INODE_OLDER,
                                    DATABASE_BIND(DATABASE_INTEGER(older->after), DATABASE_INTEGER(older->until),
                                                  DATABASE_INTEGER(older->space), DATABASE_INTEGER(older->generation),
                                                  DATABASE_INTEGER(max)),
                                    why);
    for (; code == CODE_OK; code = database_next(database, SQL_INODE_OLDER, why))
        inodes[(*count)++] = (uint64_t)database_integer(database, SQL_INODE_OLDER, 0);
    return code == CODE_NO_DATA ? CODE_OK : code;
}
