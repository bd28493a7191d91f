/* TIFF through libtiff, from memory (and from an open file where only the size is wanted).
 *
 * A page is a grid of blocks: strips are blocks as wide as the page.  Blocks are decoded one at a time into a
 * buffer and their samples copied to the picture, so strips and tiles, interleaved and planar, 1 to 32 bits
 * go one way:
 *
 *     for each plane, for each block:  libtiff decodes it  ->  unpack(row, sample) -> picture
 *
 * Only compressions that microscopes' programs write are taken (none, LZW, deflate, PackBits, JPEG): the
 * others of libtiff are old code that has had many faults.  Only the first page is read.  libtiff's messages
 * go to the open file's own handler, never to the process-wide one.
 */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <unistd.h>

#include <tiffio.h>

#include "bytes.h"
#include "image_formats.h"
#include "image_tiff_directory.h"
#include "image_tiff_scale.h"
#include "scope.h"

struct reader {
    const struct image_source *source; /* NULL when an open file is measured */
    uint64_t at;                       /* libtiff's position in source */
    char message[256];                 /* the first complaint of libtiff */
};

/* The first page, as its tags describe it. */
struct page {
    uint32_t width, height;
    uint16_t bits, samples, photometric, planar, compression, format;
    uint32_t block_width, block_height; /* pixels */
    uint64_t block_bytes;
    bool tiled;
    uint16_t *red, *green, *blue; /* the palette, libtiff's memory; NULL without one */
};

static tmsize_t feed(thandle_t handle, void *into, tmsize_t count)
{
    struct reader *reader = handle;
    uint64_t left = reader->at < reader->source->count ? reader->source->count - reader->at : 0;
    size_t taken = (uint64_t)count < left ? (size_t)count : (size_t)left;
    if (taken > 0)
        memcpy(into, reader->source->bytes + reader->at, taken);
    reader->at += taken;
    return (tmsize_t)taken;
}

static tmsize_t refuse_to_write(thandle_t handle, void *bytes, tmsize_t count)
{
    (void)handle;
    (void)bytes;
    (void)count;
    return -1;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence)
{
    struct reader *reader = handle;
    uint64_t base = whence == SEEK_CUR ? reader->at : whence == SEEK_END ? reader->source->count : 0;
    reader->at = base + offset;
    return reader->at;
}

static int close_nothing(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t tell_size(thandle_t handle)
{
    const struct reader *reader = handle;
    return reader->source->count;
}

__attribute__((format(printf, 4, 0))) static int on_error(TIFF *tiff, void *data, const char *module,
                                                          const char *format, va_list arguments)
{
    (void)tiff;
    (void)module;
    struct reader *reader = data;
    if (reader->message[0] == 0)
        vsnprintf(reader->message, sizeof reader->message, format, arguments);
    return 1;
}

static int on_warning(TIFF *tiff, void *data, const char *module, const char *format, va_list arguments)
{
    (void)tiff;
    (void)data;
    (void)module;
    (void)format;
    (void)arguments;
    return 1;
}

/* Opens reader->source, or the descriptor `fd` where there is none.  NULL on failure. */
static TIFF *open_reader(struct reader *reader, int fd)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options)
        return NULL;
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)IMAGE_BYTES_MAX);
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, reader);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, reader);
    TIFF *tiff = reader->source ? TIFFClientOpenExt("picture", "rm", reader, feed, refuse_to_write, seek,
                                                    close_nothing, tell_size, NULL, NULL, options)
                                : TIFFFdOpenExt(fd, "picture", "rm", options);
    TIFFOpenOptionsFree(options);
    return tiff;
}

static enum code refuse(const struct reader *reader, const char *name, struct failure *why)
{
    return failure_set(why, CODE_INVALID, "%s: not a whole TIFF file: %s", name,
                       reader->message[0] ? reader->message : "the first page cannot be read");
}

static bool known_compression(uint16_t compression)
{
    return compression == COMPRESSION_NONE || compression == COMPRESSION_LZW ||
           compression == COMPRESSION_ADOBE_DEFLATE || compression == COMPRESSION_DEFLATE ||
           compression == COMPRESSION_PACKBITS || compression == COMPRESSION_JPEG;
}

