/* The schema as a document.  Truth first, then what is derived from it; FORMAT.md says what the opaque bytes hold.
 *
 * Truth
 *   numbers     counters that outlive the rows that they numbered
 *   members     people: who may be given keys
 *   spaces      key spaces; the key itself is nowhere here
 *   wraps       a space's key, wrapped for one member
 *   inodes      files, folders, symbolic links.  Inode 1 is the root
 *   names       a folder's entries: (parent, encrypted name) -> inode
 *   chunks      a file's 128 KiB pieces: (inode, index) -> place in the chunk store.  A missing row is zeros
 *   lost        chunks of which fsck --repair noted that their bytes are gone: reading them fails, and is no news
 *   attributes  extended attributes, and under the empty name the target of a symbolic link
 * Derived
 *   packs       how many chunk rows point into each pack, so that packs that nobody needs can be dropped
 *   names_by_inode, chunks_by_pack, inodes_orphaned, packs_dead   indices
 */
#include "catalog_schema.h"

static const char version_1[] =
    "CREATE TABLE numbers("
    "  which INTEGER PRIMARY KEY," /* enum catalog_number */
    "  value INTEGER NOT NULL) STRICT;"

    "CREATE TABLE members("
    "  member INTEGER PRIMARY KEY," /* local number */
    "  id BLOB NOT NULL UNIQUE CHECK(length(id) = 16),"
    "  public_key BLOB NOT NULL CHECK(length(public_key) = 32),"
    "  name TEXT NOT NULL," /* UTF-8, as entered at init */
    "  added_ms INTEGER NOT NULL) STRICT;"

    "CREATE TABLE spaces("
    "  space INTEGER PRIMARY KEY," /* local number, never reused */
    "  id BLOB NOT NULL UNIQUE CHECK(length(id) = 16),"
    "  generation INTEGER NOT NULL) STRICT;" /* of its key, from 1 */

    "CREATE TABLE wraps("
    "  space INTEGER NOT NULL REFERENCES spaces,"
    "  member INTEGER NOT NULL REFERENCES members,"
    "  sender INTEGER NOT NULL REFERENCES members," /* who wrapped it */
    "  generation INTEGER NOT NULL,"
    "  wrapped BLOB NOT NULL,"
    "  PRIMARY KEY(space, member, generation)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE inodes("
    "  inode INTEGER PRIMARY KEY,"
    "  kind INTEGER NOT NULL CHECK(kind BETWEEN 0 AND 2)," /* enum node_kind: file, folder, link */
    "  flags INTEGER NOT NULL,"                            /* CATALOG_INODE_* */
    "  space INTEGER NOT NULL,"                            /* whose keys seal its contents, entries and attributes */
    "  mode INTEGER NOT NULL,"                             /* permission bits */
    "  size INTEGER NOT NULL CHECK(size >= 0),"            /* bytes; of a link, its target's */
    "  links INTEGER NOT NULL CHECK(links >= 0),"          /* names; 0: unlinked, but still open when this was written */
    "  access_ns INTEGER NOT NULL,"                        /* since 1970 */
    "  modify_ns INTEGER NOT NULL,"
    "  change_ns INTEGER NOT NULL,"
    "  version INTEGER NOT NULL,"          /* counts changes of the contents */
    "  origin INTEGER NOT NULL,"           /* the inode that this one was copied from (snapshots), else itself:
                                                 what its sealed bytes are bound to */
    "  stamp INTEGER NOT NULL,"            /* number of the last change at or below it */
    "  stamp_ns INTEGER NOT NULL) STRICT;" /* when that was */

    "CREATE TABLE names("
    "  parent INTEGER NOT NULL,"
    "  name BLOB NOT NULL,"
    "  inode INTEGER NOT NULL,"
    "  PRIMARY KEY(parent, name)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE chunks("
    "  inode INTEGER NOT NULL,"
    "  idx INTEGER NOT NULL," /* from 0 */
    "  pack INTEGER NOT NULL,"
    "  offset INTEGER NOT NULL,"                       /* of the record in the pack */
    "  bytes INTEGER NOT NULL,"                        /* sealed */
    "  nonce BLOB NOT NULL CHECK(length(nonce) = 12)," /* of the sealed bytes: tells an older version from this one */
    "  PRIMARY KEY(inode, idx)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE attributes("
    "  inode INTEGER NOT NULL,"
    "  name BLOB NOT NULL,"
    "  value BLOB NOT NULL,"
    "  PRIMARY KEY(inode, name)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE packs("
    "  pack INTEGER PRIMARY KEY,"
    "  live_chunks INTEGER NOT NULL CHECK(live_chunks >= 0),"
    "  live_bytes INTEGER NOT NULL) STRICT;"

    "CREATE INDEX names_by_inode ON names(inode);"
    "CREATE INDEX chunks_by_pack ON chunks(pack, offset);"
    "CREATE INDEX inodes_orphaned ON inodes(inode) WHERE links = 0;"
    "CREATE INDEX packs_dead ON packs(pack) WHERE live_chunks = 0;";

