/* A training of seconds, for tests: what they share of its options. */
#ifndef CYTOFS_TEST_SMALL_TRAINING_H
#define CYTOFS_TEST_SMALL_TRAINING_H

#include "trainer.h"

/* Both folders are borrowed. */
static inline struct trainer_options small_training(const char *cells, const char *output, int64_t steps)
{
    struct trainer_options options = trainer_defaults();
    options.dataset_folder = cells;
    options.output_folder = output;
    options.steps = steps;
    options.batch = 2;
    options.image_size = 64;
    options.seed = 3;
    options.threads = 1;
    options.rays = 8;
    options.validations = 1;
    return options;
}

#endif
