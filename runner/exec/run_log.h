/* A run's log: takes the program's output, appends it in batches, remembers the last line. */
#ifndef CYTOFS_RUN_LOG_H
#define CYTOFS_RUN_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"

#define RUN_LOG_DELAY_MS  500 /* output is in the file at most so much later */
#define RUN_LOG_BATCH     ((size_t)64 << 10)
#define RUN_LOG_BYTES_MAX ((uint64_t)256 << 20) /* of one attempt; what is more is dropped, and the log says so */
#define RUN_LOG_LINE_MAX  400                   /* bytes kept of the last line */

struct run_log {
    int fd;
    struct buffer batch;
    int64_t batch_since_ms; /* monotonic, when its first byte came */
    uint64_t written;
    char line[RUN_LOG_LINE_MAX + 1], last[RUN_LOG_LINE_MAX + 1]; /* being put together; the last one with something in it */
    size_t line_length;
};

/* Opens <folder>/log for appending, making it where it is missing. */
MUST_CHECK enum code run_log_open(struct run_log *log, const char *folder, struct failure *why);

/* Reads what `output` (non-blocking) has, up to a few batches.  *ended at its end. */
MUST_CHECK enum code run_log_take(struct run_log *log, int output, bool *ended, struct failure *why);

/* Appends the batch when it is due, or in any case. */
MUST_CHECK enum code run_log_flush(struct run_log *log, bool in_any_case, struct failure *why);

/* Milliseconds until the batch is due; -1: there is none. */
int run_log_due_ms(const struct run_log *log);

/* The last line that was not blank, without control characters; "". */
const char *run_log_last_line(struct run_log *log);
void run_log_close(struct run_log *log);

#endif
