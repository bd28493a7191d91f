/* Rows of `chunks` and `packs`.
 *
 * Invariant: for every pack, packs.live_chunks and live_bytes are the number of rows in `chunks` that point into it and
 * the sum of their bytes.  Each change of a row is accounted for in the same operation.
 */
#include "catalog_chunk.h"

#include <string.h>

#include "catalog_internal.h"

static enum code take_row(struct database *database, int statement, int column, struct catalog_chunk *out,
                          struct failure *why)
{
    int64_t pack = database_integer(database, statement, column);
    int64_t offset = database_integer(database, statement, column + 1);
    int64_t bytes = database_integer(database, statement, column + 2);
    size_t nonce_bytes;
    const void *nonce = database_bytes(database, statement, column + 3, &nonce_bytes);
    int64_t generation = database_integer(database, statement, column + 4);
    size_t print_bytes;
    const void *print = database_bytes(database, statement, column + 5, &print_bytes);
    if (pack <= 0 || pack > UINT32_MAX || offset < 0 || bytes <= 0 || bytes > UINT32_MAX ||
        nonce_bytes != CATALOG_CHUNK_NONCE_BYTES || generation < 0 || generation > UINT32_MAX ||
        (print_bytes != 0 && print_bytes != CATALOG_CHUNK_PRINT_BYTES))
        return failure_set(why, CODE_CORRUPT, "the catalog: a chunk has impossible values (run: cytofs fsck)");
    out->pack = (uint32_t)pack;
    out->offset = (uint64_t)offset;
    out->bytes = (uint32_t)bytes;
    memcpy(out->nonce, nonce, CATALOG_CHUNK_NONCE_BYTES);
    out->generation = (uint32_t)generation;
    out->printed = print_bytes != 0;
    out->shared = false;
    if (out->printed)
        memcpy(out->print, print, CATALOG_CHUNK_PRINT_BYTES);
    return CODE_OK;
}

/* With the mutex held. */
static enum code get(struct catalog *catalog, uint64_t inode, uint64_t index, struct catalog_chunk *out, struct failure *why)
{
    enum code code = database_first(catalog->database, SQL_CHUNK_GET,
                                    DATABASE_BIND(DATABASE_INTEGER(inode), DATABASE_INTEGER(index)), why);
    if (code != CODE_OK)
        return code;
    out->inode = inode;
    out->index = index;
    code = take_row(catalog->database, SQL_CHUNK_GET, 0, out, why);
    database_done(catalog->database, SQL_CHUNK_GET);
    return code;
}

static enum code count_in_pack(struct catalog *catalog, uint32_t pack, int64_t chunks, int64_t bytes, struct failure *why)
{
    const struct database_value values[] = {DATABASE_INTEGER(pack), DATABASE_INTEGER(chunks), DATABASE_INTEGER(bytes)};
    enum code code = database_run(catalog->database, SQL_PACK_COUNT, values, 3, why);
    if (code == CODE_OK && database_changes(catalog->database) == 0)
        code = database_run(catalog->database, SQL_PACK_ADD, values, 3, why);
    return code;
}

enum code catalog_chunk_get(struct catalog *catalog, uint64_t inode, uint64_t index, struct catalog_chunk *out,
                            struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return get(catalog, inode, index, out, why);
}

enum code catalog_chunk_put(struct catalog *catalog, const struct catalog_chunk *chunk, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct catalog_chunk old;
    enum code code = get(catalog, chunk->inode, chunk->index, &old, why);
    if (code == CODE_OK)
        code = count_in_pack(catalog, old.pack, -1, -(int64_t)old.bytes, why);
    else if (code == CODE_NO_DATA)
        code = CODE_OK;
    if (code == CODE_OK)
        code = database_run(
            catalog->database, SQL_CHUNK_PUT,
            DATABASE_BIND(DATABASE_INTEGER(chunk->inode), DATABASE_INTEGER(chunk->index), DATABASE_INTEGER(chunk->pack),
                          DATABASE_INTEGER(chunk->offset), DATABASE_INTEGER(chunk->bytes),
                          DATABASE_BYTES(chunk->nonce, CATALOG_CHUNK_NONCE_BYTES), DATABASE_INTEGER(chunk->generation),
                          chunk->printed ? DATABASE_BYTES(chunk->print, CATALOG_CHUNK_PRINT_BYTES) : DATABASE_NULL),
            why);
    return code == CODE_OK ? count_in_pack(catalog, chunk->pack, 1, chunk->bytes, why) : code;
}

