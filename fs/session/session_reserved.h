/* What was set aside for this session's client (EXTRA_RESERVE): inode numbers, each for one file, and bytes of the member's
 * quota. */
#ifndef CYTOFS_SESSION_RESERVED_H
#define CYTOFS_SESSION_RESERVED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "extra.h"
#include "failure.h"

#define RESERVED_RANGES_MAX 64 /* the oldest is forgotten when there is one more */
#define RESERVED_BYTES_MAX  ((uint64_t)1 << 30)

struct reserved_range {
    uint64_t first;
    uint32_t count;                      /* 0: no range */
    uint8_t used[EXTRA_RESERVE_MAX / 8]; /* a bit a number */
};

struct session_reserved {
    pthread_mutex_t lock;          /* no other is taken under it */
    struct reserved_range *ranges; /* RESERVED_RANGES_MAX of them; NULL while there are none */
    unsigned next;                 /* where the next range goes */
    uint64_t bytes;                /* of the quota, up to RESERVED_BYTES_MAX */
};

void session_reserved_init(struct session_reserved *reserved);
void session_reserved_destroy(struct session_reserved *reserved);

/* From now on these, at most EXTRA_RESERVE_MAX, are this client's. */
MUST_CHECK enum code session_reserved_add(struct session_reserved *reserved, uint64_t first, uint32_t count,
                                          struct failure *why);

/* Whether the number is this client's and was not taken; then it is taken now.  And gives it back: nothing came of it. */
bool session_reserved_take(struct session_reserved *reserved, uint64_t number);
void session_reserved_give_back(struct session_reserved *reserved, uint64_t number);

/* How many bytes there may be more; and up to so many bytes more, or fewer: returns how many. */
uint64_t session_reserved_room(struct session_reserved *reserved);
void session_reserved_add_bytes(struct session_reserved *reserved, uint64_t bytes);
uint64_t session_reserved_take_bytes(struct session_reserved *reserved, uint64_t bytes);

/* Appends all numbers to *out, for a session that goes on after the server was started anew; takes such bytes up in a
 * session that has none yet (the bytes are the caller's): CODE_CORRUPT where they make no sense. */
void session_reserved_save(struct session_reserved *reserved, struct buffer *out);
MUST_CHECK enum code session_reserved_restore(struct session_reserved *reserved, const void *bytes, size_t count,
                                              struct failure *why);

#endif
