/* The log: a header, then frames of 24 bytes and a page.  Each frame states sums over the header's first 24 bytes and all
 * frames up to it, so a damaged frame makes all behind it bad; a frame can still be held against the sums that the one
 * before it states.  Numbers are big-endian. */
#include "log_format.h"

#include <string.h>

#define MAGIC_LITTLE 0x377f0682u /* the checksums' input is little-endian */
#define MAGIC_BIG    0x377f0683u
#define VERSION      3007000u

#define HEADER_SUMMED_BYTES 24
#define FRAME_SUMMED_BYTES  8 /* of a frame's header; the salts and the sums are not */

static uint32_t load(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t load_word(const uint8_t *at, bool big_endian)
{
    return big_endian ? load(at) : (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

/* count is a multiple of 8. */
static void add_sums(uint32_t sums[2], const uint8_t *bytes, size_t count, bool big_endian)
{
    for (size_t i = 0; i < count; i += 8) {
        sums[0] += load_word(bytes + i, big_endian) + sums[1];
        sums[1] += load_word(bytes + i + 4, big_endian) + sums[0];
    }
}

enum code log_format_begin(struct log_walk *walk, const uint8_t header[LOG_HEADER_BYTES], struct failure *why)
{
    *walk = (struct log_walk){.big_endian = load(header) == MAGIC_BIG,
                              .sequence = load(header + 12),
                              .salts = {load(header + 16), load(header + 20)}};
    if ((load(header) | 1) != MAGIC_BIG || load(header + 4) != VERSION)
        return failure_set(why, CODE_CORRUPT, "is no log of SQLite's, or its header is damaged");
    if (load(header + 8) != LOG_PAGE_BYTES)
        return failure_set(why, CODE_CORRUPT, "has pages of %u bytes, not %d", load(header + 8), LOG_PAGE_BYTES);
    add_sums(walk->sums, header, HEADER_SUMMED_BYTES, walk->big_endian);
    if (load(header + 24) != walk->sums[0] || load(header + 28) != walk->sums[1])
        return failure_set(why, CODE_CORRUPT, "its header is damaged");
    return CODE_OK;
}

static bool has_salts(const struct log_walk *walk, const uint8_t *frame)
{
    return load(frame + 8) == walk->salts[0] && load(frame + 12) == walk->salts[1];
}

/* Whether the frame states the sums that come of `sums`, which become them. */
static bool check_sums(uint32_t sums[2], const uint8_t *frame, bool big_endian)
{
    add_sums(sums, frame, FRAME_SUMMED_BYTES, big_endian);
    add_sums(sums, frame + LOG_FRAME_HEADER_BYTES, LOG_PAGE_BYTES, big_endian);
    return load(frame + 16) == sums[0] && load(frame + 20) == sums[1];
}

bool log_format_next(struct log_walk *walk, const uint8_t frame[LOG_FRAME_BYTES])
{
    uint32_t sums[2] = {walk->sums[0], walk->sums[1]};
    if (!has_salts(walk, frame) || load(frame) == 0 || !check_sums(sums, frame, walk->big_endian))
        return false;
    memcpy(walk->sums, sums, sizeof sums);
    walk->frames++;
    if (load(frame + 4) != 0) /* the size of the database after the transaction that ends here */
        walk->committed = walk->frames;
    return true;
}

bool log_format_follows(const struct log_walk *walk, const uint8_t before[LOG_FRAME_BYTES],
                        const uint8_t frame[LOG_FRAME_BYTES])
{
    uint32_t sums[2] = {load(before + 16), load(before + 20)};
    return has_salts(walk, before) && has_salts(walk, frame) && check_sums(sums, frame, walk->big_endian);
}
