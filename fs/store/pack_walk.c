/* Walking a pack: see pack_walk.h.
 *
 * Records follow each other; each states its length.  Where one is damaged its length cannot be trusted, so
 * the walk looks for the next place that holds a whole record: the magic is found byte by byte, and the
 * checksum, seeded with the place, decides.  What lies between is told as one damaged range.
 *
 * A hostile pack may be full of heads that state long chunks, each of which costs a checksum of up to 8 MiB.
 * So at most SUSPECT_BYTES_MAX are summed in vain for one pack; then the rest is told as damaged.
 *
 * Runs in any thread; holds no lock; memory: one record.
 */
#include "pack_walk.h"

#include <stdlib.h>
#include <string.h>

#include "pack_format.h"

#define SEARCH_BYTES      65536
#define MAGIC_BYTES       (sizeof PACK_RECORD_MAGIC - 1)
#define SUSPECT_BYTES_MAX (UINT64_C(4) << 30)

struct walk {
    const struct pack_source *source;
    uint8_t *chunk; /* room for the longest chunk so far */
    uint32_t chunk_room;
    uint64_t suspect_bytes;
};

static bool make_room(struct walk *walk, uint32_t count)
{
    if (count <= walk->chunk_room)
        return true;
    free(walk->chunk);
    walk->chunk = malloc(count);
    walk->chunk_room = walk->chunk ? count : 0;
    return walk->chunk_room != 0;
}

/* *length: of the whole record's chunk at offset, 0 where there is none. */
static enum code probe(struct walk *walk, uint64_t offset, uint32_t *length, struct failure *why)
{
    const struct pack_source *source = walk->source;
    uint8_t record[PACK_RECORD_BYTES];
    *length = 0;
    if (source->bytes - offset <= PACK_RECORD_BYTES)
        return CODE_OK;
    enum code code = source->read(source->context, offset, record, sizeof record, why);
    if (code != CODE_OK)
        return code;
    uint32_t count = pack_format_record_length(record);
    if (count == 0 || count > source->bytes - offset - PACK_RECORD_BYTES)
        return CODE_OK;
    if (!make_room(walk, count))
        return failure_set(why, CODE_NO_MEMORY, "checking pack %u: out of memory", source->number);
    code = source->read(source->context, offset + PACK_RECORD_BYTES, walk->chunk, count, why);
    if (code != CODE_OK)
        return code;
    if (pack_format_check_record(&(struct pack_place){source->number, offset}, record, walk->chunk, count))
        *length = count;
    else
        walk->suspect_bytes += count;
    return CODE_OK;
}

/* The first place from *offset on where a magic stands; the pack's end where there is none. */
static enum code find_magic(struct walk *walk, uint64_t *offset, struct failure *why)
{
    const struct pack_source *source = walk->source;
    uint8_t window[SEARCH_BYTES];
    while (source->bytes - *offset > PACK_RECORD_BYTES) {
        uint64_t left = source->bytes - *offset;
        size_t count = left < sizeof window ? (size_t)left : sizeof window;
        enum code code = source->read(source->context, *offset, window, count, why);
        if (code != CODE_OK)
            return code;
        const uint8_t *found = memmem(window, count, PACK_RECORD_MAGIC, MAGIC_BYTES);
        if (found) {
            *offset += (uint64_t)(found - window);
            return CODE_OK;
        }
        *offset += count - (MAGIC_BYTES - 1);
    }
    *offset = source->bytes;
    return CODE_OK;
}

/* From the damaged place *offset to the next whole record, or to the end. */
static enum code skip_damage(struct walk *walk, uint64_t *offset, struct failure *why)
{
    uint64_t at = *offset;
    uint32_t length = 0;
    while (at < walk->source->bytes && length == 0) {
        at++;
        enum code code = find_magic(walk, &at, why);
        if (code == CODE_OK && walk->suspect_bytes > SUSPECT_BYTES_MAX)
            at = walk->source->bytes;
        if (code == CODE_OK && at < walk->source->bytes)
            code = probe(walk, at, &length, why);
        if (code != CODE_OK)
            return code;
    }
    *offset = at;
    return CODE_OK;
}

static enum code walk_records(struct walk *walk, chunk_store_visit *visit, void *context, struct failure *why)
{
    const struct pack_source *source = walk->source;
    uint64_t offset = source->from ? source->from : PACK_HEADER_BYTES;
    while (offset < source->bytes) {
        uint32_t length;
        struct chunk_address address = {.pack = source->number, .offset = offset};
        enum code code = probe(walk, offset, &length, why);
        if (code != CODE_OK)
            return code;
        if (length) {
            address.bytes = length;
            offset += PACK_RECORD_BYTES + length;
        } else {
            code = skip_damage(walk, &offset, why);
            if (code != CODE_OK)
                return code;
            address.bytes = (uint32_t)(offset - address.offset);
        }
        if (!visit(context, &address, length ? CODE_OK : CODE_CORRUPT))
            return CODE_OK;
    }
    return CODE_OK;
}

enum code pack_walk(const struct pack_source *source, chunk_store_visit *visit, void *context, struct failure *why)
{
    if (source->bytes > PACK_BYTES_MAX)
        return failure_set(why, CODE_CORRUPT, "pack %u: longer than any pack", source->number);
    struct walk walk = {.source = source};
    enum code code = walk_records(&walk, visit, context, why);
    free(walk.chunk);
    return code;
}
