/* Blocks for a moment: see block_pool.h. */
#include "block_pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "scope.h"

void block_pool_init(struct block_pool *pool, size_t block_bytes, size_t kept_max)
{
    assert(block_bytes >= sizeof(void *));
    *pool = (struct block_pool){.block_bytes = block_bytes, .kept_max = kept_max};
    pthread_mutex_init(&pool->lock, NULL);
}

void block_pool_destroy(struct block_pool *pool)
{
    while (pool->first) {
        void *block = pool->first;
        memcpy(&pool->first, block, sizeof pool->first);
        free(block);
    }
    pthread_mutex_destroy(&pool->lock);
}

void *block_pool_take(struct block_pool *pool)
{
    {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&pool->lock);
        void *block = pool->first;
        if (block) {
            memcpy(&pool->first, block, sizeof pool->first);
            pool->kept--;
            return block;
        }
    }
    return malloc(pool->block_bytes);
}

void block_pool_give(struct block_pool *pool, void *block)
{
    if (!block)
        return;
    {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&pool->lock);
        if (pool->kept < pool->kept_max) {
            memcpy(block, &pool->first, sizeof pool->first);
            pool->first = block;
            pool->kept++;
            return;
        }
    }
    free(block);
}
