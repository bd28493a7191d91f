/* The page: a heading, a chart a metric with a curve a run, and the table of all runs.
 *
 * One file that needs nothing else: no script, no font, no picture, nothing fetched; it can be mailed or kept.  Colours
 * follow the reader's light or dark setting.  Names, values and reasons come from users and programs: all of them go through
 * utf8_text_append_markup, and the page's content policy forbids scripts besides.  Pure; any thread.
 */
#include "view_report.h"

#include <stdio.h>
#include <string.h>

#include "chart.h"
#include "curve_svg.h"
#include "run_table.h"
#include "time_text.h"
#include "utf8_text.h"

#define CELL_LETTERS_MAX 200

static const char page_head[] = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                                "style-src 'unsafe-inline'\">\n"
                                "<meta name=\"viewport\" content=\"width=device-width\">\n";

static const char page_style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--ink:#222;--dim:#666;--line:#e2e2e2;--paper:#fff;--last:#000}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e6e6;--dim:#a0a0a0;--line:#3a3a3a;--paper:#16181b;--"
    "last:#fff}}\n"
    "body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2em "
    "auto;max-width:1400px;"
    "padding:0 1em}\n"
    "h1{font-size:1.5em;margin:0}h2{font-size:1em;margin:0 0 .3em}.dim{color:var(--dim)}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(380px,1fr));gap:1.5em;margin:1.5em "
    "0}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.3em .7em;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}\n"
    ".axis,.grid{stroke:var(--dim);stroke-width:1}.grid{stroke:var(--line)}\n"
    ".label{fill:var(--dim);font-size:11px}.curve{fill:none;stroke-width:1.8;stroke-linejoin:round}\n";

/* One class a colour, for curves, dots and the swatches in the table. */
static void append_colours(struct buffer *out)
{
    for (size_t i = 0; i < CHART_COLOURS; i++) {
        char colour[16] = "var(--last)"; /* black, or white on dark paper */
        if (i + 1 < CHART_COLOURS)
            snprintf(colour, sizeof colour, "#%06x", chart_colour(i));
        buffer_printf(out, ".curve.c%zu{stroke:%s}.dot.c%zu{fill:%s}.swatch.c%zu{background:%s}\n", i, colour, i, colour, i,
                      colour);
    }
    buffer_append_text(out, ".swatch{display:inline-block;width:.7em;height:.7em;margin-right:.5em;border-radius:2px}\n"
                            "</style>\n");
}

static void append_text(struct buffer *out, const char *text)
{
    utf8_text_append_markup(out, text, strlen(text), CELL_LETTERS_MAX);
}

static void append_heading(const struct run_table *table, struct buffer *out)
{
    buffer_append_text(out, "<title>");
    append_text(out, table->experiment);
    buffer_append_text(out, "</title></head><body>\n<h1>");
    append_text(out, table->experiment);
    buffer_printf(out, "</h1>\n<p class=\"dim\">%zu run%s", table->count, table->count == 1 ? "" : "s");
    if (table->ranked_by) {
        buffer_append_text(out, ", best first by ");
        append_text(out, table->ranked_by);
        buffer_append_text(out, table->higher_is_better ? " (higher is better)" : " (lower is better)");
    }
    buffer_append_text(out, ".");
    if (table->runs_left_out)
        buffer_printf(out, " %zu older runs are not shown.", table->runs_left_out);
    if (table->columns_cut)
        buffer_printf(out, " Only %d parameters and %d metrics are shown.", RUN_TABLE_COLUMNS_MAX, RUN_TABLE_COLUMNS_MAX);
    if (table->count > REPORT_CURVES_MAX)
        buffer_printf(out, " Curves are those of the best %d runs.", REPORT_CURVES_MAX);
    if (table->metric_count > REPORT_CHARTS_MAX)
        buffer_printf(out, " The first %d metrics are drawn.", REPORT_CHARTS_MAX);
    buffer_append_text(out, "</p>\n");
}

