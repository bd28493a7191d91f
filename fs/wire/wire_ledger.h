/* Inside fs/wire: one end's account of a link: messages that were sent and not acknowledged, and how many were received.
 *
 *     first ........ next ........ last
 *     |-- written --||-- waiting --|           all of them are kept
 *
 * Invariants: 1. acknowledged <= written <= sent; 2. exactly the messages acknowledged + 1 .. sent are kept, in order; 3.
 * `next` is message written + 1, or NULL where all are written.  Guarded by its link's lock. */
#ifndef CYTOFS_WIRE_LEDGER_H
#define CYTOFS_WIRE_LEDGER_H

#include "wire_link.h"

struct wire_kept {
    struct wire_kept *next;
    uint32_t length;
    uint8_t bytes[];
};

struct wire_ledger {
    struct wire_kept *first, *last, *next;
    uint64_t acknowledged, written, sent; /* messages; written: to the present connection, whole */
    uint64_t received;                    /* of the other side's, handed over */
    size_t bytes;                         /* kept, with what keeping them costs */
};

/* Copies a message.  CODE_AGAIN beyond WIRE_WINDOW_MAX, CODE_INVALID where it is empty or too long. */
MUST_CHECK enum code wire_ledger_add(struct wire_ledger *ledger, const struct iovec *parts, int count, struct failure *why);

/* `next` is on its way whole. */
void wire_ledger_mark_written(struct wire_ledger *ledger);

/* The other side has so many of ours: they need not be kept.  CODE_CORRUPT where it claims more than were written. */
MUST_CHECK enum code wire_ledger_acknowledge(struct wire_ledger *ledger, uint64_t count, struct failure *why);

/* A new connection, whose other side has so many of ours: all others are to be written again.  CODE_CORRUPT where that makes
 * no sense. */
MUST_CHECK enum code wire_ledger_rewind(struct wire_ledger *ledger, uint64_t count, struct failure *why);

/* Whether it would make sense. */
bool wire_ledger_reaches(const struct wire_ledger *ledger, uint64_t count);

/* Drops all, counts from 0. */
void wire_ledger_clear(struct wire_ledger *ledger);

/* Appends it to *out; reads it from the front of `count` bytes, *taken of them.  Layout: PROTOCOL.md. */
void wire_ledger_save(const struct wire_ledger *ledger, struct buffer *out);
MUST_CHECK enum code wire_ledger_restore(struct wire_ledger *ledger, const uint8_t *bytes, size_t count, size_t *taken,
                                         struct failure *why);

#endif
