/* What a member may use: limits, and the words in which they are given.  Pure. */
#ifndef CYTOFS_QUOTA_H
#define CYTOFS_QUOTA_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"

enum quota_kind {
    QUOTA_STORAGE, /* bytes: the sum of the sizes of the member's files */
    QUOTA_JOBS,    /* runs that wait or run */
    QUOTA_GPUS,    /* that the member's runs have at once */
    QUOTA_CPUS,    /* the same */
    QUOTA_KINDS
};

#define QUOTA_UNSET     UINT64_MAX       /* nothing is said: what everyone has */
#define QUOTA_UNLIMITED (UINT64_MAX - 1) /* none, whatever everyone has */
#define QUOTA_EVERYONE  "everyone"       /* no member can be called so */
#define QUOTA_MOST      ((uint64_t)INT64_MAX)

struct quota {
    uint64_t most[QUOTA_KINDS]; /* up to QUOTA_MOST, or one of the two */
};

extern const struct quota quota_unset;

/* "storage", "jobs", "gpus", "cpus". */
const char *quota_kind_name(enum quota_kind kind);

/* Changes *quota by words like "storage=100G jobs=4 gpus=none cpus=default": K, M, G, T are powers of 1024, "none" is no
 * limit, "default" what everyone has.  CODE_INVALID, and *quota as it was, where a word is not understood. */
MUST_CHECK enum code quota_change(struct quota *quota, const char *text, size_t count, struct failure *why);

/* What holds for somebody who has `own` where everyone has `everyone`: nothing of it is QUOTA_UNSET. */
struct quota quota_effective(const struct quota *own, const struct quota *everyone);

/* "1.5 GiB", "12 bytes". */
#define QUOTA_TEXT_MAX 32
void quota_print_bytes(uint64_t bytes, char text[QUOTA_TEXT_MAX]);

/* A limit in words: "100.0 GiB", "4", "no limit". */
void quota_print_most(enum quota_kind kind, uint64_t most, struct buffer *out);

#endif
