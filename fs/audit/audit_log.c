/* Files of the audit log: see audit_log.h.
 *
 *     "cytofs audit 2 " first line's number ' ' hex(SHA-256 of the line before it) ' ' sum '\n'
 *     line ...
 *
 * A file's name and its head say the same number.  So a file can be read without those before it, and whether those are
 * still there can be told.  Appending is one write(2) for a line; the file that is full is synced before the next is begun.
 * Files of version 1, without sums, are read, and gone on from in a new one. */
#include "audit_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_copies.h"
#include "audit_files.h"
#include "file.h"
#include "hex.h"
#include "scope.h"

#define HEAD           "cytofs audit "
#define VERSION        2
#define FILE_BYTES_MAX AUDIT_FILES_BYTES_MAX
#define HEAD_BYTES_MAX (sizeof HEAD + 32 + 2 * DIGEST_BYTES + AUDIT_FILES_SUM_BYTES)

struct audit_log {
    const struct aead_key *key;
    struct audit_place place;
    struct audit_copies copies;
};

/* Reading ---------------------------------------------------------------------------------------------------------- */

static size_t print_head(const struct audit_place *place, unsigned version, char head[HEAD_BYTES_MAX])
{
    char hex[HEX_TEXT_BYTES(DIGEST_BYTES)];
    hex_encode(place->last, DIGEST_BYTES, hex);
    size_t length = (size_t)snprintf(head, HEAD_BYTES_MAX, HEAD "%u %" PRIu64 " %s", version, place->lines, hex);
    if (version > 1) {
        audit_files_write_sum(head, length, head + length);
        length += AUDIT_FILES_SUM_BYTES;
    }
    head[length++] = '\n';
    return length;
}

static bool takes_head(const struct buffer *text, const struct audit_place *place, unsigned version, size_t *bytes)
{
    char head[HEAD_BYTES_MAX];
    *bytes = print_head(place, version, head);
    return text->length >= *bytes && memcmp(text->data, head, *bytes) == 0;
}

/* Where the file begins in the chain, and how long its head is: exactly as it would be written. */
static enum code parse_head(const char *name, const struct buffer *text, struct audit_place *place, size_t *bytes,
                            struct failure *why)
{
    const char *at = buffer_text(text), *end = strchr(at, '\n');
    place->lines = strtoull(name, NULL, 10);
    if (strncmp(at, HEAD, sizeof HEAD - 1) == 0 && strtoul(at + sizeof HEAD - 1, NULL, 10) > VERSION &&
        audit_files_line(text->data, text->length, 0, bytes) == AUDIT_LINE_WHOLE)
        return failure_set(why, CODE_NEWER_FORMAT, "audit/%s was made by a newer cytofs: update cytofs", name);
    for (unsigned version = VERSION; end && version >= 1; version--) {
        const size_t behind = 2 * DIGEST_BYTES + (version > 1 ? AUDIT_FILES_SUM_BYTES : 0);
        if ((size_t)(end - at) > behind && hex_decode(end - behind, 2 * DIGEST_BYTES, place->last, DIGEST_BYTES) &&
            takes_head(text, place, version, bytes))
            return CODE_OK;
    }
    return failure_set(why, CODE_CORRUPT, "audit/%s does not begin as a log does", name);
}

static enum code read_file(const char *folder, const char *name, struct buffer *text, struct audit_place *place,
                           size_t *head, struct failure *why)
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

static enum code read_lines(const struct aead_key *key, const struct buffer *text, size_t at,
                            const struct audit_reading *reading, const struct audit_place *known, struct audit_read *out,
                            struct failure *why)
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
    enum code code = audit_files_list(folder, &names, why);
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
            code = failure_set(why, CODE_CORRUPT, "line %" PRIu64 " is missing, or is not the one that was written there",
                               out->end.lines);
        out->end = place;
        if (code == CODE_OK)
            code = read_lines(key, &text, head, reading, known, out, why);
    }
    if (code == CODE_OK && known && known->lines > out->end.lines)
        code = failure_set(why, CODE_CORRUPT, "lines %" PRIu64 " to %" PRIu64 " are missing at the end", out->end.lines,
                           known->lines - 1);
    file_names_free(&names);
    return code;
}

/* Writing ------------------------------------------------------------------------------------------------------------- */

/* A new file, which goes on where the log is. */
static enum code begin_file(struct audit_log *log, struct failure *why)
{
    char head[HEAD_BYTES_MAX], name[AUDIT_FILES_NAME_BYTES + 8];
    size_t length = print_head(&log->place, VERSION, head);
    snprintf(name, sizeof name, "%020" PRIu64 ".log", log->place.lines);
    return audit_copies_begin(&log->copies, name, head, length, why);
}

/* Goes on in the newest file, behind its last whole line. */
static enum code take_up(struct audit_log *log, const char *folder, const char *name, struct failure *why)
{
    SCOPE_BUFFER text = {.max = FILE_BYTES_MAX + 1};
    size_t at, length;
    enum code code = read_file(folder, name, &text, &log->place, &at, why);
    if (code != CODE_OK)
        return code;
    const bool older = text.data[sizeof HEAD - 1] == '1', empty = !line_at(&text, at, &length);
    for (; line_at(&text, at, &length); at += length + 1)
        if (!audit_chain_skip(&log->place, text.data + at, length))
            return failure_set(why, CODE_CORRUPT,
                               "audit/%s: line %" PRIu64
                               " is not one: see cytofs audit verify, and move the folder audit away",
                               name, log->place.lines);
    code = audit_copies_take_up(&log->copies, name, at, why);
    return code == CODE_OK && older && !empty ? begin_file(log, why) : code;
}

enum code audit_log_open(const char *folder, const struct aead_key *key, struct audit_log **out, struct failure *why)
{
    struct file_names names = {0};
    struct audit_log *log = calloc(1, sizeof *log);
    if (!log)
        return failure_set(why, CODE_NO_MEMORY, "the audit log: no memory");
    log->key = key;
    enum code code = audit_copies_attach(&log->copies, folder, why);
    if (code == CODE_OK)
        code = audit_files_list(folder, &names, why);
    if (code == CODE_OK)
        code = names.count ? take_up(log, folder, names.names[names.count - 1], why) : begin_file(log, why);
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
    audit_copies_free(&log->copies);
    free(log);
}

struct audit_copies *audit_log_copies(struct audit_log *log)
{
    return &log->copies;
}

enum code audit_log_append(struct audit_log *log, const char *text, struct failure *why)
{
    SCOPE_BUFFER line = {0};
    struct audit_place next = log->place;
    enum code code = CODE_OK;
    if (log->copies.bytes >= AUDIT_FILE_BYTES) {
        code = audit_log_sync(log, why);
        if (code == CODE_OK)
            code = begin_file(log, why);
    }
    if (code == CODE_OK)
        code = audit_chain_seal(log->key, &next, text, &line, why);
    if (code == CODE_OK)
        code = audit_copies_write(&log->copies, line.data, line.length, why);
    if (code == CODE_OK)
        log->place = next;
    return code;
}

enum code audit_log_sync(struct audit_log *log, struct failure *why)
{
    return audit_copies_sync(&log->copies, why);
}

struct audit_place audit_log_place(const struct audit_log *log)
{
    return log->place;
}
