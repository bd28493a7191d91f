/* Sides: see page_side.h. */
#include "page_side.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "scope.h"

bool page_side_in_use(const struct page_vfs *self, size_t side)
{
    return side < self->side_count && self->attached[side] && (!self->mirrors || mirror_set_is_current(self->mirrors, side));
}

size_t page_side_first(const struct page_vfs *self)
{
    for (size_t side = 0; side < self->side_count; side++)
        if (page_side_in_use(self, side))
            return side;
    return 0;
}

/* SQLite has one word for whatever became of a disk; the call that failed a moment ago has left the system's in errno. */
bool page_side_lose(struct page_vfs *self, size_t side, const char *doing, int result)
{
    int error = errno, kind = result & 0xFF;
    bool by_system = error && (kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN || kind == SQLITE_READONLY);
    char reason[240];
    snprintf(reason, sizeof reason, "%s the catalog: %s%s%s%s", doing, sqlite3_errstr(result), by_system ? " (" : "",
             by_system ? strerror(error) : "", by_system ? ")" : "");
    return self->mirrors && mirror_set_lose(self->mirrors, side, reason);
}

const char *page_side_path(const struct page_vfs *self, size_t side, enum page_file_kind kind)
{
    return kind == FILE_LOG ? sqlite3_filename_wal(self->paths[side]) : self->paths[side];
}

/* In the form that SQLite's files are named in. */
enum code page_side_name(struct page_vfs *self, size_t side, const char *path, struct failure *why)
{
    SCOPE_FREE char *full = malloc((size_t)self->below->mxPathname + 1);
    SCOPE_FREE char *log = NULL;
    SCOPE_FREE char *journal = NULL;
    if (full && self->below->xFullPathname(self->below, path, self->below->mxPathname + 1, full) >= SQLITE_ERROR &&
        !file_exists(path))
        return failure_set(why, CODE_NAME_TOO_LONG, "opening the catalog: %s is too long a path", path);
    if (!full || asprintf(&log, "%s-wal", full) < 0 || asprintf(&journal, "%s-journal", full) < 0 ||
        !(self->paths[side] = sqlite3_create_filename(full, journal, log, 0, NULL)))
        return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    return CODE_OK;
}

enum code page_side_name_all(struct page_vfs *self, const char *path, struct failure *why)
{
    if (!self->mirrors) {
        self->attached[0] = true;
        self->side_count = 1;
        return page_side_name(self, 0, path, why);
    }
    enum code code = CODE_OK;
    self->side_count = MIRROR_SIDES_MAX;
    for (size_t side = 0; code == CODE_OK && side < mirror_set_count(self->mirrors); side++) {
        SCOPE_FREE char *on_side = file_join(mirror_set_path(self->mirrors, side), file_base_name(path));
        if (!on_side)
            return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
        code = page_side_name(self, side, on_side, why);
        self->attached[side] = code == CODE_OK && mirror_set_is_current(self->mirrors, side);
    }
    return code;
}
