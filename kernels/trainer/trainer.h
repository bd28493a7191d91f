/* Trains a detector from a folder of annotated images, and writes everything that people and the platform
 * want to know about the training into one output folder.
 *
 * - progress: "<done> <total> steps <steps a second>\n", rewritten about once a second
 * - metrics/train/<key>, metrics/val/<key>, metrics/test/<key>: lines "<ms since 1970> <value> <step>\n"
 * - params/<key>, tags/<key>: one value a file
 * - artifacts/checkpoint.safetensors: where to go on from after an interruption; it stays when all is done
 * - artifacts/best.safetensors: the weights that did best at a look at validation images on the way; where they
 *   beat the last ones by more than TRAINER_BEST_MARGIN of AP50 they become the model
 * - artifacts/detections/<split>.csv, artifacts/counts.csv, artifacts/overlays/<image>.png
 * - model/model.safetensors, model/model.onnx, model/card.md, model/lineage.yaml, model/rdf.yaml
 *   with test_*.npy: after the last step
 *
 * The metrics of a split: ap50, ap75, map, f1, precision, recall, count_mae, count_bias, ece; where there are
 * several classes also ap50_<class>, f1_<class>, count_mae_<class>.
 *
 * Repeatability: what is trained is a function of the dataset, the options and the kind of device.  A
 * training that is interrupted and started again with the same options in the same folder goes on from its
 * checkpoint and ends with the same weights, bit for bit.
 */
#ifndef CYTOFS_TRAINER_H
#define CYTOFS_TRAINER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "network.h"

enum trainer_precision { TRAINER_PRECISION_AUTO, TRAINER_PRECISION_F32, TRAINER_PRECISION_BF16 };

#define TRAINER_STEPS_MAX      1000000
#define TRAINER_BATCH_MAX      256
#define TRAINER_IMAGE_SIDE_MAX 2048
#define TRAINER_LOOKS_MAX      1000
#define TRAINER_VIEWS_MAX      8
#define TRAINER_BEST_MARGIN    0.005 /* less is the noise of a hundred images */

/* Initialise with trainer_defaults(); texts are borrowed.  "0: chosen" means: from the data, as params/
 * tells. */
struct trainer_options {
    const char *dataset_folder;
    const char *output_folder;        /* made where it is missing */
    enum network_size size;           /* NETWORK_N */
    int64_t steps;                    /* optimiser steps, to TRAINER_STEPS_MAX; 0: from epochs, else chosen */
    double epochs;                    /* passes over the training images; 0: none given */
    int batch;                        /* images a step, to TRAINER_BATCH_MAX; 0: 8 */
    int image_size;                   /* side of the square crops, working pixels; 0: chosen */
    double lr;                        /* the highest rate; 0: 2e-3 x sqrt(batch / 8) */
    double weight_decay;              /* below 0: 1e-2 */
    uint64_t seed;                    /* 1 */
    enum trainer_precision precision; /* auto: bf16 where the device has it in hardware */
    const char *device;               /* "auto", or a name that device_open knows */
    int threads;                      /* 0: all that this process may use */
    double scale;                     /* working pixels per image pixel; 0: chosen so that objects are ~42 px */
    int rays;                         /* directions of outlines, 0 boxes only; below 0: 32 where there are masks */
    int views; /* of each window that the model averages, 1, 4 or 8 (window_views.h); 0: 8 with outlines, else 1 */
    int64_t checkpoint_interval_ms; /* 20000, growing to 1/30 of the time since the start;
                                         0: after every step */
    int validations;                /* looks at the validation images on the way, beside the last: 3 */
    bool bad_image_fails;           /* an image that cannot be read ends the training; else it is left out, with a line */
    int patience;                   /* ends early when so many looks in a row found no better weights; 0: never */

    /* For the model's lineage; NULL where unknown. */
    const char *dataset_name;     /* e.g. "datasets/nuclei" */
    const char *dataset_snapshot; /* e.g. "v1" */
    const char *spec_path;        /* a file whose text goes into the lineage */
    const char *code_version;     /* of the program */

    /* Called from the calling thread; NULL for none. */
    void (*on_progress)(void *context, int64_t done, int64_t total, double steps_per_second, double loss);
    void (*on_line)(void *context, const char *line); /* a line of the log for people; NULL: standard output */
    void *context;

    const atomic_bool *stop; /* where it becomes true: writes a checkpoint and returns CODE_INTERRUPTED */
};

struct trainer_report {
    int64_t steps, resumed_at; /* resumed_at: the step of the checkpoint, 0 for none */
    size_t train_images, val_images, test_images;
    size_t skipped_images;   /* left out since they cannot be read, of all splits */
    double training_seconds; /* of this call, without reading images and evaluation */
    double total_seconds;
    double val_ap50, test_ap50, test_map, test_f1; /* NAN without such images */
    char device[200];
    char precision[8];
};

/* The options that the comments above state as defaults. */
struct trainer_options trainer_defaults(void);

/* Trains.  *report is filled in as far as the training came.  CODE_INVALID: the dataset or an option cannot
 * be used; CODE_INTERRUPTED: stopped by options->stop, may be called again. */
MUST_CHECK enum code trainer_run(const struct trainer_options *options, struct trainer_report *report, struct failure *why);

#endif
