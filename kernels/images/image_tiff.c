/* TIFF through libtiff, from memory (and from an open file where only the size is wanted).
 *
 * Only compressions that microscopes' programs write are taken (none, LZW, deflate, PackBits, JPEG): the
 * others of libtiff are old code that has had many faults.  Only the first page is read.  Read next:
 * image_tiff_blocks.c for the pixels, image_tiff_stream.c for libtiff's view of the bytes,
 * image_tiff_directory.c for what libtiff does not check.
 */
#include <string.h>
#include <unistd.h>

#include <tiffio.h>

#include "image_formats.h"
#include "image_tiff_blocks.h"
#include "image_tiff_directory.h"
#include "image_tiff_scale.h"
#include "image_tiff_stream.h"

static bool known_compression(uint16_t compression)
{
    return compression == COMPRESSION_NONE || compression == COMPRESSION_LZW || compression == COMPRESSION_ADOBE_DEFLATE ||
           compression == COMPRESSION_DEFLATE || compression == COMPRESSION_PACKBITS || compression == COMPRESSION_JPEG;
}

/* What the tags say, checked against what this reader can do. */
static enum code check_kind(const struct image_tiff_page *page, const char *name, enum image_mode mode, struct failure *why)
{
    if (!known_compression(page->compression))
        return failure_set(why, CODE_UNSUPPORTED,
                           "%s: TIFF compression %u is not read: save it uncompressed, with LZW or with deflate", name,
                           page->compression);
    bool small = page->bits == 1 || page->bits == 2 || page->bits == 4 || page->bits == 8 || page->bits == 16;
    if (!small && !(mode == IMAGE_NUMBERS && page->bits == 32))
        return failure_set(why, CODE_UNSUPPORTED, "%s: samples of %u bits are not read: save it with 8 or 16 bits", name,
                           page->bits);
    bool whole = page->format == SAMPLEFORMAT_UINT || page->format == SAMPLEFORMAT_VOID;
    if (!whole && !(mode == IMAGE_NUMBERS && page->format == SAMPLEFORMAT_INT))
        return failure_set(why, CODE_UNSUPPORTED,
                           "%s: floating-point or signed samples are not read: save it with 8 or 16 bits, unsigned", name);
    bool colour = page->photometric == PHOTOMETRIC_RGB ||
                  (page->photometric == PHOTOMETRIC_YCBCR && page->compression == COMPRESSION_JPEG);
    bool grey = page->photometric == PHOTOMETRIC_MINISBLACK || page->photometric == PHOTOMETRIC_MINISWHITE;
    bool palette = page->photometric == PHOTOMETRIC_PALETTE && page->bits <= 8 && (page->red || mode == IMAGE_NUMBERS);
    if (!colour && !grey && !palette)
        return failure_set(why, CODE_UNSUPPORTED, "%s: TIFF colour kind %u is not read: save it as grey or RGB", name,
                           page->photometric);
    if (page->samples == 0 || (colour && page->samples < 3))
        return failure_set(why, CODE_INVALID, "%s: %u samples a pixel", name, page->samples);
    return CODE_OK;
}

static enum code read_tags(TIFF *tiff, const struct image_tiff_stream *stream, const char *name,
                           struct image_tiff_page *page, struct failure *why)
{
    *page = (struct image_tiff_page){.photometric = PHOTOMETRIC_MINISBLACK};
    if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &page->width) || !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &page->height))
        return image_tiff_stream_refuse(stream, name, why);
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

static enum code read_page(TIFF *tiff, const struct image_tiff_stream *stream, enum image_mode mode, struct image *out,
                           struct failure *why)
{
    const struct image_source *source = stream->source;
    struct image_tiff_page page;
    enum code code = read_tags(tiff, stream, source->name, &page, why);
    if (code == CODE_OK)
        code = check_kind(&page, source->name, mode, why);
    if (code != CODE_OK)
        return code;
    bool palette = page.photometric == PHOTOMETRIC_PALETTE;
    int channels = palette ? (mode == IMAGE_PICTURE ? 3 : 1) : page.samples >= 3 ? 3 : 1;
    code = image_create_for(source, page.width, page.height, channels, page.bits < 8 ? 8 : page.bits, out, why);
    if (code == CODE_OK)
        code = image_tiff_blocks_read(tiff, stream, &page, mode, out, why);
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

enum code image_tiff_decode(const struct image_source *source, enum image_mode mode, struct image *out, struct failure *why)
{
    struct image_tiff_stream stream = {.source = source};
    struct image_tiff_file file = {.read = read_memory, .context = (void *)(uintptr_t)source, .size = source->count};
    if (!image_tiff_directory_is_whole(&file))
        return image_tiff_stream_refuse(&stream, source->name, why);
    TIFF *tiff = image_tiff_stream_open(&stream, -1);
    if (!tiff)
        return image_tiff_stream_refuse(&stream, source->name, why);
    enum code code = read_page(tiff, &stream, mode, out, why);
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

enum code image_tiff_measure(int fd, const char *name, uint64_t size, int *width, int *height, struct failure *why)
{
    struct image_tiff_stream stream = {0};
    struct image_tiff_file file = {.read = read_descriptor, .context = &fd, .size = size};
    if (!image_tiff_directory_is_whole(&file))
        return image_tiff_stream_refuse(&stream, name, why);
    TIFF *tiff = image_tiff_stream_open(&stream, fd);
    if (!tiff)
        return image_tiff_stream_refuse(&stream, name, why);
    struct image_tiff_page page;
    enum code code = read_tags(tiff, &stream, name, &page, why);
    if (code == CODE_OK)
        code = check_kind(&page, name, IMAGE_PICTURE, why);
    if (code == CODE_OK && (page.width > IMAGE_SIDE_MAX || page.height > IMAGE_SIDE_MAX))
        code = failure_set(why, CODE_TOO_LARGE, "%s: %u x %u pixels; a side may have at most %d", name, page.width,
                           page.height, IMAGE_SIDE_MAX);
    if (code == CODE_OK && !is_whole(tiff, size))
        code = failure_set(why, CODE_INVALID, "%s: not a whole TIFF file: pixels are missing at its end", name);
    TIFFCleanup(tiff); /* the descriptor stays the caller's */
    if (code == CODE_OK) {
        *width = (int)page.width;
        *height = (int)page.height;
    }
    return code;
}
