/* SQLite's write-ahead log (catalog.db-wal) as pure functions: https://www.sqlite.org/fileformat2.html, section 4. */
#ifndef CYTOFS_LOG_FORMAT_H
#define CYTOFS_LOG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define LOG_HEADER_BYTES       32
#define LOG_FRAME_HEADER_BYTES 24
#define LOG_PAGE_BYTES         4096
#define LOG_FRAME_BYTES        (LOG_FRAME_HEADER_BYTES + LOG_PAGE_BYTES)

/* Reads a log frame by frame. */
struct log_walk {
    bool big_endian;    /* how the checksums take their input */
    uint32_t salts[2];  /* which run of the log the frames belong to */
    uint32_t sequence;  /* how often the log was begun anew */
    uint32_t sums[2];   /* of everything up to here */
    uint64_t frames;    /* good ones so far */
    uint64_t committed; /* of them, up to the last that ends a transaction */
};

/* CODE_CORRUPT: no log, a damaged header, or one with pages of another size. */
MUST_CHECK enum code log_format_begin(struct log_walk *walk, const uint8_t header[LOG_HEADER_BYTES], struct failure *why);

/* Takes the next frame.  False where it is not the one that follows: the log ends here, or is damaged here. */
bool log_format_next(struct log_walk *walk, const uint8_t frame[LOG_FRAME_BYTES]);

/* Whether a frame belongs to this run of the log, and is whole as told by the sums that the frame before it states: then
 * what stopped the walk before it was damage, or a write that a crash tore out of the middle. */
bool log_format_follows(const struct log_walk *walk, const uint8_t before[LOG_FRAME_BYTES],
                        const uint8_t frame[LOG_FRAME_BYTES]);

#endif
