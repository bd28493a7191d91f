/* experiments/<experiment>/<run>/status: how a run is doing, for a person. */
#ifndef CYTOFS_VIEW_STATUS_H
#define CYTOFS_VIEW_STATUS_H

#include "buffer.h"

struct run_facts;

void view_status_render(const struct run_facts *facts, struct buffer *out);

#endif
