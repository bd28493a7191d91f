/* Pieces: the contents of chunks in memory, because they were changed or because parts of them were read.  All calls
 * with the tree's lock held.
 */
#ifndef CYTOFS_TREE_PIECE_H
#define CYTOFS_TREE_PIECE_H

#include "catalog_chunk.h"
#include "tree_internal.h"

struct piece {
    struct node *node;
    uint64_t index;    /* of the chunk in the file */
    uint32_t length;   /* bytes in data that count, up to TREE_CHUNK_BYTES; behind them the chunk is zeros */
    uint32_t capacity; /* bytes allocated */
    bool unfilled;     /* made to be overwritten, and not yet: dropped if that fails */
    bool fresh;        /* the file had no such chunk when the piece was made */
    enum piece_state { PIECE_CLEAN, PIECE_DIRTY, PIECE_STORED } state;
    uint64_t change;          /* number of its last change, out of tree->piece_changes */
    struct catalog_chunk row; /* PIECE_STORED: what is to be named */
    uint8_t *data;            /* NULL where the contents lie in the store only, at `row` */
    bool lent;                /* the data are a writer's, who stores them now (contents_settle): they are not changed */
    struct piece *hash_next;
    struct piece *node_previous, *node_next; /* the node's pieces */
    struct piece *list_previous, *list_next; /* the tree's list of pieces in that state */
};

/* The piece, or NULL where that chunk is not in memory. */
struct piece *piece_peek(struct tree *tree, const struct node *node, uint64_t index);

/* The piece with room for `capacity` bytes, loaded from the chunk store if the file has something there (unless
 * `overwritten`: the caller is going to replace all of it).  Clean when it is new. */
MUST_CHECK enum code piece_get(struct tree *tree, struct node *node, uint64_t index, uint32_t capacity, bool overwritten,
                               struct piece **out, struct failure *why);

/* The contents were changed, or are about to be. */
void piece_mark_dirty(struct tree *tree, struct piece *piece);

/* These contents, since their last change, lie in the store at `row`.  Lent data are given back. */
void piece_mark_stored(struct tree *tree, struct piece *piece, const struct catalog_chunk *row);

/* Puts a chunk that lies in the store in the place of whatever the node had there.  `reserved` comes from piece_reserve,
 * so this cannot fail. */
struct piece *piece_reserve(struct tree *tree);
void piece_install(struct tree *tree, struct node *node, struct piece *reserved, const struct catalog_chunk *row);

/* The same with a whole chunk that a writer lends: dirty.  Gives the number of the change. */
uint64_t piece_lend(struct tree *tree, struct node *node, struct piece *reserved, uint64_t index, const uint8_t *bytes);

/* Gives a piece whose data are lent a copy of its own; CODE_NO_MEMORY. */
MUST_CHECK enum code piece_own(struct tree *tree, struct piece *piece, struct failure *why);

/* Names a dirty or stored piece in the catalog; inside an operation of the catalog, and piece_mark_clean when that was kept.
 * One that is not in the store yet is sealed into it first.  A piece of zeros becomes a hole. */
MUST_CHECK enum code piece_write_out(struct tree *tree, struct piece *piece, struct failure *why);
void piece_mark_clean(struct tree *tree, struct piece *piece);

/* A chunk of zeros is not stored. */
bool piece_is_zero(const uint8_t *bytes, size_t count);

/* Keeps a copy of what was just read, to be read again; does nothing where the piece exists or memory is short. */
void piece_keep(struct tree *tree, struct node *node, uint64_t index, const void *bytes, uint32_t length);

/* Forgets the node's unfilled pieces: the chunks are what they were. */
void piece_drop_unfilled(struct tree *tree, struct node *node);

/* Forgets the node's pieces from `index` on, changed or not; the caller settles the node. */
void piece_drop_from(struct tree *tree, struct node *node, uint64_t index);

/* The same for those with from <= index < to. */
void piece_drop_range(struct tree *tree, struct node *node, uint64_t from, uint64_t to);

/* Reads and opens a chunk into TREE_CHUNK_BYTES of plain; *length is what it holds.  Without the lock, but with
 * tree->packs_lock for reading. */
struct seal_place;
MUST_CHECK enum code piece_read_chunk(struct tree *tree, const struct seal_place *place, const struct catalog_chunk *row,
                                      uint8_t *plain, uint32_t *length, struct failure *why);

void piece_free_all(struct tree *tree);

#endif
