/* A job spec: parsed, checked, with every finding at once. */
#ifndef CYTOFS_SPEC_H
#define CYTOFS_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"

#define SPEC_BYTES_MAX    65536
#define SPEC_FINDINGS_MAX 100
#define SPEC_NAME_MAX     100 /* bytes in an experiment's, dataset's or model's name */

#define SPEC_DATASET_MAX 512 /* bytes of a dataset's path, with its terminator */

enum spec_action { SPEC_TRAIN, SPEC_RUN };

/* train: ...  A value of 0 (or -1 for seed) means "not given": the trainer's default, stated in its header.
 */
struct spec_train {
    char network[16];     /* "celldet-n", "celldet-s", "celldet-m" */
    int epochs;           /* 1 .. 100000 */
    int steps;            /* 1 .. 10000000; at most one of epochs and steps */
    int batch;            /* 1 .. 1024 images */
    int image_size;       /* 64 .. 2048 px, a multiple of 32 */
    double lr;            /* (0, 1] */
    double weight_decay;  /* [0, 1]; -1 not given */
    int views;            /* 1, 4 or 8: how often the model looks at an image, mirrored and smaller */
    int validations;      /* 1 .. 1000 looks at validation images on the way */
    int patience;         /* 1 .. 1000 looks without progress end the training */
    int64_t seed;         /* >= 0 */
    char precision[8];    /* "f32", "bf16", "auto" */
    char on_bad_image[8]; /* "skip", "fail" */
};

struct spec {
    char experiment[SPEC_NAME_MAX + 1];
    char dataset[SPEC_DATASET_MAX]; /* "datasets/x" or "datasets/x/.snap/y"; "" only where run: needs none */
    enum spec_action action;
    struct spec_train train;
    char *run;                              /* shell command line, owned; NULL for SPEC_TRAIN */
    char register_model[SPEC_NAME_MAX + 1]; /* "" for none */
    int gpus;                               /* 0 .. 64; -1: takes one where the node has one */
    int cpus;                               /* 0: all of the node's */
    uint64_t memory_bytes;                  /* 0: no limit stated */
    int64_t time_s;                         /* 0: no limit stated */
};

/* One thing that is wrong with a spec. */
struct spec_finding {
    int line, column; /* 1-based */
    char text[256];   /* what is wrong and what to write instead */
};

struct spec_findings {
    struct spec_finding items[SPEC_FINDINGS_MAX];
    size_t count; /* sorted by line and column */
};

/* Parses text (which need not end in 0).  job is the file's name without .yaml, the default experiment.  With
 * no findings *out is the caller's to free and CODE_OK is returned; else CODE_INVALID with *out NULL and why
 * naming the first. */
MUST_CHECK enum code spec_parse(const char *text, size_t count, const char *job, struct spec **out,
                                struct spec_findings *findings, struct failure *why);
void spec_destroy(struct spec *spec);

/* The dataset that a text names, also where it has findings elsewhere: "" where it names none in the right
 * form. */
void spec_find_dataset(const char *text, size_t count, char dataset[SPEC_DATASET_MAX]);

/* Adds a finding about the value of a key ("dataset") that only the caller could check, at the place of that
 * key. */
void spec_add_finding(struct spec_findings *findings, const char *text, size_t count, const char *key, const char *message);

/* All findings as the text of jobs/<job>.error: "<path>:<line>:<column>: <text>" with the line and a caret
 * below. */
void spec_format_findings(const struct spec_findings *findings, const char *path, const char *text, size_t count,
                          struct buffer *out);

#endif
