/* JPEG: SOI, then segments FF <marker> length(2) data, with the compressed pixels behind each SOS, to EOI
 * (ITU-T T.81, annex B).
 *
 * Kept: frames, scans, tables; of JFIF (APP0) the version and density, not its thumbnail; of Adobe (APP14)
 * the 12 bytes that say how colours are coded.  Not kept: every other APPn (EXIF, XMP, IPTC, ICC, vendors'
 * blocks), comments, and what lies behind EOI.  Compressed pixels are copied byte for byte. */
#include "importing_formats.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum marker {
    MARKER_SOF0 = 0xC0,
    MARKER_SOF15 = 0xCF,
    MARKER_RST0 = 0xD0,
    MARKER_RST7 = 0xD7,
    MARKER_EOI = 0xD9,
    MARKER_SOS = 0xDA,
    MARKER_DQT = 0xDB,
    MARKER_DNL = 0xDC,
    MARKER_DRI = 0xDD,
    MARKER_APP0 = 0xE0,
    MARKER_APP14 = 0xEE,
    MARKER_APP15 = 0xEF,
    MARKER_COM = 0xFE
};

static bool is_kept(uint8_t marker)
{
    return (marker >= MARKER_SOF0 && marker <= MARKER_SOF15) || (marker >= MARKER_SOS && marker <= MARKER_DRI);
}

static void note_marker(struct buffer *removed, uint8_t marker)
{
    char name[32];
    if (marker == MARKER_COM)
        snprintf(name, sizeof name, "comment");
    else if (marker >= MARKER_APP0 && marker <= MARKER_APP15)
        snprintf(name, sizeof name, "APP%d%s", marker - MARKER_APP0, marker == MARKER_APP0 + 1 ? " (EXIF)" : "");
    else
        snprintf(name, sizeof name, "marker %02X", marker);
    importing_note(removed, name);
}

/* Copies one segment of `length` bytes (its length field included), or what may stay of it. */
static void copy_segment(const uint8_t *segment, size_t length, struct buffer *out, struct buffer *removed)
{
    uint8_t marker = segment[1];
    if (is_kept(marker)) {
        buffer_append(out, segment, 2 + length);
    } else if (marker == MARKER_APP0 && length >= 16 && memcmp(segment + 4, "JFIF", 5) == 0) {
        uint8_t jfif[18];
        memcpy(jfif, segment, sizeof jfif);
        jfif[2] = 0;
        jfif[3] = 16;
        jfif[16] = jfif[17] = 0; /* a thumbnail of 0 x 0 */
        buffer_append(out, jfif, sizeof jfif);
        if (length > 16)
            importing_note(removed, "JFIF thumbnail");
    } else if (marker == MARKER_APP14 && length >= 14 && memcmp(segment + 4, "Adobe", 5) == 0) {
        uint8_t adobe[16];
        memcpy(adobe, segment, sizeof adobe);
        adobe[2] = 0;
        adobe[3] = 14;
        buffer_append(out, adobe, sizeof adobe);
    } else {
        note_marker(removed, marker);
    }
}

/* Where the compressed data that begin at `at` end: at the next marker that is no restart marker. */
static size_t skip_scan(const struct importing_source *source, size_t at)
{
    while (source->count - at >= 2) {
        uint8_t next = source->bytes[at + 1];
        bool data = source->bytes[at] != 0xFF || next == 0 || next == 0xFF || (next >= MARKER_RST0 && next <= MARKER_RST7);
        if (!data)
            return at;
        at++;
    }
    return source->count;
}

enum code importing_jpeg_clean(const struct importing_source *source, struct buffer *out, struct buffer *removed,
                               struct failure *why)
{
    size_t at = 2;
    buffer_append(out, source->bytes, 2);
    while (source->count - at >= 2 && source->bytes[at] == 0xFF) {
        const uint8_t *segment = source->bytes + at;
        if (segment[1] == 0xFF) { /* fill byte */
            at++;
            continue;
        }
        if (segment[1] == MARKER_EOI) {
            buffer_append(out, segment, 2);
            if (at + 2 < source->count)
                importing_note(removed, "bytes behind the end");
            return buffer_check(out, source->name, why);
        }
        if (source->count - at < 4)
            break;
        size_t length = (size_t)segment[2] << 8 | segment[3];
        if (length < 2 || length > source->count - at - 2)
            break;
        copy_segment(segment, length, out, removed);
        at += 2 + length;
        if (segment[1] != MARKER_SOS)
            continue;
        size_t end = skip_scan(source, at);
        buffer_append(out, source->bytes + at, end - at);
        at = end;
    }
    return failure_set(why, CODE_INVALID, "%s: not a whole JPEG file: its segments end before EOI", source->name);
}
