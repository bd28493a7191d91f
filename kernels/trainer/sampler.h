/* Which training image a batch shows at which place: every image once an epoch, images of rare classes more
 * often.
 *
 * The order is a function of the seed alone, so a training that was interrupted goes on with the images that
 * it would have seen.  Repeat factors as in Gupta, Dollar, Girshick: "LVIS", CVPR 2019: sqrt(median /
 * frequency) of the image's rarest class, here from 1 to SAMPLER_REPEAT_MAX.
 */
#ifndef CYTOFS_SAMPLER_H
#define CYTOFS_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "dataset.h"
#include "failure.h"

#define SAMPLER_REPEAT_MAX 4

struct sampler;

/* `indices` are the images to draw from, into dataset->images; copied. */
MUST_CHECK enum code sampler_create(const struct dataset *dataset, const size_t *indices, size_t count, uint64_t seed,
                                    struct sampler **out, struct failure *why);
void sampler_destroy(struct sampler *sampler);

/* Draws in one epoch: the images, each as often as its repeat factor says. */
size_t sampler_epoch_length(const struct sampler *sampler);

/* The image of draw number `draw`, 0-based over the whole training.  Draws need not be asked in order, but
 * cost least that way.  One thread at a time. */
size_t sampler_image(struct sampler *sampler, uint64_t draw);

#endif
