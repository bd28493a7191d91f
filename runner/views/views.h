/* The derived files that show runs: status, metrics.csv, plots, board.csv, report.html. */
#ifndef CYTOFS_VIEWS_H
#define CYTOFS_VIEWS_H

#include "failure.h"

struct tree;

/* Adds their rules to a tree that is not served yet. */
MUST_CHECK enum code views_add(struct tree *tree, struct failure *why);

#endif
