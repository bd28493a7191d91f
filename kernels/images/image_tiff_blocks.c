/* A page is a grid of blocks: strips are blocks as wide as the page.  Blocks are decoded one at a time into a
 * buffer and their samples copied to the picture, so strips and tiles, interleaved and planar, 1 to 32 bits
 * go one way:
 *
 *     for each plane, for each block:  libtiff decodes it  ->  unpack(row, sample) -> picture
 */
#include "image_tiff_blocks.h"

#include <stdlib.h>
#include <string.h>

#include "scope.h"

static uint64_t row_bytes(const struct image_tiff_page *page)
{
    uint64_t samples = page->planar == PLANARCONFIG_SEPARATE ? 1 : page->samples;
    return ((uint64_t)page->block_width * samples * page->bits + 7) / 8;
}

/* The grid of blocks.  All of it together may not be larger than what the file could expand to. */
static enum code read_grid(TIFF *tiff, const struct image_tiff_stream *stream, struct image_tiff_page *page,
                           struct failure *why)
{
    if (page->photometric == PHOTOMETRIC_YCBCR)
        TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    page->tiled = TIFFIsTiled(tiff);
    if (page->tiled) {
        TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &page->block_width);
        TIFFGetField(tiff, TIFFTAG_TILELENGTH, &page->block_height);
        page->block_bytes = TIFFTileSize64(tiff);
    } else {
        TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &page->block_height);
        page->block_width = page->width;
        page->block_height = page->block_height < page->height ? page->block_height : page->height;
        page->block_bytes = TIFFVStripSize64(tiff, page->block_height);
    }
    const struct image_source *source = stream->source;
    if (page->block_width == 0 || page->block_height == 0 || page->block_bytes != row_bytes(page) * page->block_height ||
        page->block_bytes > IMAGE_BYTES_MAX)
        return failure_set(why, CODE_INVALID, "%s: blocks of %u x %u pixels cannot be read", source->name, page->block_width,
                           page->block_height);
    uint64_t across = ((uint64_t)page->width + page->block_width - 1) / page->block_width;
    uint64_t down = ((uint64_t)page->height + page->block_height - 1) / page->block_height;
    if (across * down * (page->block_bytes / IMAGE_EXPANSION_MAX) > source->count)
        return failure_set(why, CODE_INVALID, "%s: has only %zu bytes for its pixels: it is cut short or forged",
                           source->name, source->count);
    return CODE_OK;
}

/* Sample number `index` of a decoded row. */
static uint32_t unpack(const uint8_t *row, size_t index, unsigned bits)
{
    switch (bits) {
    case 8:
        return row[index];
    case 16: {
        uint16_t value;
        memcpy(&value, row + 2 * index, sizeof value);
        return value;
    }
    case 32: {
        uint32_t value;
        memcpy(&value, row + 4 * index, sizeof value);
        return value;
    }
    default: {
        size_t bit = index * bits;
        return row[bit / 8] >> (8 - bits - bit % 8) & ((1u << bits) - 1);
    }
    }
}

static void store(struct image *image, size_t index, uint32_t value)
{
    if (image->bits == 8)
        ((uint8_t *)image->data)[index] = (uint8_t)value;
    else if (image->bits == 16)
        ((uint16_t *)image->data)[index] = (uint16_t)value;
    else
        ((uint32_t *)image->data)[index] = value;
}

/* A grey or colour sample as light. */
static uint32_t lighten(const struct image_tiff_page *page, uint32_t value)
{
    uint32_t most = (uint32_t)((UINT64_C(1) << page->bits) - 1);
    if (page->photometric == PHOTOMETRIC_MINISWHITE)
        value = most - value;
    return page->bits < 8 ? value * 255 / most : value;
}

/* Most palettes hold 16-bit entries; some old programs wrote 8-bit ones. */
static unsigned palette_shift(const struct image_tiff_page *page)
{
    for (unsigned i = 0; i < 1u << page->bits; i++)
        if (page->red[i] > 255 || page->green[i] > 255 || page->blue[i] > 255)
            return 8;
    return 0;
}

