/* The folders that hold one store: the one that was named, and its mirrors, each of them a whole store.
 *
 * A side is CURRENT (it holds everything, and gets every write), BEHIND (it was away, or is new: nobody writes to it),
 * FILLING (it is being brought up to date, and gets new chunks already) or LOST (it failed while in use):
 *
 *     BEHIND --fill--> FILLING --join--> CURRENT --lose--> LOST --return--> FILLING
 *                         `----lose----> LOST
 *
 * What the folders know of each other lies in each of them (mirror_file.h).  Before anything is acknowledged that one of
 * them lacks, the others have noted durably that it is behind: so an older one is never taken for a newer one, and two that
 * went on without each other are found out.
 *
 * Any thread may call any function; the states are read without a lock.
 */
#ifndef CYTOFS_MIRROR_SET_H
#define CYTOFS_MIRROR_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "identity.h"

#define MIRROR_SIDES_MAX 4

enum mirror_state { MIRROR_BEHIND, MIRROR_FILLING, MIRROR_CURRENT, MIRROR_LOST };

struct mirror_set;
struct buffer;
struct store_folder;

/* Opens and locks the store at `path` and those of its mirrors that are there.  Where there are none, this is
 * store_folder_open and the set has one side.
 *
 * CODE_NOT_FOUND, CODE_BUSY, CODE_NEWER_FORMAT, CODE_CORRUPT: as store_folder_open.  CODE_NOT_PERMITTED: two folders have
 * been changed without each other, or the only one that is there was never filled; the text says what to do. */
struct mirror_set_options {
    bool read_only;
    /* Tells which of the folders, all of which were current when the program or the machine died, went furthest: the
     * index of its path.  catalog_newest (catalog_pages.h). */
    enum code (*newest)(const char *const *paths, size_t count, size_t *index, struct failure *why);
};
MUST_CHECK enum code mirror_set_open(const char *path, const struct mirror_set_options *options, struct mirror_set **out,
                                     struct failure *why);

/* Takes over a folder that was just made (store_folder_create); it stays the caller's where this fails. */
MUST_CHECK enum code mirror_set_adopt(struct store_folder *folder, struct mirror_set **out, struct failure *why);

/* Notes that all went well, and gives the locks back; NULL is fine. */
void mirror_set_close(struct mirror_set *set);

size_t mirror_set_count(const struct mirror_set *set);
enum mirror_state mirror_set_state(const struct mirror_set *set, size_t side);
static inline bool mirror_set_is_current(const struct mirror_set *set, size_t side)
{
    return mirror_set_state(set, side) == MIRROR_CURRENT;
}

/* The first current side. */
size_t mirror_set_leader(const struct mirror_set *set);

/* Valid until the set is closed.  The folder is NULL where the side is not there. */
const char *mirror_set_path(const struct mirror_set *set, size_t side);
struct store_folder *mirror_set_folder(const struct mirror_set *set, size_t side);
const struct store_id *mirror_set_id(const struct mirror_set *set);

/* A write to a side failed: it is LOST from now on, told by a line in the log and by `told`.  The last current side
 * cannot be lost: false, and nothing has changed. */
bool mirror_set_lose(struct mirror_set *set, size_t side, const char *reason);

/* Looks whether the folders are still where they were, and loses those that are not. */
void mirror_set_look(struct mirror_set *set);

/* Makes it durable on all current sides that others are behind.  To be called when a sync is done and before it is
 * acknowledged; nothing to do nearly always. */
MUST_CHECK enum code mirror_set_settle(struct mirror_set *set, struct failure *why);

/* Something on a side was found damaged and mended from another one. */
void mirror_set_note_repair(struct mirror_set *set, size_t side, const char *what);
uint64_t mirror_set_repairs(const struct mirror_set *set);

/* Called for each loss and each repair, from any thread; it must not call back.  Set it before the set is shared. */
void mirror_set_tell(struct mirror_set *set, void (*told)(void *context, const char *text), void *context);

/* Filling (mirror_fill.c) --------------------------------------------------------------------------------------- */

/* A new side, in an empty or new folder, or one that comes back.  It is BEHIND afterwards.  *side gets its number.
 * CODE_EXISTS: it is current.  CODE_NOT_PERMITTED: it holds another store, or was changed without the others. */
MUST_CHECK enum code mirror_set_add(struct mirror_set *set, const char *path, size_t *side, struct failure *why);

/* Makes it durable in a folder that is behind that it is not whole; then BEHIND -> FILLING; FILLING -> CURRENT; back to
 * BEHIND. */
MUST_CHECK enum code mirror_set_mark_unwhole(struct mirror_set *set, size_t side, struct failure *why);
void mirror_set_begin_fill(struct mirror_set *set, size_t side);
MUST_CHECK enum code mirror_set_join(struct mirror_set *set, size_t side, struct failure *why);
void mirror_set_stop_fill(struct mirror_set *set, size_t side);

/* The others forget the side; what lies in its folder stays, as a store of its own.  CODE_NOT_FOUND. */
MUST_CHECK enum code mirror_set_remove(struct mirror_set *set, const char *path, struct failure *why);

/* Whether a side's lists of mirrors are sound; writes them anew where they are not and `mend` says so. */
MUST_CHECK enum code mirror_set_check_lists(struct mirror_set *set, size_t side, bool mend, bool *sound,
                                            struct failure *why);

/* A line a side: its folder, its state, and since when or why. */
void mirror_set_describe(struct mirror_set *set, struct buffer *out);

#endif
