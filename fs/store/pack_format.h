/* The bytes of a pack as pure functions; FORMAT.md draws them.
 *
 * A pack is a header and records, one behind the other without gaps.  A record's checksum is seeded with its
 * place, so that a record which a file system (or somebody) moved, or a chunk that happens to contain one, is
 * not taken for one.
 */
#ifndef CYTOFS_PACK_FORMAT_H
#define CYTOFS_PACK_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "identity.h"

#define PACK_FORMAT_VERSION 1
#define PACK_HEADER_BYTES   64
#define PACK_RECORD_BYTES   24 /* in front of each chunk */
#define PACK_RECORD_MAGIC   "cyrc"
#define PACK_BYTES_MAX      (UINT64_C(1) << 32) /* offsets in a pack fit 32 bits */

struct pack_header {
    struct store_id store;
    uint32_t number;
};

void pack_format_write_header(const struct pack_header *header, uint8_t bytes[PACK_HEADER_BYTES]);

/* CODE_CORRUPT: damaged, or no pack at all; CODE_NEWER_FORMAT. */
MUST_CHECK enum code pack_format_read_header(const uint8_t bytes[PACK_HEADER_BYTES], struct pack_header *out,
                                             struct failure *why);

/* Where a record begins. */
struct pack_place {
    uint32_t pack;
    uint64_t offset; /* < PACK_BYTES_MAX */
};

/* What stands in front of a chunk of 1 .. CHUNK_STORE_BYTES_MAX bytes. */
void pack_format_write_record(const struct pack_place *place, const void *chunk, uint32_t count,
                              uint8_t record[PACK_RECORD_BYTES]);

/* The length that a record's head states; 0 where it is no head. */
uint32_t pack_format_record_length(const uint8_t record[PACK_RECORD_BYTES]);

/* Whether the head belongs to exactly this chunk at this place. */
bool pack_format_check_record(const struct pack_place *place, const uint8_t record[PACK_RECORD_BYTES], const void *chunk,
                              uint32_t count);

#endif
