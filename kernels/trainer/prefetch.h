/* A thread that makes the next batch while the network works on the present one. */
#ifndef CYTOFS_PREFETCH_H
#define CYTOFS_PREFETCH_H

#include "batch.h"

struct prefetch;

/* Starts making batches first_step .. last_step, in order.  From here on the source's store and sampler
 * belong to the thread, until prefetch_destroy. */
MUST_CHECK enum code prefetch_create(const struct batch_source *source, int64_t first_step, int64_t last_step,
                                     struct prefetch **out, struct failure *why);
void prefetch_destroy(struct prefetch *prefetch);

int prefetch_slot(const struct prefetch *prefetch, int64_t step);

/* Waits for the next batch; it is the caller's until the next call, or with a queue until the one after that, when the
 * step before the last must be over.  With a queue, the batch of step s is the feed of slot prefetch_slot(s).  A failure of
 * the thread is returned here. */
MUST_CHECK enum code prefetch_next(struct prefetch *prefetch, const struct batch **out, struct failure *why);

#endif
