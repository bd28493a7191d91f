/* Whether an image looks like those that the model was trained on: scores, thresholds and probabilities hold
 * for those.
 *
 * Told are brightness (both ends of the image's range beyond what nine tenths of the training images had, on
 * the same side) and size (the median side of what was found is less than half, or more than twice, that of
 * the training objects, at the same pixel size).  A flag is a hint to look, not a verdict. */
#ifndef CYTOFS_DOMAIN_SHIFT_H
#define CYTOFS_DOMAIN_SHIFT_H

#include "image.h"
#include "model_file.h"

struct detection_list;

#define DOMAIN_SHIFT_OBJECTS_MIN 5 /* fewer tell nothing of sizes */

/* The flags in words, "brighter", "darker", "larger objects", "smaller objects", with "; " between two; ""
 * for none.  Static text. */
const char *domain_shift_of(const struct model_info *info, const struct image *image, const struct detection_list *found);

#endif
