/* What the folders know of each other, written into each of them: the part `Recording` of mirror_set.c's theory. */
#include "mirror_set.h"

#include <stdlib.h>

#include "buffer.h"
#include "file.h"
#include "mirror_set_internal.h"
#include "scope.h"

enum code mirror_set_save_on(struct mirror_set *set, size_t side, struct failure *why)
{
    struct mirror_file file = set->record;
    file.self = set->sides[side].id;
    file.member_count = 0;
    for (size_t i = 0; i < set->count; i++)
        if (set->sides[i].path)
            file.members[file.member_count++] =
                (struct mirror_member){set->sides[i].id, mirror_set_is_current(set, i), set->sides[i].path};
    return mirror_file_save(set->sides[side].path, &file, why);
}

enum code mirror_set_save_all(struct mirror_set *set, struct failure *why)
{
    bool again = true;
    while (again) {
        again = false;
        for (size_t side = 0; side < set->count && !again; side++) {
            struct failure here;
            if (!mirror_set_is_current(set, side) || mirror_set_save_on(set, side, &here) == CODE_OK)
                continue;
            if (!mirror_set_lose_held(set, side, here.text)) {
                if (why)
                    *why = here;
                return here.code;
            }
            again = true;
        }
    }
    atomic_store(&set->unsettled, false);
    return CODE_OK;
}

enum code mirror_set_begin_epoch(struct mirror_set *set, struct failure *why)
{
    set->recorded = true;
    set->record.closed = false;
    enum code code = mirror_file_advance(&set->record, why);
    return code == CODE_OK ? mirror_set_save_all(set, why) : code;
}

enum code mirror_set_settle(struct mirror_set *set, struct failure *why)
{
    if (!atomic_load(&set->unsettled))
        return CODE_OK;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    return atomic_load(&set->unsettled) ? mirror_set_begin_epoch(set, why) : CODE_OK;
}

static bool is_sound(const char *folder, const char *name)
{
    SCOPE_FREE char *path = file_join(folder, name);
    SCOPE_BUFFER text = {0};
    struct mirror_file file = {0};
    bool sound = path && file_read(path, MIRROR_FILE_BYTES_MAX, &text, NULL) == CODE_OK &&
                 mirror_file_parse(buffer_text(&text), text.length, &file, NULL) == CODE_OK;
    mirror_file_free(&file);
    return sound;
}

enum code mirror_set_check_lists(struct mirror_set *set, size_t side, bool mend, bool *sound, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    *sound = true;
    mirror_set_look_held(set);
    if (!set->recorded || !mirror_set_is_current(set, side))
        return CODE_OK;
    for (const char *const *name = mirror_file_names; *name; name++)
        *sound &= is_sound(set->sides[side].path, *name);
    return *sound || !mend ? CODE_OK : mirror_set_save_on(set, side, why);
}
