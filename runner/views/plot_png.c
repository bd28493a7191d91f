/* Drawing with cairo: see plot_png.h.  This file is cairo's only door.
 *
 * The canvas is a margin around a field; chart.h gives the axes and thins the curves, so that the time to draw does not
 * grow with the number of points.  Every call has a surface of its own: any thread, several at once.
 */
#include "plot_png.h"

#include <cairo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "scope.h"
#include "utf8_text.h"

#define LEFT         78.0
#define RIGHT        24.0
#define TOP          54.0
#define BOTTOM       56.0
#define FIELD_WIDTH  (PLOT_PNG_WIDTH - LEFT - RIGHT)
#define FIELD_HEIGHT (PLOT_PNG_HEIGHT - TOP - BOTTOM)
#define COLUMNS      700

#if defined(__SANITIZE_ADDRESS__)
/* fontconfig, below cairo, keeps the fonts that it found until the process ends, behind pointers that the leak checker does
 * not follow.  The amount does not grow with the number of plots. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig\n";
}
#endif

struct canvas {
    cairo_t *cairo;
    struct chart_range range;
    struct chart_axis across, up; /* steps, values */
};

static void set_colour(cairo_t *cairo, uint32_t colour)
{
    cairo_set_source_rgb(cairo, (colour >> 16 & 255) / 255.0, (colour >> 8 & 255) / 255.0, (colour & 255) / 255.0);
}

static double across(const struct canvas *canvas, double step)
{
    return LEFT + FIELD_WIDTH * chart_axis_place(&canvas->across, step);
}

static double up(const struct canvas *canvas, double value)
{
    return TOP + FIELD_HEIGHT * (1 - chart_axis_place(&canvas->up, value));
}

/* anchor: 0 the text begins at x, 0.5 is centred on it, 1 ends there. */
static void write_text(cairo_t *cairo, const char *text, double x, double y, double anchor)
{
    cairo_text_extents_t extents;
    cairo_text_extents(cairo, text, &extents);
    cairo_move_to(cairo, x - anchor * extents.x_advance, y);
    cairo_show_text(cairo, text);
}

/* Names come from users: cairo wants UTF-8, and a title of 200 letters would run over the edge. */
static void write_name(cairo_t *cairo, const char *name, size_t letters_max, double x, double y, double anchor)
{
    SCOPE_BUFFER clean = {0};
    utf8_text_append(&clean, name, strlen(name), letters_max);
    write_text(cairo, buffer_text(&clean), x, y, anchor);
}

