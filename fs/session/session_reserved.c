/* Numbers set aside: see session_reserved.h.
 *
 * A number is used at most once, since contents are sealed under it: so a bit says of each whether it was taken.  Saved: the
 * ranges one after another, each its first number (8 bytes), how many (4), and one bit a number (512 bytes), little-endian.
 */
#include "session_reserved.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "scope.h"

#define SAVED_BYTES (8 + 4 + EXTRA_RESERVE_MAX / 8)

void session_reserved_init(struct session_reserved *reserved)
{
    *reserved = (struct session_reserved){.ranges = NULL};
    pthread_mutex_init(&reserved->lock, NULL);
}

void session_reserved_destroy(struct session_reserved *reserved)
{
    free(reserved->ranges);
    pthread_mutex_destroy(&reserved->lock);
}

static enum code make_room(struct session_reserved *reserved, struct failure *why)
{
    if (!reserved->ranges)
        reserved->ranges = calloc(RESERVED_RANGES_MAX, sizeof *reserved->ranges);
    return reserved->ranges ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "setting inode numbers aside: no memory");
}

enum code session_reserved_add(struct session_reserved *reserved, uint64_t first, uint32_t count, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&reserved->lock);
    enum code code = make_room(reserved, why);
    if (code != CODE_OK)
        return code;
    reserved->ranges[reserved->next] = (struct reserved_range){.first = first, .count = count};
    reserved->next = (reserved->next + 1) % RESERVED_RANGES_MAX;
    return CODE_OK;
}

/* The range that holds the number, or NULL.  With the lock. */
static struct reserved_range *find(struct session_reserved *reserved, uint64_t number)
{
    for (unsigned i = 0; reserved->ranges && i < RESERVED_RANGES_MAX; i++) {
        struct reserved_range *range = &reserved->ranges[i];
        if (number >= range->first && number - range->first < range->count)
            return range;
    }
    return NULL;
}

bool session_reserved_take(struct session_reserved *reserved, uint64_t number)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&reserved->lock);
    struct reserved_range *range = find(reserved, number);
    if (!range)
        return false;
    uint64_t at = number - range->first;
    uint8_t bit = (uint8_t)(1 << at % 8);
    if (range->used[at / 8] & bit)
        return false;
    range->used[at / 8] |= bit;
    return true;
}

void session_reserved_give_back(struct session_reserved *reserved, uint64_t number)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&reserved->lock);
    struct reserved_range *range = find(reserved, number);
    if (range)
        range->used[(number - range->first) / 8] &= (uint8_t) ~(1 << (number - range->first) % 8);
}

uint64_t session_reserved_room(struct session_reserved *reserved)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&reserved->lock);
    return reserved->bytes < RESERVED_BYTES_MAX ? RESERVED_BYTES_MAX - reserved->bytes : 0;
}

void session_reserved_add_bytes(struct session_reserved *reserved, uint64_t bytes)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&reserved->lock);
    reserved->bytes += bytes;
}

uint64_t session_reserved_take_bytes(struct session_reserved *reserved, uint64_t bytes)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&reserved->lock);
    uint64_t taken = bytes < reserved->bytes ? bytes : reserved->bytes;
    reserved->bytes -= taken;
    return taken;
}

void session_reserved_save(struct session_reserved *reserved, struct buffer *out)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&reserved->lock);
    for (unsigned i = 0; reserved->ranges && i < RESERVED_RANGES_MAX; i++) {
        const struct reserved_range *range = &reserved->ranges[(reserved->next + i) % RESERVED_RANGES_MAX];
        if (range->count == 0)
            continue;
        uint8_t numbers[12];
        bytes_store64(numbers, range->first);
        bytes_store32(numbers + 8, range->count);
        buffer_append(out, numbers, sizeof numbers);
        buffer_append(out, range->used, sizeof range->used);
    }
}

enum code session_reserved_restore(struct session_reserved *reserved, const void *bytes, size_t count, struct failure *why)
{
    const uint8_t *from = bytes;
    if (count % SAVED_BYTES || count / SAVED_BYTES > RESERVED_RANGES_MAX)
        return failure_set(why, CODE_CORRUPT, "the inode numbers set aside for a client make no sense");
    for (; count; from += SAVED_BYTES, count -= SAVED_BYTES) {
        uint64_t first = bytes_load64(from);
        uint32_t numbers = bytes_load32(from + 8);
        if (first == 0 || first >> 63 || numbers == 0 || numbers > EXTRA_RESERVE_MAX)
            return failure_set(why, CODE_CORRUPT, "the inode numbers set aside for a client make no sense");
        enum code code = session_reserved_add(reserved, first, numbers, why);
        if (code != CODE_OK)
            return code;
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&reserved->lock);
        memcpy(find(reserved, first)->used, from + 12, EXTRA_RESERVE_MAX / 8);
    }
    return CODE_OK;
}
