/* Synthetic cells: images with exact masks and boxes, the same bytes on every machine, for tests, the quick
 * start and load tests.
 *
 *     fluo16   fluorescence nuclei, 16-bit grey (12 bits used), one class "nucleus"
 *     smear8   stained blood smear, 8-bit RGB, classes "RBC", "WBC", "Platelets"
 *
 * Image number i of a kind, seed and size is always the same image, whatever range it is written in.  Every
 * 50th image is empty.
 */
#ifndef CYTOFS_SYNTH_H
#define CYTOFS_SYNTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define SYNTH_SIDE_MIN  32
#define SYNTH_SIDE_MAX  8192
#define SYNTH_COUNT_MAX 1000000

enum synth_kind { SYNTH_FLUO16, SYNTH_SMEAR8 };

struct synth_request {
    enum synth_kind kind;
    uint64_t seed;
    size_t first, count; /* images first .. first+count-1; first + count at most SYNTH_COUNT_MAX */
    int width, height;   /* pixels, SYNTH_SIDE_MIN .. SYNTH_SIDE_MAX */
};

/* Called after each image; returning false ends the work with CODE_INTERRUPTED. */
typedef bool (*synth_progress)(void *context, size_t done, size_t total);

/* Writes into `folder`, which is made if missing:
 *
 *     images/<kind>-<number>.tif   the image, uncompressed
 *     labels/<kind>-<number>.tif   its label map, 16 bits
 *     boxes.csv                    image,class,x0,y0,x1,y1,label   (boxes-<first>.csv where first > 0)
 *
 * which dataset_load understands by itself.  An image without cells has one line with its name and nothing
 * else. `progress` may be NULL. */
MUST_CHECK enum code synth_write(const struct synth_request *request, const char *folder, synth_progress progress,
                                 void *context, struct failure *why);

/* "fluo16" or "smear8"; CODE_INVALID for another name, with the names that exist. */
MUST_CHECK enum code synth_kind_from_name(const char *name, enum synth_kind *kind, struct failure *why);
const char *synth_kind_name(enum synth_kind kind);

#endif