/* Where one decoded block goes. */
struct placement {
    uint32_t x, y;         /* its first pixel */
    int channel, channels; /* the picture's channels it fills: `channel` .. `channel + channels - 1` */
    unsigned palette_shift;
};

static void copy_block(const struct image_tiff_page *page, const uint8_t *block, const struct placement *place,
                       enum image_mode mode, struct image *image)
{
    bool resolve = mode == IMAGE_PICTURE && page->photometric == PHOTOMETRIC_PALETTE;
    size_t stride = page->planar == PLANARCONFIG_SEPARATE ? 1 : page->samples;
    for (uint32_t y = 0; y < page->block_height && place->y + y < page->height; y++) {
        const uint8_t *row = block + y * row_bytes(page);
        for (uint32_t x = 0; x < page->block_width && place->x + x < page->width; x++) {
            size_t to = ((size_t)(place->y + y) * page->width + place->x + x) * (size_t)image->channels;
            if (resolve) {
                uint32_t index = unpack(row, x * stride, page->bits);
                store(image, to, page->red[index] >> place->palette_shift);
                store(image, to + 1, page->green[index] >> place->palette_shift);
                store(image, to + 2, page->blue[index] >> place->palette_shift);
                continue;
            }
            for (int c = 0; c < place->channels; c++) {
                uint32_t value = unpack(row, x * stride + (size_t)c, page->bits);
                store(image, to + (size_t)(place->channel + c), mode == IMAGE_PICTURE ? lighten(page, value) : value);
            }
        }
    }
}

static bool decode_block(TIFF *tiff, const struct image_tiff_page *page, const struct placement *place, uint8_t *block)
{
    uint16_t plane = (uint16_t)(page->planar == PLANARCONFIG_SEPARATE ? place->channel : 0);
    if (page->tiled) {
        uint32_t tile = TIFFComputeTile(tiff, place->x, place->y, 0, plane);
        return TIFFReadEncodedTile(tiff, tile, block, (tmsize_t)page->block_bytes) == (tmsize_t)page->block_bytes;
    }
    uint32_t strip = TIFFComputeStrip(tiff, place->y, plane);
    uint32_t rows = page->height - place->y < page->block_height ? page->height - place->y : page->block_height;
    tmsize_t wanted = (tmsize_t)(rows * row_bytes(page));
    return TIFFReadEncodedStrip(tiff, strip, block, wanted) == wanted;
}

static enum code read_blocks(TIFF *tiff, const struct image_tiff_stream *stream, const struct image_tiff_page *page,
                             enum image_mode mode, struct image *image, struct failure *why)
{
    SCOPE_FREE uint8_t *block = calloc(1, page->block_bytes);
    if (!block)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", stream->source->name);
    bool palette = mode == IMAGE_PICTURE && page->photometric == PHOTOMETRIC_PALETTE;
    bool separate = page->planar == PLANARCONFIG_SEPARATE && !palette;
    struct placement place = {.channels = separate ? 1 : image->channels,
                              .palette_shift = palette ? palette_shift(page) : 0};
    for (place.channel = 0; place.channel < (separate ? image->channels : 1); place.channel++)
        for (uint64_t y = 0; y < page->height; y += page->block_height)
            for (uint64_t x = 0; x < page->width; x += page->block_width) {
                place.x = (uint32_t)x;
                place.y = (uint32_t)y;
                if (!decode_block(tiff, page, &place, block))
                    return image_tiff_stream_refuse(stream, stream->source->name, why);
                copy_block(page, block, &place, mode, image);
            }
    return CODE_OK;
}

enum code image_tiff_blocks_read(TIFF *tiff, const struct image_tiff_stream *stream, struct image_tiff_page *page,
                                 enum image_mode mode, struct image *image, struct failure *why)
{
    enum code code = read_grid(tiff, stream, page, why);
    return code == CODE_OK ? read_blocks(tiff, stream, page, mode, image, why) : code;
}
