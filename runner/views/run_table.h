/* The runs of one experiment side by side: what board.csv and report.html show. */
#ifndef CYTOFS_RUN_TABLE_H
#define CYTOFS_RUN_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"
#include "run_facts.h"

#define RUN_TABLE_RUNS_MAX    1000 /* the newest; older ones are counted */
#define RUN_TABLE_COLUMNS_MAX 100  /* parameters, and as many metrics */

struct run_table {
    char experiment[RUN_TEXT_MAX];
    struct run_facts *runs; /* best first, see run_table_arrange */
    size_t count;
    size_t runs_left_out;
    const char **parameters; /* every parameter that some run has, sorted; the texts belong to the runs */
    size_t parameter_count;
    const char **metrics;
    size_t metric_count;
    bool columns_cut;      /* there are more parameters or metrics than RUN_TABLE_COLUMNS_MAX */
    const char *ranked_by; /* the metric that orders the runs; NULL: newest first */
    bool higher_is_better;
};

/* Reads the runs below the folder `experiment` ("experiments/e"), the last metric_bytes of each metric, and arranges them. A
 * run that cannot be read is left out. */
MUST_CHECK enum code run_table_read(struct tree *tree, const char *experiment, size_t metric_bytes, struct run_table *out,
                                    struct failure *why);

/* Finds the columns and the ranking, and sorts runs[0 .. count): by val/ap50 where some run has it, else by the first key
 * that sounds like a score (ap50, map, accuracy, auc, f1, dice, iou; the higher the better), else like a loss (loss,
 * error; the lower the better), else newest first.  Runs without that metric come last, newest first. */
MUST_CHECK enum code run_table_arrange(struct run_table *table, struct failure *why);
void run_table_free(struct run_table *table);

#endif
