/* Random bytes: see entropy.h. */
#include "entropy.h"

#include <assert.h>
#include <limits.h>

#include <openssl/rand.h>

#include "openssl_failure.h"

enum code entropy_fill(void *bytes, size_t count, struct failure *why)
{
    assert(count <= INT_MAX);
    if (RAND_bytes(bytes, (int)count) != 1)
        return openssl_failure_set(why, "drawing random bytes");
    return CODE_OK;
}
