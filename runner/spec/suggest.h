/* "Did you mean": the nearest of some names. */
#ifndef CYTOFS_SUGGEST_H
#define CYTOFS_SUGGEST_H

#include <stddef.h>

/* How many letters must be changed, added, removed, or swapped with their neighbour to make b from a,
 * ignoring case; texts are looked at up to SUGGEST_NAME_MAX bytes. */
#define SUGGEST_NAME_MAX 64
int suggest_distance(const char *a, const char *b);

/* The nearest of `names` (ends with NULL) to `word`, or NULL where none is near: at most a third of the
 * letters differ. */
const char *suggest_nearest(const char *word, const char *const *names);

#endif
