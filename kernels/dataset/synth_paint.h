/* The pixels of a synthetic image from its layout.  Private to this folder. */
#ifndef CYTOFS_SYNTH_PAINT_H
#define CYTOFS_SYNTH_PAINT_H

#include "failure.h"
#include "image.h"
#include "synth.h"
#include "synth_layout.h"

/* Paints image `number` of the request: 16-bit grey or 8-bit RGB.  *out is the caller's to free. */
MUST_CHECK enum code synth_paint_image(const struct synth_request *request, size_t number, const struct synth_layout *layout,
                                       struct image *out, struct failure *why);

#endif
