/* One training while it runs: what the steps of trainer.c hand to each other.  Internal to this folder. */
#ifndef CYTOFS_TRAINING_H
#define CYTOFS_TRAINING_H

#include "best.h"
#include "buffer.h"
#include "image_store.h"
#include "run_files.h"
#include "sampler.h"
#include "scoring.h"
#include "trainer.h"
#include "training_plan.h"

struct device;

struct training {
    const struct trainer_options *options;
    struct trainer_report *report;
    struct dataset *dataset;
    struct survey survey;
    struct device *device;
    struct training_plan plan;
    struct model_info info; /* thresholds are chosen at the end */
    struct image_store *store;
    size_t *indices; /* (index_count) the training images that can be read */
    size_t index_count;
    struct sampler *sampler;
    struct network *network;
    struct run_files *files;
    char *checkpoint_path, *best_path;
    struct best best;   /* of the looks so far */
    bool ended_early;   /* for want of progress */
    bool best_is_model; /* decided after the last step */
    struct buffer spec; /* the text of options->spec_path, empty for none */
    int64_t step;       /* done so far */
};

/* Says a line to the person. */
void training_say(const struct training *training, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for every line of a text. */
void training_say_lines(const struct training *training, const char *text);

bool training_is_stopped(const struct training *training);

/* An image that cannot be read: CODE_OK where the options let it be left out, else the failure to return. */
MUST_CHECK enum code training_bad_image(const struct training *training, const char *reason, struct failure *why);

/* training_loop.c: from training->step to the plan's last step, with metrics, checkpoints, looks at the
 * validation images.  CODE_INTERRUPTED after a checkpoint where the person wants to stop. */
MUST_CHECK enum code training_loop_run(struct training *training, struct failure *why);

/* training_outputs.c: thresholds, the model, scores of validation and test images, files for people. */
MUST_CHECK enum code training_outputs_write(struct training *training, struct failure *why);

/* training_outputs.c: scores the averaged weights as they are now on some validation images, always the same
 * ones, and records the metric.  *ap50 is NAN where there are none. */
MUST_CHECK enum code training_outputs_look(struct training *training, double *ap50, struct failure *why);

/* training_outputs.c: keeps the averaged weights as they are now as the best ones. */
MUST_CHECK enum code training_outputs_keep(struct training *training, double ap50, struct failure *why);

#endif
