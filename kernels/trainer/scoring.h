/* A detector shown one split of a dataset: its detections beside the annotations, ready for evaluation. */
#ifndef CYTOFS_SCORING_H
#define CYTOFS_SCORING_H

#include <stdatomic.h>

#include "buffer.h"
#include "dataset.h"
#include "detector.h"
#include "evaluation.h"

struct scoring {
    size_t count;                         /* images that could be read */
    const struct dataset_image **entries; /* (count) borrowed from the dataset */
    struct detection_list *lists;         /* (count) everything above DECODE_SCORE_FLOOR, best first */
    struct truth **truths;                /* (count) */
    struct evaluation_image *images;      /* (count) views of the two above, for evaluation_compute */
    double *pixel_um;                     /* (count) of each image's file, 0 unknown */
    size_t skipped;                       /* unreadable images */
};

struct scoring_options {
    enum dataset_split split; /* SPLIT_COUNT: every image */
    size_t images_max;        /* at most so many, evenly spread; 0: all */
    const atomic_bool *stop;  /* NULL for none; CODE_INTERRUPTED once it is true */
    struct buffer *warnings;  /* a line for each image that could not be read; NULL for none */
    void (*on_progress)(void *context, size_t done, size_t total); /* after each image; NULL for none */
    void *context;
};

/* Runs the detector over the images.  The classes of dataset and model are matched by name; annotations of a
 * class that the model does not know are left out.  The result is freed with scoring_free. */
MUST_CHECK enum code scoring_run(struct detector *detector, const struct dataset *dataset,
                                 const struct scoring_options *options, struct scoring *out, struct failure *why);

/* Everything that is said of how good a detector is: boxes and counts at info's thresholds, how far its calibrated
 * probabilities can be believed and, where the model has rays and images have label maps, outlines. */
MUST_CHECK enum code scoring_evaluate(const struct scoring *scoring, const struct dataset *dataset,
                                      const struct model_info *info, struct evaluation *out, struct failure *why);
void scoring_free(struct scoring *scoring);

#endif
