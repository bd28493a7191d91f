/* Inside fs/relay: contents of files, in pieces, kept in memory within a bound; fetched by node, without a handle. */
#ifndef CYTOFS_RELAY_PIECE_H
#define CYTOFS_RELAY_PIECE_H

#include "relay_call.h"

#define RELAY_PIECE_BUCKETS 16384

struct relay_node;

struct relay_piece {
    struct relay_piece *next;            /* in its bucket */
    struct relay_piece *before, *behind; /* by use */
    struct relay_piece *sibling;         /* the node's next */
    struct relay_node *node;
    uint64_t index;
    uint64_t version;          /* relay_node_version of the contents */
    struct relay_bytes *bytes; /* NULL: being fetched */
    uint32_t count;            /* of bytes that are contents */
    uint32_t from;             /* where they begin */
    struct relay_queue waiting;
};

struct relay_pieces {
    struct relay_piece *buckets[RELAY_PIECE_BUCKETS];
    struct relay_piece *oldest, *newest;
    size_t bytes, fetching_bytes;
};

/* Answers a READ of a stored file from its pieces, or parks it until they are there. */
void relay_piece_read(struct relay *relay, struct relay_output *out, struct relay_handle *handle,
                      struct relay_request *request);

/* Sees to it that the piece is there or on its way; false where that would be too much at once. */
bool relay_piece_want(struct relay *relay, struct relay_output *out, struct relay_node *node, uint64_t index);

/* Drops what is kept of a file; those who wait look again. */
void relay_piece_drop_all(struct relay *relay, struct relay_node *node);

bool relay_piece_is_here(struct relay *relay, const struct relay_node *node, uint64_t index);

#endif