/* Ownership, special files, rotated keys, proofs that rows are the ones last written, chunks that are found again. */
static const char version_2[] =
    "ALTER TABLE members ADD COLUMN flags INTEGER NOT NULL DEFAULT 0;"      /* CATALOG_MEMBER_* */
    "ALTER TABLE members ADD COLUMN removed_ms INTEGER NOT NULL DEFAULT 0;" /* 0: is one */

    "ALTER TABLE spaces ADD COLUMN oldest INTEGER NOT NULL DEFAULT 1;" /* generation that something is still sealed with */
    "ALTER TABLE spaces ADD COLUMN shared INTEGER NOT NULL DEFAULT 0;" /* 1: with every member, later ones too */
    "ALTER TABLE spaces ADD COLUMN readers BLOB NOT NULL DEFAULT x'';" /* sealed list of who may read */
    "ALTER TABLE spaces ADD COLUMN digest BLOB NOT NULL DEFAULT x'';"  /* sealed sum over its inodes */

    "ALTER TABLE chunks ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;" /* of the key that sealed it; 0: sealed by format
                                                                                  1, with that of generation 1 */
    "ALTER TABLE chunks ADD COLUMN print BLOB CHECK(print IS NULL OR length(print) = 16);" /* keyed; equal contents
                                                                                    of one space have equal ones */
    "CREATE INDEX chunks_by_print ON chunks(print) WHERE print IS NOT NULL;"

    "CREATE TABLE lost("
    "  nonce BLOB PRIMARY KEY CHECK(length(nonce) = 12)) STRICT, WITHOUT ROWID;" /* of chunks whose bytes are known to be
                                                                                    lost */

    "ALTER TABLE inodes RENAME TO inodes_1;"
    "DROP INDEX inodes_orphaned;"
    "CREATE TABLE inodes("
    "  inode INTEGER PRIMARY KEY,"
    "  kind INTEGER NOT NULL CHECK(kind BETWEEN 0 AND 6)," /* enum catalog_inode_kind */
    "  flags INTEGER NOT NULL,"                            /* CATALOG_INODE_* */
    "  space INTEGER NOT NULL,"                            /* whose keys seal its contents, entries and attributes */
    "  mode INTEGER NOT NULL,"                             /* permission bits */
    "  size INTEGER NOT NULL CHECK(size >= 0),"            /* bytes; of a link, its target's */
    "  links INTEGER NOT NULL CHECK(links >= 0),"          /* names; 0: unlinked, but still open when this was written */
    "  access_ns INTEGER NOT NULL,"                        /* since 1970 */
    "  modify_ns INTEGER NOT NULL,"
    "  change_ns INTEGER NOT NULL,"
    "  version INTEGER NOT NULL,"        /* counts changes of the contents */
    "  origin INTEGER NOT NULL,"         /* the inode that this one was copied from (snapshots), else itself:
                                            what its sealed bytes are bound to */
    "  stamp INTEGER NOT NULL,"          /* number of the last change at or below it */
    "  stamp_ns INTEGER NOT NULL,"       /* when that was */
    "  uid INTEGER NOT NULL DEFAULT -1," /* -1: whoever mounts */
    "  gid INTEGER NOT NULL DEFAULT -1,"
    "  rdev INTEGER NOT NULL DEFAULT 0,"          /* of a device, as dev_t; of a snapshot's topmost folder its number, from 1
                                                     in each dataset; of a .snap folder the number given out last */
    "  generation INTEGER NOT NULL DEFAULT 1,"    /* the oldest key that seals something of it; of the digest, the one */
    "  digest BLOB NOT NULL DEFAULT x'') STRICT;" /* sum over what hangs on it (16) | proof of this row (16) */
    "INSERT INTO inodes(inode, kind, flags, space, mode, size, links, access_ns, modify_ns, change_ns, version, origin, "
    "stamp, stamp_ns) SELECT inode, kind, flags, space, mode, size, links, access_ns, modify_ns, change_ns, version, "
    "origin, "
    "stamp, stamp_ns FROM inodes_1;"
    "DROP TABLE inodes_1;"
    /* Snapshots get the numbers that they would have had: 4 is CATALOG_INODE_SNAPSHOTS. */
    "UPDATE inodes SET rdev = numbered.number FROM ("
    "  SELECT names.inode AS image, row_number() OVER (PARTITION BY names.parent ORDER BY names.inode) AS number "
    "  FROM inodes AS snap JOIN names ON names.parent = snap.inode WHERE snap.flags & 4) AS numbered "
    "WHERE inodes.inode = numbered.image;"
    "UPDATE inodes SET rdev = (SELECT count(*) FROM names WHERE parent = inodes.inode) WHERE flags & 4;"
    "CREATE INDEX inodes_orphaned ON inodes(inode) WHERE links = 0;";