static enum code append_chart(const struct run_table *table, const char *metric, struct buffer *out, struct failure *why)
{
    struct curve_svg_line lines[REPORT_CURVES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < table->count && i < REPORT_CURVES_MAX; i++) {
        const struct metric_series *series = metric_set_find(&table->runs[i].metrics, metric);
        if (series)
            lines[count++] = (struct curve_svg_line){series, table->runs[i].name, i};
    }
    SCOPE_BUFFER picture = {0};
    enum code code = curve_svg_append(&picture, metric, lines, count, why);
    if (code != CODE_OK || picture.length == 0)
        return code;
    buffer_append_text(out, "<figure style=\"margin:0\"><h2>");
    append_text(out, metric);
    buffer_append_text(out, "</h2>");
    buffer_append(out, picture.data, picture.length);
    buffer_append_text(out, "</figure>\n");
    return CODE_OK;
}

static void append_cell(struct buffer *out, const char *text)
{
    buffer_append_text(out, "<td>");
    append_text(out, text);
    buffer_append_text(out, "</td>");
}

static void append_row(const struct run_table *table, size_t row, struct buffer *out)
{
    const struct run_facts *run = &table->runs[row];
    char started[TIME_TEXT_MAX] = "", ran[TIME_TEXT_MAX] = "";
    if (run->summary.started_ms > 0) {
        time_text_moment(run->summary.started_ms, started);
        time_text_duration(run_facts_duration_s(run), ran);
    }
    buffer_append_text(out, "<tr><td>");
    if (row < REPORT_CURVES_MAX)
        buffer_printf(out, "<span class=\"swatch c%zu\"></span>", row % CHART_COLOURS);
    append_text(out, run->name);
    buffer_append_text(out, "</td>");
    append_cell(out, run_state_name(run->summary.state));
    for (size_t i = 0; i < table->metric_count; i++) {
        const struct metric_series *series = metric_set_find(&run->metrics, table->metrics[i]);
        const struct metric_point *last = series ? metric_series_last(series) : NULL;
        buffer_append_text(out, "<td>");
        if (last)
            buffer_printf(out, "%.5g", last->value);
        buffer_append_text(out, "</td>");
    }
    for (size_t i = 0; i < table->parameter_count; i++) {
        const char *value = run_facts_parameter(run, table->parameters[i]);
        append_cell(out, value ? value : "");
    }
    append_cell(out, started);
    append_cell(out, ran);
    append_cell(out, run->summary.member);
    append_cell(out, run->summary.model);
    append_cell(out, run->summary.reason);
    buffer_append_text(out, "</tr>\n");
}

static void append_table(const struct run_table *table, struct buffer *out)
{
    buffer_append_text(out, "<div class=\"wide\"><table><thead><tr><th>run</th><th>state</th>");
    for (size_t i = 0; i < table->metric_count + table->parameter_count; i++) {
        buffer_append_text(out, "<th>");
        append_text(out, i < table->metric_count ? table->metrics[i] : table->parameters[i - table->metric_count]);
        buffer_append_text(out, "</th>");
    }
    buffer_append_text(out, "<th>started</th><th>ran</th><th>member</th><th>model</th><th>reason</th></tr></thead>\n");
    buffer_append_text(out, "<tbody>\n");
    for (size_t row = 0; row < table->count; row++)
        append_row(table, row, out);
    buffer_append_text(out, "</tbody></table></div>\n");
}

enum code view_report_render(const struct run_table *table, struct buffer *out, struct failure *why)
{
    buffer_append_text(out, page_head);
    buffer_append_text(out, page_style);
    append_colours(out);
    append_heading(table, out);
    buffer_append_text(out, "<div class=\"charts\">\n");
    for (size_t i = 0; i < table->metric_count && i < REPORT_CHARTS_MAX; i++) {
        enum code code = append_chart(table, table->metrics[i], out, why);
        if (code != CODE_OK)
            return code;
    }
    buffer_append_text(out, "</div>\n");
    append_table(table, out);
    buffer_append_text(out, "</body></html>\n");
    return buffer_check(out, "report.html", why);
}
