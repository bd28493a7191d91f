/* Checksums that find bit rot and torn writes; no protection against a person.  XXH3, see https://xxhash.com. */
#ifndef CYTOFS_CHECKSUM_H
#define CYTOFS_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define CHECKSUM_128_BYTES 16

/* XXH3-64 with a seed. */
uint64_t checksum_64(const void *bytes, size_t count, uint64_t seed);

/* XXH3-128 with a seed, in its canonical (big-endian) form. */
void checksum_128(const void *bytes, size_t count, uint64_t seed, uint8_t out[CHECKSUM_128_BYTES]);

#endif
