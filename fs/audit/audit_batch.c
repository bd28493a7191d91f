/* Batches: see audit_batch.h.
 *
 * One batch a member, verb, folder and detail, in the order in which they began; it takes names until its line is full. What
 * is not of the kind that happens often is a line at once, behind all that was before it. */
#include "audit_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit_chain.h"

#define BATCHES_MAX 64
#define NAMES_MAX   3000 /* bytes of names in a line */
#define NAME_BYTES  1100 /* of a name, escaped; a longer path is cut */
#define MEMBER_MAX  64
#define DETAIL_MAX  512

struct batch {
    int64_t ms;
    char member[MEMBER_MAX];
    enum audit_verb verb;
    struct buffer folder, names; /* escaped */
    char detail[DETAIL_MAX];
    char last[NAME_BYTES]; /* the name that came last */
    size_t count;
};

struct audit_batches {
    struct batch list[BATCHES_MAX]; /* oldest first */
    size_t count;
};

static const char *const verbs[AUDIT_VERBS] = {
    [AUDIT_READ] = "read",       [AUDIT_WRITE] = "wrote",     [AUDIT_MAKE] = "made",    [AUDIT_REMOVE] = "removed",
    [AUDIT_RENAME] = "renamed",  [AUDIT_DEPLOY] = "deployed", [AUDIT_SHARE] = "shared", [AUDIT_PEOPLE] = "people",
    [AUDIT_SESSION] = "session", [AUDIT_REFUSED] = "refused",
};

struct audit_batches *audit_batches_create(void)
{
    return calloc(1, sizeof(struct audit_batches));
}

static void clear(struct batch *batch)
{
    buffer_free(&batch->folder);
    buffer_free(&batch->names);
}

void audit_batches_destroy(struct audit_batches *batches)
{
    for (size_t i = 0; batches && i < batches->count; i++)
        clear(&batches->list[i]);
    free(batches);
}

static bool is_frequent(enum audit_verb verb)
{
    return verb == AUDIT_READ || verb == AUDIT_WRITE || verb == AUDIT_MAKE || verb == AUDIT_REMOVE || verb == AUDIT_REFUSED;
}

/* A name may hold any byte: blanks and what does not print become \xNN. */
static void append_escaped(struct buffer *out, const char *text, size_t length)
{
    size_t begin = out->length;
    for (size_t i = 0; i < length && out->length - begin < NAME_BYTES - 8; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte > ' ' && byte != 0x7f && byte != '\\')
            buffer_append(out, &text[i], 1);
        else
            buffer_printf(out, "\\x%02x", byte);
    }
}

static void append_time(struct buffer *out, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    char text[32];
    gmtime_r(&seconds, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    buffer_printf(out, "%s.%03dZ", text, (int)(ms % 1000));
}

/* TIME MEMBER VERB FOLDER: NAME...  [DETAIL] */
static void write_line(const struct batch *batch, struct buffer *lines)
{
    append_time(lines, batch->ms);
    buffer_printf(lines, " %s %s %s", batch->member, verbs[batch->verb], buffer_text(&batch->folder));
    if (batch->count == 1 && batch->folder.length)
        buffer_printf(lines, "/%s", buffer_text(&batch->names) + 1);
    else if (batch->count)
        buffer_printf(lines, "%s%s", batch->folder.length ? ":" : "",
                      buffer_text(&batch->names) + (batch->folder.length ? 0 : 1));
    if (batch->detail[0])
        buffer_printf(lines, " (%s)", batch->detail);
    buffer_append(lines, "", 1);
}

static void take_out(struct audit_batches *batches, size_t at, struct buffer *lines)
{
    write_line(&batches->list[at], lines);
    clear(&batches->list[at]);
    batches->count--;
    memmove(&batches->list[at], &batches->list[at + 1], (batches->count - at) * sizeof *batches->list);
}

static void begin(struct batch *batch, const struct audit_event *event, const char *folder, size_t folder_length)
{
    *batch = (struct batch){.ms = event->ms, .verb = event->verb};
    snprintf(batch->member, sizeof batch->member, "%s", event->member);
    snprintf(batch->detail, sizeof batch->detail, "%s", event->detail);
    append_escaped(&batch->folder, folder, folder_length);
}

static bool fits(const struct batch *batch, const struct audit_event *event, const struct buffer *folder)
{
    return batch->verb == event->verb && strcmp(batch->member, event->member) == 0 &&
           strncmp(batch->detail, event->detail, DETAIL_MAX - 1) == 0 && batch->folder.length == folder->length &&
           strcmp(buffer_text(&batch->folder), buffer_text(folder)) == 0;
}

static struct batch *find(struct audit_batches *batches, const struct audit_event *event, const char *folder,
                          size_t folder_length)
{
    SCOPE_BUFFER escaped = {0};
    append_escaped(&escaped, folder, folder_length);
    for (size_t i = 0; i < batches->count; i++)
        if (fits(&batches->list[i], event, &escaped))
            return &batches->list[i];
    return NULL;
}

static void add_name(struct batch *batch, const char *name)
{
    SCOPE_BUFFER escaped = {0};
    append_escaped(&escaped, name, strlen(name));
    if (batch->count && strcmp(batch->last, buffer_text(&escaped)) == 0)
        return; /* the next part of the same file */
    snprintf(batch->last, sizeof batch->last, "%s", buffer_text(&escaped));
    buffer_printf(&batch->names, " %s", batch->last);
    batch->count++;
}

void audit_batches_add(struct audit_batches *batches, const struct audit_event *event, struct buffer *lines)
{
    const char *slash = strrchr(event->path, '/');
    size_t folder_length = slash ? (size_t)(slash - event->path) : 0;
    const char *name = slash ? slash + 1 : event->path;
    if (!is_frequent(event->verb)) {
        struct batch single;
        audit_batches_flush(batches, INT64_MAX, lines);
        begin(&single, event, event->path, strlen(event->path));
        write_line(&single, lines);
        clear(&single);
        return;
    }
    struct batch *batch = find(batches, event, event->path, folder_length);
    if (!batch) {
        if (batches->count == BATCHES_MAX)
            take_out(batches, 0, lines);
        batch = &batches->list[batches->count++];
        begin(batch, event, event->path, folder_length);
    }
    add_name(batch, name);
    if (batch->names.length >= NAMES_MAX)
        take_out(batches, (size_t)(batch - batches->list), lines);
}

void audit_batches_flush(struct audit_batches *batches, int64_t until_ms, struct buffer *lines)
{
    while (batches->count && batches->list[0].ms <= until_ms)
        take_out(batches, 0, lines);
}
