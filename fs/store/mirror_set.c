/* The folders of a store: see mirror_set.h.  Here are their states; the rest lies in mirror_set_open.c, mirror_set_record.c
 * (the lists of mirrors) and mirror_set_change.c (folders that come and go).
 *
 * Opening.  Every folder's list of mirrors is read and held against the others' (mirror_file_compare).  One that is not
 * older than any other leads; those of the same epoch are current with it, but for one case: if the program or the machine
 * died, folders of one epoch may differ in what was not acknowledged yet.  Then the one that went furthest leads and the
 * others are behind, to be filled anew (`newest` decides; it knows catalogs).
 *
 * Recording.  `record` is what all current folders hold, but for the line `self`.  A new epoch begins, and is durable on all
 * current folders, before anything is acknowledged that some folder lacks:
 *   - at opening, where a folder is away or behind;
 *   - when a folder is lost, by mirror_set_settle, at the end of the sync that could not reach it;
 *   - when a folder has been filled, on the others first, and on it last of all: until then its own list says that it is not
 *     whole, and nobody takes it for a store.
 *
 * Invariants
 *  1. At least one side is CURRENT.
 *  2. A side whose folder lists it as current, in the present epoch, holds everything acknowledged.
 *  3. `unsettled` is set from the moment that a side is lost until that is durable on the others.
 *
 * Locks: `lock` guards all but the states, the repairs and `unsettled`, which are atomic; it is held over the writing of
 * lists, which is rare.  `told` is called with it.
 */
#include "mirror_set.h"

#include <stdio.h>

#include "buffer.h"
#include "logging.h"
#include "mirror_set_internal.h"
#include "scope.h"
#include "store_folder.h"
#include "timing.h"

/* States ---------------------------------------------------------------------------------------------------------------- */

void mirror_set_change_state(struct mirror_side *side, enum mirror_state state, const char *reason)
{
    snprintf(side->reason, sizeof side->reason, "%.*s", (int)sizeof side->reason - 1, reason);
    side->since_ms = timing_wall_ms();
    atomic_store(&side->state, (int)state);
}

size_t mirror_set_count_current(const struct mirror_set *set)
{
    size_t current = 0;
    for (size_t side = 0; side < set->count; side++)
        current += mirror_set_is_current(set, side);
    return current;
}

static void tell(struct mirror_set *set, const char *text)
{
    logging_warning("%s", text);
    if (set->told)
        set->told(set->told_context, text);
}

bool mirror_set_lose_held(struct mirror_set *set, size_t side, const char *reason)
{
    struct mirror_side *lost = &set->sides[side];
    int state = atomic_load(&lost->state);
    if (state != MIRROR_CURRENT && state != MIRROR_FILLING)
        return true;
    if (state == MIRROR_CURRENT && mirror_set_count_current(set) == 1)
        return false;
    char text[MIRROR_FILE_PATH_MAX + 512];
    mirror_set_change_state(lost, MIRROR_LOST, reason);
    if (state == MIRROR_CURRENT)
        atomic_store(&set->unsettled, true);
    snprintf(text, sizeof text,
             "MIRROR LOST: %s cannot be used any more (%s): the lab goes on without it: see to its disk, then: cytofs "
             "mirror add STORE %s",
             lost->path, reason, lost->path);
    tell(set, text);
    return true;
}

bool mirror_set_lose(struct mirror_set *set, size_t side, const char *reason)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    return mirror_set_lose_held(set, side, reason);
}

void mirror_set_look_held(struct mirror_set *set)
{
    if (mirror_set_count_current(set) == 1)
        return;
    for (size_t side = 0; side < set->count; side++)
        if (mirror_set_is_current(set, side) && !store_folder_is_in_place(set->sides[side].folder))
            mirror_set_lose_held(set, side, "its folder is gone");
}

void mirror_set_look(struct mirror_set *set)
{
    if (set->count == 1)
        return;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    mirror_set_look_held(set);
}

/* What it holds --------------------------------------------------------------------------------------------------------- */

size_t mirror_set_count(const struct mirror_set *set)
{
    return set->count;
}

enum mirror_state mirror_set_state(const struct mirror_set *set, size_t side)
{
    return (enum mirror_state)atomic_load_explicit(&set->sides[side].state, memory_order_acquire);
}

size_t mirror_set_leader(const struct mirror_set *set)
{
    size_t side = 0;
    while (side + 1 < set->count && !mirror_set_is_current(set, side))
        side++;
    return side;
}

const char *mirror_set_path(const struct mirror_set *set, size_t side)
{
    return set->sides[side].path;
}

struct store_folder *mirror_set_folder(const struct mirror_set *set, size_t side)
{
    return set->sides[side].folder;
}

const struct store_id *mirror_set_id(const struct mirror_set *set)
{
    return &set->id;
}

void mirror_set_note_repair(struct mirror_set *set, size_t side, const char *what)
{
    char text[MIRROR_FILE_PATH_MAX + 256];
    atomic_fetch_add(&set->repairs, 1);
    snprintf(text, sizeof text, "%s: %s was damaged and has been mended from a mirror", set->sides[side].path, what);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    tell(set, text);
}

uint64_t mirror_set_repairs(const struct mirror_set *set)
{
    return atomic_load(&set->repairs);
}

void mirror_set_tell(struct mirror_set *set, void (*told)(void *context, const char *text), void *context)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    set->told = told;
    set->told_context = context;
}

void mirror_set_describe(struct mirror_set *set, struct buffer *out)
{
    static const char *const names[] = {
        [MIRROR_BEHIND] = "behind", [MIRROR_FILLING] = "filling", [MIRROR_CURRENT] = "current", [MIRROR_LOST] = "LOST"};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    mirror_set_look_held(set);
    for (size_t i = 0; i < set->count; i++) {
        const struct mirror_side *side = &set->sides[i];
        if (!side->path)
            continue;
        buffer_printf(out, "%-8s %s", names[side->state], side->path);
        if (side->reason[0])
            buffer_printf(out, "  (%s)", side->reason);
        buffer_append_text(out, "\n");
    }
}
