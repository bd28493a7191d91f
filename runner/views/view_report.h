/* experiments/<experiment>/report.html: the runs of an experiment for any browser. */
#ifndef CYTOFS_VIEW_REPORT_H
#define CYTOFS_VIEW_REPORT_H

#include "buffer.h"
#include "failure.h"

struct run_table;

#define REPORT_CURVES_MAX 14 /* runs drawn: the best ones */
#define REPORT_CHARTS_MAX 40 /* metrics drawn */

MUST_CHECK enum code view_report_render(const struct run_table *table, struct buffer *out, struct failure *why);

#endif
