/* The audit log in a backup: see backup_audit.h.
 *
 * The log's files only grow, so a copy of a file's beginning stays right for ever; but for a store that was put back to an
 * earlier point and went on from there.  Its file gets other bytes behind it then, and is copied to one of its own, with the
 * next variant. */
#include "backup_audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit_files.h"
#include "scope.h"
#include "summed_text.h"

#define MAGIC          "cytofs backup audit 1"
#define LIST_BYTES_MAX ((size_t)16 << 20)
#define VARIANTS_MAX   1000u

static enum code no_memory(struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "saving the audit log: no memory");
}

/* The list ------------------------------------------------------------------------------------------------------------- */

void backup_audit_print(const struct backup_audit_file *files, size_t count, struct buffer *out)
{
    buffer_append_text(out, MAGIC "\n");
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "log %" PRIu64 " %" PRIu32 " %" PRIu64 "\n", files[i].first, files[i].variant, files[i].bytes);
    summed_text_finish(out);
}

static bool take_line(const char **at, struct backup_audit_file *file)
{
    int taken = 0;
    if (sscanf(*at, "log %" SCNu64 " %" SCNu32 " %" SCNu64 "%n", &file->first, &file->variant, &file->bytes, &taken) != 3 ||
        (*at)[taken] != '\n' || file->bytes > AUDIT_FILES_BYTES_MAX || file->variant >= VARIANTS_MAX)
        return false;
    *at += taken + 1;
    return true;
}

enum code backup_audit_parse(const char *text, size_t length, struct backup_audit_file **files, size_t *count,
                             struct failure *why)
{
    size_t body;
    SCOPE_BUFFER again = {0};
    const char *at = text + sizeof MAGIC;
    size_t lines = 0;
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    *count = 0;
    *files = calloc(lines + 1, sizeof **files);
    if (!*files)
        return no_memory(why);
    bool sound = !memchr(text, 0, length) && summed_text_check(text, length, &body) && body >= sizeof MAGIC &&
                 memcmp(text, MAGIC "\n", sizeof MAGIC) == 0;
    while (sound && at < text + body) { /* each time a line, so there is room */
        sound = take_line(&at, &(*files)[*count]);
        *count += sound;
    }
    if (sound)
        backup_audit_print(*files, *count, &again);
    if (sound && !again.failed && again.length == length && memcmp(again.data, text, length) == 0)
        return CODE_OK;
    free(*files);
    *files = NULL;
    *count = 0;
    return failure_set(why, CODE_CORRUPT, "the point's list of the audit log is damaged");
}

/* Paths --------------------------------------------------------------------------------------------------------------- */

static char *path_in_store(const char *store, uint64_t first)
{
    char name[sizeof AUDIT_FILES_FOLDER + AUDIT_FILES_NAME_BYTES + 8];
    snprintf(name, sizeof name, AUDIT_FILES_FOLDER "/%020" PRIu64 ".log", first);
    return file_join(store, name);
}

static char *path_in_backup(const struct backup_folder *folder, const struct backup_audit_file *file)
{
    char name[64];
    if (file->variant)
        snprintf(name, sizeof name, "%020" PRIu64 "-%" PRIu32 ".log", file->first, file->variant);
    else
        snprintf(name, sizeof name, "%020" PRIu64 ".log", file->first);
    return backup_folder_audit_path(folder, name);
}

/* Saving --------------------------------------------------------------------------------------------------------------- */

static size_t whole_lines(const struct buffer *text)
{
    const char *end = text->length ? memrchr(text->data, '\n', text->length) : NULL;
    return end ? (size_t)(end - text->data) + 1 : 0;
}

/* Whether one of the two is the beginning of the other. */
static bool is_one(const struct buffer *ours, size_t count, const struct buffer *saved)
{
    size_t common = saved->length < count ? saved->length : count;
    return memcmp(buffer_text(ours), buffer_text(saved), common) == 0;
}

