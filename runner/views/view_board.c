/* The table "run,state,started,duration_s,member,job,node,model,<metric>...,params/<key>...,reason".
 *
 * A metric's column is headed by its key and holds its last value; parameters carry "params/" in front, so the two never
 * fall together.  Where runs or columns had to be left out, a last row says so in its column "state", with "..." for its
 * run. Fields are quoted as in RFC 4180; lines end in a line feed alone.  Pure; any thread.
 */
#include "view_board.h"

#include <stdio.h>
#include <string.h>

#include "run_table.h"
#include "time_text.h"

static void append_field(struct buffer *out, const char *text)
{
    buffer_append_text(out, ",");
    buffer_append_csv(out, text);
}

static void append_heading(const struct run_table *table, struct buffer *out)
{
    buffer_append_text(out, "run,state,started,duration_s,member,job,node,model");
    for (size_t i = 0; i < table->metric_count; i++)
        append_field(out, table->metrics[i]);
    for (size_t i = 0; i < table->parameter_count; i++) {
        SCOPE_BUFFER heading = {0};
        buffer_printf(&heading, "params/%s", table->parameters[i]);
        append_field(out, buffer_text(&heading));
    }
    buffer_append_text(out, ",reason\n");
}

static void append_row(const struct run_table *table, const struct run_facts *run, struct buffer *out)
{
    char started[TIME_TEXT_MAX] = "";
    if (run->summary.started_ms > 0)
        time_text_iso(run->summary.started_ms, started);
    buffer_append_csv(out, run->name);
    append_field(out, run_state_name(run->summary.state));
    append_field(out, started);
    buffer_append_text(out, ",");
    if (run->summary.started_ms > 0)
        buffer_printf(out, "%.1f", run_facts_duration_s(run));
    append_field(out, run->summary.member);
    append_field(out, run->summary.job);
    append_field(out, run->summary.node);
    append_field(out, run->summary.model);
    for (size_t i = 0; i < table->metric_count; i++) {
        const struct metric_series *series = metric_set_find(&run->metrics, table->metrics[i]);
        const struct metric_point *last = series ? metric_series_last(series) : NULL;
        buffer_append_text(out, ",");
        if (last)
            buffer_printf(out, "%.10g", last->value);
    }
    for (size_t i = 0; i < table->parameter_count; i++) {
        const char *value = run_facts_parameter(run, table->parameters[i]);
        append_field(out, value ? value : "");
    }
    append_field(out, run->summary.reason);
    buffer_append_text(out, "\n");
}

static void append_what_is_missing(const struct run_table *table, struct buffer *out)
{
    if (table->runs_left_out == 0 && !table->columns_cut)
        return;
    char text[200];
    int used = 0;
    if (table->runs_left_out)
        used = snprintf(text, sizeof text, "%zu older runs are not shown. ", table->runs_left_out);
    if (table->columns_cut)
        snprintf(text + used, sizeof text - (size_t)used, "Only %d parameters and %d metrics are shown.",
                 RUN_TABLE_COLUMNS_MAX, RUN_TABLE_COLUMNS_MAX);
    buffer_append_text(out, "...");
    append_field(out, text);
    for (size_t i = 0; i < 7 + table->metric_count + table->parameter_count; i++)
        buffer_append_text(out, ",");
    buffer_append_text(out, "\n");
}

void view_board_render(const struct run_table *table, struct buffer *out)
{
    append_heading(table, out);
    for (size_t i = 0; i < table->count; i++)
        append_row(table, &table->runs[i], out);
    append_what_is_missing(table, out);
}
