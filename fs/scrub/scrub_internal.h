/* What scrub.c and scrub_pack.c share. */
#ifndef CYTOFS_SCRUB_INTERNAL_H
#define CYTOFS_SCRUB_INTERNAL_H

#include <stddef.h>

#include "scrub.h"

struct scrub {
    const struct scrub_options *options;
    struct scrub_summary *summary;
    uint64_t bytes_all, blank_pages;
    int64_t owed_ns, paid_ns; /* how long to sleep yet, as of when (monotonic) */
};

void scrub_tell(struct scrub *scrub, enum scrub_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* After each piece of work: counts it, keeps the rate; false when scrubbing is to stop. */
bool scrub_step(struct scrub *scrub, uint64_t bytes);
enum code scrub_interrupted(struct failure *why);

const char *scrub_side_path(const struct scrub *scrub, size_t side);
bool scrub_has_side(const struct scrub *scrub, size_t side);

/* The packs of one side. */
MUST_CHECK enum code scrub_packs(struct scrub *scrub, size_t side, struct failure *why);

/* The audit log of one side. */
MUST_CHECK enum code scrub_audit(struct scrub *scrub, size_t side, struct failure *why);

/* The log of recent writes of one side. */
MUST_CHECK enum code scrub_recent(struct scrub *scrub, size_t side, struct failure *why);

#endif