/* The file of the backup that this one goes on, or a new one. */
static enum code save_file(const struct backup_folder *folder, const char *from, struct backup_audit_file *file,
                           uint64_t *bytes, struct failure *why)
{
    SCOPE_BUFFER text = {.max = AUDIT_FILES_BYTES_MAX + 1};
    enum code code = file_read(from, AUDIT_FILES_BYTES_MAX, &text, why);
    file->bytes = whole_lines(&text);
    for (file->variant = 0; code == CODE_OK && file->variant < VARIANTS_MAX; file->variant++) {
        SCOPE_BUFFER saved = {.max = AUDIT_FILES_BYTES_MAX + 1};
        SCOPE_FREE char *path = path_in_backup(folder, file);
        if (!path)
            return no_memory(why);
        if (file_exists(path) &&
            (file_read(path, AUDIT_FILES_BYTES_MAX, &saved, NULL) != CODE_OK || !is_one(&text, file->bytes, &saved)))
            continue;
        if (saved.length >= file->bytes)
            return CODE_OK;
        *bytes += file->bytes;
        return file_replace(path, buffer_text(&text), file->bytes, why);
    }
    return code == CODE_OK ? failure_set(why, CODE_TOO_LARGE, "the audit log went on in too many ways: name a new folder")
                           : code;
}

enum code backup_audit_save(const struct backup_folder *folder, const char *store, uint64_t *bytes, struct failure *why)
{
    struct file_names names;
    SCOPE_BUFFER text = {.max = LIST_BYTES_MAX};
    SCOPE_FREE char *from = file_join(store, AUDIT_FILES_FOLDER);
    SCOPE_FREE char *list = backup_folder_point_path(folder, 0, BACKUP_AUDIT_FILE);
    if (!from || !list)
        return no_memory(why);
    enum code code = audit_files_list(from, &names, why);
    if (code != CODE_OK || names.count == 0) {
        file_names_free(&names);
        return code;
    }
    SCOPE_FREE struct backup_audit_file *files = calloc(names.count, sizeof *files);
    SCOPE_FREE char *to = backup_folder_audit_path(folder, "");
    code = files && to ? file_make_folders_durable(to, why) : no_memory(why);
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        files[i].first = strtoull(names.names[i], NULL, 10);
        SCOPE_FREE char *path = path_in_store(store, files[i].first);
        code = path ? save_file(folder, path, &files[i], bytes, why) : no_memory(why);
    }
    if (code == CODE_OK)
        backup_audit_print(files, names.count, &text);
    file_names_free(&names);
    return code == CODE_OK ? file_replace(list, buffer_text(&text), text.length, why) : code;
}

/* Putting back --------------------------------------------------------------------------------------------------------- */

static enum code restore_file(const struct backup_folder *folder, const struct backup_audit_file *file, const char *store,
                              struct failure *why)
{
    SCOPE_BUFFER text = {.max = AUDIT_FILES_BYTES_MAX + 1};
    SCOPE_FREE char *from = path_in_backup(folder, file);
    SCOPE_FREE char *to = path_in_store(store, file->first);
    if (!from || !to)
        return no_memory(why);
    enum code code = file_read(from, AUDIT_FILES_BYTES_MAX, &text, why);
    if (code != CODE_OK)
        return code;
    return file_replace(to, buffer_text(&text), text.length < file->bytes ? text.length : file->bytes, why);
}

enum code backup_audit_restore(const struct backup_folder *folder, uint32_t point, const char *store, struct failure *why)
{
    SCOPE_BUFFER text = {.max = LIST_BYTES_MAX};
    SCOPE_FREE char *list = backup_folder_point_path(folder, point, BACKUP_AUDIT_FILE);
    SCOPE_FREE char *to = file_join(store, AUDIT_FILES_FOLDER);
    SCOPE_FREE struct backup_audit_file *files = NULL;
    size_t count;
    if (!list || !to)
        return no_memory(why);
    if (!file_exists(list))
        return CODE_OK; /* the lab was never served, or an older cytofs made the point */
    enum code code = file_read(list, LIST_BYTES_MAX, &text, why);
    if (code == CODE_OK)
        code = backup_audit_parse(buffer_text(&text), text.length, &files, &count, why);
    if (code == CODE_OK)
        code = file_make_folders_durable(to, why);
    for (size_t i = 0; code == CODE_OK && i < count; i++)
        code = restore_file(folder, &files[i], store, why);
    return code;
}
