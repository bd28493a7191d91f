/* Images from files: which decoder takes the bytes, what sizes are believed, and labels folded to one number
 * a pixel.
 *
 * The format is decided by the first bytes alone, because many files are named .png and hold JPEG.  Each
 * format lives in a file of its own (image_png.c, image_jpeg.c, image_tiff.c), which is also the only one to
 * include its library; what they share is declared in image_formats.h.  How a size is found without pixels:
 * image_size.c.
 *
 * Invariants
 *  1. Nothing is allocated for a picture before image_create_for has compared its promised size with
 *     IMAGE_SIDE_MAX, IMAGE_BYTES_MAX and with what the file's own length could expand to.
 *  2. A decoder either fills every pixel or fails: there are no half pictures.
 *  3. No library error ends the process or writes to standard error.
 *
 * There is no state: any thread may call any function.
 */
#include "image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "file.h"
#include "image_formats.h"
#include "scope.h"

enum image_format image_sniff(const void *bytes, size_t count)
{
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    const uint8_t *b = bytes;
    if (count >= sizeof png && memcmp(b, png, sizeof png) == 0)
        return IMAGE_PNG;
    if (count >= 3 && b[0] == 0xFF && b[1] == 0xD8 && b[2] == 0xFF)
        return IMAGE_JPEG;
    if (count >= 4 && (memcmp(b, "II*\0", 4) == 0 || memcmp(b, "MM\0*", 4) == 0 || memcmp(b, "II+\0", 4) == 0 ||
                       memcmp(b, "MM\0+", 4) == 0))
        return IMAGE_TIFF;
    return IMAGE_UNKNOWN;
}

static enum code decode(const struct image_source *source, enum image_mode mode, struct image *out, struct failure *why)
{
    *out = (struct image){0};
    switch (image_sniff(source->bytes, source->count)) {
    case IMAGE_PNG:
        return image_png_decode(source, mode, out, why);
    case IMAGE_JPEG:
        return image_jpeg_decode(source, out, why);
    case IMAGE_TIFF:
        return image_tiff_decode(source, mode, out, why);
    case IMAGE_UNKNOWN:
        break;
    }
    if (source->count == 0)
        return failure_set(why, CODE_INVALID, "%s: the file is empty", source->name);
    return failure_set(why, CODE_UNSUPPORTED, "%s: not a PNG, JPEG or TIFF file (its first bytes are none of theirs)",
                       source->name);
}

enum code image_decode(const void *bytes, size_t count, const char *name, struct image *out, struct failure *why)
{
    struct image_source source = {bytes, count, name};
    return decode(&source, IMAGE_PICTURE, out, why);
}

enum code image_read(const char *path, struct image *out, struct failure *why)
{
    *out = (struct image){0};
    SCOPE_BUFFER bytes = {.max = IMAGE_FILE_MAX};
    enum code code = file_read(path, IMAGE_FILE_MAX, &bytes, why);
    if (code != CODE_OK)
        return code;
    return image_decode(bytes.data, bytes.length, path, out, why);
}

/* One 32-bit number a pixel: the sample itself, or R + 256 G + 65536 B, as tools that colour their labels
 * write. */
static enum code fold(const struct image *image, const char *name, uint32_t **labels, struct failure *why)
{
    size_t pixels = (size_t)image->width * (size_t)image->height;
    if (image->channels == 3 && image->bits > 8)
        return failure_set(why, CODE_UNSUPPORTED,
                           "%s: a label image with three channels of %d bits: save it with one channel", name, image->bits);
    uint32_t *folded = malloc(pixels * sizeof *folded);
    if (!folded)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", name);
    const uint8_t *bytes = image->data;
    const uint16_t *words = image->data;
    const uint32_t *longs = image->data;
    for (size_t i = 0; i < pixels; i++) {
        if (image->channels == 3)
            folded[i] = bytes[3 * i] | (uint32_t)bytes[3 * i + 1] << 8 | (uint32_t)bytes[3 * i + 2] << 16;
        else
            folded[i] = image->bits == 8 ? bytes[i] : image->bits == 16 ? words[i] : longs[i];
    }
    *labels = folded;
    return CODE_OK;
}

enum code image_decode_labels(const void *bytes, size_t count, const char *name, struct image_labels *out,
                              struct failure *why)
{
    *out = (struct image_labels){0};
    struct image_source source = {bytes, count, name};
    SCOPE_IMAGE image = {0};
    enum code code = decode(&source, IMAGE_NUMBERS, &image, why);
    if (code == CODE_OK)
        code = fold(&image, name, &out->labels, why);
    if (code != CODE_OK)
        return code;
    out->width = image.width;
    out->height = image.height;
    return CODE_OK;
}

