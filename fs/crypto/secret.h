/* Memory for keys and passphrases: locked against swapping, left out of core dumps, wiped when released.
 *
 * Locking is limited by `ulimit -l`; where the limit is reached the memory still works and is still wiped,
 * and one warning says so.  Any thread may call these.
 */
#ifndef CYTOFS_SECRET_H
#define CYTOFS_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#define SECRET_BYTES_MAX 4096

#define SECRET_FREE __attribute__((cleanup(secret_free_pointer)))

/* Zeroed memory of `count` bytes (1 .. SECRET_BYTES_MAX), aligned to 64; NULL without memory.  Release with
 * secret_free. */
void *secret_allocate(size_t count);

/* Wipes and releases; NULL is fine. */
void secret_free(void *secret);

/* Overwrites ordinary memory so that the compiler cannot leave it out. */
void secret_wipe(void *bytes, size_t count);

/* Whether the two are equal, in a time that does not depend on their contents. */
bool secret_equal(const void *a, const void *b, size_t count);

/* For SECRET_FREE. */
static inline void secret_free_pointer(void *pointer_to_pointer)
{
    secret_free(*(void **)pointer_to_pointer);
}

#endif
