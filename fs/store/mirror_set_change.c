/* Folders that come and go while the store is in use, or between two uses: see mirror_set.h, mirror_fill.h for what lies
 * between beginning to fill one and its joining. */
#include "mirror_set.h"

#include <stdlib.h>
#include <string.h>

#include "entropy.h"
#include "file.h"
#include "mirror_set_internal.h"
#include "scope.h"
#include "store_folder.h"

#define FORMAT_FILE "FORMAT"

static enum code out_of_memory(struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "mirrors: out of memory");
}

/* Gives up a side's folder. */
static void retire(struct mirror_set *set, struct mirror_side *side)
{
    if (!side->folder)
        return;
    store_folder_unlock(side->folder);
    if (set->retired_count < RETIRED_MAX)
        set->retired[set->retired_count++] = side->folder;
    side->folder = NULL;
}

static size_t find_path(const struct mirror_set *set, const char *path)
{
    for (size_t side = 0; side < set->count; side++)
        if (set->sides[side].path && strcmp(set->sides[side].path, path) == 0)
            return side;
    return MIRROR_SIDES_MAX;
}

static size_t find_id(const struct mirror_set *set, const struct mirror_tag *id)
{
    for (size_t side = 0; side < set->count; side++)
        if (set->sides[side].path && mirror_set_same_id(&set->sides[side].id, id))
            return side;
    return MIRROR_SIDES_MAX;
}

/* A store that lies there already: only one of ours that knows nothing newer may be filled over. */
static enum code check_returning(const struct mirror_set *set, const char *path, const struct store_folder *folder,
                                 struct mirror_file *file, struct failure *why)
{
    if (memcmp(store_folder_id(folder), mirror_set_id(set), IDENTITY_BYTES) != 0)
        return failure_set(why, CODE_NOT_PERMITTED, "%s: is another store: name an empty or a new folder", path);
    enum code code = mirror_file_load(path, file, why);
    if (code == CODE_NOT_FOUND)
        return failure_set(
            why, CODE_NOT_PERMITTED,
            "%s: is a copy of this store that was not its mirror, and may hold what this one lacks: empty it, "
            "or name a new folder",
            path);
    if (code != CODE_OK)
        return code;
    enum mirror_order order = mirror_file_compare(file, &set->record);
    if (!file->filling && order != MIRROR_SAME && order != MIRROR_OLDER)
        return failure_set(why, CODE_NOT_PERMITTED,
                           "%s: was changed without this store, and would lose that: look at what it holds (mount it), then "
                           "empty it, or name a new folder",
                           path);
    return CODE_OK;
}

/* Opens what lies at path, or prepares a folder there; *id: the one that it has, or a new one. */
static enum code open_returning(const struct mirror_set *set, const char *path, struct store_folder **folder,
                                struct mirror_tag *id, struct failure *why)
{
    struct mirror_file file = {0};
    SCOPE_FREE char *format = file_join(path, FORMAT_FILE);
    if (!format)
        return out_of_memory(why);
    enum code code;
    if (!file_exists(format)) {
        code = store_folder_prepare(path, mirror_set_id(set), folder, why);
        return code == CODE_OK ? entropy_fill(id->bytes, sizeof id->bytes, why) : code;
    }
    code = store_folder_open(path, false, folder, why);
    if (code == CODE_OK)
        code = check_returning(set, path, *folder, &file, why);
    *id = file.self;
    mirror_file_free(&file);
    return code;
}

/* The side of a folder that is at hand: the one with its id, or at its path, or a new one. */
static enum code find_side(struct mirror_set *set, const char *path, const struct mirror_tag *id, size_t *side,
                           struct failure *why)
{
    *side = find_id(set, id);
    if (*side == MIRROR_SIDES_MAX)
        *side = find_path(set, path);
    if (*side < MIRROR_SIDES_MAX)
        return CODE_OK;
    if (set->count == MIRROR_SIDES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "a store can lie in %d folders at most", MIRROR_SIDES_MAX);
    *side = set->count;
    return CODE_OK;
}

/* With the lock, and with the folder at hand. */
static enum code take_in(struct mirror_set *set, const char *path, struct store_folder *folder, const struct mirror_tag *id,
                         size_t *index, struct failure *why)
{
    char *kept = strdup(path);
    enum code code = kept ? find_side(set, path, id, index, why) : out_of_memory(why);
    if (code != CODE_OK) {
        free(kept);
        return code;
    }
    struct mirror_side *side = &set->sides[*index];
    retire(set, side);
    free(side->path);
    side->path = kept;
    side->id = *id;
    side->folder = folder;
    mirror_set_change_state(side, MIRROR_BEHIND, "it is new, or was away");
    if (*index == set->count)
        set->count++;
    return CODE_OK;
}

