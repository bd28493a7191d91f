/* What the files of mirror_set share; their theory is at the top of mirror_set.c.  Functions are called with the set's lock,
 * or while nobody else knows the set. */
#ifndef CYTOFS_MIRROR_SET_INTERNAL_H
#define CYTOFS_MIRROR_SET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "mirror_file.h"
#include "mirror_set.h"

#define RETIRED_MAX 64 /* folders that came back, or were removed, in one use of the store */

struct mirror_side {
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
    struct mirror_side sides[MIRROR_SIDES_MAX];
    struct mirror_file record;                 /* its members are made from the sides when it is written */
    struct store_folder *retired[RETIRED_MAX]; /* unlocked; kept because somebody may still look at their paths */
    size_t retired_count;
    bool recorded; /* the store has a list of mirrors */
    bool read_only;
    atomic_bool unsettled;
    _Atomic uint64_t repairs;
    void (*told)(void *context, const char *text);
    void *told_context;
};

/* States (mirror_set.c) */
void mirror_set_change_state(struct mirror_side *side, enum mirror_state state, const char *reason);
size_t mirror_set_count_current(const struct mirror_set *set);
bool mirror_set_lose_held(struct mirror_set *set, size_t side, const char *reason);
void mirror_set_look_held(struct mirror_set *set);

/* Lists (mirror_set_record.c): that of one side's folder; those of all current sides, of which one that cannot be written is
 * lost, and then the others are told of that too; those of a new epoch. */
MUST_CHECK enum code mirror_set_save_on(struct mirror_set *set, size_t side, struct failure *why);
MUST_CHECK enum code mirror_set_save_all(struct mirror_set *set, struct failure *why);
MUST_CHECK enum code mirror_set_begin_epoch(struct mirror_set *set, struct failure *why);

/* The path of a folder as lists have it; free(3) *out. */
MUST_CHECK enum code mirror_set_absolute(const char *path, char **out, struct failure *why);

static inline bool mirror_set_same_id(const struct mirror_tag *a, const struct mirror_tag *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

#endif
