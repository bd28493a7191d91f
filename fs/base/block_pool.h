/* Blocks of one size that are used for a moment, again and again.  malloc gives large blocks back to the kernel each time,
 * and the kernel clears a page for each page that is touched next: dearer than decrypting what goes into it.
 *
 * A pool may be used from any thread.  A block holds whatever it held before. */
#ifndef CYTOFS_BLOCK_POOL_H
#define CYTOFS_BLOCK_POOL_H

#include <pthread.h>
#include <stddef.h>

struct block_pool {
    pthread_mutex_t lock;
    size_t block_bytes;
    size_t kept_max; /* unused blocks beyond that are freed */
    size_t kept;
    void *first; /* unused; each begins with the address of the next */
};

/* block_bytes >= sizeof(void *) */
void block_pool_init(struct block_pool *pool, size_t block_bytes, size_t kept_max);

/* All blocks must have been given back. */
void block_pool_destroy(struct block_pool *pool);

/* A block, or NULL without memory. */
void *block_pool_take(struct block_pool *pool);

/* NULL is fine. */
void block_pool_give(struct block_pool *pool, void *block);

#endif
