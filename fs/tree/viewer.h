/* Who asks: the member on whose behalf this thread works right now, as the kernel's credentials of a task.
 *
 * A session of another machine's member sets it around each request; what the tree and its rules do on the way can ask. NULL
 * is the member who opened the store: a local mount, background work.
 */
#ifndef CYTOFS_VIEWER_H
#define CYTOFS_VIEWER_H

#include <stdint.h>

#include "member_card.h"
#include "member_role.h"

struct viewer {
    char name[MEMBER_NAME_MAX + 1];
    enum member_role role; /* may change while he is here: one word, which is read whole */
    struct member_id id;
    uint64_t session; /* which of the member's sessions; never 0 */
};

/* For this thread, until viewer_leave.  The viewer is borrowed; there is no nesting. */
void viewer_enter(const struct viewer *viewer);
void viewer_leave(void);

const struct viewer *viewer_current(void);

/* What is written as the owner of the things that this member makes: a number made from the id, beyond those of any
 * machine's users. */
int64_t viewer_owner(const struct member_id *id);

#endif
