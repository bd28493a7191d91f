/* PNG through libpng, from and to memory.
 *
 * libpng reports errors by longjmp.  So that no local variable can be left with a stale value, a function
 * that calls setjmp (try_to_...) has none: all state is in a struct that belongs to its caller.  Ancillary
 * chunks are bounded in number and size, and damage in them is tolerated; damage in pixels is not.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "bytes.h"
#include "image_formats.h"

#define CHUNKS_MAX      64
#define CHUNK_BYTES_MAX (8 << 20)

struct work {
    png_structp png;
    png_infop info;
    const struct image_source *source; /* reading */
    size_t at;                         /* bytes of source consumed */
    const struct image *image;         /* writing */
    struct buffer *sink;
    struct image result; /* reading */
    png_bytep *rows;
    enum code code; /* of a failure that is ours, not libpng's */
    struct failure *why;
    char message[160]; /* libpng's own words */
};

static void on_error(png_structp png, png_const_charp message)
{
    struct work *work = png_get_error_ptr(png);
    snprintf(work->message, sizeof work->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void feed(png_structp png, png_bytep into, size_t count)
{
    struct work *work = png_get_io_ptr(png);
    if (count > work->source->count - work->at)
        png_error(png, "the file ends in the middle");
    memcpy(into, work->source->bytes + work->at, count);
    work->at += count;
}

/* Stops with a failure of ours, which is already in work->why. */
static void give_up(struct work *work, enum code code)
{
    work->code = code;
    png_longjmp(work->png, 1);
}

static void choose_transforms(struct work *work, enum image_mode mode)
{
    png_structp png = work->png;
    int depth = png_get_bit_depth(png, work->info);
    int colour = png_get_color_type(png, work->info);
    if (mode == IMAGE_PICTURE && colour == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(png);
    if (mode == IMAGE_PICTURE && colour == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(png);
    if (mode == IMAGE_NUMBERS && depth < 8)
        png_set_packing(png);
    if (colour != PNG_COLOR_TYPE_PALETTE || mode == IMAGE_PICTURE)
        png_set_strip_alpha(png);
    if (depth == 16 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        png_set_swap(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, work->info);
}

static double pixel_um(const struct work *work)
{
    png_uint_32 x = 0, y = 0;
    int unit = PNG_RESOLUTION_UNKNOWN;
    if (!png_get_pHYs(work->png, work->info, &x, &y, &unit) || unit != PNG_RESOLUTION_METER || x == 0)
        return 0;
    return image_plausible_um(1e6 / x);
}

static void read_pixels(struct work *work, enum image_mode mode)
{
    png_structp png = work->png;
    png_set_read_fn(png, work, feed);
    png_set_user_limits(png, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
    png_set_chunk_cache_max(png, CHUNKS_MAX);
    png_set_chunk_malloc_max(png, CHUNK_BYTES_MAX);
    /* Of the rest only the density is wanted; for other chunks libpng would take memory as they ask. */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_AS_DEFAULT, (png_const_bytep) "pHYs", 1);
    png_read_info(png, work->info);
    png_uint_32 width = png_get_image_width(png, work->info), height = png_get_image_height(png, work->info);
    choose_transforms(work, mode);

    struct image *image = &work->result;
    enum code code = image_create_for(work->source, width, height, png_get_channels(png, work->info),
                                      png_get_bit_depth(png, work->info), image, work->why);
    if (code != CODE_OK)
        give_up(work, code);
    image->pixel_um = pixel_um(work);
    size_t row_bytes = (size_t)image->width * (size_t)image->channels * (size_t)image->bits / 8;
    if (png_get_rowbytes(png, work->info) != row_bytes)
        png_error(png, "an unexpected row length");
    if (!(work->rows = calloc(height, sizeof *work->rows)))
        png_error(png, "out of memory");
    for (size_t y = 0; y < height; y++)
        work->rows[y] = (png_bytep)image->data + y * row_bytes;
    png_read_image(png, work->rows);
    png_read_end(png, NULL);
}

static bool try_to_read(struct work *work, enum image_mode mode)
{
    if (setjmp(png_jmpbuf(work->png)) != 0)
        return false;
    read_pixels(work, mode);
    return true;
}

enum code image_png_decode(const struct image_source *source, enum image_mode mode, struct image *out, struct failure *why)
{
    struct work work = {.source = source, .why = why};
    work.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &work, on_error, on_warning);
    work.info = work.png ? png_create_info_struct(work.png) : NULL;
    if (!work.info) {
        png_destroy_read_struct(&work.png, NULL, NULL);
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", source->name);
    }
    bool done = try_to_read(&work, mode);
    png_destroy_read_struct(&work.png, &work.info, NULL);
    free(work.rows);
    if (done) {
        *out = work.result;
        return CODE_OK;
    }
    image_free(&work.result);
    if (work.code != CODE_OK)
        return work.code;
    return failure_set(why, CODE_INVALID, "%s: not a whole PNG file: %s", source->name, work.message);
}

static void collect(png_structp png, png_bytep bytes, size_t count)
{
    struct work *work = png_get_io_ptr(png);
    buffer_append(work->sink, bytes, count);
    if (work->sink->failed)
        png_error(png, "out of memory");
}

static void flush(png_structp png)
{
    (void)png;
}

static void write_pixels(struct work *work)
{
    png_structp png = work->png;
    const struct image *image = work->image;
    png_set_write_fn(png, work, collect, flush);
    png_set_compression_level(png, 6);
    png_set_IHDR(png, work->info, (png_uint_32)image->width, (png_uint_32)image->height, image->bits,
                 image->channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (image->pixel_um > 0 && image->pixel_um <= IMAGE_PIXEL_UM_MAX && 1e6 / image->pixel_um < 1e9) {
        png_uint_32 per_metre = (png_uint_32)(1e6 / image->pixel_um + 0.5);
        png_set_pHYs(png, work->info, per_metre, per_metre, PNG_RESOLUTION_METER);
    }
    png_write_info(png, work->info);
    if (image->bits == 16 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        png_set_swap(png);
    size_t row_bytes = (size_t)image->width * (size_t)image->channels * (size_t)image->bits / 8;
    for (int y = 0; y < image->height; y++)
        png_write_row(png, (png_const_bytep)image->data + (size_t)y * row_bytes);
    png_write_end(png, work->info);
}

static bool try_to_write(struct work *work)
{
    if (setjmp(png_jmpbuf(work->png)) != 0)
        return false;
    write_pixels(work);
    return true;
}

enum code image_png_encode(const struct image *image, struct buffer *out, struct failure *why)
{
    struct work work = {.image = image, .sink = out, .why = why};
    work.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &work, on_error, on_warning);
    work.info = work.png ? png_create_info_struct(work.png) : NULL;
    if (!work.info) {
        png_destroy_write_struct(&work.png, NULL);
        return failure_set(why, CODE_NO_MEMORY, "the PNG picture cannot be made: out of memory");
    }
    bool done = try_to_write(&work);
    png_destroy_write_struct(&work.png, &work.info);
    if (!done)
        return failure_set(why, CODE_NO_MEMORY, "the PNG picture cannot be made: %s", work.message);
    return CODE_OK;
}
