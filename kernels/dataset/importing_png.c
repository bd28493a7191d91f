/* PNG: a signature, then chunks of length(4) type(4) data(length) CRC(4), to IEND.  A chunk is copied as it
 * is, with its CRC, or not at all.  Only chunks that pixels, their colours and their size need are copied;
 * texts, EXIF, dates, colour profiles (which name devices), private chunks and everything behind IEND are
 * not. */
#include "importing_formats.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SIGNATURE_BYTES 8

static bool is_kept(const uint8_t *type)
{
    static const char kept[][5] = {"IHDR", "PLTE", "IDAT", "IEND", "tRNS", "pHYs",
                                   "gAMA", "cHRM", "sRGB", "sBIT", "bKGD", "cICP"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (memcmp(type, kept[i], 4) == 0)
            return true;
    return false;
}

static bool is_letters(const uint8_t *type)
{
    for (int i = 0; i < 4; i++)
        if (!((type[i] >= 'A' && type[i] <= 'Z') || (type[i] >= 'a' && type[i] <= 'z')))
            return false;
    return true;
}

enum code importing_png_clean(const struct importing_source *source, struct buffer *out, struct buffer *removed,
                              struct failure *why)
{
    size_t at = SIGNATURE_BYTES;
    buffer_append(out, source->bytes, SIGNATURE_BYTES);
    while (source->count - at >= 12) {
        const uint8_t *chunk = source->bytes + at;
        size_t length = (size_t)chunk[0] << 24 | (size_t)chunk[1] << 16 | (size_t)chunk[2] << 8 | chunk[3];
        if (length > source->count - at - 12 || !is_letters(chunk + 4))
            break;
        if (is_kept(chunk + 4)) {
            buffer_append(out, chunk, length + 12);
        } else {
            char name[5] = {0};
            memcpy(name, chunk + 4, 4);
            importing_note(removed, name);
        }
        at += length + 12;
        if (memcmp(chunk + 4, "IEND", 4) != 0)
            continue;
        if (at < source->count)
            importing_note(removed, "bytes behind the end");
        return buffer_check(out, source->name, why);
    }
    return failure_set(why, CODE_INVALID, "%s: not a whole PNG file: its chunks end before IEND", source->name);
}
