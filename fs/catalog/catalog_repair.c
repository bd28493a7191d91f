/* Each step is one statement over a whole table; they are run once, by fsck --repair, and so are no entries of the table of
 * prepared statements.  None invents anything that could be read: a made-up size shows chunks that are there or zeros, and a
 * made-up place of a chunk is one where nothing can be. */
#include "catalog_repair.h"

#include "catalog_chunk.h"
#include "catalog_internal.h"

/* Kinds: 0 file, 1 folder, 2 link.  131072 bytes of a file in a chunk, 28 more when sealed.  99999999 is the highest pack
 * that can be, and holds nothing. */
static const char *const steps[] = {
    "UPDATE inodes SET kind = CASE WHEN EXISTS(SELECT 1 FROM names WHERE parent = inodes.inode) THEN 1 "
    "  WHEN EXISTS(SELECT 1 FROM attributes WHERE inode = inodes.inode AND name = x'') THEN 2 ELSE 0 END "
    "WHERE kind NOT BETWEEN 0 AND 6",
    "DELETE FROM inodes WHERE inode <= 0 OR inode >= (1 << 62)",
    "UPDATE inodes SET links = 1 WHERE links < 0 OR links > 65000",
    "UPDATE inodes SET origin = inode WHERE origin <= 0",
    "UPDATE inodes SET generation = 1 WHERE generation <= 0",
    "UPDATE inodes SET generation = (SELECT generation FROM spaces WHERE spaces.space = inodes.space) "
    "WHERE generation > (SELECT generation FROM spaces WHERE spaces.space = inodes.space)",
    "UPDATE inodes SET digest = x'' WHERE length(digest) NOT IN (0, 32)",
    "DELETE FROM names WHERE parent <= 0 OR inode <= 0 OR length(name) > 512",
    "DELETE FROM chunks WHERE idx NOT BETWEEN 0 AND 134217728 OR inode NOT IN (SELECT inode FROM inodes WHERE kind = 0)",
    "UPDATE chunks SET pack = 99999999, offset = 64, bytes = min(max(bytes, 29), 131100), nonce = randomblob(12) "
    "WHERE pack NOT BETWEEN 1 AND 99999999 OR offset NOT BETWEEN 64 AND 4294967295 OR bytes NOT BETWEEN 29 AND 131100 "
    "OR length(nonce) != 12",
    "UPDATE chunks SET generation = 1 WHERE generation < 0",
    "UPDATE chunks SET print = NULL WHERE length(print) != 16",
    "UPDATE inodes SET size = coalesce((SELECT max(idx * 131072 + bytes - 28) FROM chunks WHERE chunks.inode = "
    "inodes.inode), "
    "  0) WHERE size < 0 OR size > (1 << 44)",
    "DELETE FROM attributes WHERE inode NOT IN (SELECT inode FROM inodes)",
    "DELETE FROM lost WHERE nonce NOT IN (SELECT nonce FROM chunks)",
    /* Numbers: the next inode, the next space, the last stamp. */
    "INSERT INTO numbers VALUES(0, 16) ON CONFLICT DO NOTHING",
    "INSERT INTO numbers VALUES(1, 3) ON CONFLICT DO NOTHING",
    "INSERT INTO numbers VALUES(2, 1) ON CONFLICT DO NOTHING",
    "UPDATE numbers SET value = (SELECT max(inode) FROM inodes) + 1 "
    "WHERE which = 0 AND (value <= (SELECT max(inode) FROM inodes) OR value < 16)",
    "UPDATE numbers SET value = max(value, 3, (SELECT max(space) FROM spaces) + 1) "
    "WHERE which = 1 AND value < max(3, (SELECT max(space) FROM spaces) + 1)",
    "UPDATE numbers SET value = (SELECT max(stamp) FROM inodes) WHERE which = 2 AND value < (SELECT max(stamp) FROM inodes)",
    /* What lives in each pack. */
    "DELETE FROM packs WHERE pack NOT IN (SELECT pack FROM chunks) AND (live_chunks != 0 OR live_bytes != 0)",
    "INSERT INTO packs(pack, live_chunks, live_bytes) SELECT pack, count(*), sum(bytes) FROM chunks WHERE true GROUP BY "
    "pack "
    "ON CONFLICT DO UPDATE SET live_chunks = excluded.live_chunks, live_bytes = excluded.live_bytes "
    "WHERE live_chunks != excluded.live_chunks OR live_bytes != excluded.live_bytes",
};

enum code catalog_repair_rows(struct catalog *catalog, uint64_t *changed, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    *changed = 0;
    /* A table's constraints are what the damage has broken already. */
    enum code code = database_script(catalog->database, "PRAGMA ignore_check_constraints = ON", why);
    for (size_t i = 0; code == CODE_OK && i < sizeof steps / sizeof *steps; i++) {
        code = database_script(catalog->database, steps[i], why);
        if (code == CODE_OK)
            *changed += (uint64_t)database_changes(catalog->database);
    }
    if (code == CODE_OK)
        code = database_script(catalog->database, "PRAGMA ignore_check_constraints = OFF", why);
    return code;
}

enum code catalog_repair_note_lost(struct catalog *catalog, const uint8_t *nonce, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_LOST_PUT, DATABASE_BIND(DATABASE_BYTES(nonce, CATALOG_CHUNK_NONCE_BYTES)),
                        why);
}

bool catalog_repair_is_lost(struct catalog *catalog, const uint8_t *nonce)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_first(catalog->database, SQL_LOST_GET,
                                    DATABASE_BIND(DATABASE_BYTES(nonce, CATALOG_CHUNK_NONCE_BYTES)), NULL);
    if (code == CODE_OK)
        database_done(catalog->database, SQL_LOST_GET);
    return code == CODE_OK;
}
