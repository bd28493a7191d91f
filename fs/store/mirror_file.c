/* The text of STORE/mirrors: see mirror_file.h.
 *
 * Parsing goes line by line, in the one order that there is.  At the end the result is written again and must give the same
 * bytes, so nothing but what mirror_file_write writes is ever accepted. */
#include "mirror_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "entropy.h"
#include "file.h"
#include "hex.h"
#include "scope.h"
#include "summed_text.h"

#define MAGIC    "cytofs mirrors "
#define TAG_TEXT (2 * MIRROR_FILE_TAG_BYTES)

const char *const mirror_file_names[] = {"mirrors", "mirrors-copy", NULL};

void mirror_file_free(struct mirror_file *file)
{
    for (size_t i = 0; i < MIRROR_SIDES_MAX; i++) {
        free(file->members[i].path);
        file->members[i].path = NULL;
    }
    file->member_count = 0;
}

/* Writing ----------------------------------------------------------------------------------------------------------------
 */

static void write_tag(struct buffer *out, const char *before, const struct mirror_tag *tag, const char *behind)
{
    char digits[HEX_TEXT_BYTES(MIRROR_FILE_TAG_BYTES)];
    hex_encode(tag->bytes, sizeof tag->bytes, digits);
    buffer_printf(out, "%s%s%s", before, digits, behind);
}

void mirror_file_write(const struct mirror_file *file, struct buffer *out)
{
    SCOPE_BUFFER text = {.max = MIRROR_FILE_BYTES_MAX};
    buffer_printf(&text, MAGIC "%d\n", MIRROR_FILE_VERSION);
    write_tag(&text, "self ", &file->self, "\n");
    buffer_printf(&text, "state %s\n", file->filling ? "filling" : "whole");
    buffer_printf(&text, "closed %s\n", file->closed ? "yes" : "no");
    buffer_printf(&text, "epoch %" PRIu64, file->epoch);
    write_tag(&text, " ", &file->tag, "\n");
    for (size_t i = 0; i < file->past_count; i++)
        write_tag(&text, "before ", &file->past[i], "\n");
    for (size_t i = 0; i < file->member_count; i++) {
        const struct mirror_member *member = &file->members[i];
        write_tag(&text, "side ", &member->id, member->current ? " current " : " behind ");
        buffer_printf(&text, "%s\n", member->path);
    }
    summed_text_finish(&text);
    buffer_append(out, buffer_text(&text), text.length);
    out->failed |= text.failed;
}

/* Parsing ----------------------------------------------------------------------------------------------------------------
 */

struct cursor {
    const char *at, *end;
};

/* Takes `word` where it stands here. */
static bool take(struct cursor *cursor, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, word, length) != 0)
        return false;
    cursor->at += length;
    return true;
}

static bool take_tag(struct cursor *cursor, struct mirror_tag *tag)
{
    if (cursor->end - cursor->at < TAG_TEXT || !hex_decode(cursor->at, TAG_TEXT, tag->bytes, sizeof tag->bytes))
        return false;
    cursor->at += TAG_TEXT;
    return true;
}

static bool take_number(struct cursor *cursor, uint64_t *number)
{
    const char *start = cursor->at;
    *number = 0;
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9' && cursor->at - start < 18)
        *number = *number * 10 + (uint64_t)(*cursor->at++ - '0');
    return cursor->at > start;
}

/* One of two words, which says whether. */
static bool take_choice(struct cursor *cursor, const char *yes, const char *no, bool *is)
{
    *is = take(cursor, yes);
    return *is || take(cursor, no);
}

/* A member's line behind "side "; a path begins with '/' and ends with the line. */
static bool take_member(struct cursor *cursor, struct mirror_member *member)
{
    if (!take_tag(cursor, &member->id) || !take_choice(cursor, " current ", " behind ", &member->current))
        return false;
    const char *line_end = memchr(cursor->at, '\n', (size_t)(cursor->end - cursor->at));
    if (!line_end || *cursor->at != '/' || line_end - cursor->at > MIRROR_FILE_PATH_MAX ||
        memchr(cursor->at, 0, (size_t)(line_end - cursor->at)))
        return false;
    member->path = strndup(cursor->at, (size_t)(line_end - cursor->at));
    cursor->at = line_end + 1;
    return member->path != NULL;
}

static bool take_all(struct cursor *cursor, struct mirror_file *out)
{
    if (!take(cursor, "self ") || !take_tag(cursor, &out->self) ||
        !take_choice(cursor, "\nstate filling\n", "\nstate whole\n", &out->filling) ||
        !take_choice(cursor, "closed yes\n", "closed no\n", &out->closed) || !take(cursor, "epoch ") ||
        !take_number(cursor, &out->epoch) || !take(cursor, " ") || !take_tag(cursor, &out->tag) || !take(cursor, "\n"))
        return false;
    while (take(cursor, "before ")) {
        if (out->past_count == MIRROR_FILE_PAST_MAX || !take_tag(cursor, &out->past[out->past_count++]) ||
            !take(cursor, "\n"))
            return false;
    }
    while (take(cursor, "side ")) {
        if (out->member_count == MIRROR_SIDES_MAX || !take_member(cursor, &out->members[out->member_count]))
            return false;
        out->member_count++;
    }
    return cursor->at == cursor->end;
}

