/* A chart as a PNG of 800 x 500 pixels. */
#ifndef CYTOFS_PLOT_PNG_H
#define CYTOFS_PLOT_PNG_H

#include <stddef.h>

#include "buffer.h"
#include "failure.h"
#include "metric_series.h"

#define PLOT_PNG_WIDTH  800
#define PLOT_PNG_HEIGHT 500
#define PLOT_SERIES_MAX 12

/* Appends the picture of up to PLOT_SERIES_MAX series to *out.  The title stands above on the left, the subtitle in grey on
 * the right.  Several series get a legend with their keys.  Series without a finite point give a chart that says so.
 * The same arguments give the same bytes. */
MUST_CHECK enum code plot_png_draw(const char *title, const char *subtitle, const struct metric_series *const *series,
                                   size_t count, struct buffer *out, struct failure *why);

#endif
