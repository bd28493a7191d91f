/* The audit log's files, without keys: see ../store/audit_files.h and fs/audit/FORMAT.md.
 *
 * Each line has a checksum.  One that is damaged is mended from another side that has it whole at the same place; a file
 * that a side lacks, or whose end it lacks, is brought there.  The last line may be on its way, in a lab that is in use; and
 * what was written by programs that wrote no checksums is only looked for. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "audit_files.h"
#include "mirror_set.h"
#include "scope.h"
#include "scrub_internal.h"

static enum code no_memory(struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "scrubbing: no memory");
}

static char *path_of(const struct scrub *scrub, size_t side, const char *name)
{
    SCOPE_FREE char *folder = file_join(scrub_side_path(scrub, side), AUDIT_FILES_FOLDER);
    return folder ? file_join(folder, name) : NULL;
}

/* Writes the line from another side, where that has it whole; *length becomes what it has there: a line feed may have been
 * made of one of its bytes, or the other way round. */
static bool mend_line(const struct scrub *scrub, size_t side, const char *name, size_t at, size_t *length)
{
    SCOPE_FREE char *to = path_of(scrub, side, name);
    for (size_t other = 0; to && other < mirror_set_count(scrub->options->mirrors); other++) {
        SCOPE_BUFFER text = {.max = AUDIT_FILES_BYTES_MAX + 1};
        SCOPE_FREE char *from = other != side && scrub_has_side(scrub, other) ? path_of(scrub, other, name) : NULL;
        size_t whole;
        if (!from || file_read(from, AUDIT_FILES_BYTES_MAX, &text, NULL) != CODE_OK ||
            audit_files_line(text.data, text.length, at, &whole) != AUDIT_LINE_WHOLE)
            continue;
        SCOPE_CLOSE int fd = open(to, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && pwrite(fd, text.data + at, whole + 1, (off_t)at) == (ssize_t)whole + 1 && fsync(fd) == 0) {
            *length = whole;
            return true;
        }
    }
    return false;
}

static void look_at_lines(struct scrub *scrub, size_t side, const char *name, const struct buffer *text, bool newest)
{
    size_t length, number = 0;
    enum audit_line_state state;
    for (size_t at = 0; (state = audit_files_line(text->data, text->length, at, &length)) != AUDIT_LINE_NONE;
         at += length + 1, number++) {
        if (state == AUDIT_LINE_WHOLE || state == AUDIT_LINE_UNSUMMED || (state == AUDIT_LINE_TORN && newest))
            continue;
        bool mended = !scrub->options->look_only && mend_line(scrub, side, name, at, &length);
        scrub_tell(scrub, mended ? SCRUB_MENDED : SCRUB_DAMAGED, "%s/" AUDIT_FILES_FOLDER "/%s: line %zu: is damaged",
                   scrub_side_path(scrub, side), name, number + 1);
    }
}

static enum code look_at_file(struct scrub *scrub, size_t side, const char *name, bool newest, struct failure *why)
{
    SCOPE_BUFFER text = {.max = AUDIT_FILES_BYTES_MAX + 1};
    SCOPE_FREE char *path = path_of(scrub, side, name);
    if (!path)
        return no_memory(why);
    enum code code = file_read(path, AUDIT_FILES_BYTES_MAX, &text, why);
    if (code == CODE_NOT_FOUND)
        return CODE_OK; /* it has just gone, with the folder */
    if (code != CODE_OK) {
        scrub_tell(scrub, SCRUB_DAMAGED, "%s", why->text);
        return CODE_OK;
    }
    look_at_lines(scrub, side, name, &text, newest);
    return scrub_step(scrub, text.length) ? CODE_OK : scrub_interrupted(why);
}

/* Files that this side lacks and another current one has; the newest may just have been begun. */
static void look_for_missing(struct scrub *scrub, size_t side, const struct file_names *ours, size_t other)
{
    struct file_names there;
    SCOPE_FREE char *folder = path_of(scrub, other, "");
    if (!folder || audit_files_list(folder, &there, NULL) != CODE_OK)
        return;
    for (size_t i = 0; i + 1 < there.count; i++) {
        SCOPE_BUFFER text = {.max = AUDIT_FILES_BYTES_MAX + 1};
        SCOPE_FREE char *from = path_of(scrub, other, there.names[i]);
        SCOPE_FREE char *to = path_of(scrub, side, there.names[i]);
        if (!from || !to || !ours->count || file_exists(to))
            continue; /* a side that has none at all gets it when the lab is served next */
        bool mended = !scrub->options->look_only && file_read(from, AUDIT_FILES_BYTES_MAX, &text, NULL) == CODE_OK &&
                      file_replace(to, buffer_text(&text), text.length, NULL) == CODE_OK;
        scrub_tell(scrub, mended ? SCRUB_MENDED : SCRUB_DAMAGED, "%s: is missing", to);
    }
    file_names_free(&there);
}

enum code scrub_audit(struct scrub *scrub, size_t side, struct failure *why)
{
    struct file_names names;
    SCOPE_FREE char *folder = path_of(scrub, side, "");
    enum code code = folder ? audit_files_list(folder, &names, why) : no_memory(why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; code == CODE_OK && i < names.count; i++)
        code = look_at_file(scrub, side, names.names[i], i + 1 == names.count, why);
    for (size_t other = 0; code == CODE_OK && other < mirror_set_count(scrub->options->mirrors); other++)
        if (other != side && scrub_has_side(scrub, other))
            look_for_missing(scrub, side, &names, other);
    file_names_free(&names);
    return code;
}
