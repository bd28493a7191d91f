/* Files of the audit log, without keys: see audit_files.h.  Lines are ended by a line feed; in files of version 2 the last
 * 17 bytes before it are ' ' and XXH3-64 (seed 0) of what stands before them. */
#include "audit_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checksum.h"
#include "scope.h"

#define NAME_DIGITS 20
#define HEAD_1      "cytofs audit 1 "

bool audit_files_is_name(const char *name)
{
    return strspn(name, "0123456789") == NAME_DIGITS && strcmp(name + NAME_DIGITS, ".log") == 0;
}

/* Bytewise sorted is oldest first, as all names are of one length. */
enum code audit_files_list(const char *folder, struct file_names *out, struct failure *why)
{
    *out = (struct file_names){0};
    if (!file_exists(folder))
        return CODE_OK;
    enum code code = file_list(folder, AUDIT_FILES_MAX, out, why);
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++)
        if (audit_files_is_name(out->names[i]))
            out->names[kept++] = out->names[i];
        else
            free(out->names[i]);
    out->count = kept;
    return code;
}

/* Lines ------------------------------------------------------------------------------------------------------------- */

void audit_files_write_sum(const char *line, size_t length, char sum[AUDIT_FILES_SUM_BYTES])
{
    char text[AUDIT_FILES_SUM_BYTES + 1];
    snprintf(text, sizeof text, " %016" PRIx64, checksum_64(line, length, 0));
    memcpy(sum, text, AUDIT_FILES_SUM_BYTES);
}

static bool is_summed(const char *text, size_t count)
{
    return count < sizeof HEAD_1 - 1 || memcmp(text, HEAD_1, sizeof HEAD_1 - 1) != 0;
}

enum audit_line_state audit_files_line(const char *text, size_t count, size_t at, size_t *length)
{
    char sum[AUDIT_FILES_SUM_BYTES];
    *length = 0;
    if (at >= count)
        return AUDIT_LINE_NONE;
    const char *line = text + at, *end = memchr(line, '\n', count - at);
    *length = end ? (size_t)(end - line) : count - at;
    if (!end)
        return AUDIT_LINE_TORN;
    if (!is_summed(text, count))
        return AUDIT_LINE_UNSUMMED;
    if (*length <= AUDIT_FILES_SUM_BYTES)
        return AUDIT_LINE_DAMAGED;
    audit_files_write_sum(line, *length - AUDIT_FILES_SUM_BYTES, sum);
    return memcmp(end - AUDIT_FILES_SUM_BYTES, sum, sizeof sum) == 0 ? AUDIT_LINE_WHOLE : AUDIT_LINE_DAMAGED;
}

/* Bringing a copy up to date ------------------------------------------------------------------------------------------- */

static enum code append(const char *path, const char *bytes, size_t count, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    while (count > 0) {
        ssize_t wrote = write(fd, bytes, count);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return failure_set_errno(why, errno, "%s: cannot be written", path);
        bytes += wrote;
        count -= (size_t)wrote;
    }
    return fsync(fd) == 0 ? CODE_OK : failure_set_errno(why, errno, "%s: cannot be written", path);
}

static size_t whole_lines(const struct buffer *text)
{
    const char *end = text->length ? memrchr(text->data, '\n', text->length) : NULL;
    return end ? (size_t)(end - text->data) + 1 : 0;
}

static enum code bring_file(const char *from, const char *to, struct failure *why)
{
    SCOPE_BUFFER ours = {.max = AUDIT_FILES_BYTES_MAX + 1};
    SCOPE_BUFFER there = {.max = AUDIT_FILES_BYTES_MAX + 1};
    enum code code = file_read(from, AUDIT_FILES_BYTES_MAX, &ours, why);
    size_t wanted = whole_lines(&ours);
    if (code != CODE_OK)
        return code;
    bool fits = file_exists(to) && file_read(to, AUDIT_FILES_BYTES_MAX, &there, NULL) == CODE_OK && there.length <= wanted &&
                memcmp(buffer_text(&there), buffer_text(&ours), there.length) == 0;
    if (fits && there.length == wanted)
        return CODE_OK;
    return fits ? append(to, ours.data + there.length, wanted - there.length, why)
                : file_replace(to, buffer_text(&ours), wanted, why);
}

static bool is_as_long(const char *from, const char *to)
{
    SCOPE_CLOSE int ours = open(from, O_RDONLY | O_CLOEXEC);
    SCOPE_CLOSE int there = open(to, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return ours >= 0 && there >= 0 && lseek(ours, 0, SEEK_END) == lseek(there, 0, SEEK_END);
}

static bool has(const struct file_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->names[i], name) == 0)
            return true;
    return false;
}

/* Files of another history. */
static enum code remove_others(const char *folder, const struct file_names *ours, struct failure *why)
{
    struct file_names there;
    enum code code = audit_files_list(folder, &there, why);
    for (size_t i = 0; code == CODE_OK && i < there.count; i++) {
        SCOPE_FREE char *path = has(ours, there.names[i]) ? NULL : file_join(folder, there.names[i]);
        if (path && unlink(path) != 0)
            code = failure_set_errno(why, errno, "%s: cannot be removed", path);
    }
    file_names_free(&there);
    return code;
}

enum code audit_files_bring(const char *from, const char *to, struct failure *why)
{
    struct file_names ours;
    enum code code = audit_files_list(from, &ours, why);
    if (code == CODE_OK && ours.count)
        code = file_make_folders_durable(to, why);
    if (code == CODE_OK)
        code = remove_others(to, &ours, why);
    for (size_t i = 0; code == CODE_OK && i < ours.count; i++) {
        SCOPE_FREE char *source = file_join(from, ours.names[i]);
        SCOPE_FREE char *target = file_join(to, ours.names[i]);
        if (!source || !target)
            code = failure_set(why, CODE_NO_MEMORY, "copying the audit log: no memory");
        else if (i + 1 == ours.count || !is_as_long(source, target))
            code = bring_file(source, target, why);
    }
    file_names_free(&ours);
    return code;
}