enum code catalog_chunk_delete(struct catalog *catalog, uint64_t inode, uint64_t index, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct catalog_chunk old;
    enum code code = get(catalog, inode, index, &old, why);
    if (code == CODE_NO_DATA)
        return CODE_OK;
    if (code == CODE_OK)
        code = count_in_pack(catalog, old.pack, -1, -(int64_t)old.bytes, why);
    if (code == CODE_OK)
        code = database_run(catalog->database, SQL_CHUNK_DELETE,
                            DATABASE_BIND(DATABASE_INTEGER(inode), DATABASE_INTEGER(index)), why);
    return code;
}

enum code catalog_chunk_delete_range(struct catalog *catalog, uint64_t inode, uint64_t from, uint64_t to,
                                     struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    const struct database_value range[] = {DATABASE_INTEGER(inode), DATABASE_INTEGER(from), DATABASE_INTEGER(to)};
    /* The statement stays open while the counts change: they are in another table. */
    enum code code = database_first(database, SQL_CHUNK_LIVE_IN, range, 3, why);
    while (code == CODE_OK) {
        uint32_t pack = (uint32_t)database_integer(database, SQL_CHUNK_LIVE_IN, 0);
        int64_t chunks = database_integer(database, SQL_CHUNK_LIVE_IN, 1);
        int64_t bytes = database_integer(database, SQL_CHUNK_LIVE_IN, 2);
        code = count_in_pack(catalog, pack, -chunks, -bytes, why);
        if (code != CODE_OK)
            database_done(database, SQL_CHUNK_LIVE_IN);
        else
            code = database_next(database, SQL_CHUNK_LIVE_IN, why);
    }
    return code == CODE_NO_DATA ? database_run(database, SQL_CHUNK_DELETE_IN, range, 3, why) : code;
}

enum code catalog_chunk_delete_from(struct catalog *catalog, uint64_t inode, uint64_t index, struct failure *why)
{
    return catalog_chunk_delete_range(catalog, inode, index, INT64_MAX, why);
}

