/* What programs around bioimage.io read of a model: rdf.yaml, a resource description in format 0.5, and the
 * tensors that it names for trying the model (https://bioimage.io/docs, specification of "model" resources).
 *
 * It describes model.onnx in the same folder; card.md is its documentation.  Authors and licence are the
 * lab's to add before publishing: the file says so where they belong.  The test input is made-up noise, so
 * nothing of the lab's images leaves it.
 */
#ifndef CYTOFS_BIOIMAGE_H
#define CYTOFS_BIOIMAGE_H

#include "model_file.h"

struct device;

struct bioimage_request {
    const char *folder;      /* holds model.onnx and card.md, or will */
    const char *onnx_sha256; /* of model.onnx, hexadecimal */
    const struct model_info *info;
    const float *weights;        /* the slab, in the order of the network */
    const struct device *device; /* computes the test outputs */
};

/* Writes rdf.yaml, test_image.npy and test_heat.npy, test_box.npy, test_rays.npy, each atomically. */
MUST_CHECK enum code bioimage_write(const struct bioimage_request *request, struct failure *why);

#endif
