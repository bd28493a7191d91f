/* The node's ear: jobs/events, one line a change of any run. */
#ifndef CYTOFS_JOB_STREAM_H
#define CYTOFS_JOB_STREAM_H

#include <stdbool.h>

#include "buffer.h"
#include "failure.h"

#define JOB_TEXT_MAX 300

/* One line: the run at this path is now in this state. */
struct job_change {
    char run[JOB_TEXT_MAX];  /* "experiments/e/001" */
    char state[16];          /* "queued", ... */
    char node[JOB_TEXT_MAX]; /* "" where none has it */
};

struct job_stream {
    int fd;
    struct buffer pending; /* bytes of a line that is not whole yet */
};

MUST_CHECK enum code job_stream_open(struct job_stream *stream, const char *lab, struct failure *why);
void job_stream_close(struct job_stream *stream);

/* Reads once, without blocking, and calls `each` for every whole line; lines that are no change are passed over.  CODE_IO
 * at the end of the stream, or where reading fails: the lab is gone. */
MUST_CHECK enum code job_stream_read(struct job_stream *stream, void (*each)(void *context, const struct job_change *change),
                                     void *context, struct failure *why);

/* Parses one line, `count` bytes without the line feed.  False where it is no change, or names no run (a path of the form
 * experiments/<experiment>/<run>). */
bool job_change_parse(const char *line, size_t count, struct job_change *change);

#endif
