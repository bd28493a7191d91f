/* The progress bar: see progress_bar.h.  One line, redrawn in place with a carriage return. */
#include "progress_bar.h"

#include <stdio.h>
#include <unistd.h>

#include "timing.h"

#define BAR_CELLS          30
#define REDRAW_INTERVAL_MS 200

void progress_bar_start(struct progress_bar *bar)
{
    *bar = (struct progress_bar){.visible = isatty(STDERR_FILENO) != 0, .started_ms = timing_monotonic_ms()};
}

static void print_time_left(int64_t elapsed_ms, int64_t done, int64_t total)
{
    if (done <= 0 || total <= done)
        return;
    int64_t left_s = elapsed_ms * (total - done) / done / 1000;
    if (left_s >= 60)
        fprintf(stderr, "  %ld min %02ld s left", (long)(left_s / 60), (long)(left_s % 60));
    else
        fprintf(stderr, "  %ld s left", (long)left_s);
}

void progress_bar_draw(struct progress_bar *bar, const char *label, int64_t done, int64_t total, const char *unit)
{
    int64_t now_ms = timing_monotonic_ms();
    if (!bar->visible || (now_ms - bar->drawn_ms < REDRAW_INTERVAL_MS && done != total))
        return;
    bar->drawn_ms = now_ms;
    if (total <= 0) {
        fprintf(stderr, "\r\033[K%s  %ld %s", label, (long)done, unit);
    } else {
        int filled = (int)((done < total ? done : total) * BAR_CELLS / total);
        fprintf(stderr, "\r\033[K%s  [", label);
        for (int cell = 0; cell < BAR_CELLS; cell++)
            fputc(cell < filled ? '#' : '.', stderr);
        fprintf(stderr, "] %ld/%ld %s", (long)done, (long)total, unit);
        print_time_left(now_ms - bar->started_ms, done, total);
    }
    fflush(stderr);
}

void progress_bar_end(struct progress_bar *bar)
{
    if (bar->visible && bar->drawn_ms) {
        fprintf(stderr, "\r\033[K");
        fflush(stderr);
    }
}
