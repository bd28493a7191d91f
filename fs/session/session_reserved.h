/* The inode numbers that were set aside for this session's client (EXTRA_RESERVE), each for one file. */
#ifndef CYTOFS_SESSION_RESERVED_H
#define CYTOFS_SESSION_RESERVED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "extra.h"
#include "failure.h"

#define RESERVED_RANGES_MAX 64 /* the oldest is forgotten when there is one more */

struct reserved_range {
    uint64_t first;
    uint32_t count;                        /* 0: no range */
    uint8_t used[EXTRA_RESERVE_MAX / 8];   /* a bit a number */
};

struct session_reserved {
    pthread_mutex_t lock; /* no other is taken under it */
    struct reserved_range *ranges; /* RESERVED_RANGES_MAX of them; NULL while there are none */
    unsigned next;                 /* where the next range goes */
};

void session_reserved_init(struct session_reserved *reserved);
void session_reserved_destroy(struct session_reserved *reserved);

/* From now on these, at most EXTRA_RESERVE_MAX, are this client's. */
MUST_CHECK enum code session_reserved_add(struct session_reserved *reserved, uint64_t first, uint32_t count, struct failure *why);

/* Whether the number is this client's and was not taken; then it is taken now.  And gives it back: nothing came of it. */
bool session_reserved_take(struct session_reserved *reserved, uint64_t number);
void session_reserved_give_back(struct session_reserved *reserved, uint64_t number);

/* Appends all of it to *out, for a session that goes on after the server was started anew; takes such bytes up in a session that has
 * none yet: CODE_CORRUPT where they make no sense. */
void session_reserved_save(struct session_reserved *reserved, struct buffer *out);
MUST_CHECK enum code session_reserved_restore(struct session_reserved *reserved, const void *bytes, size_t count,
                                              struct failure *why);

#endif
