/* A trained detector on disk: a safetensors file whose metadata says how to use the weights.  See FORMAT.md.
 */
#ifndef CYTOFS_MODEL_FILE_H
#define CYTOFS_MODEL_FILE_H

#include "network.h"
#include "preprocessing.h"
#include "safetensors.h"
#include "thresholds.h"

#define MODEL_FILE_VERSION   1
#define MODEL_CLASS_NAME_MAX 64 /* bytes with the terminator */

struct model_info {
    struct network_architecture architecture;
    char class_names[DETECTION_CLASSES_MAX][MODEL_CLASS_NAME_MAX];
    struct preprocessing preprocessing;
    struct thresholds thresholds;
    int views;               /* of each window, averaged (window_views.h); 0 is 1 */
    double outline_factor;   /* rays are drawn so many times as long as the network says; 0 is 1 */
    int image_bits;          /* of the training images: 8 or 16 */
    double pixel_um;         /* micrometres a pixel of the training images, median; 0 unknown */
    double object_side_px;   /* median of sqrt(width * height) over training objects, image pixels */
    double object_side_p99;  /* its 99th percentile: decides how far tiles overlap */
    double range_low[2];     /* 1st percentile of training images, of full scale: 5th and 95th percentile of it */
    double range_high[2];    /* 99.8th percentile, likewise: outside both an image is unlike the training's */
    char software[64];       /* version that wrote the file */
    char dataset_digest[65]; /* hexadecimal, "" unknown */
};

struct model_file; /* a file read whole and parsed; opaque */

MUST_CHECK enum code model_file_open(const char *path, struct model_file **out, struct failure *why);
void model_file_close(struct model_file *file);
const struct model_info *model_file_info(const struct model_file *file);

/* The file's weights in the order of `network`'s slab (network_slab_floats values).  A tensor that is
 * missing, of another shape, or holds infinities or not-a-numbers is CODE_CORRUPT. */
MUST_CHECK enum code model_file_weights(const struct model_file *file, const struct network *network, float *slab,
                                        struct failure *why);

/* Writes the file atomically; `slab` holds the weights in the order of `network`. */
MUST_CHECK enum code model_file_write(const char *path, const struct model_info *info, const struct network *network,
                                      const float *slab, struct failure *why);

/* The names "n", "s", "m" of network sizes, and back; -1 for an unknown name. */
const char *model_file_size_name(enum network_size size);
int model_file_size_from_name(const char *name);

#endif
