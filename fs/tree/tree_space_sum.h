/* The sums of spaces: what the proofs of all inodes of a space add up to, and what they and the few other rows that matter
 * are sealed with at each commit.  With the tree's lock held.
 */
#ifndef CYTOFS_TREE_SPACE_SUM_H
#define CYTOFS_TREE_SPACE_SUM_H

#include "tree_internal.h"

/* sum + weight and sum - weight modulo 2^128, both of TREE_SUM_BYTES, little-endian. */
void space_sum_plus(uint8_t *sum, const uint8_t *weight);
void space_sum_minus(uint8_t *sum, const uint8_t *weight);

/* A row with this proof is in the catalog now, or is no more. */
void space_sum_add(struct tree *tree, uint64_t space, const uint8_t *proof);
void space_sum_subtract(struct tree *tree, uint64_t space, const uint8_t *proof);

/* The same, once the operation under way is kept. */
void space_sum_add_if_kept(struct tree *tree, uint64_t space, const uint8_t *proof);
void space_sum_subtract_if_kept(struct tree *tree, uint64_t space, const uint8_t *proof);

/* An operation begins; ended, and was kept or not. */
void space_sum_begin(struct tree *tree);
void space_sum_end(struct tree *tree, bool kept);

/* Puts the digests and the number of the commit to come into the catalog's transaction. */
MUST_CHECK enum code space_sum_seal(struct tree *tree, struct failure *why);

/* Holds every row of inodes and every digest against the lab's keys when the tree is opened: CODE_CORRUPT.  A catalog of
 * format 1 gets its digests, unless the tree is read-only.  accept: what is wrong is told in the log and let pass. */
MUST_CHECK enum code space_sum_open(struct tree *tree, bool accept, struct failure *why);

/* A space whose key has just come to hand: its rows, which were let pass when the tree was opened, held against its keys. */
MUST_CHECK enum code space_sum_check(struct tree *tree, uint64_t space, struct failure *why);

/* Whether the catalog's transaction holds the space's digest as its rows are now. */
bool space_sum_is_sealed(const struct tree *tree, uint64_t space);

void space_sum_free(struct tree *tree);

#endif