enum code catalog_chunk_indices(struct catalog *catalog, uint64_t inode, uint64_t from, uint64_t *indices, size_t max,
                                size_t *count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    *count = 0;
    enum code code =
        database_first(database, SQL_CHUNK_INDICES,
                       DATABASE_BIND(DATABASE_INTEGER(inode), DATABASE_INTEGER(from), DATABASE_INTEGER(max)), why);
    while (code == CODE_OK) {
        indices[(*count)++] = (uint64_t)database_integer(database, SQL_CHUNK_INDICES, 0);
        code = database_next(database, SQL_CHUNK_INDICES, why);
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code catalog_chunk_count(struct catalog *catalog, uint64_t inode, uint64_t *count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    enum code code = database_first(database, SQL_CHUNK_COUNT, DATABASE_BIND(DATABASE_INTEGER(inode)), why);
    if (code != CODE_OK)
        return code;
    *count = (uint64_t)database_integer(database, SQL_CHUNK_COUNT, 0);
    database_done(database, SQL_CHUNK_COUNT);
    return CODE_OK;
}

/* Takes the rows of a statement whose columns are inode, idx and those of take_row.  With the mutex held. */
static enum code take_rows(struct database *database, int statement, const struct database_value *values, size_t bound,
                           struct catalog_chunk *rows, size_t *count, struct failure *why)
{
    *count = 0;
    enum code code = database_first(database, statement, values, bound, why);
    while (code == CODE_OK) {
        struct catalog_chunk *row = &rows[(*count)++];
        row->inode = (uint64_t)database_integer(database, statement, 0);
        row->index = (uint64_t)database_integer(database, statement, 1);
        code = take_row(database, statement, 2, row, why);
        if (code != CODE_OK)
            database_done(database, statement);
        else
            code = database_next(database, statement, why);
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code catalog_chunk_walk(struct catalog *catalog, uint64_t inode, int64_t index, struct catalog_chunk *rows, size_t max,
                             size_t *count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return take_rows(catalog->database, SQL_CHUNK_WALK,
                     DATABASE_BIND(DATABASE_INTEGER(inode), DATABASE_INTEGER(index), DATABASE_INTEGER(max)), rows, count,
                     why);
}

enum code catalog_chunk_of_inode(struct catalog *catalog, uint64_t inode, int64_t index, struct catalog_chunk *rows,
                                 size_t max, size_t *count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return take_rows(catalog->database, SQL_CHUNK_OF_INODE,
                     DATABASE_BIND(DATABASE_INTEGER(inode), DATABASE_INTEGER(index), DATABASE_INTEGER(max)), rows, count,
                     why);
}

enum code catalog_chunk_printed(struct catalog *catalog, const uint8_t print[CATALOG_CHUNK_PRINT_BYTES],
                                struct catalog_chunk *rows, size_t max, size_t *count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return take_rows(catalog->database, SQL_CHUNK_PRINTED,
                     DATABASE_BIND(DATABASE_BYTES(print, CATALOG_CHUNK_PRINT_BYTES), DATABASE_INTEGER(max)), rows, count,
                     why);
}

enum code catalog_chunk_of_pack(struct catalog *catalog, uint32_t pack, struct catalog_chunk *rows, size_t max,
                                size_t *count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return take_rows(catalog->database, SQL_CHUNK_OF_PACK, DATABASE_BIND(DATABASE_INTEGER(pack), DATABASE_INTEGER(max)),
                     rows, count, why);
}

enum code catalog_chunk_in_range(struct catalog *catalog, const struct catalog_chunk_range *range,
                                 struct catalog_chunk *rows, size_t max, size_t *count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return take_rows(catalog->database, SQL_CHUNK_IN_RANGE,
                     DATABASE_BIND(DATABASE_INTEGER(range->pack), DATABASE_INTEGER(range->from), DATABASE_INTEGER(range->to),
                                   DATABASE_INTEGER(max)),
                     rows, count, why);
}

/* The two numbers of a statement that gives one row. */
static enum code two_numbers(struct database *database, int statement, const struct database_value *values, size_t count,
                             uint64_t out[2], struct failure *why)
{
    enum code code = database_first(database, statement, values, count, why);
    if (code != CODE_OK)
        return code;
    out[0] = (uint64_t)database_integer(database, statement, 0);
    out[1] = (uint64_t)database_integer(database, statement, 1);
    database_done(database, statement);
    return CODE_OK;
}

enum code catalog_chunk_move(struct catalog *catalog, const struct catalog_chunk_move *move, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    const struct database_value places[] = {DATABASE_INTEGER(move->from_pack), DATABASE_INTEGER(move->from_offset),
                                            DATABASE_INTEGER(move->to_pack), DATABASE_INTEGER(move->to_offset)};
    uint64_t rows[2] = {0};
    enum code code = two_numbers(catalog->database, SQL_CHUNK_AT, places, 2, rows, why);
    if (code != CODE_OK || rows[0] == 0)
        return code;
    code = database_run(catalog->database, SQL_CHUNK_MOVE, places, 4, why);
    if (code == CODE_OK)
        code = count_in_pack(catalog, move->from_pack, -(int64_t)rows[0], -(int64_t)rows[1], why);
    return code == CODE_OK ? count_in_pack(catalog, move->to_pack, (int64_t)rows[0], (int64_t)rows[1], why) : code;
}

enum code catalog_chunk_alive(struct catalog *catalog, uint32_t pack, uint64_t *chunks, uint64_t *bytes, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    uint64_t numbers[2] = {0};
    enum code code = two_numbers(catalog->database, SQL_CHUNK_ALIVE, DATABASE_BIND(DATABASE_INTEGER(pack)), numbers, why);
    *chunks = numbers[0];
    *bytes = numbers[1];
    return code;
}

enum code catalog_chunk_next_pack(struct catalog *catalog, uint32_t after, uint32_t *pack, uint64_t *last_offset,
                                  uint32_t *last_bytes, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    struct database *database = catalog->database;
    enum code code = database_first(database, SQL_CHUNK_NEXT_PACK, DATABASE_BIND(DATABASE_INTEGER(after)), why);
    if (code != CODE_OK)
        return code;
    int64_t found = database_integer(database, SQL_CHUNK_NEXT_PACK, 0);
    database_done(database, SQL_CHUNK_NEXT_PACK);
    code = database_first(database, SQL_CHUNK_LAST, DATABASE_BIND(DATABASE_INTEGER(found)), why);
    if (code != CODE_OK)
        return code;
    int64_t offset = database_integer(database, SQL_CHUNK_LAST, 0), bytes = database_integer(database, SQL_CHUNK_LAST, 1);
    database_done(database, SQL_CHUNK_LAST);
    if (found <= 0 || found > UINT32_MAX || offset < 0 || offset > UINT32_MAX || bytes <= 0 || bytes > UINT32_MAX)
        return failure_set(why, CODE_CORRUPT, "the catalog: a chunk has impossible values (run: cytofs fsck)");
    *pack = (uint32_t)found;
    *last_offset = (uint64_t)offset;
    *last_bytes = (uint32_t)bytes;
    return CODE_OK;
}

enum code catalog_chunk_dead_pack(struct catalog *catalog, uint32_t after, uint32_t *pack, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_first(catalog->database, SQL_PACK_DEAD, DATABASE_BIND(DATABASE_INTEGER(after)), why);
    if (code != CODE_OK)
        return code;
    *pack = (uint32_t)database_integer(catalog->database, SQL_PACK_DEAD, 0);
    database_done(catalog->database, SQL_PACK_DEAD);
    return CODE_OK;
}

enum code catalog_chunk_forget_pack(struct catalog *catalog, uint32_t pack, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_PACK_FORGET, DATABASE_BIND(DATABASE_INTEGER(pack)), why);
}

enum code catalog_chunk_pack_use(struct catalog *catalog, uint32_t pack, uint64_t *chunks, uint64_t *bytes,
                                 struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    *chunks = *bytes = 0;
    enum code code = database_first(catalog->database, SQL_PACK_KNOWN, DATABASE_BIND(DATABASE_INTEGER(pack)), why);
    if (code == CODE_NO_DATA)
        return CODE_OK;
    if (code != CODE_OK)
        return code;
    *chunks = (uint64_t)database_integer(catalog->database, SQL_PACK_KNOWN, 0);
    *bytes = (uint64_t)database_integer(catalog->database, SQL_PACK_KNOWN, 1);
    database_done(catalog->database, SQL_PACK_KNOWN);
    return CODE_OK;
}

enum code catalog_chunk_pack_has_older(struct catalog *catalog, uint32_t pack, uint64_t space, uint32_t generation,
                                       bool *has, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code =
        database_first(catalog->database, SQL_CHUNK_PACK_OLDER,
                       DATABASE_BIND(DATABASE_INTEGER(pack), DATABASE_INTEGER(space), DATABASE_INTEGER(generation)), why);
    *has = code == CODE_OK;
    if (code == CODE_OK)
        database_done(catalog->database, SQL_CHUNK_PACK_OLDER);
    return code == CODE_NO_DATA ? CODE_OK : code;
}
