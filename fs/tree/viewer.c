/* Who asks: see viewer.h. */
#include "viewer.h"

#include <assert.h>
#include <stddef.h>

#include "bytes.h"
#include "catalog_inode.h"

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
    uint64_t member = UINT64_C(1) << CATALOG_MEMBER_OWNER_BIT;
    return (int64_t)((bytes_load64(id->bytes) & (member - 1)) | member);
}
