/* What a fuzz target is: LLVMFuzzerTestOneInput, and optionally seeds to start from. */
#ifndef CYTOFS_FUZZING_H
#define CYTOFS_FUZZING_H

#include <stddef.h>
#include <stdint.h>

/* Tries one input; returns 0.  A fault shows as a crash, a sanitizer's report or a failed assertion. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* Optional.  Returns valid input number `index` (from 0) in memory of malloc and its length, or NULL behind
 * the last. Good seeds are small, one for each branch of the format. */
uint8_t *fuzzing_seed(size_t index, size_t *count);

#endif
