/* Opening the folders of a store and closing them: the part `Opening` of mirror_set.c's theory. */
#include "mirror_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "logging.h"
#include "mirror_set_internal.h"
#include "scope.h"
#include "store_folder.h"
#include "timing.h"

static enum code out_of_memory(struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "mirrors: out of memory");
}

/* What opening finds in each folder. */
struct findings {
    struct mirror_file files[MIRROR_SIDES_MAX];
    bool there[MIRROR_SIDES_MAX]; /* opened, of this store, with a list of its own */
};

static enum code make_set(struct mirror_set **out, struct failure *why)
{
    struct mirror_set *set = calloc(1, sizeof *set);
    if (!set)
        return out_of_memory(why);
    pthread_mutex_init(&set->lock, NULL);
    *out = set;
    return CODE_OK;
}

static void release(struct mirror_set *set)
{
    for (size_t side = 0; side < set->count; side++) {
        store_folder_close(set->sides[side].folder);
        free(set->sides[side].path);
    }
    for (size_t i = 0; i < set->retired_count; i++)
        store_folder_close(set->retired[i]);
    pthread_mutex_destroy(&set->lock);
    free(set);
}

enum code mirror_set_absolute(const char *path, char **out, struct failure *why)
{
    *out = realpath(path, NULL);
    if (*out && strlen(*out) <= MIRROR_FILE_PATH_MAX && !strchr(*out, '\n'))
        return CODE_OK;
    int error = *out ? ENAMETOOLONG : errno;
    free(*out);
    *out = NULL;
    return failure_set_errno(why, error, "%s", path);
}

/* The named folder, as the only side. */
static enum code add_named(struct mirror_set *set, struct store_folder *folder, struct failure *why)
{
    struct mirror_side *side = &set->sides[0];
    enum code code = mirror_set_absolute(store_folder_path(folder), &side->path, why);
    if (code != CODE_OK)
        return code;
    set->count = 1;
    set->id = *store_folder_id(folder);
    side->folder = folder;
    mirror_set_change_state(side, MIRROR_CURRENT, "");
    return CODE_OK;
}

/* Whether the path leads to a folder that is a side already: somebody has moved one to where another was. */
static bool is_taken(const struct mirror_set *set, size_t index)
{
    SCOPE_FREE char *full = realpath(set->sides[index].path, NULL);
    for (size_t side = 0; full && side < index; side++)
        if (strcmp(full, set->sides[side].path) == 0)
            return true;
    return false;
}

/* Opens a mirror; one that is not there, or is something else by now, is a side without a folder. */
static enum code open_mirror(struct mirror_set *set, size_t index, struct findings *found, struct failure *why)
{
    struct mirror_side *side = &set->sides[index];
    struct failure here;
    if (is_taken(set, index)) {
        mirror_set_change_state(side, MIRROR_LOST, "another folder of the store lies there");
        return CODE_OK;
    }
    enum code code = store_folder_open(side->path, set->read_only, &side->folder, &here);
    if (code == CODE_BUSY || code == CODE_NEWER_FORMAT) {
        if (why)
            *why = here;
        return code;
    }
    if (code == CODE_OK && memcmp(store_folder_id(side->folder), &set->id, IDENTITY_BYTES) != 0)
        code = failure_set(&here, CODE_CORRUPT, "another store lies there");
    if (code == CODE_OK)
        code = mirror_file_load(side->path, &found->files[index], &here);
    if (code == CODE_OK && !mirror_set_same_id(&found->files[index].self, &side->id))
        code = failure_set(&here, CODE_CORRUPT, "another mirror lies there");
    found->there[index] = code == CODE_OK;
    if (code != CODE_OK) {
        store_folder_close(side->folder);
        side->folder = NULL;
        mirror_set_change_state(side, MIRROR_LOST, here.text);
        return CODE_OK;
    }
    mirror_set_change_state(side, MIRROR_BEHIND, "it was not in use with the others");
    return CODE_OK;
}

