/* A layer that makes another chunk store fail on purpose: the n-th call of a kind fails, or damages bytes
 * silently, or every call takes longer.  For tests, and for trying out by flag how the rest of the program
 * bears it. */
#ifndef CYTOFS_CHUNK_STORE_FAULT_H
#define CYTOFS_CHUNK_STORE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "chunk_store.h"

enum chunk_store_call {
    CHUNK_STORE_PUT,
    CHUNK_STORE_GET,
    CHUNK_STORE_SYNC,
    CHUNK_STORE_SEAL,
    CHUNK_STORE_DROP_PACK,
    CHUNK_STORE_CALL_COUNT
};

struct chunk_store_fault {
    uint64_t first;      /* which call fails first, counted from 1 when the fault was set; 0: none */
    uint64_t repeat;     /* how many fail in a row from there; 0: all */
    enum code code;      /* what they return, without reaching the store below */
    bool tear;           /* put, get: instead of failing, the second half of the bytes is turned to zeros and the call
                          * returns CODE_OK, as a disk that lies would */
    uint32_t latency_us; /* added to every call of the kind */
};

/* Takes over `below`, which is destroyed with the layer (and on failure stays the caller's). */
MUST_CHECK enum code chunk_store_fault_create(struct chunk_store *below, struct chunk_store **out, struct failure *why);

/* Sets the fault of one kind of call, and counts its calls from 1 again.  `store` is what create made.  A
 * zeroed fault takes it away. */
void chunk_store_fault_set(struct chunk_store *store, enum chunk_store_call call, const struct chunk_store_fault *fault);

/* How many calls of the kind were made since its fault was set. */
uint64_t chunk_store_fault_calls(struct chunk_store *store, enum chunk_store_call call);

#endif
