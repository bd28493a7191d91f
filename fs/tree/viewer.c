/* Who asks: see viewer.h. */
#include "viewer.h"

#include <assert.h>
#include <stddef.h>

#include "bytes.h"

#define OWNER_BITS 56 /* of the id; the next bit is set, so that it is no machine's user */

static _Thread_local const struct viewer *current;

void viewer_enter(const struct viewer *viewer)
{
    assert(!current || !viewer);
    current = viewer;
}

void viewer_leave(void)
{
    current = NULL;
}

const struct viewer *viewer_current(void)
{
    return current;
}

int64_t viewer_owner(const struct member_id *id)
{
    uint64_t mask = (UINT64_C(1) << OWNER_BITS) - 1;
    return (int64_t)((bytes_load64(id->bytes) & mask) | (UINT64_C(1) << OWNER_BITS));
}