/* The sides that the named folder's list has. */
static enum code open_mirrors(struct mirror_set *set, struct findings *found, struct failure *why)
{
    const struct mirror_file *named = &found->files[0];
    set->sides[0].id = named->self;
    found->there[0] = true;
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < named->member_count; i++) {
        const struct mirror_member *member = &named->members[i];
        if (mirror_set_same_id(&member->id, &named->self) || set->count == MIRROR_SIDES_MAX)
            continue;
        size_t index = set->count;
        set->sides[index].id = member->id;
        if (!(set->sides[index].path = strdup(member->path)))
            return out_of_memory(why);
        set->count++;
        code = open_mirror(set, index, found, why);
    }
    return code;
}

static enum code refuse_apart(const struct mirror_set *set, size_t a, size_t b, struct failure *why)
{
    return failure_set(
        why, CODE_NOT_PERMITTED,
        "%s and its mirror %s have both been changed without the other, and neither can be brought up to date "
        "without losing something: look at both (move one away, mount the other), keep one, and empty the "
        "folder of the other before: cytofs mirror add",
        set->sides[a].path, set->sides[b].path);
}

/* The side that none is newer than. */
static enum code find_leader(const struct mirror_set *set, const struct findings *found, size_t *leader, struct failure *why)
{
    *leader = MIRROR_SIDES_MAX;
    for (size_t side = 0; side < set->count; side++) {
        if (!found->there[side] || found->files[side].filling)
            continue;
        if (*leader == MIRROR_SIDES_MAX) {
            *leader = side;
            continue;
        }
        enum mirror_order order = mirror_file_compare(&found->files[side], &found->files[*leader]);
        if (order == MIRROR_APART)
            return refuse_apart(set, *leader, side, why);
        if (order == MIRROR_NEWER)
            *leader = side;
    }
    if (*leader < MIRROR_SIDES_MAX)
        return CODE_OK;
    return failure_set(why, CODE_NOT_PERMITTED,
                       "%s: is a mirror that was never brought up to date to its end, and none of the others is there: "
                       "mount one of those",
                       set->sides[0].path);
}

/* Whether the leader's list and the side's own take it for current. */
static bool is_level(const struct mirror_set *set, const struct findings *found, size_t leader, size_t side)
{
    const struct mirror_file *file = &found->files[leader];
    if (!found->there[side] || found->files[side].filling || mirror_file_compare(&found->files[side], file) != MIRROR_SAME)
        return false;
    for (size_t i = 0; i < file->member_count; i++)
        if (mirror_set_same_id(&file->members[i].id, &set->sides[side].id))
            return file->members[i].current;
    return false;
}

/* Where the last user died: which of the sides that are level went furthest. */
static enum code find_newest(const struct mirror_set *set, const struct mirror_set_options *options, const bool *level,
                             size_t *leader, struct failure *why)
{
    const char *paths[MIRROR_SIDES_MAX];
    size_t sides[MIRROR_SIDES_MAX], count = 0, newest = 0;
    for (size_t side = 0; side < set->count; side++) {
        if (!level[side])
            continue;
        paths[count] = set->sides[side].path;
        sides[count++] = side;
    }
    enum code code = options->newest(paths, count, &newest, why);
    if (code == CODE_OK)
        *leader = sides[newest];
    return code;
}

