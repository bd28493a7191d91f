/* The size of a picture from its header, for thousands of files that may lie behind a network: a few short
 * reads each.
 *
 * PNG keeps it in its first chunk, JPEG in its first frame marker, TIFF in its directory.  That a file is
 * whole is judged by its end (IEND chunk, EOI marker, block table).  Where that looks wrong, the file is
 * decoded: programs append things of their own behind the end, and only a decoder knows whether pixels are
 * missing.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_formats.h"
#include "scope.h"

#define TAIL_BYTES       64
#define JPEG_MARKERS_MAX 4096

struct file {
    int fd;
    const char *path;
    uint64_t size;
};

/* Reads up to count bytes at offset; fewer at the end of the file or on an error. */
static size_t read_at(const struct file *file, uint64_t offset, void *into, size_t count)
{
    size_t total = 0;
    while (total < count) {
        ssize_t got = pread(file->fd, (char *)into + total, count - total, (off_t)(offset + total));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        total += (size_t)got;
    }
    return total;
}

static uint32_t big32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool measure_png(const struct file *file, uint64_t *width, uint64_t *height)
{
    uint8_t head[24];
    if (read_at(file, 0, head, sizeof head) != sizeof head || memcmp(head + 12, "IHDR", 4) != 0)
        return false;
    *width = big32(head + 16);
    *height = big32(head + 20);
    return true;
}

/* Start-of-frame markers are FFC0 .. FFCF without DHT (C4), JPG (C8) and DAC (CC). */
static bool is_frame(uint8_t marker)
{
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

static bool measure_jpeg(const struct file *file, uint64_t *width, uint64_t *height)
{
    uint64_t at = 2;
    for (int i = 0; i < JPEG_MARKERS_MAX; i++) {
        uint8_t segment[9];
        if (read_at(file, at, segment, sizeof segment) != sizeof segment || segment[0] != 0xFF)
            return false;
        if (segment[1] == 0xFF) { /* fill byte */
            at++;
            continue;
        }
        if (is_frame(segment[1])) {
            *height = (uint64_t)segment[5] << 8 | segment[6];
            *width = (uint64_t)segment[7] << 8 | segment[8];
            return true;
        }
        if (segment[1] == 0xDA || segment[1] == 0xD9)
            return false;
        at += 2 + ((uint64_t)segment[2] << 8 | segment[3]);
    }
    return false;
}

static bool ends_well(const struct file *file, enum image_format format)
{
    uint8_t tail[TAIL_BYTES];
    size_t count = file->size < sizeof tail ? (size_t)file->size : sizeof tail;
    if (read_at(file, file->size - count, tail, count) != count)
        return false;
    if (format == IMAGE_PNG)
        return memmem(tail, count, "IEND\xAE\x42\x60\x82", 8) != NULL;
    return memmem(tail, count, "\xFF\xD9", 2) != NULL;
}

static enum code measure_by_decoding(const struct file *file, int *width, int *height, struct failure *why)
{
    SCOPE_IMAGE image = {0};
    enum code code = image_read(file->path, &image, why);
    if (code != CODE_OK)
        return code;
    *width = image.width;
    *height = image.height;
    return CODE_OK;
}

static enum code measure(const struct file *file, int *width, int *height, struct failure *why)
{
    uint8_t head[8] = {0};
    enum image_format format = image_sniff(head, read_at(file, 0, head, sizeof head));
    if (format == IMAGE_TIFF)
        return image_tiff_measure(file->fd, file->path, file->size, width, height, why);
    uint64_t w = 0, h = 0;
    bool found = format == IMAGE_PNG ? measure_png(file, &w, &h) : format == IMAGE_JPEG && measure_jpeg(file, &w, &h);
    if (!found || w == 0 || h == 0 || w > IMAGE_SIDE_MAX || h > IMAGE_SIDE_MAX || !ends_well(file, format))
        return measure_by_decoding(file, width, height, why);
    *width = (int)w;
    *height = (int)h;
    return CODE_OK;
}

enum code image_read_size(const char *path, int *width, int *height, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    if (!S_ISREG(status.st_mode))
        return failure_set(why, CODE_INVALID, "%s: not an ordinary file", path);
    struct file file = {.fd = fd, .path = path, .size = (uint64_t)status.st_size};
    return measure(&file, width, height, why);
}
