/* The JSON text that a model file carries: see FORMAT.md.  Apart from model_file.c only tests need it. */
#ifndef CYTOFS_MODEL_INFO_H
#define CYTOFS_MODEL_INFO_H

#include "model_file.h"

/* Appends the JSON of *info. */
void model_info_format(const struct model_info *info, struct buffer *out);

/* Parses it; every number is checked against its range.  `name` stands in texts. */
MUST_CHECK enum code model_info_parse(const char *json, const char *name, struct model_info *out, struct failure *why);

#endif