/* Decides each side's state. */
static enum code judge(struct mirror_set *set, const struct mirror_set_options *options, struct findings *found,
                       struct failure *why)
{
    size_t leader = 0, level_count = 0;
    bool level[MIRROR_SIDES_MAX] = {false}, closed = true;
    enum code code = find_leader(set, found, &leader, why);
    if (code != CODE_OK)
        return code;
    for (size_t side = 0; side < set->count; side++) {
        level[side] = side == leader || is_level(set, found, leader, side);
        level_count += level[side];
        closed &= !level[side] || found->files[side].closed;
    }
    if (level_count > 1 && !closed && options->newest)
        code = find_newest(set, options, level, &leader, why);
    if (code != CODE_OK)
        return code;
    for (size_t side = 0; side < set->count; side++) {
        if (side == leader || (level[side] && closed))
            mirror_set_change_state(&set->sides[side], MIRROR_CURRENT, "");
        else if (found->there[side])
            mirror_set_change_state(&set->sides[side], MIRROR_BEHIND,
                                    level[side] ? "the last use of the lab did not come to its end"
                                                : "it was not in use with the others");
    }
    mirror_file_free(&set->record);
    set->record = found->files[leader];
    for (size_t i = 0; i < MIRROR_SIDES_MAX; i++)
        set->record.members[i].path = NULL; /* the sides have them */
    mirror_file_free(&set->record);
    return CODE_OK;
}

static void warn_of_absent(struct mirror_set *set)
{
    for (size_t side = 0; side < set->count; side++) {
        const struct mirror_side *absent = &set->sides[side];
        if (absent->state == MIRROR_LOST)
            logging_warning("MIRROR MISSING: %s: %s: going on without it", absent->path, absent->reason);
        else if (absent->state == MIRROR_BEHIND)
            logging_warning("%s is behind: %s", absent->path, absent->reason);
    }
}

static enum code open_listed(struct mirror_set *set, const struct mirror_set_options *options, struct failure *why)
{
    struct findings found = {0};
    enum code code = mirror_file_load(set->sides[0].path, &found.files[0], why);
    if (code == CODE_NOT_FOUND)
        return CODE_OK; /* no mirrors */
    set->recorded = code == CODE_OK;
    if (code == CODE_OK)
        code = open_mirrors(set, &found, why);
    char *paths[MIRROR_SIDES_MAX][MIRROR_SIDES_MAX];
    for (size_t i = 0; i < MIRROR_SIDES_MAX; i++)
        for (size_t j = 0; j < MIRROR_SIDES_MAX; j++)
            paths[i][j] = found.files[i].members[j].path;
    if (code == CODE_OK)
        code = judge(set, options, &found, why);
    for (size_t i = 0; i < MIRROR_SIDES_MAX; i++)
        for (size_t j = 0; j < MIRROR_SIDES_MAX; j++)
            free(paths[i][j]);
    if (code != CODE_OK || set->read_only)
        return code;
    warn_of_absent(set);
    if (mirror_set_count_current(set) < set->count)
        return mirror_set_begin_epoch(set, why);
    set->record.closed = false;
    return mirror_set_save_all(set, why);
}

enum code mirror_set_open(const char *path, const struct mirror_set_options *options, struct mirror_set **out,
                          struct failure *why)
{
    struct store_folder *folder;
    struct mirror_set *set = NULL;
    enum code code = store_folder_open(path, options->read_only, &folder, why);
    if (code == CODE_OK)
        code = mirror_set_adopt(folder, &set, why);
    if (code != CODE_OK)
        return code;
    set->read_only = options->read_only;
    code = open_listed(set, options, why);
    if (code != CODE_OK)
        release(set);
    else
        *out = set;
    return code;
}

enum code mirror_set_adopt(struct store_folder *folder, struct mirror_set **out, struct failure *why)
{
    struct mirror_set *set = NULL;
    enum code code = make_set(&set, why);
    if (code != CODE_OK)
        return code;
    code = add_named(set, folder, why);
    if (code != CODE_OK)
        release(set);
    else
        *out = set;
    return code;
}

void mirror_set_close(struct mirror_set *set)
{
    if (!set)
        return;
    struct failure why;
    if (set->recorded && !set->read_only) {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
        enum code code = atomic_load(&set->unsettled) ? mirror_set_begin_epoch(set, &why) : CODE_OK;
        set->record.closed = true;
        if (code == CODE_OK)
            code = mirror_set_save_all(set, &why);
        if (code != CODE_OK)
            logging_warning("mirrors: %s", why.text);
    }
    release(set);
}