/* What the tags say, checked against what this reader can do. */
static enum code check_kind(const struct page *page, const char *name, enum image_mode mode,
                            struct failure *why)
{
    if (!known_compression(page->compression))
        return failure_set(
            why, CODE_UNSUPPORTED,
            "%s: TIFF compression %u is not read: save it uncompressed, with LZW or with deflate", name,
            page->compression);
    bool small = page->bits == 1 || page->bits == 2 || page->bits == 4 || page->bits == 8 || page->bits == 16;
    if (!small && !(mode == IMAGE_NUMBERS && page->bits == 32))
        return failure_set(why, CODE_UNSUPPORTED,
                           "%s: samples of %u bits are not read: save it with 8 or 16 bits", name,
                           page->bits);
    bool whole = page->format == SAMPLEFORMAT_UINT || page->format == SAMPLEFORMAT_VOID;
    if (!whole && !(mode == IMAGE_NUMBERS && page->format == SAMPLEFORMAT_INT))
        return failure_set(
            why, CODE_UNSUPPORTED,
            "%s: floating-point or signed samples are not read: save it with 8 or 16 bits, unsigned", name);
    bool colour = page->photometric == PHOTOMETRIC_RGB ||
                  (page->photometric == PHOTOMETRIC_YCBCR && page->compression == COMPRESSION_JPEG);
    bool grey = page->photometric == PHOTOMETRIC_MINISBLACK || page->photometric == PHOTOMETRIC_MINISWHITE;
    bool palette =
        page->photometric == PHOTOMETRIC_PALETTE && page->bits <= 8 && (page->red || mode == IMAGE_NUMBERS);
    if (!colour && !grey && !palette)
        return failure_set(why, CODE_UNSUPPORTED,
                           "%s: TIFF colour kind %u is not read: save it as grey or RGB", name,
                           page->photometric);
    if (page->samples == 0 || (colour && page->samples < 3))
        return failure_set(why, CODE_INVALID, "%s: %u samples a pixel", name, page->samples);
    return CODE_OK;
}

static enum code read_tags(TIFF *tiff, const struct reader *reader, const char *name, struct page *page,
                           struct failure *why)
{
    *page = (struct page){.photometric = PHOTOMETRIC_MINISBLACK};
    if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &page->width) ||
        !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &page->height))
        return refuse(reader, name, why);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &page->bits);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &page->samples);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &page->planar);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &page->compression);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &page->format);
    TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &page->photometric);
    if (page->photometric == PHOTOMETRIC_PALETTE &&
        !TIFFGetField(tiff, TIFFTAG_COLORMAP, &page->red, &page->green, &page->blue))
        page->red = NULL;
    return CODE_OK;
}

static uint64_t row_bytes(const struct page *page)
{
    uint64_t samples = page->planar == PLANARCONFIG_SEPARATE ? 1 : page->samples;
    return ((uint64_t)page->block_width * samples * page->bits + 7) / 8;
}

/* The grid of blocks.  All of it together may not be larger than what the file could expand to. */
static enum code read_grid(TIFF *tiff, const struct reader *reader, struct page *page, struct failure *why)
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
    const struct image_source *source = reader->source;
    if (page->block_width == 0 || page->block_height == 0 ||
        page->block_bytes != row_bytes(page) * page->block_height || page->block_bytes > IMAGE_BYTES_MAX)
        return failure_set(why, CODE_INVALID, "%s: blocks of %u x %u pixels cannot be read", source->name,
                           page->block_width, page->block_height);
    uint64_t across = ((uint64_t)page->width + page->block_width - 1) / page->block_width;
    uint64_t down = ((uint64_t)page->height + page->block_height - 1) / page->block_height;
    if (across * down * (page->block_bytes / IMAGE_EXPANSION_MAX) > source->count)
        return failure_set(why, CODE_INVALID,
                           "%s: has only %zu bytes for its pixels: it is cut short or forged", source->name,
                           source->count);
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
static uint32_t lighten(const struct page *page, uint32_t value)
{
    uint32_t most = (uint32_t)((UINT64_C(1) << page->bits) - 1);
    if (page->photometric == PHOTOMETRIC_MINISWHITE)
        value = most - value;
    return page->bits < 8 ? value * 255 / most : value;
}

/* Most palettes hold 16-bit entries; some old programs wrote 8-bit ones. */
static unsigned palette_shift(const struct page *page)
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

static void copy_block(const struct page *page, const uint8_t *block, const struct placement *place,
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
                store(image, to + (size_t)(place->channel + c),
                      mode == IMAGE_PICTURE ? lighten(page, value) : value);
            }
        }
    }
}

static bool decode_block(TIFF *tiff, const struct page *page, const struct placement *place, uint8_t *block)
{
    uint16_t plane = (uint16_t)(page->planar == PLANARCONFIG_SEPARATE ? place->channel : 0);
    if (page->tiled) {
        uint32_t tile = TIFFComputeTile(tiff, place->x, place->y, 0, plane);
        return TIFFReadEncodedTile(tiff, tile, block, (tmsize_t)page->block_bytes) ==
               (tmsize_t)page->block_bytes;
    }
    uint32_t strip = TIFFComputeStrip(tiff, place->y, plane);
    uint32_t rows =
        page->height - place->y < page->block_height ? page->height - place->y : page->block_height;
    tmsize_t wanted = (tmsize_t)(rows * row_bytes(page));
    return TIFFReadEncodedStrip(tiff, strip, block, wanted) == wanted;
}

