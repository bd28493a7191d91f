/* Files of the audit log: see audit_log.h.
 *
 *     "cytofs audit 1 " first line's number ' ' hex(SHA-256 of the line before it) '\n'
 *     line ...
 *
 * A file's name and its head say the same number.  So a file can be read without those before it, and whether those are still there can be
 * told.  Appending is one write(2) for a line; the file that is full is synced before the next is begun. */
#include "audit_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "hex.h"
#include "scope.h"

#define HEAD           "cytofs audit 1 "
#define NAME_DIGITS    20
#define FILES_MAX      100000
#define FILE_BYTES_MAX (2 * (size_t)AUDIT_FILE_BYTES)
#define HEAD_BYTES_MAX (sizeof HEAD + NAME_DIGITS + 2 * DIGEST_BYTES + 4)

struct audit_log {
    char *folder;
    const struct aead_key *key;
    struct audit_place place;
    int file;
    size_t file_bytes;
};

/* Reading ---------------------------------------------------------------------------------------------------------- */

static bool is_log_name(const char *name)
{
    return strspn(name, "0123456789") == NAME_DIGITS && strcmp(name + NAME_DIGITS, ".log") == 0;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* The log's files, oldest first. */
static enum code list_files(const char *folder, struct file_names *out, struct failure *why)
{
    enum code code = file_list(folder, FILES_MAX, out, why);
    if (code != CODE_OK)
        return code;
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++)
        if (is_log_name(out->names[i])) {
            char *name = out->names[kept];
            out->names[kept++] = out->names[i];
            out->names[i] = name;
        }
    if (kept)
        qsort(out->names, kept, sizeof *out->names, compare_names);
    for (size_t i = kept; i < out->count; i++)
        free(out->names[i]);
    out->count = kept;
    return CODE_OK;
}

static size_t print_head(const struct audit_place *place, char head[HEAD_BYTES_MAX])
{
    char hex[HEX_TEXT_BYTES(DIGEST_BYTES)];
    hex_encode(place->last, DIGEST_BYTES, hex);
    return (size_t)snprintf(head, HEAD_BYTES_MAX, HEAD "%" PRIu64 " %s\n", place->lines, hex);
}

/* Where the file begins in the chain, and how long its head is: exactly as it would be written. */
static enum code parse_head(const char *name, const struct buffer *text, struct audit_place *place, size_t *bytes, struct failure *why)
{
    char head[HEAD_BYTES_MAX];
    const char *hex = strchr(buffer_text(text), '\n');
    hex = hex && hex - text->data > 2 * DIGEST_BYTES ? hex - 2 * DIGEST_BYTES : NULL;
    place->lines = strtoull(name, NULL, 10);
    bool sound = hex && hex_decode(hex, 2 * DIGEST_BYTES, place->last, DIGEST_BYTES);
    *bytes = sound ? print_head(place, head) : 0;
    if (sound && text->length >= *bytes && memcmp(text->data, head, *bytes) == 0)
        return CODE_OK;
    return failure_set(why, CODE_CORRUPT, "audit/%s does not begin as a log does", name);
}

static enum code read_file(const char *folder, const char *name, struct buffer *text, struct audit_place *place, size_t *head,
                           struct failure *why)
{
    SCOPE_FREE char *path = file_join(folder, name);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "reading the audit log: no memory");
    enum code code = file_read(path, FILE_BYTES_MAX, text, why);
    return code == CODE_OK ? parse_head(name, text, place, head, why) : code;
}

/* The line at `at`: its length without the newline; false where no whole one follows. */
static bool line_at(const struct buffer *text, size_t at, size_t *length)
{
    const char *end = at < text->length ? memchr(text->data + at, '\n', text->length - at) : NULL;
    *length = end ? (size_t)(end - text->data) - at : 0;
    return end != NULL;
}

/* A line that was known as this one when the log was looked at from elsewhere is still this one. */
static enum code check_known(const struct audit_place *place, const struct audit_place *known, struct failure *why)
{
    if (!known || place->lines != known->lines || memcmp(place->last, known->last, DIGEST_BYTES) == 0)
        return CODE_OK;
    return failure_set(why, CODE_CORRUPT, "line %" PRIu64 " is not the one that the lab remembers", place->lines - 1);
}

static enum code read_lines(const struct aead_key *key, const struct buffer *text, size_t at, const struct audit_reading *reading,
                            const struct audit_place *known, struct audit_read *out, struct failure *why)
{
    size_t length;
    enum code code = check_known(&out->end, known, why);
    for (; code == CODE_OK && line_at(text, at, &length); at += length + 1) {
        SCOPE_BUFFER plain = {0};
        uint64_t number = out->end.lines;
        code = audit_chain_open(key, &out->end, text->data + at, length, &plain, why);
        if (code == CODE_OK && reading->each && number >= reading->from)
            reading->each(reading->context, number, buffer_text(&plain));
        if (code == CODE_OK)
            code = check_known(&out->end, known, why);
    }
    out->torn = code == CODE_OK && at < text->length;
    return code;
}

/* The file that holds the line, or the oldest. */
static size_t first_file(const struct file_names *names, uint64_t from)
{
    size_t i = names->count ? names->count - 1 : 0;
    while (i > 0 && strtoull(names->names[i], NULL, 10) > from)
        i--;
    return i;
}

