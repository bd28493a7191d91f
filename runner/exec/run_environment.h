/* What a program is started with: its arguments and its environment. */
#ifndef CYTOFS_RUN_ENVIRONMENT_H
#define CYTOFS_RUN_ENVIRONMENT_H

#include "exec.h"
#include "failure.h"

struct spec;

#define RUN_ARGUMENTS_MAX   16
#define RUN_ENVIRONMENT_MAX 40

/* An exec_command together with the texts that it points to. */
struct run_command {
    struct exec_command command;
    char *texts[RUN_ARGUMENTS_MAX + RUN_ENVIRONMENT_MAX];
    size_t text_count;
    const char *arguments[RUN_ARGUMENTS_MAX + 1];
    const char *environment[RUN_ENVIRONMENT_MAX + 1];
};

/* What a program may use of the machine. */
struct run_share {
    int cpus;
    const char *visible_gpus; /* numbers of GPUs, "" for none; NULL: not restricted */
};

/* For SPEC_TRAIN: `<program> train --spec <folder>/spec.yaml --dataset <folder>/dataset --output <folder>`; for SPEC_RUN:
 * `/bin/sh -c <run>`.  folder: the run's, absolute.  dataset: what CYTOFS_DATASET is to be, "" for none.  *out is the
 * caller's to free and must not move meanwhile. */
MUST_CHECK enum code run_environment_make(struct run_command *out, const struct spec *spec, const char *program,
                                          const char *folder, const char *dataset, const struct run_share *share,
                                          struct failure *why);
void run_environment_free(struct run_command *command);

#endif
