/* Baseline TIFF, written by hand so that the same picture gives the same bytes on every machine (a library's
 * version would show).  Little-endian, uncompressed, one strip (TIFF 6.0):
 *
 *     offset  0   "II" 42, offset of the directory (8)
 *             8   count of entries, entries of 12 bytes in order of their tag, 0 (no further page)
 *             ..  values that do not fit into an entry: three sample sizes, two resolutions
 *             ..  pixels
 */
#include "image_formats.h"

#include <string.h>

#include "bytes.h"

enum tag {
    TAG_WIDTH = 256,
    TAG_HEIGHT = 257,
    TAG_BITS = 258,
    TAG_COMPRESSION = 259,
    TAG_PHOTOMETRIC = 262,
    TAG_STRIP_OFFSETS = 273,
    TAG_SAMPLES = 277,
    TAG_ROWS_PER_STRIP = 278,
    TAG_STRIP_BYTES = 279,
    TAG_X_RESOLUTION = 282,
    TAG_Y_RESOLUTION = 283,
    TAG_RESOLUTION_UNIT = 296
};

enum type { TYPE_SHORT = 3, TYPE_LONG = 4, TYPE_RATIONAL = 5 };

#define ENTRIES_MAX 12
#define HEADER_MAX  (8 + 2 + 12 * ENTRIES_MAX + 4 + 6 + 8)

struct directory {
    uint8_t bytes[HEADER_MAX];
    size_t entries; /* so far */
};

static void add_entry(struct directory *directory, enum tag tag, enum type type, uint32_t count, uint32_t value)
{
    uint8_t *at = directory->bytes + 10 + 12 * directory->entries++;
    bytes_store16(at, (uint16_t)tag);
    bytes_store16(at + 2, (uint16_t)type);
    bytes_store32(at + 4, count);
    bytes_store32(at + 8, value);
}

enum code image_tiff_encode(const struct image *image, struct buffer *out, struct failure *why)
{
    bool colour = image->channels == 3;
    bool scaled = image->pixel_um > 0 && image->pixel_um <= IMAGE_PIXEL_UM_MAX;
    size_t pixel_bytes = (size_t)image->channels * (size_t)image->bits / 8;
    uint32_t strip_bytes = (uint32_t)((size_t)image->width * (size_t)image->height * pixel_bytes);
    size_t entries = scaled ? 12 : 9;
    uint32_t sizes_at = (uint32_t)(8 + 2 + 12 * entries + 4);
    uint32_t resolution_at = sizes_at + (colour ? 6 : 0);
    uint32_t pixels_at = resolution_at + (scaled ? 8 : 0);

    struct directory directory = {.bytes = {'I', 'I', 42, 0, 8}};
    bytes_store16(directory.bytes + 8, (uint16_t)entries);
    add_entry(&directory, TAG_WIDTH, TYPE_LONG, 1, (uint32_t)image->width);
    add_entry(&directory, TAG_HEIGHT, TYPE_LONG, 1, (uint32_t)image->height);
    add_entry(&directory, TAG_BITS, TYPE_SHORT, colour ? 3 : 1, colour ? sizes_at : (uint32_t)image->bits);
    add_entry(&directory, TAG_COMPRESSION, TYPE_SHORT, 1, 1);
    add_entry(&directory, TAG_PHOTOMETRIC, TYPE_SHORT, 1, colour ? 2 : 1);
    add_entry(&directory, TAG_STRIP_OFFSETS, TYPE_LONG, 1, pixels_at);
    add_entry(&directory, TAG_SAMPLES, TYPE_SHORT, 1, (uint32_t)image->channels);
    add_entry(&directory, TAG_ROWS_PER_STRIP, TYPE_LONG, 1, (uint32_t)image->height);
    add_entry(&directory, TAG_STRIP_BYTES, TYPE_LONG, 1, strip_bytes);
    if (scaled) {
        add_entry(&directory, TAG_X_RESOLUTION, TYPE_RATIONAL, 1, resolution_at);
        add_entry(&directory, TAG_Y_RESOLUTION, TYPE_RATIONAL, 1, resolution_at);
        add_entry(&directory, TAG_RESOLUTION_UNIT, TYPE_SHORT, 1, 3); /* centimetre */
        bytes_store32(directory.bytes + resolution_at, 100000000);
        bytes_store32(directory.bytes + resolution_at + 4, (uint32_t)(image->pixel_um * 10000 + 0.5));
    }
    for (int c = 0; colour && c < 3; c++)
        bytes_store16(directory.bytes + sizes_at + 2 * c, (uint16_t)image->bits);
    buffer_append(out, directory.bytes, pixels_at);
    /* Samples of 16 bits lie in host order, which is the file's on every machine that this runs on. */
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the TIFF writer copies samples as they lie in memory");
    buffer_append(out, image->data, strip_bytes);
    return buffer_check(out, "the TIFF picture", why);
}
