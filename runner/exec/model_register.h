/* Making the model of a run the next version of a registered model. */
#ifndef CYTOFS_MODEL_REGISTER_H
#define CYTOFS_MODEL_REGISTER_H

#include <stdbool.h>

#include "failure.h"

#define MODEL_PATH_MAX  256
#define MODEL_FILES_MAX 10000
#define MODEL_DEPTH_MAX 8

struct model_registration {
    const char *lab;   /* the mounted lab's folder */
    const char *run;   /* "experiments/e/001" */
    const char *model; /* the registered model's name */
};

/* Copies <run>/model to models/<model>/<N>, N the next number, lets `latest` point at it, and replaces <run>/model by a
 * symbolic link to it.  path receives "models/<model>/<N>".  May be called again after a crash at any point, in this call or
 * after it: what is done stays done, and a run makes one version.  CODE_INVALID: the run has no model, or an empty one. */
MUST_CHECK enum code model_register(const struct model_registration *registration, char path[MODEL_PATH_MAX],
                                    struct failure *why);

/* Whether this run's model is a version already (an earlier attempt came that far). */
bool model_register_done(const struct model_registration *registration);

#endif
