/* libtiff's idea of a file over bytes in memory.  It may seek anywhere and read beyond the end, and gets
 * nothing there.  Its messages go to handlers of this open file alone: the first one is kept for the
 * failure's text, none is printed.  The process-wide handlers are left as they are, so no thread disturbs
 * another. */
#include "image_tiff_stream.h"

#include <stdio.h>
#include <string.h>

static tmsize_t feed(thandle_t handle, void *into, tmsize_t count)
{
    struct image_tiff_stream *stream = handle;
    uint64_t left = stream->at < stream->source->count ? stream->source->count - stream->at : 0;
    size_t taken = (uint64_t)count < left ? (size_t)count : (size_t)left;
    if (taken > 0)
        memcpy(into, stream->source->bytes + stream->at, taken);
    stream->at += taken;
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
    struct image_tiff_stream *stream = handle;
    uint64_t base = whence == SEEK_CUR ? stream->at : whence == SEEK_END ? stream->source->count : 0;
    stream->at = base + offset;
    return stream->at;
}

static int close_nothing(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t tell_size(thandle_t handle)
{
    const struct image_tiff_stream *stream = handle;
    return stream->source->count;
}

__attribute__((format(printf, 4, 0))) static int on_error(TIFF *tiff, void *data, const char *module, const char *format,
                                                          va_list arguments)
{
    (void)tiff;
    (void)module;
    struct image_tiff_stream *stream = data;
    if (stream->message[0] == 0)
        vsnprintf(stream->message, sizeof stream->message, format, arguments);
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

TIFF *image_tiff_stream_open(struct image_tiff_stream *stream, int fd)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options)
        return NULL;
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)IMAGE_BYTES_MAX);
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, stream);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, stream);
    TIFF *tiff = stream->source ? TIFFClientOpenExt("picture", "rm", stream, feed, refuse_to_write, seek, close_nothing,
                                                    tell_size, NULL, NULL, options)
                                : TIFFFdOpenExt(fd, "picture", "rm", options);
    TIFFOpenOptionsFree(options);
    return tiff;
}

enum code image_tiff_stream_refuse(const struct image_tiff_stream *stream, const char *name, struct failure *why)
{
    return failure_set(why, CODE_INVALID, "%s: not a whole TIFF file: %s", name,
                       stream->message[0] ? stream->message : "the first page cannot be read");
}
