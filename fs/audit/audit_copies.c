/* Copies of the log: see audit_copies.h.
 *
 * Each step is done in every folder; then those where it failed are let go, if it succeeded in one.  The writer takes a
 * folder that has come back up again later (audit.c), and audit_files_bring gives it what it lacks. */
#include "audit_copies.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit_files.h"
#include "file.h"
#include "logging.h"
#include "scope.h"

static void let_go(struct audit_copies *copies, size_t i)
{
    if (copies->list[i].file >= 0)
        close(copies->list[i].file);
    free(copies->list[i].folder);
    copies->count--;
    memmove(&copies->list[i], &copies->list[i + 1], (copies->count - i) * sizeof *copies->list);
}

void audit_copies_free(struct audit_copies *copies)
{
    while (copies->count)
        let_go(copies, copies->count - 1);
    free(copies->name);
    *copies = (struct audit_copies){0};
}

bool audit_copies_has(const struct audit_copies *copies, const char *folder)
{
    for (size_t i = 0; i < copies->count; i++)
        if (strcmp(copies->list[i].folder, folder) == 0)
            return true;
    return false;
}

void audit_copies_detach(struct audit_copies *copies, const char *folder)
{
    for (size_t i = copies->count; i-- > 0 && copies->count > 1;)
        if (strcmp(copies->list[i].folder, folder) == 0)
            let_go(copies, i);
}

/* A step in all folders ---------------------------------------------------------------------------------------------- */

struct step {
    const char *bytes;
    size_t count;
};
typedef enum code take_step(struct audit_copies *copies, struct audit_copy *copy, const struct step *step,
                            struct failure *why);

/* Done where it can be; CODE_OK where it was done in one folder at least.  `undo` is called for the others of a step that
 * failed everywhere. */
static enum code in_all(struct audit_copies *copies, take_step *take, const struct step *step, struct failure *why)
{
    bool failed[AUDIT_COPIES_MAX] = {false};
    struct failure here = {.code = CODE_IO};
    size_t done = 0;
    for (size_t i = 0; i < copies->count; i++) {
        struct failure one;
        failed[i] = take(copies, &copies->list[i], step, &one) != CODE_OK;
        done += !failed[i];
        if (failed[i])
            here = one;
    }
    for (size_t i = copies->count; done && i-- > 0;)
        if (failed[i]) {
            logging_warning("the audit log is no longer written to %s: %s", copies->list[i].folder, here.text);
            let_go(copies, i);
        }
    if (done)
        return CODE_OK;
    if (why)
        *why = here;
    return here.code;
}

static char *path_in(const struct audit_copies *copies, const struct audit_copy *copy)
{
    return copies->name ? file_join(copy->folder, copies->name) : NULL;
}

static enum code no_memory(struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "the audit log: no memory");
}

/* Opens the file, and cuts it to what the log has. */
static enum code open_file(struct audit_copies *copies, struct audit_copy *copy, const struct step *step,
                           struct failure *why)
{
    (void)step;
    SCOPE_FREE char *path = path_in(copies, copy);
    if (!path)
        return no_memory(why);
    int file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    if (copy->file >= 0)
        close(copy->file);
    copy->file = file;
    return ftruncate(file, (off_t)copies->bytes) == 0 ? CODE_OK
                                                      : failure_set_errno(why, errno, "%s: cannot be written", path);
}

static enum code begin_file(struct audit_copies *copies, struct audit_copy *copy, const struct step *step,
                            struct failure *why)
{
    SCOPE_FREE char *path = path_in(copies, copy);
    if (!path)
        return no_memory(why);
    enum code code = file_replace(path, step->bytes, step->count, why);
    return code == CODE_OK ? open_file(copies, copy, step, why) : code;
}

static enum code write_bytes(struct audit_copies *copies, struct audit_copy *copy, const struct step *step,
                             struct failure *why)
{
    const char *bytes = step->bytes;
    for (size_t left = step->count; left > 0;) {
        ssize_t wrote = write(copy->file, bytes, left);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            failure_set_errno(why, errno, "writing the audit log");
            return ftruncate(copy->file, (off_t)copies->bytes) == 0
                       ? why->code
                       : failure_wrap(why, why->code, "and half a line cannot be taken back");
        }
        bytes += wrote;
        left -= (size_t)wrote;
    }
    return CODE_OK;
}

static enum code sync_file(struct audit_copies *copies, struct audit_copy *copy, const struct step *step,
                           struct failure *why)
{
    (void)copies;
    (void)step;
    return fdatasync(copy->file) == 0 ? CODE_OK : failure_set_errno(why, errno, "writing the audit log");
}

/* Public --------------------------------------------------------------------------------------------------------------- */

static enum code set_name(struct audit_copies *copies, const char *name, size_t bytes, struct failure *why)
{
    char *copy = strdup(name);
    if (!copy)
        return no_memory(why);
    free(copies->name);
    copies->name = copy;
    copies->bytes = bytes;
    return CODE_OK;
}

enum code audit_copies_attach(struct audit_copies *copies, const char *folder, struct failure *why)
{
    if (audit_copies_has(copies, folder))
        return CODE_OK;
    if (copies->count == AUDIT_COPIES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "the audit log has %d copies at most", AUDIT_COPIES_MAX);
    struct audit_copy copy = {.folder = strdup(folder), .file = -1};
    enum code code = copy.folder ? file_make_folders_durable(folder, why) : no_memory(why);
    if (code == CODE_OK && copies->count)
        code = audit_files_bring(copies->list[0].folder, folder, why);
    if (code == CODE_OK && copies->name)
        code = open_file(copies, &copy, NULL, why);
    if (code == CODE_OK) {
        copies->list[copies->count++] = copy;
        return CODE_OK;
    }
    if (copy.file >= 0)
        close(copy.file);
    free(copy.folder);
    return code;
}

enum code audit_copies_take_up(struct audit_copies *copies, const char *name, size_t bytes, struct failure *why)
{
    enum code code = set_name(copies, name, bytes, why);
    return code == CODE_OK ? in_all(copies, open_file, NULL, why) : code;
}

enum code audit_copies_begin(struct audit_copies *copies, const char *name, const char *head, size_t count,
                             struct failure *why)
{
    SCOPE_FREE char *before = copies->name;
    const size_t bytes_before = copies->bytes;
    copies->name = NULL;
    enum code code = set_name(copies, name, count, why);
    if (code == CODE_OK)
        code = in_all(copies, begin_file, &(struct step){head, count}, why);
    if (code != CODE_OK) { /* goes on in the file before */
        free(copies->name);
        copies->name = before;
        before = NULL;
        copies->bytes = bytes_before;
    }
    return code;
}

enum code audit_copies_write(struct audit_copies *copies, const char *bytes, size_t count, struct failure *why)
{
    enum code code = in_all(copies, write_bytes, &(struct step){bytes, count}, why);
    copies->bytes += code == CODE_OK ? count : 0;
    return code;
}

enum code audit_copies_sync(struct audit_copies *copies, struct failure *why)
{
    return in_all(copies, sync_file, NULL, why);
}
