/* Packs that somebody else wrote: headers, heads of records, and the walk that looks for whole records
 * between damaged ones.  Every record that is called whole must lie inside the pack, and the ranges must
 * follow each other without gaps. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_store.h"
#include "pack_format.h"
#include "pack_walk.h"

struct image {
    const uint8_t *bytes;
    size_t count;
    uint64_t next; /* where the next range must begin */
};

static enum code read_image(void *context, uint64_t offset, void *bytes, size_t count, struct failure *why)
{
    (void)why;
    const struct image *image = context;
    assert(offset <= image->count && count <= image->count - offset);
    memcpy(bytes, image->bytes + offset, count);
    return CODE_OK;
}

static bool check_range(void *context, const struct chunk_address *address, enum code code)
{
    struct image *image = context;
    assert(address->offset == image->next && address->bytes > 0);
    image->next += address->bytes + (code == CODE_OK ? PACK_RECORD_BYTES : 0);
    assert(image->next <= image->count);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct failure why;
    struct pack_header header = {.number = 1};
    if (count >= PACK_HEADER_BYTES && pack_format_read_header(bytes, &header, &why) != CODE_OK)
        assert(why.code == CODE_CORRUPT || why.code == CODE_NEWER_FORMAT);
    struct image image = {bytes, count, PACK_HEADER_BYTES};
    const struct pack_source source = {.number = 1, .bytes = count, .context = &image, .read = read_image};
    enum code code = pack_walk(&source, check_range, &image, &why);
    assert(code == CODE_OK);
    assert(count < PACK_HEADER_BYTES || image.next == count);
    return 0;
}

/* Packs of 0 to 3 small records. */
uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    static const char *const chunks[] = {"a", "second chunk", "the third and longest chunk"};
    uint8_t *pack = index <= 3 ? malloc(512) : NULL;
    if (!pack)
        return NULL;
    pack_format_write_header(&(struct pack_header){.number = 1}, pack);
    *count = PACK_HEADER_BYTES;
    for (size_t i = 0; i < index; i++) {
        uint32_t length = (uint32_t)strlen(chunks[i]);
        pack_format_write_record(&(struct pack_place){1, *count}, chunks[i], length, pack + *count);
        memcpy(pack + *count + PACK_RECORD_BYTES, chunks[i], length);
        *count += PACK_RECORD_BYTES + length;
    }
    return pack;
}