/* The tables stay as they are: an inode's uid may from now on be a member's number (viewer.h), which programs of before take
 * for damage. */
static const char version_3[] = "SELECT 1;";

const char *const catalog_schema_migrations[] = {version_1, version_2, version_3};

/* The copy of a subtree (catalog_snapshot.c): which inode becomes which. */
const char *const catalog_schema_temporary =
    "CREATE TEMP TABLE copy(old INTEGER PRIMARY KEY, new INTEGER NOT NULL UNIQUE, kind INTEGER NOT NULL) STRICT;";

#define CHUNK_COLUMNS "pack, offset, bytes, nonce, generation, print"
#define INODE_COLUMNS                                                                                                       \
    "inode, kind, flags, space, mode, size, links, access_ns, modify_ns, change_ns, version, origin, stamp, stamp_ns, "     \
    "uid, gid, rdev, generation, digest"

#define MEMBER_COLUMNS "member, id, public_key, name, added_ms, flags, removed_ms"

const char *const catalog_schema_statements[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_BEGIN_READING] = "BEGIN",
    [SQL_SAVEPOINT] = "SAVEPOINT operation",
    [SQL_RELEASE] = "RELEASE operation",
    [SQL_ROLLBACK_TO] = "ROLLBACK TO operation",
    [SQL_COMMIT] = "COMMIT",

    [SQL_NUMBER_GET] = "SELECT value FROM numbers WHERE which = ?1",
    [SQL_NUMBER_SET] = "INSERT INTO numbers VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",

    [SQL_INODE_GET] = "SELECT " INODE_COLUMNS " FROM inodes WHERE inode = ?1",
    [SQL_INODE_PUT] =
        "REPLACE INTO inodes(" INODE_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
        "?16, ?17, ?18, ?19)",
    [SQL_INODE_DELETE] = "DELETE FROM inodes WHERE inode = ?1",
    [SQL_INODE_ORPHANS] = "SELECT inode FROM inodes WHERE links = 0 AND inode > ?1 ORDER BY inode LIMIT ?2",
    [SQL_INODE_TOTALS] = "SELECT kind, count(*), sum(size) FROM inodes GROUP BY kind",
    [SQL_INODE_WALK] = "SELECT " INODE_COLUMNS " FROM inodes WHERE inode > ?1 ORDER BY inode LIMIT ?2",

    [SQL_INODE_OLDER] = "SELECT inode FROM inodes WHERE inode > ?1 AND inode <= ?2 AND space = ?3 AND generation < ?4 "
                        "ORDER BY inode LIMIT ?5",

    [SQL_NAME_FIND] = "SELECT inode FROM names WHERE parent = ?1 AND name = ?2",
    [SQL_NAME_INSERT] = "INSERT INTO names(parent, name, inode) VALUES(?1, ?2, ?3)",
    [SQL_NAME_DELETE] = "DELETE FROM names WHERE parent = ?1 AND name = ?2",
    [SQL_NAME_LIST] = "SELECT name, inode FROM names WHERE parent = ?1",
    [SQL_NAME_OF_INODE] = "SELECT parent, name FROM names WHERE inode = ?1",
    [SQL_NAME_COUNT] = "SELECT count(*) FROM (SELECT 1 FROM names WHERE parent = ?1 LIMIT ?2)",
    [SQL_NAME_WALK] = "SELECT parent, name, inode FROM names WHERE (parent, name) > (?1, ?2) ORDER BY parent, name "
                      "LIMIT ?3",
    [SQL_NAME_NEXT_PARENT] = "SELECT parent FROM names WHERE parent > ?1 ORDER BY parent LIMIT 1",

    [SQL_CHUNK_GET] = "SELECT " CHUNK_COLUMNS " FROM chunks WHERE inode = ?1 AND idx = ?2",
    [SQL_CHUNK_PUT] = "REPLACE INTO chunks(inode, idx, " CHUNK_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SQL_CHUNK_DELETE] = "DELETE FROM chunks WHERE inode = ?1 AND idx = ?2",
    [SQL_CHUNK_LIVE_IN] = "SELECT pack, count(*), sum(bytes) FROM chunks WHERE inode = ?1 AND idx >= ?2 AND idx < ?3 "
                          "GROUP BY pack",
    [SQL_CHUNK_DELETE_IN] = "DELETE FROM chunks WHERE inode = ?1 AND idx >= ?2 AND idx < ?3",
    [SQL_CHUNK_COUNT] = "SELECT count(*) FROM chunks WHERE inode = ?1",
    [SQL_CHUNK_INDICES] = "SELECT idx FROM chunks WHERE inode = ?1 AND idx >= ?2 ORDER BY idx LIMIT ?3",
    [SQL_CHUNK_OF_INODE] = "SELECT inode, idx, " CHUNK_COLUMNS " FROM chunks WHERE inode = ?1 AND idx > ?2 ORDER BY idx "
                           "LIMIT ?3",
    [SQL_CHUNK_PRINTED] = "SELECT inode, idx, " CHUNK_COLUMNS " FROM chunks WHERE print = ?1 LIMIT ?2",
    [SQL_CHUNK_WALK] = "SELECT inode, idx, " CHUNK_COLUMNS " FROM chunks WHERE (inode, idx) > (?1, ?2) "
                       "ORDER BY inode, idx LIMIT ?3",

    [SQL_CHUNK_OF_PACK] = "SELECT inode, idx, " CHUNK_COLUMNS " FROM chunks WHERE pack = ?1 ORDER BY offset "
                          "LIMIT ?2",
    [SQL_CHUNK_IN_RANGE] = "SELECT inode, idx, " CHUNK_COLUMNS " FROM chunks "
                           "WHERE pack = ?1 AND offset >= ?2 AND offset < ?3 ORDER BY offset LIMIT ?4",
    [SQL_CHUNK_NEXT_PACK] = "SELECT pack FROM chunks WHERE pack > ?1 ORDER BY pack LIMIT 1",
    [SQL_CHUNK_LAST] = "SELECT offset, bytes FROM chunks WHERE pack = ?1 ORDER BY offset DESC LIMIT 1",
    [SQL_CHUNK_PACK_OLDER] = "SELECT 1 FROM chunks CROSS JOIN inodes USING(inode) "
                             "WHERE pack = ?1 AND inodes.space = ?2 AND chunks.generation < ?3 LIMIT 1",
    [SQL_LOST_PUT] = "INSERT INTO lost VALUES(?1) ON CONFLICT DO NOTHING",
    [SQL_LOST_GET] = "SELECT 1 FROM lost WHERE nonce = ?1",
    [SQL_CHUNK_AT] = "SELECT count(*), sum(bytes) FROM chunks WHERE pack = ?1 AND offset = ?2",
    [SQL_CHUNK_MOVE] = "UPDATE chunks SET pack = ?3, offset = ?4 WHERE pack = ?1 AND offset = ?2",
    [SQL_CHUNK_ALIVE] = "SELECT count(*), sum(bytes) FROM "
                        "(SELECT max(bytes) AS bytes FROM chunks WHERE pack = ?1 GROUP BY offset)",

    [SQL_PACK_COUNT] = "UPDATE packs SET live_chunks = live_chunks + ?2, live_bytes = live_bytes + ?3 WHERE pack = ?1",
    [SQL_PACK_ADD] = "INSERT INTO packs(pack, live_chunks, live_bytes) VALUES(?1, ?2, ?3)",
    /* The count is derived, and may have been tampered with: what a row names is not dead. */
    [SQL_PACK_DEAD] = "SELECT pack FROM packs WHERE live_chunks = 0 AND pack > ?1 "
                      "AND NOT EXISTS(SELECT 1 FROM chunks WHERE chunks.pack = packs.pack) ORDER BY pack LIMIT 1",
    [SQL_PACK_FORGET] = "DELETE FROM packs WHERE pack = ?1 AND live_chunks = 0",
    [SQL_PACK_KNOWN] = "SELECT live_chunks, live_bytes FROM packs WHERE pack = ?1",

    [SQL_ATTRIBUTE_GET] = "SELECT value FROM attributes WHERE inode = ?1 AND name = ?2",
    [SQL_ATTRIBUTE_PUT] = "REPLACE INTO attributes(inode, name, value) VALUES(?1, ?2, ?3)",
    [SQL_ATTRIBUTE_DELETE] = "DELETE FROM attributes WHERE inode = ?1 AND name = ?2",
    [SQL_ATTRIBUTE_LIST] = "SELECT name, value FROM attributes WHERE inode = ?1 AND name != x''",
    [SQL_ATTRIBUTE_LIST_ALL] = "SELECT name, value FROM attributes WHERE inode = ?1",
    [SQL_ATTRIBUTE_DELETE_ALL] = "DELETE FROM attributes WHERE inode = ?1",

    [SQL_SPACE_PUT] = "INSERT INTO spaces(space, id, generation, oldest, shared) VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_SPACE_SET] = "UPDATE spaces SET generation = ?2, oldest = ?3, shared = ?4 WHERE space = ?1",
    [SQL_SPACE_LIST] = "SELECT space, id, generation, oldest, shared FROM spaces WHERE space > ?1 ORDER BY space LIMIT 1",
    [SQL_SPACE_GET_READERS] = "SELECT readers FROM spaces WHERE space = ?1",
    [SQL_SPACE_SET_READERS] = "UPDATE spaces SET readers = ?2 WHERE space = ?1",
    [SQL_SPACE_DELETE] = "DELETE FROM spaces WHERE space = ?1",
    [SQL_DIGEST_GET] = "SELECT digest FROM spaces WHERE space = ?1",
    [SQL_DIGEST_PUT] = "UPDATE spaces SET digest = ?2 WHERE space = ?1",
    /* Everything that is few and that the lab's own key vouches for, as numbered columns of bytes and integers. */
    [SQL_DIGEST_SPACES] = "SELECT space, id, generation, oldest, shared, readers, "
                          "CASE space WHEN 1 THEN x'' ELSE digest END FROM spaces ORDER BY space",
    [SQL_DIGEST_MEMBERS] = "SELECT member, id, public_key, name, added_ms, flags, removed_ms FROM members ORDER BY member",
    [SQL_WRAP_PUT] = "REPLACE INTO wraps(space, member, sender, generation, wrapped) VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_WRAP_GET] = "SELECT sender, wrapped FROM wraps WHERE space = ?1 AND member = ?2 AND generation = ?3",
    [SQL_WRAP_DELETE_SPACE] = "DELETE FROM wraps WHERE space = ?1",
    [SQL_WRAP_DELETE_OLD] = "DELETE FROM wraps WHERE space = ?1 AND generation < ?2",
    [SQL_WRAP_DELETE_MEMBER] = "DELETE FROM wraps WHERE space = ?1 AND member = ?2",
    [SQL_WRAP_NEXT_MEMBER] = "SELECT member FROM wraps WHERE space = ?1 AND member > ?2 ORDER BY member LIMIT 1",
    [SQL_MEMBER_PUT] = "INSERT INTO members(id, public_key, name, added_ms, flags) "
                       "VALUES(?1, ?2, CAST(?3 AS TEXT), ?4, ?5) RETURNING member",
    [SQL_MEMBER_FIND] = "SELECT " MEMBER_COLUMNS " FROM members WHERE id = ?1",
    [SQL_MEMBER_LIST] = "SELECT " MEMBER_COLUMNS " FROM members WHERE member > ?1 ORDER BY member LIMIT 1",
    [SQL_MEMBER_REMOVE] = "UPDATE members SET removed_ms = ?2 WHERE member = ?1",

    [SQL_COPY_CLEAR] = "DELETE FROM copy",
    [SQL_COPY_SEED] = "INSERT INTO copy(old, new, kind) VALUES(?1, ?2, 1)",
    /* Numbers each inode below ?1 (once, however many names it has) from ?2 + 1 on; ?3 is left out with all below. */
    [SQL_COPY_WALK] = "WITH RECURSIVE below(inode) AS ("
                      "  SELECT inode FROM names WHERE parent = ?1 AND inode != ?3"
                      "  UNION SELECT names.inode FROM names JOIN below ON names.parent = below.inode) "
                      "INSERT INTO copy(old, new, kind) "
                      "SELECT below.inode, ?2 + row_number() OVER (), inodes.kind FROM below JOIN inodes USING(inode)",
    [SQL_COPY_SPACE] = "INSERT INTO copy(old, new, kind) SELECT inode, inode, kind FROM inodes WHERE space = ?1",
    [SQL_COPY_COUNT] = "SELECT count(*) FROM copy",
    [SQL_COPY_INODES] =
        "INSERT INTO inodes(" INODE_COLUMNS ") "
        "SELECT new, inodes.kind, flags | ?1, space, mode, size, links, access_ns, modify_ns, change_ns, "
        "version, origin, stamp, stamp_ns, uid, gid, rdev, generation, digest FROM copy JOIN inodes ON inode = old",
    [SQL_COPY_NAMES] = "INSERT INTO names(parent, name, inode) "
                       "SELECT folder.new, name, entry.new FROM copy AS folder "
                       "JOIN names ON parent = folder.old JOIN copy AS entry ON entry.old = names.inode "
                       "WHERE folder.kind = 1",
    [SQL_COPY_CHUNKS] = "INSERT INTO chunks(inode, idx, " CHUNK_COLUMNS ") "
                        "SELECT new, idx, " CHUNK_COLUMNS " FROM copy JOIN chunks ON inode = old",
    [SQL_COPY_PACKS] = "INSERT INTO packs(pack, live_chunks, live_bytes) "
                       "SELECT pack, count(*), sum(bytes) FROM copy JOIN chunks ON inode = old WHERE true GROUP BY pack "
                       "ON CONFLICT DO UPDATE SET live_chunks = live_chunks + excluded.live_chunks, "
                       "live_bytes = live_bytes + excluded.live_bytes",
    [SQL_COPY_ATTRIBUTES] = "INSERT INTO attributes(inode, name, value) "
                            "SELECT new, name, value FROM copy JOIN attributes ON inode = old",
    /* A file that has names outside of the copied part too has fewer of them in the copy. */
    [SQL_COPY_LINKS] = "UPDATE inodes SET links = (SELECT count(*) FROM names WHERE names.inode = inodes.inode) "
                       "WHERE kind != 1 AND links != 1 AND inode IN (SELECT new FROM copy)",
    [SQL_COPY_NEXT] = "SELECT old, new FROM copy WHERE old > ?1 ORDER BY old LIMIT 1",
    [SQL_COPY_CONTAINS] = "SELECT 1 FROM copy WHERE old = ?1",
    [SQL_COPY_DROP_PACKS] = "UPDATE packs SET live_chunks = live_chunks - gone.chunks, "
                            "live_bytes = live_bytes - gone.bytes FROM "
                            "(SELECT pack, count(*) AS chunks, sum(bytes) AS bytes FROM copy JOIN chunks ON inode = old "
                            " GROUP BY pack) AS gone WHERE packs.pack = gone.pack",
    [SQL_COPY_DROP_CHUNKS] = "DELETE FROM chunks WHERE inode IN (SELECT old FROM copy)",
    [SQL_COPY_DROP_ATTRIBUTES] = "DELETE FROM attributes WHERE inode IN (SELECT old FROM copy)",
    [SQL_COPY_DROP_NAMES] = "DELETE FROM names WHERE parent IN (SELECT old FROM copy)",
    [SQL_COPY_DROP_INODES] = "DELETE FROM inodes WHERE inode IN (SELECT old FROM copy)",
};
