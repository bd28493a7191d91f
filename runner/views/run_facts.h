/* All that the derived files show of one run, read from its stored files into plain values. */
#ifndef CYTOFS_RUN_FACTS_H
#define CYTOFS_RUN_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "metric_set.h"
#include "run_state.h"

struct tree;

#define RUN_TEXT_MAX        300 /* bytes in a name, reason or path shown; longer ones are cut */
#define RUN_PARAMETERS_MAX  100
#define RUN_PARAMETER_BYTES 1024 /* of one value; what is longer is cut */

struct run_parameter {
    char *key, *value; /* owned; the value without its last line feed */
};

/* The line "<done> <total> <unit> <per second>" of a run's progress file. */
struct run_progress {
    bool known;
    double done, total; /* total 0: not known */
    double per_second;  /* 0: not known */
    char unit[32];      /* "steps" */
};

struct run_facts {
    char experiment[RUN_TEXT_MAX], name[RUN_TEXT_MAX]; /* "nuclei", "003" */
    struct run_summary summary;                        /* what its events say */
    int64_t seen_ms;                                   /* when the newest event or metric was written, since 1970 */
    struct run_progress progress;
    struct run_parameter *parameters; /* by key */
    size_t parameter_count;
    struct metric_set metrics;
    char output[RUN_TEXT_MAX]; /* the last line of the log; "" */
};

/* Reads the run at the path `run` ("experiments/e/001"); of each metric the last metric_bytes bytes.  CODE_NOT_FOUND where
 * it has no events: then it is no run.  Anything else that cannot be read is left out, so that one bad file hides
 * nothing else.  *out is the caller's to free on CODE_OK. */
MUST_CHECK enum code run_facts_read(struct tree *tree, const char *run, size_t metric_bytes, struct run_facts *out,
                                    struct failure *why);
void run_facts_free(struct run_facts *facts);

/* The value of a parameter; NULL where it has none of that name. */
const char *run_facts_parameter(const struct run_facts *facts, const char *key);

/* How long it has run, or ran, in seconds as far as its files tell; 0 before it started. */
double run_facts_duration_s(const struct run_facts *facts);

/* Parses the text of a progress file; known stays false where it is none. */
struct run_progress run_facts_parse_progress(const char *text);

#endif
