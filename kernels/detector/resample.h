/* Changing the size of interleaved float images: area averaging when shrinking, linear interpolation when
 * growing. */
#ifndef CYTOFS_RESAMPLE_H
#define CYTOFS_RESAMPLE_H

#include "failure.h"

/* Pixels in working order: data[(y * width + x) * channels + c], value 0 .. 1 for black .. white, a little
 * beyond where percentile scaling was used. */
struct plane {
    int width, height, channels;
    float *data; /* owned */
};

#define SCOPE_PLANE __attribute__((cleanup(resample_free))) struct plane

MUST_CHECK enum code resample_create(int width, int height, int channels, struct plane *out, struct failure *why);
void resample_free(struct plane *plane);

/* Makes *out, width x height, from all of *in; *out is the caller's to free. */
MUST_CHECK enum code resample_plane(const struct plane *in, int width, int height, struct plane *out, struct failure *why);

#endif