enum code audit_log_read(const char *folder, const struct aead_key *key, const struct audit_reading *reading,
                         const struct audit_place *known, struct audit_read *out, struct failure *why)
{
    struct file_names names = {0};
    *out = (struct audit_read){.first = 0};
    enum code code = list_files(folder, &names, why);
    size_t begin = first_file(&names, reading->from);
    for (size_t i = begin; code == CODE_OK && i < names.count; i++) {
        SCOPE_BUFFER text = {.max = FILE_BYTES_MAX + 1};
        struct audit_place place;
        size_t head;
        code = read_file(folder, names.names[i], &text, &place, &head, why);
        if (code != CODE_OK)
            break;
        if (i == begin)
            out->first = place.lines;
        if (i == 0 && reading->from == 0 && place.lines > 0)
            code = failure_set(why, CODE_CORRUPT, "lines 0 to %" PRIu64 " are missing", place.lines - 1);
        if (i > begin && (out->torn || memcmp(&place, &out->end, sizeof place) != 0))
            code = failure_set(why, CODE_CORRUPT, "line %" PRIu64 " is missing, or is not the one that was written there", out->end.lines);
        out->end = place;
        if (code == CODE_OK)
            code = read_lines(key, &text, head, reading, known, out, why);
    }
    if (code == CODE_OK && known && known->lines > out->end.lines)
        code = failure_set(why, CODE_CORRUPT, "lines %" PRIu64 " to %" PRIu64 " are missing at the end", out->end.lines, known->lines - 1);
    file_names_free(&names);
    return code;
}

/* Writing ------------------------------------------------------------------------------------------------------------- */

static enum code write_all(int file, const char *bytes, size_t count, struct failure *why)
{
    while (count > 0) {
        ssize_t wrote = write(file, bytes, count);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return failure_set_errno(why, errno, "writing the audit log");
        bytes += wrote;
        count -= (size_t)wrote;
    }
    return CODE_OK;
}

static char *path_of(const struct audit_log *log, uint64_t first)
{
    char name[NAME_DIGITS + 8];
    snprintf(name, sizeof name, "%020" PRIu64 ".log", first);
    return file_join(log->folder, name);
}

/* A new file, which goes on where the log is; durable under its name with its head. */
static enum code begin_file(struct audit_log *log, struct failure *why)
{
    char head[HEAD_BYTES_MAX];
    size_t length = print_head(&log->place, head);
    SCOPE_FREE char *path = path_of(log, log->place.lines);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "the audit log: no memory");
    enum code code = file_replace(path, head, length, why);
    if (code != CODE_OK)
        return code;
    int file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0)
        return failure_set_errno(why, errno, "%s", path);
    if (log->file >= 0)
        close(log->file);
    log->file = file;
    log->file_bytes = length;
    return CODE_OK;
}

/* Goes on in the newest file, behind its last whole line. */
static enum code take_up(struct audit_log *log, const char *name, struct failure *why)
{
    SCOPE_BUFFER text = {.max = FILE_BYTES_MAX + 1};
    size_t at, length;
    enum code code = read_file(log->folder, name, &text, &log->place, &at, why);
    if (code != CODE_OK)
        return code;
    for (; line_at(&text, at, &length); at += length + 1)
        if (!audit_chain_skip(&log->place, text.data + at, length))
            return failure_set(why, CODE_CORRUPT, "audit/%s: line %" PRIu64 " is not one: see cytofs audit verify, and move the folder audit away",
                               name, log->place.lines);
    SCOPE_FREE char *path = file_join(log->folder, name);
    log->file = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (log->file < 0 || ftruncate(log->file, (off_t)at) != 0)
        return failure_set_errno(why, errno, "opening the audit log");
    log->file_bytes = at;
    return CODE_OK;
}

enum code audit_log_open(const char *folder, const struct aead_key *key, struct audit_log **out, struct failure *why)
{
    struct file_names names = {0};
    struct audit_log *log = calloc(1, sizeof *log);
    if (log)
        log->folder = strdup(folder);
    if (!log || !log->folder) {
        free(log);
        return failure_set(why, CODE_NO_MEMORY, "the audit log: no memory");
    }
    log->key = key;
    log->file = -1;
    enum code code = file_make_folders_durable(folder, why);
    if (code == CODE_OK)
        code = list_files(folder, &names, why);
    if (code == CODE_OK)
        code = names.count ? take_up(log, names.names[names.count - 1], why) : begin_file(log, why);
    file_names_free(&names);
    if (code == CODE_OK)
        *out = log;
    else
        audit_log_close(log);
    return code;
}

void audit_log_close(struct audit_log *log)
{
    if (!log)
        return;
    if (log->file >= 0)
        close(log->file);
    free(log->folder);
    free(log);
}

enum code audit_log_append(struct audit_log *log, const char *text, struct failure *why)
{
    SCOPE_BUFFER line = {0};
    struct audit_place next = log->place;
    enum code code = CODE_OK;
    if (log->file_bytes >= AUDIT_FILE_BYTES) {
        code = audit_log_sync(log, why);
        if (code == CODE_OK)
            code = begin_file(log, why);
    }
    if (code == CODE_OK)
        code = audit_chain_seal(log->key, &next, text, &line, why);
    if (code != CODE_OK)
        return code;
    code = write_all(log->file, line.data, line.length, why);
    if (code == CODE_OK) {
        log->place = next;
        log->file_bytes += line.length;
    } else if (ftruncate(log->file, (off_t)log->file_bytes) != 0) {
        return failure_wrap(why, code, "and half a line cannot be taken back");
    }
    return code;
}

enum code audit_log_sync(struct audit_log *log, struct failure *why)
{
    return fdatasync(log->file) == 0 ? CODE_OK : failure_set_errno(why, errno, "writing the audit log");
}

struct audit_place audit_log_place(const struct audit_log *log)
{
    return log->place;
}
