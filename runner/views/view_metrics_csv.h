/* experiments/<experiment>/<run>/metrics.csv: all metrics of a run as one table. */
#ifndef CYTOFS_VIEW_METRICS_CSV_H
#define CYTOFS_VIEW_METRICS_CSV_H

#include "buffer.h"
#include "failure.h"

struct metric_set;

#define METRICS_CSV_ROWS_MAX 1000000

MUST_CHECK enum code view_metrics_csv_render(const struct metric_set *metrics, struct buffer *out, struct failure *why);

#endif
