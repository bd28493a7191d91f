/* The log's files: see page_log.h, and page_vfs_sync_log and page_vfs_reserve_log in page_vfs.h.
 *
 * Room.  SQLite takes a whole transaction back when a write of the log meets a full disk, though callers have been told long
 * ago that what it holds has happened.  So the blocks of what will be written are taken before, beyond the file's end, where
 * that can still be refused with nothing lost.
 */
#include "page_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "page_side.h"
#include "scope.h"

#define AHEAD_BYTES ((uint64_t)4 << 20) /* taken beyond what is asked for, where there is as much */

void page_log_close(struct page_vfs *self, size_t side)
{
    if (self->log_fds[side] >= 0)
        close(self->log_fds[side]);
    self->log_fds[side] = -1;
    self->log_room[side] = 0;
    self->log_named[side] = self->log_tight[side] = false;
}

bool page_log_open(struct page_vfs *self, size_t side)
{
    page_log_close(self, side);
    self->log_fds[side] = open(page_side_path(self, side, FILE_LOG), O_RDWR | O_CLOEXEC);
    return self->log_fds[side] >= 0;
}

static enum code sync_folder_of(const char *path, struct failure *why)
{
    const char *slash = strrchr(path, '/');
    SCOPE_FREE char *folder_path = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!folder_path)
        return failure_set(why, CODE_NO_MEMORY, "syncing the catalog: no memory");
    SCOPE_CLOSE int folder = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder >= 0 && fsync(folder) == 0 ? CODE_OK : failure_set_errno(why, errno, "syncing %s", folder_path);
}

/* The first time, the log's name is made durable too. */
static enum code sync_side(struct page_vfs *self, size_t side, struct failure *why)
{
    const char *path = page_side_path(self, side, FILE_LOG);
    if (fdatasync(self->log_fds[side]) != 0)
        return failure_set_errno(why, errno, "syncing %s", path);
    enum code code = self->log_named[side] ? CODE_OK : sync_folder_of(path, why);
    self->log_named[side] = code == CODE_OK;
    return code;
}

enum code page_vfs_sync_log(struct page_vfs *self, struct failure *why)
{
    if (self->mirrors)
        mirror_set_look(self->mirrors);
    for (size_t side = 0; side < self->side_count; side++) {
        struct failure here;
        if (!page_side_in_use(self, side))
            continue;
        enum code code = sync_side(self, side, &here);
        if (code == CODE_OK || (self->mirrors && mirror_set_lose(self->mirrors, side, here.text)))
            continue;
        if (why)
            *why = here;
        return code;
    }
    return self->mirrors ? mirror_set_settle(self->mirrors, why) : CODE_OK;
}

/* Only a full disk is a failure: one that cannot set blocks aside is written to without. */
static bool take_blocks(struct page_vfs *self, size_t side, uint64_t from, uint64_t to)
{
    if (fallocate(self->log_fds[side], FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)) != 0 &&
        (errno == ENOSPC || errno == EDQUOT))
        return false;
    self->log_room[side] = to;
    return true;
}

static enum code reserve_side(struct page_vfs *self, size_t side, uint64_t bytes, struct failure *why)
{
    struct stat status;
    if (fstat(self->log_fds[side], &status) != 0)
        return failure_set_errno(why, errno, "looking at %s", page_side_path(self, side, FILE_LOG));
    uint64_t end = (uint64_t)status.st_size, wanted = end + bytes;
    self->log_tight[side] =
        wanted + AHEAD_BYTES / 2 > self->log_room[side] && !take_blocks(self, side, end, wanted + AHEAD_BYTES);
    if (wanted <= self->log_room[side] || take_blocks(self, side, end, wanted))
        return CODE_OK;
    return failure_set(why, CODE_NO_SPACE, "the disk that holds the lab is full: make room on it");
}

bool page_vfs_log_is_tight(const struct page_vfs *self)
{
    for (size_t side = 0; side < self->side_count; side++)
        if (page_side_in_use(self, side) && self->log_tight[side])
            return true;
    return false;
}

/* As in a write, a full disk is no reason to lose the side that leads. */
enum code page_vfs_reserve_log(struct page_vfs *self, uint64_t bytes, struct failure *why)
{
    bool first = true;
    for (size_t side = 0; side < self->side_count; side++) {
        struct failure here;
        if (!page_side_in_use(self, side))
            continue;
        enum code code = reserve_side(self, side, bytes, &here);
        bool full = code == CODE_NO_SPACE;
        if (code != CODE_OK && ((first && full) || !self->mirrors || !mirror_set_lose(self->mirrors, side, here.text))) {
            if (why)
                *why = here;
            return code;
        }
        first = false;
    }
    return CODE_OK;
}
