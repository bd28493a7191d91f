/* What the training images are like: how large their objects, how bright, how many channels.  From it the
 * trainer chooses what the options leave open. */
#ifndef CYTOFS_SURVEY_H
#define CYTOFS_SURVEY_H

#include <stdbool.h>
#include <stddef.h>

#include "dataset.h"
#include "failure.h"

#define SURVEY_IMAGES_MAX 64 /* looked at, evenly spread; object sizes come from all annotations */

struct survey {
    size_t images[SPLIT_COUNT], objects[SPLIT_COUNT];
    size_t looked_at;
    int bits;                           /* the deepest: 8 or 16 */
    bool is_grey;                       /* every image, also where its file has three equal channels */
    double pixel_um;                    /* median; 0 unknown */
    double range_median;                /* of 99.8th - 1st percentile, of full scale */
    double range_low[2], range_high[2]; /* 5th and 95th percentile over images of the 1st, the 99.8th percentile */
    double side_median, side_p99;       /* of sqrt(width * height) over training objects, image pixels */
    double image_width, image_height;   /* medians, pixels */
};

/* Looks at the training images.  Unreadable ones are passed over here; where none is readable, CODE_INVALID.
 */
MUST_CHECK enum code survey_dataset(const struct dataset *dataset, struct survey *out, struct failure *why);

#endif
