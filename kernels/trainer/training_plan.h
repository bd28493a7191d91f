/* What exactly will be trained: the options with every open choice made from the survey. */
#ifndef CYTOFS_TRAINING_PLAN_H
#define CYTOFS_TRAINING_PLAN_H

#include "digest.h"
#include "model_file.h"
#include "run_files.h"
#include "survey.h"
#include "trainer.h"

struct device;

struct training_plan {
    struct network_architecture architecture;
    enum network_precision precision;
    struct preprocessing preprocessing;
    int batch, side; /* images a step; px of the square crops */
    int64_t steps;
    double lr, weight_decay;
    int views; /* of a window, by the trained model; decides nothing about the weights (training_outputs.c) */
    int validations, patience; /* looks at validation images before the last step; so many without progress end it */
    uint64_t seed;
    char digest[DIGEST_TEXT_BYTES]; /* of all that decides the weights: data, options, device, threads */
};

/* What a plan is made from, beside the options; borrowed. */
struct training_facts {
    const struct dataset *dataset;
    const struct survey *survey;
    const struct device *device;
    size_t epoch_length; /* draws in an epoch (sampler.h) */
};

/* An option out of its range is CODE_INVALID. */
MUST_CHECK enum code training_plan_make(const struct trainer_options *options, const struct training_facts *facts,
                                        struct training_plan *out, struct failure *why);

/* Working pixels per image pixel for objects whose median side is side_px; outlined: outlines are learned too. */
double training_plan_scale(double side_px, bool outlined);

/* Writes params/. */
MUST_CHECK enum code training_plan_record(const struct training_plan *plan, struct run_files *files, struct failure *why);

/* What the model file will say, as far as it is known before training. */
struct model_info training_plan_model(const struct training_plan *plan, const struct trainer_options *options,
                                      const struct dataset *dataset, const struct survey *survey);

#endif
