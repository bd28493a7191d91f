/* experiments/<experiment>/board.csv: one row a run, best first. */
#ifndef CYTOFS_VIEW_BOARD_H
#define CYTOFS_VIEW_BOARD_H

#include "buffer.h"

struct run_table;

void view_board_render(const struct run_table *table, struct buffer *out);

#endif
