/* Drawing as SVG text: see curve_svg.h.  Every text that a user wrote is escaped; numbers are printed with two decimals,
 * so the same metrics give the same bytes.  Pure; any thread. */
#include "curve_svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "scope.h"
#include "utf8_text.h"

#define WIDTH   460.0
#define HEIGHT  260.0
#define LEFT    56.0
#define RIGHT   12.0
#define TOP     12.0
#define BOTTOM  34.0
#define COLUMNS 200

struct field {
    struct chart_range range;
    struct chart_axis across, up;
};

static double across(const struct field *field, double step)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * chart_axis_place(&field->across, step);
}

static double up(const struct field *field, double value)
{
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - chart_axis_place(&field->up, value));
}

static void append_axes(struct buffer *out, const struct field *field)
{
    char label[32];
    for (int i = 0; i < field->up.ticks; i++) {
        double y = up(field, field->up.low + i * field->up.step);
        chart_axis_label(&field->up, i, label);
        buffer_printf(out, "<path class=\"%s\" d=\"M%.2f %.2fH%.2f\"/>", i ? "grid" : "axis", LEFT, y, WIDTH - RIGHT);
        buffer_printf(out, "<text class=\"label\" text-anchor=\"end\" x=\"%.2f\" y=\"%.2f\">%s</text>\n", LEFT - 6, y + 4,
                      label);
    }
    for (int i = 0; i < field->across.ticks; i++) {
        double x = across(field, field->across.low + i * field->across.step);
        chart_axis_label(&field->across, i, label);
        buffer_printf(out, "<text class=\"label\" text-anchor=\"middle\" x=\"%.2f\" y=\"%.2f\">%s</text>\n", x,
                      HEIGHT - BOTTOM + 18, label);
    }
}

static void append_curve(struct buffer *out, const struct field *field, const struct curve_svg_line *line,
                         struct metric_point *points)
{
    size_t count = chart_thin(line->series, &field->range, COLUMNS, points);
    if (count == 0)
        return;
    if (count == 1)
        buffer_printf(out, "<circle class=\"dot c%zu\" r=\"3\" cx=\"%.2f\" cy=\"%.2f\">", line->colour % CHART_COLOURS,
                      across(field, (double)points[0].step), up(field, points[0].value));
    else
        buffer_printf(out, "<path class=\"curve c%zu\" d=\"", line->colour % CHART_COLOURS);
    for (size_t i = 0; i < count && count > 1; i++)
        buffer_printf(out, "%s%.2f %.2f", i ? "L" : "M", across(field, (double)points[i].step), up(field, points[i].value));
    buffer_printf(out, "%s<title>", count > 1 ? "\">" : "");
    utf8_text_append_markup(out, line->label, strlen(line->label), 120);
    buffer_printf(out, "</title></%s>\n", count > 1 ? "path" : "circle");
}

enum code curve_svg_append(struct buffer *out, const char *title, const struct curve_svg_line *lines, size_t count,
                           struct failure *why)
{
    SCOPE_FREE const struct metric_series **series = calloc(count + 1, sizeof *series);
    SCOPE_FREE struct metric_point *points = calloc(4 * COLUMNS, sizeof *points);
    if (!series || !points)
        return failure_set(why, CODE_NO_MEMORY, "drawing curves: out of memory");
    for (size_t i = 0; i < count; i++)
        series[i] = lines[i].series;
    struct field field;
    if (!chart_range_of(series, count, &field.range))
        return CODE_OK;
    field.across = chart_axis_fit_steps(field.range.step_low, field.range.step_high, 6);
    field.up = chart_axis_fit(field.range.value_low, field.range.value_high, 6);
    buffer_printf(out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    utf8_text_append_markup(out, title, strlen(title), 120);
    buffer_append_text(out, "\">\n");
    append_axes(out, &field);
    for (size_t i = 0; i < count; i++)
        append_curve(out, &field, &lines[i], points);
    buffer_append_text(out, "</svg>\n");
    return CODE_OK;
}
