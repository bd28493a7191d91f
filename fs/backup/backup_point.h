/* What a backup folder knows of one point in time: which packs it needs, how far they are copied, what is damaged.
 * FORMAT.md draws the text that it is kept as. */
#ifndef CYTOFS_BACKUP_POINT_H
#define CYTOFS_BACKUP_POINT_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "digest.h"
#include "failure.h"
#include "identity.h"

#define BACKUP_POINT_FORMAT    1
#define BACKUP_POINT_BYTES_MAX ((size_t)256 << 20) /* of its text */
#define BACKUP_POINTS_MAX      999999u             /* the highest number; the lowest is 1 */

/* A pack as the point needs it: a copy's first `bytes`. */
struct backup_pack {
    uint32_t number;  /* in the store */
    uint32_t variant; /* which of the folder's files of that number: 0 but where the store was once put back */
    uint64_t bytes;   /* up to the end of the last chunk that is needed */
    uint64_t sound;   /* <= bytes: before this offset every record was verified; behind it lie gaps or damage */
};

/* Bytes of a pack that were damaged in the store already, with chunks in them that files need. */
struct backup_damage {
    uint32_t number;
    uint64_t offset, bytes;
    uint64_t chunks; /* rows that point into it */
};

struct backup_point {
    uint32_t number;
    int64_t made_ms; /* since 1970 */
    struct store_id store;
    uint64_t catalog_bytes;
    uint8_t catalog_digest[DIGEST_BYTES]; /* SHA-256 of catalog.db */
    struct backup_pack *packs;            /* ascending */
    size_t pack_count;
    struct backup_damage *damages;
    size_t damage_count;
};

/* Both append; CODE_NO_MEMORY. */
MUST_CHECK enum code backup_point_add_pack(struct backup_point *point, const struct backup_pack *pack, struct failure *why);
MUST_CHECK enum code backup_point_add_damage(struct backup_point *point, const struct backup_damage *damage,
                                             struct failure *why);

/* NULL where the point does not need the pack. */
const struct backup_pack *backup_point_find_pack(const struct backup_point *point, uint32_t number);

/* The bytes of all its packs. */
uint64_t backup_point_bytes(const struct backup_point *point);

MUST_CHECK enum code backup_point_write(const struct backup_point *point, struct buffer *text, struct failure *why);

/* CODE_CORRUPT: not what was written; CODE_NEWER_FORMAT.  *out is to be freed in either case. */
MUST_CHECK enum code backup_point_read(const char *text, size_t count, struct backup_point *out, struct failure *why);

/* Appends the last line, the checksum of all in front of it. */
void backup_point_seal(struct buffer *text);

void backup_point_free(struct backup_point *point);

#endif
