/* What a drawn curve needs before it meets a canvas: axes with round numbers, thinning, colours.  Pure. */
#ifndef CYTOFS_CHART_H
#define CYTOFS_CHART_H

#include <stddef.h>
#include <stdint.h>

#include "metric_series.h"

/* An axis from low to high in steps of 1, 2 or 5 times a power of ten; both ends are multiples of step. */
struct chart_axis {
    double low, high, step;
    int ticks; /* high = low + (ticks - 1) * step */
};

/* The narrowest axis around minimum..maximum (finite, minimum <= maximum) with about `wanted` ticks (2 .. 20). */
struct chart_axis chart_axis_fit(double minimum, double maximum, int wanted);

/* The same for steps, which are whole numbers: so is the distance between two ticks. */
struct chart_axis chart_axis_fit_steps(double minimum, double maximum, int wanted);

/* Where a value lies on the axis: 0 at low, 1 at high. */
double chart_axis_place(const struct chart_axis *axis, double value);

/* The label of tick i (0 .. ticks - 1), with just the digits that step needs. */
void chart_axis_label(const struct chart_axis *axis, int i, char text[32]);

/* The smallest and largest step and value over `count` series.  False where no point can be drawn: values that are not
 * finite, or beyond 1e300, and steps beyond 1e15 are left out here and by chart_thin. */
struct chart_range {
    double step_low, step_high, value_low, value_high;
};
bool chart_range_of(const struct metric_series *const *series, size_t count, struct chart_range *range);

/* Thins a series to at most 4 points a column (first, smallest, largest, last) over `columns` columns of equal width in
 * step, so that what is drawn looks the same.  Returns how many points were written to out, which has room for 4 * columns.
 */
size_t chart_thin(const struct metric_series *series, const struct chart_range *range, size_t columns,
                  struct metric_point *out);

/* Seven colours that stay apart for colour-blind readers, 0xRRGGBB (Okabe and Ito, "Color Universal Design", 2008; its
 * yellow, which vanishes on white, is left out and its black comes last). */
#define CHART_COLOURS 7
uint32_t chart_colour(size_t i);

#endif
