/* Which images train, which validate, which test.  Private to this folder. */
#ifndef CYTOFS_SPLITS_H
#define CYTOFS_SPLITS_H

#include "assembly.h"
#include "dataset.h"
#include "failure.h"

/* Splits by lists of names, before the assembly is finished; *source is then "ImageSets/Main" or "train.txt",
 * else NULL. */
MUST_CHECK enum code splits_read_lists(struct assembly *assembly, const char **source, struct failure *why);

/* Splits by folder names or by a hash of the path where nothing else did (*source is NULL), and sees that
 * there is something to train and to validate on.  What it had to change is told in `warnings` (may be NULL).
 */
void splits_complete(struct dataset *dataset, const char **source, struct buffer *warnings);

#endif
