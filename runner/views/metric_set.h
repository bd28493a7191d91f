/* The metrics of one run: every file below its metrics/, read with stated limits. */
#ifndef CYTOFS_METRIC_SET_H
#define CYTOFS_METRIC_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"
#include "metric_series.h"

struct tree;

#define METRIC_KEYS_MAX    200
#define METRIC_DEPTH_MAX   4                  /* components in a key: a/b/c/d */
#define METRIC_BYTES_WHOLE ((size_t)16 << 20) /* of one file, from its end: some 400,000 lines */
#define METRIC_BYTES_TAIL  4096

struct metric_set {
    struct metric_series *items; /* by key */
    size_t count;
    bool cut; /* there are more keys than METRIC_KEYS_MAX, or deeper ones */
};

/* Reads the last bytes_max bytes of each file below <run>/metrics.  run is a path from the root.  A run without that
 * folder has no metrics; a file that cannot be read is shown as a series without points. */
MUST_CHECK enum code metric_set_read(struct tree *tree, const char *run, size_t bytes_max, struct metric_set *out,
                                     struct failure *why);

/* As metric_set_read, but only keys whose plot (metric_set_plot_name) has this name. */
MUST_CHECK enum code metric_set_read_plot(struct tree *tree, const char *run, const char *plot_name, struct metric_set *out,
                                          struct failure *why);
void metric_set_free(struct metric_set *set);

/* The series with this key; NULL where there is none. */
const struct metric_series *metric_set_find(const struct metric_set *set, const char *key);

/* Calls `each` with every key, in order, without reading the files. */
MUST_CHECK enum code metric_set_visit_keys(struct tree *tree, const char *run, void (*each)(void *context, const char *key),
                                           void *context, struct failure *why);

/* "val-ap50.png" for val/ap50.  Keys that fall together ("a/b" and "a-b") share a plot.  False where the name would be
 * too long for a file. */
bool metric_set_plot_name(const char *key, char name[256]);

#endif
