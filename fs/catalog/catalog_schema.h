/* The catalog's schema and every statement that is run on it. */
#ifndef CYTOFS_CATALOG_SCHEMA_H
#define CYTOFS_CATALOG_SCHEMA_H

#include <stddef.h>

/* migrations[n] leads from schema version n to n + 1; there are CATALOG_FORMAT of them. */
extern const char *const catalog_schema_migrations[];

enum catalog_statement {
    SQL_BEGIN,
    SQL_SAVEPOINT,
    SQL_RELEASE,
    SQL_ROLLBACK_TO,
    SQL_COMMIT,

    SQL_NUMBER_GET,
    SQL_NUMBER_SET,

    SQL_INODE_GET,
    SQL_INODE_PUT,
    SQL_INODE_DELETE,
    SQL_INODE_ORPHANS,
    SQL_INODE_TOTALS,
    SQL_INODE_WALK,

    SQL_NAME_FIND,
    SQL_NAME_INSERT,
    SQL_NAME_DELETE,
    SQL_NAME_LIST,
    SQL_NAME_OF_INODE,
    SQL_NAME_COUNT,
    SQL_NAME_WALK,

    SQL_CHUNK_GET,
    SQL_CHUNK_PUT,
    SQL_CHUNK_DELETE,
    SQL_CHUNK_LIVE_IN,
    SQL_CHUNK_DELETE_IN,
    SQL_CHUNK_INDICES,
    SQL_CHUNK_WALK,
    SQL_CHUNK_OF_PACK,
    SQL_CHUNK_IN_RANGE,
    SQL_CHUNK_NEXT_PACK,
    SQL_CHUNK_LAST,
    SQL_CHUNK_AT,
    SQL_CHUNK_MOVE,
    SQL_CHUNK_ALIVE,

    SQL_PACK_COUNT,
    SQL_PACK_ADD,
    SQL_PACK_DEAD,
    SQL_PACK_FORGET,
    SQL_PACK_KNOWN,

    SQL_ATTRIBUTE_GET,
    SQL_ATTRIBUTE_PUT,
    SQL_ATTRIBUTE_DELETE,
    SQL_ATTRIBUTE_LIST,
    SQL_ATTRIBUTE_DELETE_ALL,

    SQL_SPACE_PUT,
    SQL_SPACE_LIST,
    SQL_SPACE_DELETE,
    SQL_WRAP_PUT,
    SQL_WRAP_GET,
    SQL_WRAP_DELETE_SPACE,
    SQL_MEMBER_PUT,
    SQL_MEMBER_FIND,
    SQL_MEMBER_GET,

    SQL_COPY_CLEAR,
    SQL_COPY_SEED,
    SQL_COPY_WALK,
    SQL_COPY_COUNT,
    SQL_COPY_INODES,
    SQL_COPY_NAMES,
    SQL_COPY_CHUNKS,
    SQL_COPY_PACKS,
    SQL_COPY_ATTRIBUTES,
    SQL_COPY_LINKS,
    SQL_COPY_CONTAINS,
    SQL_COPY_DROP_PACKS,
    SQL_COPY_DROP_CHUNKS,
    SQL_COPY_DROP_ATTRIBUTES,
    SQL_COPY_DROP_NAMES,
    SQL_COPY_DROP_INODES,

    SQL_COUNT
};

extern const char *const catalog_schema_statements[SQL_COUNT];

/* Temporary tables that the statements need; run before preparing them. */
extern const char *const catalog_schema_temporary;

#endif
