/* Axes and thinning: see chart.h.  Tick steps are the "nice numbers" of Heckbert (Graphics Gems, 1990): 1, 2,
 * 5 times a power of ten.  Pure functions; any thread. */
#include "chart.h"

#include <math.h>
#include <stdio.h>

static double nice_step(double raw)
{
    double power = pow(10, floor(log10(raw)));
    double lead = raw / power;
    double nice = lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10;
    return nice * power;
}

/* Less than this is nothing: still smaller numbers have too few digits left to divide by. */
static const double smallest_span = 1e-290;

struct chart_axis chart_axis_fit(double minimum, double maximum, int wanted)
{
    double span = maximum - minimum;
    double scale = fmax(fabs(minimum), fabs(maximum));
    if (!(span > fmax(scale * 1e-9, smallest_span)) || !isfinite(span)) { /* flat: some air above and below */
        double air = scale > smallest_span && isfinite(span) ? scale * 0.1 : 1;
        minimum -= air;
        maximum += air;
        span = maximum - minimum;
    }
    struct chart_axis axis = {.step = nice_step(span / (wanted - 1))};
    axis.low = floor(minimum / axis.step + 1e-9) * axis.step;
    axis.high = ceil(maximum / axis.step - 1e-9) * axis.step;
    axis.ticks = (int)lround((axis.high - axis.low) / axis.step) + 1;
    return axis;
}

struct chart_axis chart_axis_fit_steps(double minimum, double maximum, int wanted)
{
    if (maximum - minimum >= wanted - 1)
        return chart_axis_fit(minimum, maximum, wanted);
    bool single = maximum == minimum;
    struct chart_axis axis = {.low = minimum - single, .high = maximum + single, .step = 1};
    axis.ticks = (int)lround(axis.high - axis.low) + 1;
    return axis;
}

double chart_axis_place(const struct chart_axis *axis, double value)
{
    return (value - axis->low) / (axis->high - axis->low);
}

void chart_axis_label(const struct chart_axis *axis, int i, char text[32])
{
    double value = axis->low + i * axis->step;
    if (fabs(value) < axis->step * 1e-6)
        value = 0;
    double largest = fmax(fabs(axis->low), fabs(axis->high));
    int decimals = (int)fmax(0, -floor(log10(axis->step) + 1e-9));
    if (largest >= 1e7 || decimals > 6)
        snprintf(text, 32, "%.3g", value);
    else
        snprintf(text, 32, "%.*f", decimals, value);
}

/* Beyond these, differences and quotients of doubles are no longer what they should be. */
static bool is_drawable(const struct metric_point *point)
{
    return isfinite(point->value) && fabs(point->value) <= 1e300 && fabs((double)point->step) <= 1e15;
}

bool chart_range_of(const struct metric_series *const *series, size_t count, struct chart_range *range)
{
    bool found = false;
    for (size_t s = 0; s < count; s++)
        for (size_t i = 0; i < series[s]->count; i++) {
            const struct metric_point *point = &series[s]->points[i];
            if (!is_drawable(point))
                continue;
            double step = (double)point->step;
            if (!found)
                *range = (struct chart_range){step, step, point->value, point->value};
            found = true;
            range->step_low = fmin(range->step_low, step);
            range->step_high = fmax(range->step_high, step);
            range->value_low = fmin(range->value_low, point->value);
            range->value_high = fmax(range->value_high, point->value);
        }
    return found;
}

static size_t column_of(const struct metric_point *point, const struct chart_range *range, size_t columns)
{
    double width = range->step_high - range->step_low;
    double place = width > 0 ? ((double)point->step - range->step_low) / width : 0;
    size_t column = (size_t)(place * (double)columns);
    return column < columns ? column : columns - 1;
}

/* Writes the points of one column, points[first .. last], at the indices that matter, in order and once each.
 */
static size_t keep_column(const struct metric_point *points, const size_t keep[4], struct metric_point *out)
{
    size_t first = keep[0], smallest = keep[1], largest = keep[2], last = keep[3];
    size_t inner[2] = {smallest < largest ? smallest : largest, smallest < largest ? largest : smallest};
    size_t written = 0;
    out[written++] = points[first];
    for (int i = 0; i < 2; i++)
        if (inner[i] != first && inner[i] != last && (i == 0 || inner[1] != inner[0]))
            out[written++] = points[inner[i]];
    if (last != first)
        out[written++] = points[last];
    return written;
}

size_t chart_thin(const struct metric_series *series, const struct chart_range *range, size_t columns,
                  struct metric_point *out)
{
    const struct metric_point *points = series->points;
    size_t written = 0, column = 0, keep[4];
    bool open = false;
    for (size_t i = 0; i < series->count; i++) {
        if (!is_drawable(&points[i]))
            continue;
        size_t here = column_of(&points[i], range, columns);
        if (open && here != column) {
            written += keep_column(points, keep, out + written);
            open = false;
        }
        if (!open)
            keep[0] = keep[1] = keep[2] = i;
        open = true;
        column = here;
        keep[3] = i;
        if (points[i].value < points[keep[1]].value)
            keep[1] = i;
        if (points[i].value > points[keep[2]].value)
            keep[2] = i;
    }
    if (open)
        written += keep_column(points, keep, out + written);
    return written;
}

uint32_t chart_colour(size_t i)
{
    static const uint32_t colours[CHART_COLOURS] = {0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x000000};
    return colours[i % CHART_COLOURS];
}
