/* Pack headers and records: see pack_format.h and FORMAT.md.  */
#include "pack_format.h"

#include <assert.h>
#include <string.h>

#include "bytes.h"
#include "checksum.h"
#include "chunk_store.h"

/* Header: magic (8), version (4), pack number (4), store id (16), zeros (16), XXH3-128 of all before (16). */
#define HEADER_MAGIC       "cytofspk"
#define HEADER_VERSION_AT  8
#define HEADER_NUMBER_AT   12
#define HEADER_STORE_AT    16
#define HEADER_RESERVED_AT 32
#define HEADER_CHECKSUM_AT 48
#define CHECKSUM_BYTES     CHECKSUM_128_BYTES

/* Record: magic (4), length (4), XXH3-128 of the chunk (16). */
#define RECORD_LENGTH_AT   4
#define RECORD_CHECKSUM_AT 8

void pack_format_write_header(const struct pack_header *header, uint8_t bytes[PACK_HEADER_BYTES])
{
    memset(bytes, 0, PACK_HEADER_BYTES);
    memcpy(bytes, HEADER_MAGIC, HEADER_VERSION_AT);
    bytes_store32(bytes + HEADER_VERSION_AT, PACK_FORMAT_VERSION);
    bytes_store32(bytes + HEADER_NUMBER_AT, header->number);
    memcpy(bytes + HEADER_STORE_AT, header->store.bytes, IDENTITY_BYTES);
    checksum_128(bytes, HEADER_CHECKSUM_AT, 0, bytes + HEADER_CHECKSUM_AT);
}

enum code pack_format_read_header(const uint8_t bytes[PACK_HEADER_BYTES], struct pack_header *out, struct failure *why)
{
    uint8_t sum[CHECKSUM_BYTES];
    checksum_128(bytes, HEADER_CHECKSUM_AT, 0, sum);
    if (memcmp(bytes, HEADER_MAGIC, HEADER_VERSION_AT) != 0 || memcmp(bytes + HEADER_CHECKSUM_AT, sum, CHECKSUM_BYTES) != 0)
        return failure_set(why, CODE_CORRUPT, "its header is damaged, or it is no pack");
    uint32_t version = bytes_load32(bytes + HEADER_VERSION_AT);
    if (version != PACK_FORMAT_VERSION)
        return failure_set(why, CODE_NEWER_FORMAT, "it has format %u, this program knows %u: update cytofs", version,
                           PACK_FORMAT_VERSION);
    out->number = bytes_load32(bytes + HEADER_NUMBER_AT);
    memcpy(out->store.bytes, bytes + HEADER_STORE_AT, IDENTITY_BYTES);
    return CODE_OK;
}

static uint64_t seed_of(const struct pack_place *place)
{
    assert(place->offset < PACK_BYTES_MAX);
    return (uint64_t)place->pack << 32 | place->offset;
}

void pack_format_write_record(const struct pack_place *place, const void *chunk, uint32_t count,
                              uint8_t record[PACK_RECORD_BYTES])
{
    assert(count >= 1 && count <= CHUNK_STORE_BYTES_MAX);
    memcpy(record, PACK_RECORD_MAGIC, RECORD_LENGTH_AT);
    bytes_store32(record + RECORD_LENGTH_AT, count);
    checksum_128(chunk, count, seed_of(place), record + RECORD_CHECKSUM_AT);
}

uint32_t pack_format_record_length(const uint8_t record[PACK_RECORD_BYTES])
{
    uint32_t count = bytes_load32(record + RECORD_LENGTH_AT);
    if (memcmp(record, PACK_RECORD_MAGIC, RECORD_LENGTH_AT) != 0 || count > CHUNK_STORE_BYTES_MAX)
        return 0;
    return count;
}

bool pack_format_check_record(const struct pack_place *place, const uint8_t record[PACK_RECORD_BYTES], const void *chunk,
                              uint32_t count)
{
    uint8_t sum[CHECKSUM_BYTES];
    if (count == 0 || pack_format_record_length(record) != count)
        return false;
    checksum_128(chunk, count, seed_of(place), sum);
    return memcmp(record + RECORD_CHECKSUM_AT, sum, CHECKSUM_BYTES) == 0;
}
