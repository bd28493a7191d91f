/* Makers: see tree_maker.h.  The owner of what a member makes over the network is a number made from the member's id
 * (viewer_owner), which leads back to the member by the lab's own list. */
#include "tree_maker.h"

#include <string.h>

#include "tree_entry.h"
#include "tree_members.h"
#include "tree_space.h"
#include "viewer.h"

/* Of the lab's list.  With the lock; NULL where nobody on it has that number. */
static const struct reader *find_reader(const struct roster *roster, int64_t owner)
{
    for (size_t i = 0; i < roster->count; i++)
        if (viewer_owner(&roster->readers[i].public.id) == owner)
            return &roster->readers[i];
    return NULL;
}

static bool is_member(int64_t owner)
{
    return owner > UINT32_MAX; /* beyond the users of any machine */
}

enum code maker_find(struct tree *tree, int64_t owner, struct viewer *out, struct failure *why)
{
    if (!is_member(owner))
        return failure_set(why, CODE_NOT_FOUND, "made by no member of another machine");
    pthread_mutex_lock(&tree->lock);
    struct space *lab;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    const struct reader *reader = code == CODE_OK ? find_reader(&lab->roster, owner) : NULL;
    bool left = !reader || reader->former;
    *out = (struct viewer){.role = ROLE_VIEWER};
    if (code == CODE_OK && !left) {
        memcpy(out->name, reader->name, sizeof out->name);
        out->id = reader->public.id;
    }
    pthread_mutex_unlock(&tree->lock);
    if (code == CODE_OK && left)
        return failure_set(why, CODE_DENIED, "whoever made this is no longer a member of the lab");
    return code == CODE_OK ? members_role(tree, out->name, &out->role, why) : code;
}

/* With the lock. */
static enum code check_reader(struct tree *tree, int64_t owner, struct node_id id, struct failure *why)
{
    struct node *node;
    struct space *space;
    enum code code = node_get(tree, id.value, &node, why);
    if (code == CODE_OK)
        code = space_find(tree, node->row.space, &space, why);
    if (code != CODE_OK)
        return code;
    const struct reader *reader = find_reader(&space->roster, owner);
    if (reader && !reader->former)
        return CODE_OK;
    return failure_set(why, CODE_DENIED, "it was not shared with whoever made this");
}

enum code maker_may_read(struct tree *tree, int64_t owner, struct node_id node, struct failure *why)
{
    if (!is_member(owner))
        return CODE_OK;
    if (tree_is_derived(node))
        return failure_set(why, CODE_DENIED, "the lab follows a member's links to stored things alone");
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return check_reader(tree, owner, node, why);
}
