/* The folders of a store: see mirror_set.h.
 *
 * Opening.  Every folder's list of mirrors is read and held against the others' (mirror_file_compare).  One that is not older
 * than any other leads; those of the same epoch are current with it, but for one case: if the program or the machine died,
 * folders of one epoch may differ in what was not acknowledged yet.  Then the one that went furthest leads and the others are
 * behind, to be filled anew (`newest` decides; it knows catalogs).
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
 * Locks: `lock` guards all but the states, the repairs and `unsettled`, which are atomic; it is held over the writing of lists,
 * which is rare.  `told` is called with it.
 */
#include "mirror_set.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "entropy.h"
#include "file.h"
#include "logging.h"
#include "mirror_file.h"
#include "scope.h"
#include "store_folder.h"
#include "timing.h"

#define FORMAT_FILE "FORMAT"
#define RETIRED_MAX 64 /* folders that came back, or were removed, in one use of the store */

struct side {
    char *path; /* absolute */
    struct mirror_tag id;
    struct store_folder *folder; /* opened and locked; NULL where it is not there */
    _Atomic int state;           /* enum mirror_state */
    char reason[200];            /* why it is not current */
    int64_t since_ms;            /* in this state; 1970 */
};

struct mirror_set {
    struct store_id id; /* the store's; set when it is opened */
    pthread_mutex_t lock;
    _Atomic size_t count;
    struct side sides[MIRROR_SIDES_MAX];
    struct mirror_file record; /* its members are made from the sides when it is written */
    struct store_folder *retired[RETIRED_MAX]; /* unlocked; kept because somebody may still look at their paths */
    size_t retired_count;
    bool recorded;             /* the store has a list of mirrors */
    bool read_only;
    atomic_bool unsettled;
    _Atomic uint64_t repairs;
    void (*told)(void *context, const char *text);
    void *told_context;
};

static enum code out_of_memory(struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "mirrors: out of memory");
}

/* States ---------------------------------------------------------------------------------------------------------------- */

static void set_state(struct side *side, enum mirror_state state, const char *reason)
{
    snprintf(side->reason, sizeof side->reason, "%.*s", (int)sizeof side->reason - 1, reason);
    side->since_ms = timing_wall_ms();
    atomic_store(&side->state, (int)state);
}

static bool is_current(const struct mirror_set *set, size_t side)
{
    return atomic_load(&set->sides[side].state) == MIRROR_CURRENT;
}

static size_t count_current(const struct mirror_set *set)
{
    size_t current = 0;
    for (size_t side = 0; side < set->count; side++)
        current += is_current(set, side);
    return current;
}

static void tell(struct mirror_set *set, const char *text)
{
    logging_warning("%s", text);
    if (set->told)
        set->told(set->told_context, text);
}

/* With the lock. */
static bool lose(struct mirror_set *set, size_t side, const char *reason)
{
    struct side *lost = &set->sides[side];
    int state = atomic_load(&lost->state);
    if (state != MIRROR_CURRENT && state != MIRROR_FILLING)
        return true;
    if (state == MIRROR_CURRENT && count_current(set) == 1)
        return false;
    char text[MIRROR_FILE_PATH_MAX + 512];
    set_state(lost, MIRROR_LOST, reason);
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
    return lose(set, side, reason);
}

/* With the lock. */
static void look(struct mirror_set *set)
{
    if (count_current(set) == 1)
        return;
    for (size_t side = 0; side < set->count; side++)
        if (is_current(set, side) && !store_folder_is_in_place(set->sides[side].folder))
            lose(set, side, "its folder is gone");
}

void mirror_set_look(struct mirror_set *set)
{
    if (set->count == 1)
        return;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    look(set);
}

/* Recording ------------------------------------------------------------------------------------------------------------- */

/* The list as it lies in one side's folder. */
static enum code save_on(struct mirror_set *set, size_t side, struct failure *why)
{
    struct mirror_file file = set->record;
    file.self = set->sides[side].id;
    file.member_count = 0;
    for (size_t i = 0; i < set->count; i++)
        if (set->sides[i].path)
            file.members[file.member_count++] =
                (struct mirror_member){set->sides[i].id, is_current(set, i), set->sides[i].path};
    return mirror_file_save(set->sides[side].path, &file, why);
}

