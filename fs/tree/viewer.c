/* Who asks: see viewer.h. */
#include "viewer.h"

#include <assert.h>
#include <stddef.h>

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