enum code image_read_labels(const char *path, int *width, int *height, uint32_t **labels, struct failure *why)
{
    *labels = NULL;
    SCOPE_BUFFER bytes = {.max = IMAGE_FILE_MAX};
    struct image_labels read;
    enum code code = file_read(path, IMAGE_FILE_MAX, &bytes, why);
    if (code == CODE_OK)
        code = image_decode_labels(bytes.data, bytes.length, path, &read, why);
    if (code != CODE_OK)
        return code;
    *width = read.width;
    *height = read.height;
    *labels = read.labels;
    return CODE_OK;
}

static enum code check_size(const char *name, uint64_t width, uint64_t height, struct failure *why)
{
    if (width == 0 || height == 0)
        return failure_set(why, CODE_INVALID, "%s: a picture of %" PRIu64 " x %" PRIu64 " pixels holds nothing", name, width,
                           height);
    if (width > IMAGE_SIDE_MAX || height > IMAGE_SIDE_MAX)
        return failure_set(why, CODE_TOO_LARGE, "%s: %" PRIu64 " x %" PRIu64 " pixels; a side may have at most %d", name,
                           width, height, IMAGE_SIDE_MAX);
    return CODE_OK;
}

static enum code allocate(const char *name, uint64_t width, uint64_t height, int channels, int bits, struct image *out,
                          struct failure *why)
{
    *out = (struct image){0};
    enum code code = check_size(name, width, height, why);
    if (code != CODE_OK)
        return code;
    uint64_t bytes = width * height * (uint64_t)channels * (uint64_t)(bits / 8);
    if (bytes > IMAGE_BYTES_MAX)
        return failure_set(why, CODE_TOO_LARGE,
                           "%s: %" PRIu64 " x %" PRIu64 " pixels need %" PRIu64
                           " MiB; at most %zu are read: cut it into tiles",
                           name, width, height, bytes >> 20, IMAGE_BYTES_MAX >> 20);
    void *data = calloc(1, bytes);
    if (!data)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory for %" PRIu64 " MiB of pixels", name, bytes >> 20);
    *out = (struct image){.width = (int)width, .height = (int)height, .channels = channels, .bits = bits, .data = data};
    return CODE_OK;
}

enum code image_create(int width, int height, int channels, int bits, struct image *out, struct failure *why)
{
    if ((channels != 1 && channels != 3) || (bits != 8 && bits != 16) || width < 0 || height < 0)
        return failure_set(why, CODE_INVALID,
                           "a new picture of %d x %d with %d channels of %d bits: 1 or 3 channels of 8 or 16 "
                           "bits are possible",
                           width, height, channels, bits);
    return allocate("a new picture", (uint64_t)width, (uint64_t)height, channels, bits, out, why);
}

enum code image_create_for(const struct image_source *source, uint64_t width, uint64_t height, int channels, int bits,
                           struct image *out, struct failure *why)
{
    *out = (struct image){0};
    enum code code = check_size(source->name, width, height, why);
    if (code != CODE_OK)
        return code;
    if (width * height / IMAGE_EXPANSION_MAX > source->count)
        return failure_set(why, CODE_INVALID,
                           "%s: promises %" PRIu64 " x %" PRIu64 " pixels but has only %zu bytes: it is cut short or forged",
                           source->name, width, height, source->count);
    return allocate(source->name, width, height, channels, bits, out, why);
}

double image_plausible_um(double um)
{
    return um > 0 && um <= IMAGE_PIXEL_UM_MAX ? um : 0;
}

void image_free(struct image *image)
{
    free(image->data);
    *image = (struct image){0};
}

void image_labels_free(struct image_labels *labels)
{
    free(labels->labels);
    *labels = (struct image_labels){0};
}

enum code image_write_png(const char *path, const struct image *image, struct failure *why)
{
    SCOPE_BUFFER bytes = {.max = 2 * IMAGE_FILE_MAX};
    enum code code = image_png_encode(image, &bytes, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "%s", path);
    return file_write(path, bytes.data, bytes.length, why);
}

enum code image_write_tiff(const char *path, const struct image *image, struct failure *why)
{
    SCOPE_BUFFER bytes = {.max = IMAGE_FILE_MAX};
    enum code code = image_tiff_encode(image, &bytes, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "%s", path);
    return file_write(path, bytes.data, bytes.length, why);
}