static void draw_frame(const char *title, const char *subtitle, cairo_t *cairo)
{
    cairo_set_source_rgb(cairo, 1, 1, 1);
    cairo_paint(cairo);
    cairo_select_font_face(cairo, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
    cairo_set_font_size(cairo, 17);
    set_colour(cairo, 0x222222);
    write_name(cairo, title, 44, LEFT, 32, 0);
    cairo_select_font_face(cairo, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo, 13);
    set_colour(cairo, 0x777777);
    write_name(cairo, subtitle, 36, PLOT_PNG_WIDTH - RIGHT, 32, 1);
}

static void draw_axes(const struct canvas *canvas)
{
    cairo_t *cairo = canvas->cairo;
    char label[32];
    cairo_set_line_width(cairo, 1);
    for (int i = 0; i < canvas->up.ticks; i++) {
        double y = floor(up(canvas, canvas->up.low + i * canvas->up.step)) + 0.5;
        set_colour(cairo, i == 0 ? 0x888888 : 0xE4E4E4);
        cairo_move_to(cairo, LEFT, y);
        cairo_line_to(cairo, LEFT + FIELD_WIDTH, y);
        cairo_stroke(cairo);
        set_colour(cairo, 0x444444);
        chart_axis_label(&canvas->up, i, label);
        write_text(cairo, label, LEFT - 9, y + 4.5, 1);
    }
    for (int i = 0; i < canvas->across.ticks; i++) {
        double x = floor(across(canvas, canvas->across.low + i * canvas->across.step)) + 0.5;
        set_colour(cairo, 0x888888);
        cairo_move_to(cairo, x, TOP + FIELD_HEIGHT);
        cairo_line_to(cairo, x, TOP + FIELD_HEIGHT + 5);
        cairo_stroke(cairo);
        set_colour(cairo, 0x444444);
        chart_axis_label(&canvas->across, i, label);
        write_text(cairo, label, x, TOP + FIELD_HEIGHT + 21, 0.5);
    }
    write_text(cairo, "step", LEFT + FIELD_WIDTH / 2, PLOT_PNG_HEIGHT - 14, 0.5);
}

static void draw_curve(const struct canvas *canvas, const struct metric_series *series, uint32_t colour,
                       struct metric_point *points)
{
    cairo_t *cairo = canvas->cairo;
    size_t count = chart_thin(series, &canvas->range, COLUMNS, points);
    set_colour(cairo, colour);
    cairo_set_line_width(cairo, 2);
    cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(cairo, CAIRO_LINE_CAP_ROUND);
    cairo_new_path(cairo); /* text leaves its end as the current point */
    for (size_t i = 0; i < count; i++)
        cairo_line_to(cairo, across(canvas, (double)points[i].step), up(canvas, points[i].value));
    cairo_stroke(cairo);
    for (size_t i = 0; i < count && count <= 60; i++) { /* few points: show each */
        cairo_arc(cairo, across(canvas, (double)points[i].step), up(canvas, points[i].value), 3, 0, 2 * M_PI);
        cairo_fill(cairo);
    }
}

static void draw_legend(cairo_t *cairo, const struct metric_series *const *series, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double y = TOP + 16 + 18 * (double)i;
        set_colour(cairo, chart_colour(i));
        cairo_rectangle(cairo, LEFT + 12, y - 9, 10, 10);
        cairo_fill(cairo);
        set_colour(cairo, 0x222222);
        write_name(cairo, series[i]->key, 40, LEFT + 28, y, 0);
    }
}

static enum code draw_series(cairo_t *cairo, const struct metric_series *const *series, size_t count, struct failure *why)
{
    struct canvas canvas = {.cairo = cairo};
    if (!chart_range_of(series, count, &canvas.range)) {
        write_text(cairo, "no values yet", LEFT + FIELD_WIDTH / 2, TOP + FIELD_HEIGHT / 2, 0.5);
        return CODE_OK;
    }
    canvas.across = chart_axis_fit_steps(canvas.range.step_low, canvas.range.step_high, 8);
    canvas.up = chart_axis_fit(canvas.range.value_low, canvas.range.value_high, 7);
    SCOPE_FREE struct metric_point *points = calloc(4 * COLUMNS, sizeof *points);
    if (!points)
        return failure_set(why, CODE_NO_MEMORY, "drawing a plot: out of memory");
    draw_axes(&canvas);
    for (size_t i = 0; i < count; i++)
        draw_curve(&canvas, series[i], chart_colour(i), points);
    if (count > 1)
        draw_legend(cairo, series, count);
    return CODE_OK;
}

static cairo_status_t append_bytes(void *context, const unsigned char *bytes, unsigned count)
{
    struct buffer *out = context;
    buffer_append(out, bytes, count);
    return out->failed ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

enum code plot_png_draw(const char *title, const char *subtitle, const struct metric_series *const *series, size_t count,
                        struct buffer *out, struct failure *why)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, PLOT_PNG_WIDTH, PLOT_PNG_HEIGHT);
    cairo_t *cairo = cairo_create(surface);
    draw_frame(title, subtitle, cairo);
    enum code code = draw_series(cairo, series, count < PLOT_SERIES_MAX ? count : PLOT_SERIES_MAX, why);
    cairo_surface_flush(surface);
    cairo_status_t status = cairo_status(cairo);
    if (code == CODE_OK && status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_write_to_png_stream(surface, append_bytes, out);
    cairo_destroy(cairo);
    cairo_surface_destroy(surface);
    if (code == CODE_OK && status != CAIRO_STATUS_SUCCESS)
        return failure_set(why, CODE_NO_MEMORY, "drawing the plot of %s: %s", title, cairo_status_to_string(status));
    return code;
}
