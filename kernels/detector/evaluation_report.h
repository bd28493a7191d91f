/* An evaluation as text: a table for people, Markdown for the model card, JSON for scripts. */
#ifndef CYTOFS_EVALUATION_REPORT_H
#define CYTOFS_EVALUATION_REPORT_H

#include "buffer.h"
#include "evaluation.h"
#include "model_file.h"

/* Figures that are not defined (a class without objects) are "-" in tables and null in JSON. */
void evaluation_report_table(const struct evaluation *evaluation, const struct model_info *info, struct buffer *out);
void evaluation_report_markdown(const struct evaluation *evaluation, const struct model_info *info, struct buffer *out);
void evaluation_report_json(const struct evaluation *evaluation, const struct model_info *info, struct buffer *out);

#endif