static enum code read_blocks(TIFF *tiff, const struct reader *reader, const struct page *page,
                             enum image_mode mode, struct image *image, struct failure *why)
{
    SCOPE_FREE uint8_t *block = calloc(1, page->block_bytes);
    if (!block)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", reader->source->name);
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
                    return refuse(reader, reader->source->name, why);
                copy_block(page, block, &place, mode, image);
            }
    return CODE_OK;
}

static enum code read_page(TIFF *tiff, const struct reader *reader, enum image_mode mode, struct image *out,
                           struct failure *why)
{
    const struct image_source *source = reader->source;
    struct page page;
    enum code code = read_tags(tiff, reader, source->name, &page, why);
    if (code == CODE_OK)
        code = check_kind(&page, source->name, mode, why);
    if (code != CODE_OK)
        return code;
    bool palette = page.photometric == PHOTOMETRIC_PALETTE;
    int channels = palette ? (mode == IMAGE_PICTURE ? 3 : 1) : page.samples >= 3 ? 3 : 1;
    code =
        image_create_for(source, page.width, page.height, channels, page.bits < 8 ? 8 : page.bits, out, why);
    if (code == CODE_OK)
        code = read_grid(tiff, reader, &page, why);
    if (code == CODE_OK)
        code = read_blocks(tiff, reader, &page, mode, out, why);
    if (code != CODE_OK) {
        image_free(out);
        return code;
    }
    out->pixel_um = image_tiff_scale_um(tiff);
    return CODE_OK;
}

static bool read_memory(void *context, uint64_t offset, void *into, size_t count)
{
    const struct image_source *source = context;
    if (offset > source->count || count > source->count - offset)
        return false;
    memcpy(into, source->bytes + offset, count);
    return true;
}

enum code image_tiff_decode(const struct image_source *source, enum image_mode mode, struct image *out,
                            struct failure *why)
{
    struct reader reader = {.source = source};
    struct image_tiff_file file = {
        .read = read_memory, .context = (void *)(uintptr_t)source, .size = source->count};
    if (!image_tiff_directory_is_whole(&file))
        return refuse(&reader, source->name, why);
    TIFF *tiff = open_reader(&reader, -1);
    if (!tiff)
        return refuse(&reader, source->name, why);
    enum code code = read_page(tiff, &reader, mode, out, why);
    TIFFClose(tiff);
    return code;
}

static bool read_descriptor(void *context, uint64_t offset, void *into, size_t count)
{
    const int *fd = context;
    return pread(*fd, into, count, (off_t)offset) == (ssize_t)count;
}

/* Whether every block's bytes lie inside the file. */
static bool is_whole(TIFF *tiff, uint64_t size)
{
    uint32_t blocks = TIFFIsTiled(tiff) ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);
    for (uint32_t i = 0; i < blocks; i++) {
        int failed = 0;
        uint64_t offset = TIFFGetStrileOffsetWithErr(tiff, i, &failed);
        uint64_t count = failed ? 0 : TIFFGetStrileByteCountWithErr(tiff, i, &failed);
        if (failed || offset > size || count > size - offset)
            return false;
    }
    return blocks > 0;
}

enum code image_tiff_measure(int fd, const char *name, uint64_t size, int *width, int *height,
                             struct failure *why)
{
    struct reader reader = {0};
    struct image_tiff_file file = {.read = read_descriptor, .context = &fd, .size = size};
    if (!image_tiff_directory_is_whole(&file))
        return refuse(&reader, name, why);
    TIFF *tiff = open_reader(&reader, fd);
    if (!tiff)
        return refuse(&reader, name, why);
    struct page page;
    enum code code = read_tags(tiff, &reader, name, &page, why);
    if (code == CODE_OK)
        code = check_kind(&page, name, IMAGE_PICTURE, why);
    if (code == CODE_OK && (page.width > IMAGE_SIDE_MAX || page.height > IMAGE_SIDE_MAX))
        code = failure_set(why, CODE_TOO_LARGE, "%s: %u x %u pixels; a side may have at most %d", name,
                           page.width, page.height, IMAGE_SIDE_MAX);
    if (code == CODE_OK && !is_whole(tiff, size))
        code =
            failure_set(why, CODE_INVALID, "%s: not a whole TIFF file: pixels are missing at its end", name);
    TIFFCleanup(tiff); /* the descriptor stays the caller's */
    if (code == CODE_OK) {
        *width = (int)page.width;
        *height = (int)page.height;
    }
    return code;
}
