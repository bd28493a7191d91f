/* A lab in memory with some runs in it, for tests of what is derived from them. */
#ifndef CYTOFS_VIEW_LAB_H
#define CYTOFS_VIEW_LAB_H

#include "buffer.h"
#include "tree_path.h"

/* A tree with the rules of views. */
struct tree *view_lab_make(void);
void view_lab_close(struct tree *tree);

/* Makes the folders above, and the file. */
void view_lab_put(struct tree *tree, const char *path, const char *text);

/* A run with the folders of a submitted one: claimed and started on box-1 at 10:00:00 and 10:00:05 of 2026-11-22. */
void view_lab_put_run(struct tree *tree, const char *run);

/* Appends `finished` (with this model) or `failed` (with this reason) at ms. */
void view_lab_finish(struct tree *tree, const char *run, long long ms, const char *model);
void view_lab_fail(struct tree *tree, const char *run, long long ms, const char *reason);

/* Appends `lost`. */
void view_lab_lose(struct tree *tree, const char *run, long long ms, const char *reason);

/* Appends a line of a metric. */
void view_lab_measure(struct tree *tree, const char *run, const char *key, long long ms, double value, long long step);

/* The contents of a derived file; fails the test where they differ in length from the size that is shown. */
void view_lab_read(struct tree *tree, const char *path, struct buffer *out);

#define VIEW_LAB_START_MS 1795341600000LL /* 2026-11-22 10:00:00 UTC */

#endif
