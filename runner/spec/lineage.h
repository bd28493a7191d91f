/* What a model version's lineage.yaml says: enough to make the same weights again.  Written by the trainer
 * (kernels/trainer/model_card.h). */
#ifndef CYTOFS_LINEAGE_H
#define CYTOFS_LINEAGE_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define LINEAGE_BYTES_MAX 1000000
#define LINEAGE_TEXT_MAX  1024

struct lineage {
    char model_sha256[LINEAGE_TEXT_MAX]; /* of model.safetensors, hexadecimal */
    char code_version[LINEAGE_TEXT_MAX];
    char dataset[LINEAGE_TEXT_MAX];        /* as the spec or the command line named it */
    char snapshot[LINEAGE_TEXT_MAX];       /* its label; "" where it was no snapshot */
    char dataset_digest[LINEAGE_TEXT_MAX]; /* hexadecimal */
    char network[LINEAGE_TEXT_MAX], precision[LINEAGE_TEXT_MAX], device[LINEAGE_TEXT_MAX],
        device_description[LINEAGE_TEXT_MAX];
    int64_t views; /* 1 where the training was before there were more */
    int64_t rays, steps, batch, image_size, seed, threads, validations, patience;
    double scale, lr, weight_decay;
};

/* `name` stands in texts.  What is missing or no number is CODE_INVALID; a newer kind of lineage CODE_NEWER_FORMAT. */
MUST_CHECK enum code lineage_parse(const char *text, size_t count, const char *name, struct lineage *out,
                                   struct failure *why);

#endif
