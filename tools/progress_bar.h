/* A progress bar on a terminal; on anything else, nothing. */
#ifndef CYTOFS_PROGRESS_BAR_H
#define CYTOFS_PROGRESS_BAR_H

#include <stdbool.h>
#include <stdint.h>

struct progress_bar {
    bool visible; /* standard error is a terminal */
    int64_t started_ms;
    int64_t drawn_ms; /* the last time; redrawn at most 5 times a second */
};

void progress_bar_start(struct progress_bar *bar);

/* label: what is being done; done of total (total 0: unknown) in `unit`. */
void progress_bar_draw(struct progress_bar *bar, const char *label, int64_t done, int64_t total, const char *unit);

/* Clears the line. */
void progress_bar_end(struct progress_bar *bar);

#endif
