/* Inside runner/spec: adding findings in order of place. */
#ifndef CYTOFS_SPEC_FINDINGS_H
#define CYTOFS_SPEC_FINDINGS_H

#include "spec.h"

/* Keeps the list sorted by line and column; findings beyond SPEC_FINDINGS_MAX, and a second one with the same
 * text and place, are dropped. */
void spec_findings_add(struct spec_findings *findings, int line, int column, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
