/* A chart as inline SVG, for HTML pages: colours come from the page's style (classes axis, grid, label and c0 .. c6). */
#ifndef CYTOFS_CURVE_SVG_H
#define CYTOFS_CURVE_SVG_H

#include <stddef.h>

#include "buffer.h"
#include "failure.h"
#include "metric_series.h"

/* One curve: series s is drawn in colour class c<colour % CHART_COLOURS> and names itself (its <title>) as label. */
struct curve_svg_line {
    const struct metric_series *series;
    const char *label;
    size_t colour;
};

/* Appends an <svg> of 460 x 260 with these curves.  Nothing is appended where no point is finite. */
MUST_CHECK enum code curve_svg_append(struct buffer *out, const char *title, const struct curve_svg_line *lines,
                                      size_t count, struct failure *why);

#endif
