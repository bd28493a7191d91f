/* A trained detector's network as an ONNX file (https://onnx.ai, IR version 8, opset 13), for programs that do not know
 * CellDet: ONNX Runtime, OpenVINO, TensorRT, QuPath's and ImageJ's plugins.
 *
 *     input   image  (N, Cin, H, W) f32 in 0 .. 1, scaled as the model's description says; H and W multiples of 32
 *     output  heat   (N, classes, H/4, W/4) logits
 *             box    (N, 4, H/4, W/4) l, t, r, b: ln of the distance / 4 px
 *             rays   (N, R, H/4, W/4) likewise; absent where the model has none
 *
 * N, H and W are free.  Batch norms are folded into the convolutions.  The file's metadata holds the description of
 * model.safetensors ("cytofs.model"); FORMAT.md says how outputs become objects.
 */
#ifndef CYTOFS_ONNX_MODEL_H
#define CYTOFS_ONNX_MODEL_H

#include "model_file.h"

/* Writes the file atomically; `slab` holds the weights in the order of the network's slab (network.h). */
MUST_CHECK enum code onnx_model_write(const char *path, const struct model_info *info, const float *slab,
                                      struct failure *why);

#endif
