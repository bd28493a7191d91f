/* Inside runner/jobs: making the folder of a new run. */
#ifndef CYTOFS_RUN_FOLDER_H
#define CYTOFS_RUN_FOLDER_H

#include <stdint.h>

#include "failure.h"
#include "job_table.h"
#include "spec.h"

struct tree;

struct run_folder_request {
    const char *job, *member;
    const char *dataset;     /* "datasets/d/.snap/label", or "" */
    const struct spec *spec; /* of the text */
    const char *text;        /* (count) what is frozen as spec.yaml */
    size_t count;
    int64_t ms; /* when it was submitted, since 1970 */
};

/* Makes experiments/<experiment>/<next number>/ with everything in it; its `submitted` event comes last.  run
 * is its path.  On failure nothing is left. */
MUST_CHECK enum code run_folder_make(struct tree *tree, const struct run_folder_request *request, char run[JOB_PATH_MAX],
                                     struct failure *why);

/* Removes the folder with everything in it, as far as that is possible. */
void run_folder_discard(struct tree *tree, const char *run);

#endif