/* On all current sides; one that cannot be written is lost, and then the others are told of that too. */
static enum code save_all(struct mirror_set *set, struct failure *why)
{
    bool again = true;
    while (again) {
        again = false;
        for (size_t side = 0; side < set->count && !again; side++) {
            struct failure here;
            if (!is_current(set, side) || save_on(set, side, &here) == CODE_OK)
                continue;
            if (!lose(set, side, here.text)) {
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

/* With the lock. */
static enum code begin_epoch(struct mirror_set *set, struct failure *why)
{
    set->recorded = true;
    set->record.closed = false;
    enum code code = mirror_file_advance(&set->record, why);
    return code == CODE_OK ? save_all(set, why) : code;
}

enum code mirror_set_settle(struct mirror_set *set, struct failure *why)
{
    if (!atomic_load(&set->unsettled))
        return CODE_OK;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    return atomic_load(&set->unsettled) ? begin_epoch(set, why) : CODE_OK;
}

/* Opening --------------------------------------------------------------------------------------------------------------- */

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

static enum code absolute(const char *path, char **out, struct failure *why)
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
    struct side *side = &set->sides[0];
    enum code code = absolute(store_folder_path(folder), &side->path, why);
    if (code != CODE_OK)
        return code;
    set->count = 1;
    set->id = *store_folder_id(folder);
    side->folder = folder;
    set_state(side, MIRROR_CURRENT, "");
    return CODE_OK;
}

static bool same_id(const struct mirror_tag *a, const struct mirror_tag *b)
{
    return memcmp(a, b, sizeof *a) == 0;
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
    struct side *side = &set->sides[index];
    struct failure here;
    if (is_taken(set, index)) {
        set_state(side, MIRROR_LOST, "another folder of the store lies there");
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
    if (code == CODE_OK && !same_id(&found->files[index].self, &side->id))
        code = failure_set(&here, CODE_CORRUPT, "another mirror lies there");
    found->there[index] = code == CODE_OK;
    if (code != CODE_OK) {
        store_folder_close(side->folder);
        side->folder = NULL;
        set_state(side, MIRROR_LOST, here.text);
        return CODE_OK;
    }
    set_state(side, MIRROR_BEHIND, "it was not in use with the others");
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
        if (same_id(&member->id, &named->self) || set->count == MIRROR_SIDES_MAX)
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
    return failure_set(why, CODE_NOT_PERMITTED,
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
    if (!found->there[side] || found->files[side].filling ||
        mirror_file_compare(&found->files[side], file) != MIRROR_SAME)
        return false;
    for (size_t i = 0; i < file->member_count; i++)
        if (same_id(&file->members[i].id, &set->sides[side].id))
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
            set_state(&set->sides[side], MIRROR_CURRENT, "");
        else if (found->there[side])
            set_state(&set->sides[side], MIRROR_BEHIND,
                      level[side] ? "the last use of the lab did not come to its end" : "it was not in use with the others");
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
        const struct side *absent = &set->sides[side];
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
    if (count_current(set) < set->count)
        return begin_epoch(set, why);
    set->record.closed = false;
    return save_all(set, why);
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
        enum code code = atomic_load(&set->unsettled) ? begin_epoch(set, &why) : CODE_OK;
        set->record.closed = true;
        if (code == CODE_OK)
            code = save_all(set, &why);
        if (code != CODE_OK)
            logging_warning("mirrors: %s", why.text);
    }
    release(set);
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

bool mirror_set_is_mirrored(const struct mirror_set *set)
{
    size_t written = 0;
    for (size_t side = 0; side < set->count; side++) {
        enum mirror_state state = mirror_set_state(set, side);
        written += state == MIRROR_CURRENT || state == MIRROR_FILLING;
    }
    return written > 1;
}

size_t mirror_set_leader(const struct mirror_set *set)
{
    size_t side = 0;
    while (side + 1 < set->count && !is_current(set, side))
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
    look(set);
    for (size_t i = 0; i < set->count; i++) {
        const struct side *side = &set->sides[i];
        if (!side->path)
            continue;
        buffer_printf(out, "%-8s %s", names[side->state], side->path);
        if (side->reason[0])
            buffer_printf(out, "  (%s)", side->reason);
        buffer_append_text(out, "\n");
    }
}

/* Coming and going ------------------------------------------------------------------------------------------------------- */

/* Gives up a side's folder. */
static void retire(struct mirror_set *set, struct side *side)
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
        if (set->sides[side].path && same_id(&set->sides[side].id, id))
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
        return failure_set(why, CODE_NOT_PERMITTED,
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
    struct side *side = &set->sides[*index];
    retire(set, side);
    free(side->path);
    side->path = kept;
    side->id = *id;
    side->folder = folder;
    set_state(side, MIRROR_BEHIND, "it is new, or was away");
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
        code = absolute(path, &full, why);
    if (code != CODE_OK)
        return code;
    look(set);
    size_t known = find_path(set, full);
    if (known < MIRROR_SIDES_MAX && (is_current(set, known) || set->sides[known].state == MIRROR_FILLING))
        return failure_set(why, CODE_EXISTS, "%s: is %s already", full,
                           is_current(set, known) ? "a folder of this store, and up to date," : "being filled");
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
    return begin_epoch(set, why);
}

/* A new folder becomes a store, whose list says that it is not whole: so an interrupted filling can be taken up again. */
static enum code make_store(struct side *side, struct failure *why)
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
    enum code code = save_on(set, side, why);
    set->record = whole;
    if (code == CODE_OK)
        code = make_store(&set->sides[side], why);
    return code;
}

void mirror_set_begin_fill(struct mirror_set *set, size_t side)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    if (set->sides[side].state == MIRROR_BEHIND)
        set_state(&set->sides[side], MIRROR_FILLING, "it is being brought up to date");
}

/* The others first (see the file's theory). */
enum code mirror_set_join(struct mirror_set *set, size_t side, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    struct side *joining = &set->sides[side];
    if (joining->state != MIRROR_FILLING)
        return failure_set(why, CODE_IO, "%s: %s", joining->path, joining->reason);
    set_state(joining, MIRROR_CURRENT, "");
    enum code code = mirror_file_advance(&set->record, why);
    for (size_t i = 0; code == CODE_OK && i < set->count; i++)
        if (i != side && is_current(set, i))
            code = save_on(set, i, why);
    if (code == CODE_OK)
        code = save_on(set, side, why);
    if (code != CODE_OK)
        lose(set, side, why ? why->text : "its list of mirrors cannot be written");
    return code;
}

void mirror_set_stop_fill(struct mirror_set *set, size_t side)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    if (set->sides[side].state == MIRROR_FILLING)
        set_state(&set->sides[side], MIRROR_BEHIND, "it could not be brought up to date");
}

enum code mirror_set_remove(struct mirror_set *set, const char *path, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&set->lock);
    SCOPE_FREE char *full = realpath(path, NULL);
    size_t index = find_path(set, full ? full : path);
    if (index == MIRROR_SIDES_MAX)
        return failure_set(why, CODE_NOT_FOUND, "%s: is no mirror of this store", path);
    struct side *side = &set->sides[index];
    if (index == mirror_set_leader(set))
        return failure_set(why, CODE_NOT_PERMITTED, "%s: is the folder that the lab is served from: name a mirror", path);
    if (side->state == MIRROR_FILLING)
        return failure_set(why, CODE_BUSY, "%s: is being filled: wait for its end", path);
    bool whole = side->state == MIRROR_CURRENT && side->folder;
    set_state(side, MIRROR_LOST, "removed");
    free(side->path);
    side->path = NULL;
    enum code code = begin_epoch(set, why);
    if (code == CODE_OK && whole && full)
        code = mirror_file_forget(full, why);
    retire(set, side);
    return code;
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
    look(set);
    if (!set->recorded || !is_current(set, side))
        return CODE_OK;
    for (const char *const *name = mirror_file_names; *name; name++)
        *sound &= is_sound(set->sides[side].path, *name);
    return *sound || !mend ? CODE_OK : save_on(set, side, why);
}
