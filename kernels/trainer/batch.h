/* One training batch: inputs and targets, and the maker that fills it as a pure function of (seed, step). */
#ifndef CYTOFS_BATCH_H
#define CYTOFS_BATCH_H

#include "image_store.h"
#include "network.h"
#include "network_queue.h"
#include "resident_images.h"
#include "sampler.h"

struct batch_shape {
    int batch, side, channels, classes, rays;
};

/* Host memory as network_forward and network_backward take it, or a feed's. */
struct batch {
    int64_t step;
    float *input;              /* NULL where the device makes the crops */
    struct network_feed *feed; /* borrowed: whose targets the others are then; NULL where batch_create made them */
    float *heat, *box, *box_weight, *rays, *ray_weight; /* rays, ray_weight NULL where shape.rays is 0 */
};

MUST_CHECK enum code batch_create(const struct batch_shape *shape, struct batch *out, struct failure *why);
/* A batch over the memory of a feed. */
struct batch batch_of_feed(struct network_feed *feed);
void batch_free(struct batch *batch);

/* What a batch is made from; borrowed. */
struct batch_source {
    const struct dataset *dataset;
    struct image_store *store;
    struct sampler *sampler;
    uint64_t seed;
    struct batch_shape shape;
    struct network_queue *queue;            /* whose feeds are filled; NULL where the host makes the crops */
    const struct resident_images *resident; /* with queue: what the device holds already */
};

/* Fills *batch for `step`, 1-based.  Nothing but the source and the step decides what is in it. */
MUST_CHECK enum code batch_fill(const struct batch_source *source, int64_t step, struct batch *batch, struct failure *why);

#endif
