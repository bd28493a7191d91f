/* JPEG through libjpeg-turbo, from memory.
 *
 * libjpeg reports errors by a function that may not return, and goes on after "warnings" with grey areas
 * where data is missing.  Here errors longjmp (with the discipline of image_png.c: the function that calls
 * setjmp has no locals), and those warnings that mean lost pixels are errors.  A progressive file that
 * repeats scans without end is cut off at SCANS_MAX.  The orientation that cameras note in EXIF is not
 * applied: boxes count pixels as they are stored.
 */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "image_formats.h"

#define SCANS_MAX 200 /* progressive files of real encoders have about 10 */

struct work {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    const struct image_source *source;
    struct image result;
    enum code code; /* of a failure that is ours, not libjpeg's */
    struct failure *why;
    char message[JMSG_LENGTH_MAX];
};

static void on_error(j_common_ptr common)
{
    struct work *work = common->client_data;
    common->err->format_message(common, work->message);
    longjmp(work->escape, 1);
}

static bool means_lost_pixels(int message)
{
    return message == JWRN_JPEG_EOF || message == JWRN_HIT_MARKER || message == JWRN_HUFF_BAD_CODE ||
           message == JWRN_ARITH_BAD_CODE || message == JWRN_MUST_RESYNC;
}

static void on_message(j_common_ptr common, int level)
{
    if (level < 0 && means_lost_pixels(common->err->msg_code))
        on_error(common);
}

static void stay_silent(j_common_ptr common)
{
    (void)common;
}

static void give_up(struct work *work, enum code code)
{
    work->code = code;
    longjmp(work->escape, 1);
}

static void on_progress(j_common_ptr common)
{
    struct work *work = common->client_data;
    if (work->jpeg.input_scan_number > SCANS_MAX)
        give_up(work,
                failure_set(work->why, CODE_INVALID, "%s: a JPEG of more than %d scans", work->source->name, SCANS_MAX));
}

static double pixel_um(const struct jpeg_decompress_struct *jpeg)
{
    if (!jpeg->saw_JFIF_marker || jpeg->X_density == 0 || (jpeg->density_unit != 1 && jpeg->density_unit != 2))
        return 0;
    return image_plausible_um((jpeg->density_unit == 1 ? 25400.0 : 10000.0) / jpeg->X_density);
}

static void read_pixels(struct work *work)
{
    struct jpeg_decompress_struct *jpeg = &work->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->client_data = work;
    jpeg->progress = &work->progress;
    jpeg_mem_src(jpeg, work->source->bytes, work->source->count);
    jpeg_read_header(jpeg, TRUE);
    if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK)
        give_up(work, failure_set(work->why, CODE_UNSUPPORTED, "%s: a JPEG for printing (CMYK): save it as RGB",
                                  work->source->name));
    bool grey = jpeg->num_components == 1;
    jpeg->out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg->dct_method = JDCT_ISLOW;
    struct image *image = &work->result;
    enum code code =
        image_create_for(work->source, jpeg->image_width, jpeg->image_height, grey ? 1 : 3, 8, image, work->why);
    if (code != CODE_OK)
        give_up(work, code);
    image->pixel_um = pixel_um(jpeg);
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        size_t row_bytes = (size_t)image->width * (size_t)image->channels;
        JSAMPROW row = (JSAMPROW)image->data + jpeg->output_scanline * row_bytes;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
}

static bool try_to_read(struct work *work)
{
    if (setjmp(work->escape) != 0)
        return false;
    read_pixels(work);
    return true;
}

enum code image_jpeg_decode(const struct image_source *source, struct image *out, struct failure *why)
{
    struct work work = {.source = source, .why = why};
    work.jpeg.err = jpeg_std_error(&work.errors);
    work.jpeg.client_data = &work;
    work.errors.error_exit = on_error;
    work.errors.emit_message = on_message;
    work.errors.output_message = stay_silent;
    work.progress.progress_monitor = on_progress;
    bool done = try_to_read(&work);
    jpeg_destroy_decompress(&work.jpeg);
    if (done) {
        *out = work.result;
        return CODE_OK;
    }
    image_free(&work.result);
    if (work.code != CODE_OK)
        return work.code;
    return failure_set(why, CODE_INVALID, "%s: not a whole JPEG file: %s", source->name, work.message);
}