static bool is_canonical(const struct mirror_file *file, const char *text, size_t count)
{
    SCOPE_BUFFER again = {0};
    mirror_file_write(file, &again);
    return !again.failed && again.length == count && memcmp(buffer_text(&again), text, count) == 0;
}

enum code mirror_file_parse(const char *text, size_t count, struct mirror_file *out, struct failure *why)
{
    *out = (struct mirror_file){0};
    struct cursor cursor = {text, text};
    size_t body;
    uint64_t version;
    if (count > MIRROR_FILE_BYTES_MAX || !summed_text_check(text, count, &body))
        return failure_set(why, CODE_CORRUPT, "is damaged: its checksum is another");
    cursor.end = text + body;
    if (!take(&cursor, MAGIC) || !take_number(&cursor, &version) || !take(&cursor, "\n"))
        return failure_set(why, CODE_CORRUPT, "is no list of mirrors");
    if (version != MIRROR_FILE_VERSION)
        return failure_set(why, CODE_NEWER_FORMAT,
                           "was made by a newer cytofs (format %" PRIu64 ", this one knows %d): update cytofs", version,
                           MIRROR_FILE_VERSION);
    if (!take_all(&cursor, out) || !is_canonical(out, text, count)) {
        mirror_file_free(out);
        return failure_set(why, CODE_CORRUPT, "is no list of mirrors");
    }
    return CODE_OK;
}

/* Epochs ------------------------------------------------------------------------------------------------------------------
 */

static bool same_tag(const struct mirror_tag *a, const struct mirror_tag *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool remembers(const struct mirror_file *file, const struct mirror_tag *tag)
{
    for (size_t i = 0; i < file->past_count; i++)
        if (same_tag(&file->past[i], tag))
            return true;
    return false;
}

enum mirror_order mirror_file_compare(const struct mirror_file *a, const struct mirror_file *b)
{
    if (same_tag(&a->tag, &b->tag))
        return MIRROR_SAME;
    bool older = remembers(b, &a->tag), newer = remembers(a, &b->tag);
    return older == newer ? MIRROR_APART : older ? MIRROR_OLDER : MIRROR_NEWER;
}

enum code mirror_file_advance(struct mirror_file *file, struct failure *why)
{
    struct mirror_tag tag;
    enum code code = entropy_fill(tag.bytes, sizeof tag.bytes, why);
    if (code != CODE_OK)
        return code;
    if (file->past_count < MIRROR_FILE_PAST_MAX)
        file->past_count++;
    memmove(file->past + 1, file->past, (file->past_count - 1) * sizeof *file->past);
    file->past[0] = file->tag;
    file->tag = tag;
    file->epoch++;
    return CODE_OK;
}

/* In a folder
 * --------------------------------------------------------------------------------------------------------------- */

enum code mirror_file_load(const char *folder, struct mirror_file *out, struct failure *why)
{
    enum code code = CODE_NOT_FOUND;
    bool found = false;
    *out = (struct mirror_file){0};
    for (const char *const *name = mirror_file_names; *name; name++) {
        SCOPE_FREE char *path = file_join(folder, *name);
        SCOPE_BUFFER text = {0};
        if (!path)
            return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
        enum code here = file_read(path, MIRROR_FILE_BYTES_MAX, &text, why);
        if (here == CODE_NOT_FOUND)
            continue;
        found = true;
        if (here == CODE_OK)
            here = mirror_file_parse(buffer_text(&text), text.length, out, why);
        if (here == CODE_OK)
            return CODE_OK;
        code = failure_wrap(why, here, "%s", path);
    }
    return found ? code : failure_set(why, CODE_NOT_FOUND, "%s: has no mirrors", folder);
}

/* The copy first: the file itself is what is believed. */
enum code mirror_file_save(const char *folder, const struct mirror_file *file, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    mirror_file_write(file, &text);
    enum code code = buffer_check(&text, "the list of mirrors", why);
    for (size_t i = 2; code == CODE_OK && i-- > 0;) {
        SCOPE_FREE char *path = file_join(folder, mirror_file_names[i]);
        code = path ? file_replace(path, buffer_text(&text), text.length, why)
                    : failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
        if (code == CODE_OK)
            code = file_sync_folder(folder, why);
    }
    return code;
}

enum code mirror_file_forget(const char *folder, struct failure *why)
{
    for (const char *const *name = mirror_file_names; *name; name++) {
        SCOPE_FREE char *path = file_join(folder, *name);
        if (!path)
            return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
        if (unlink(path) != 0 && errno != ENOENT)
            return failure_set_errno(why, errno, "%s: cannot be removed", path);
    }
    return file_sync_folder(folder, why);
}