/* A store without a list of mirrors gets one, in which it is the only folder. */
static enum code begin_list(struct mirror_set *set, struct failure *why)
{
    if (set->recorded)
        return CODE_OK;
    enum code code = entropy_fill(set->sides[0].id.bytes, sizeof set->sides[0].id.bytes, why);
    if (code == CODE_OK)
        code = entropy_fill(set->record.tag.bytes, sizeof set->record.tag.bytes, why);
    set->record.epoch = 1;
    return code;
}

enum code mirror_set_add(struct mirror_set *set, const char *path, size_t *side, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    SCOPE_FREE char *full = NULL;
    struct store_folder *folder = NULL;
    struct mirror_tag id;
    enum code code = file_make_folders_durable(path, why);
    if (code == CODE_OK)
        code = mirror_set_absolute(path, &full, why);
    if (code != CODE_OK)
        return code;
    mirror_set_look_held(set);
    size_t known = find_path(set, full);
    if (known < MIRROR_SIDES_MAX && (mirror_set_is_current(set, known) || set->sides[known].state == MIRROR_FILLING))
        return failure_set(why, CODE_EXISTS, "%s: is %s already", full,
                           mirror_set_is_current(set, known) ? "a folder of this store, and up to date," : "being filled");
    if (known < MIRROR_SIDES_MAX) /* its lock is ours: it is taken again below */
        retire(set, &set->sides[known]);
    code = begin_list(set, why);
    if (code == CODE_OK)
        code = open_returning(set, full, &folder, &id, why);
    if (code == CODE_OK)
        code = take_in(set, full, folder, &id, side, why);
    if (code != CODE_OK) {
        store_folder_close(folder);
        return code;
    }
    return mirror_set_begin_epoch(set, why);
}

/* A new folder becomes a store, whose list says that it is not whole: so an interrupted filling can be taken up again. */
static enum code make_store(struct mirror_side *side, struct failure *why)
{
    SCOPE_FREE char *format = file_join(side->path, FORMAT_FILE);
    if (!format)
        return out_of_memory(why);
    return file_exists(format) ? CODE_OK : store_folder_finish(side->folder, why);
}

enum code mirror_set_mark_unwhole(struct mirror_set *set, size_t side, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    if (set->sides[side].state != MIRROR_BEHIND)
        return failure_set(why, CODE_BUSY, "%s: cannot be filled now", set->sides[side].path);
    struct mirror_file whole = set->record;
    set->record.filling = true;
    enum code code = mirror_set_save_on(set, side, why);
    set->record = whole;
    if (code == CODE_OK)
        code = make_store(&set->sides[side], why);
    return code;
}

void mirror_set_begin_fill(struct mirror_set *set, size_t side)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    if (set->sides[side].state == MIRROR_BEHIND)
        mirror_set_change_state(&set->sides[side], MIRROR_FILLING, "it is being brought up to date");
}

/* The others first (see the file's theory). */
enum code mirror_set_join(struct mirror_set *set, size_t side, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    struct mirror_side *joining = &set->sides[side];
    if (joining->state != MIRROR_FILLING)
        return failure_set(why, CODE_IO, "%s: %s", joining->path, joining->reason);
    mirror_set_change_state(joining, MIRROR_CURRENT, "");
    enum code code = mirror_file_advance(&set->record, why);
    for (size_t i = 0; code == CODE_OK && i < set->count; i++)
        if (i != side && mirror_set_is_current(set, i))
            code = mirror_set_save_on(set, i, why);
    if (code == CODE_OK)
        code = mirror_set_save_on(set, side, why);
    if (code != CODE_OK)
        mirror_set_lose_held(set, side, why ? why->text : "its list of mirrors cannot be written");
    return code;
}

void mirror_set_stop_fill(struct mirror_set *set, size_t side)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    if (set->sides[side].state == MIRROR_FILLING)
        mirror_set_change_state(&set->sides[side], MIRROR_BEHIND, "it could not be brought up to date");
}

enum code mirror_set_remove(struct mirror_set *set, const char *path, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    SCOPE_FREE char *full = realpath(path, NULL);
    size_t index = find_path(set, full ? full : path);
    if (index == MIRROR_SIDES_MAX)
        return failure_set(why, CODE_NOT_FOUND, "%s: is no mirror of this store", path);
    struct mirror_side *side = &set->sides[index];
    if (index == mirror_set_leader(set))
        return failure_set(why, CODE_NOT_PERMITTED, "%s: is the folder that the lab is served from: name a mirror", path);
    if (side->state == MIRROR_FILLING)
        return failure_set(why, CODE_BUSY, "%s: is being filled: wait for its end", path);
    bool whole = side->state == MIRROR_CURRENT && side->folder;
    mirror_set_change_state(side, MIRROR_LOST, "removed");
    free(side->path);
    side->path = NULL;
    enum code code = mirror_set_begin_epoch(set, why);
    if (code == CODE_OK && whole && full)
        code = mirror_file_forget(full, why);
    retire(set, side);
    return code;
}
