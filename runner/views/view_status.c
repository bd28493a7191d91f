/* The text of status.
 *
 * Lines "<label>:<blanks><text>", the state first, so that `head -1`, `grep ^reason` and a YAML reader all work; the bar is
 * drawn from the program's own progress file.  Nothing depends on the present time: the same stored files give the same
 * text, so its size and modification time hold still, and "so far" means up to the newest stored line.
 * Pure; any thread.
 */
#include "view_status.h"

#include <stdio.h>
#include <string.h>

#include "run_facts.h"
#include "time_text.h"
#include "utf8_text.h"

#define BAR_CELLS     30
#define METRICS_SHOWN 30

static void append_label(struct buffer *out, const char *label)
{
    buffer_printf(out, "%s:%*s", label, (int)(11 - strlen(label)), "");
}

static void append_line(struct buffer *out, const char *label, const char *text)
{
    if (!text[0])
        return;
    append_label(out, label);
    utf8_text_append(out, text, strlen(text), RUN_TEXT_MAX);
    buffer_append_text(out, "\n");
}

static void append_moment(struct buffer *out, const char *label, int64_t ms)
{
    char text[TIME_TEXT_MAX];
    if (ms <= 0)
        return;
    time_text_moment(ms, text);
    append_line(out, label, text);
}

static void append_duration(const struct run_facts *facts, struct buffer *out)
{
    if (facts->summary.started_ms <= 0)
        return;
    char text[TIME_TEXT_MAX];
    time_text_duration(run_facts_duration_s(facts), text);
    append_label(out, "ran");
    buffer_printf(out, "%s%s\n", text, run_state_is_over(facts->summary.state) ? "" : " so far");
}

static void append_progress(const struct run_facts *facts, struct buffer *out)
{
    const struct run_progress *progress = &facts->progress;
    if (!progress->known)
        return;
    char unit[3 * sizeof progress->unit + 1];
    SCOPE_BUFFER clean = {0};
    utf8_text_append(&clean, progress->unit, strlen(progress->unit), sizeof progress->unit);
    snprintf(unit, sizeof unit, "%s", buffer_text(&clean));
    append_label(out, "progress");
    if (progress->total <= 0) {
        buffer_printf(out, "%.10g %s", progress->done, unit);
    } else {
        double part = progress->done / progress->total;
        part = part < 0 ? 0 : part > 1 ? 1 : part;
        int full = (int)(part * BAR_CELLS);
        buffer_append_text(out, "[");
        for (int cell = 0; cell < BAR_CELLS; cell++)
            buffer_append_text(out, cell < full ? "#" : cell == full ? ">" : ".");
        buffer_printf(out, "] %5.1f %%   %.10g of %.10g %s", part * 100, progress->done, progress->total, unit);
    }
    if (progress->per_second > 0)
        buffer_printf(out, ", %.4g a second", progress->per_second);
    double left = progress->total - progress->done;
    if (progress->per_second > 0 && left > 0 && !run_state_is_over(facts->summary.state)) {
        char text[TIME_TEXT_MAX];
        time_text_duration(left / progress->per_second, text);
        buffer_printf(out, ", %s left", text);
    }
    buffer_append_text(out, "\n");
}

static size_t widest_key(const struct metric_set *metrics)
{
    size_t widest = 0;
    for (size_t i = 0; i < metrics->count && i < METRICS_SHOWN; i++) {
        size_t length = strlen(metrics->items[i].key);
        widest = length > widest ? length : widest;
    }
    return widest < 32 ? widest : 32;
}

static void append_metrics(const struct metric_set *metrics, struct buffer *out)
{
    if (metrics->count == 0)
        return;
    size_t width = widest_key(metrics), skipped = 0;
    buffer_append_text(out, "metrics:\n");
    for (size_t i = 0; i < metrics->count; i++) {
        const struct metric_series *series = &metrics->items[i];
        const struct metric_point *last = metric_series_last(series);
        skipped += series->lines_skipped;
        if (!last || i >= METRICS_SHOWN)
            continue;
        size_t length = strlen(series->key);
        buffer_append_text(out, "  ");
        utf8_text_append(out, series->key, length, 60);
        buffer_printf(out, ":%*s%-12.6g step %lld\n", (int)(length < width ? width - length + 2 : 2), "", last->value,
                      (long long)last->step);
    }
    if (metrics->count > METRICS_SHOWN)
        buffer_printf(out, "  (%zu more, see metrics/)\n", metrics->count - METRICS_SHOWN);
    if (metrics->cut)
        buffer_printf(out, "  (metrics/ holds more than %d keys, or keys of more than %d parts: those are not shown)\n",
                      METRIC_KEYS_MAX, METRIC_DEPTH_MAX);
    if (skipped)
        buffer_printf(out, "  (%zu of the last lines read are no metric, \"<ms> <value> <step>\": skipped)\n", skipped);
}

/* A run that goes on after it was lost carries that reason still: it must not look like the present one. */
static void append_reason(const struct run_summary *summary, struct buffer *out)
{
    if (run_state_is_over(summary->state) || summary->state == RUN_CANCELLING || !summary->reason[0]) {
        append_line(out, "reason", summary->reason);
        return;
    }
    char text[sizeof summary->reason + 40];
    snprintf(text, sizeof text, "an earlier attempt was lost: %s", summary->reason);
    append_line(out, "note", text);
}

void view_status_render(const struct run_facts *facts, struct buffer *out)
{
    append_line(out, "state", run_state_name(facts->summary.state));
    append_reason(&facts->summary, out);
    append_line(out, "job", facts->summary.job);
    append_line(out, "member", facts->summary.member);
    append_moment(out, "submitted", facts->summary.submitted_ms);
    append_line(out, "node", facts->summary.node);
    if (facts->summary.attempt > 1) {
        append_label(out, "attempt");
        buffer_printf(out, "%d\n", facts->summary.attempt);
    }
    append_moment(out, "started", facts->summary.started_ms);
    append_moment(out, "ended", facts->summary.ended_ms);
    append_duration(facts, out);
    append_progress(facts, out);
    append_line(out, "model", facts->summary.model);
    append_metrics(&facts->metrics, out);
    append_line(out, "output", facts->output);
}
