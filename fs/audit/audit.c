/* The log's life: see audit.h.
 *
 *   whoever acts --audit_batches_add--> lines --the writer, every 250 ms--> files, synced --every 10 s--> the lab's record
 * of the end
 *
 * The record (tree_record.h) holds the log's key and where the log ended: it is proved with the rest of the catalog, so
 * lines that are taken away from the end are missed too.  The log is synced before the record says so.
 *
 * `lock` guards batches and lines; the log itself is the writer's alone.  Nobody is slowed down by the disk unless LINES_MAX
 * bytes wait.  Lines that cannot be written (a full disk) are counted, and the next one that can says how many were lost. */
#include "audit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aead.h"
#include "audit_batch.h"
#include "audit_copies.h"
#include "audit_files.h"
#include "bytes.h"
#include "entropy.h"
#include "file.h"
#include "logging.h"
#include "mirror_set.h"
#include "scope.h"
#include "secret.h"
#include "timing.h"
#include "tree_record.h"

#define WRITE_EVERY_MS  250
#define BATCH_MS        1000
#define ANCHOR_EVERY_MS 10000
#define ATTACH_EVERY_MS 1000
#define LINES_MAX       ((size_t)4 << 20)
#define RECORD_VERSION  1
#define RECORD_BYTES    (1 + AUDIT_KEY_BYTES + 8 + DIGEST_BYTES)

static const struct record_place record_place = {"lab", "cytofs.audit"};

struct audit {
    struct tree *tree;
    struct mirror_set *mirrors; /* NULL: none */
    uint8_t *key_bytes;         /* locked memory */
    struct aead_key *key;
    char *folders[1 + MIRROR_SIDES_MAX]; /* the writer's: where it was opened, and those of the sides */
    int64_t attached_ms;                 /* the writer's: when a side was taken up, or could not be */
    struct audit_log *log;               /* the writer's */
    struct audit_place anchored;         /* the writer's: what the record says */
    int64_t anchored_ms;                 /* the writer's */
    uint64_t lost;                       /* the writer's: lines that could not be written */

    pthread_mutex_t lock; /* guards what follows */
    const char *folder;   /* of `folders`: where it is read */
    pthread_cond_t work, room;
    struct audit_batches *batches;
    struct buffer lines; /* complete, each ended by a NUL */
    bool stopping, hurried;
    uint64_t wanted, written; /* flushes that were asked for, and those that were carried out */
    uint64_t version;
    pthread_t writer;
    bool writer_runs;
};

/* The record ----------------------------------------------------------------------------------------------------------- */

static enum code load_record(struct tree *tree, uint8_t key[AUDIT_KEY_BYTES], struct audit_place *end, struct failure *why)
{
    SCOPE_BUFFER text = {.max = RECORD_BYTES_MAX};
    enum code code = record_get(tree, &record_place, &text, why);
    if (code != CODE_OK)
        return code;
    const uint8_t *bytes = (const uint8_t *)text.data;
    if (text.length != RECORD_BYTES || bytes[0] != RECORD_VERSION)
        return failure_set(why, CODE_CORRUPT, "the key of the audit log is not one");
    memcpy(key, bytes + 1, AUDIT_KEY_BYTES);
    end->lines = bytes_load64(bytes + 1 + AUDIT_KEY_BYTES);
    memcpy(end->last, bytes + 1 + AUDIT_KEY_BYTES + 8, DIGEST_BYTES);
    secret_wipe(text.data, text.length);
    return CODE_OK;
}

static enum code save_record(struct tree *tree, const uint8_t key[AUDIT_KEY_BYTES], const struct audit_place *end,
                             struct failure *why)
{
    uint8_t bytes[RECORD_BYTES] = {RECORD_VERSION};
    memcpy(bytes + 1, key, AUDIT_KEY_BYTES);
    bytes_store64(bytes + 1 + AUDIT_KEY_BYTES, end->lines);
    memcpy(bytes + 1 + AUDIT_KEY_BYTES + 8, end->last, DIGEST_BYTES);
    enum code code = record_put(tree, &record_place, bytes, sizeof bytes, why);
    secret_wipe(bytes, sizeof bytes);
    return code;
}

/* Writing ------------------------------------------------------------------------------------------------------------- */

static void write_text(struct audit *audit, const char *text)
{
    struct failure why;
    if (audit_log_append(audit->log, text, &why) == CODE_OK)
        return;
    if (audit->lost++ == 0)
        logging_warning("%s", why.text);
}

static void write_loss(struct audit *audit)
{
    char text[100];
    struct failure why;
    snprintf(text, sizeof text, "%" PRIu64 " lines could not be written before this one", audit->lost);
    if (audit->lost && audit_log_append(audit->log, text, &why) == CODE_OK)
        audit->lost = 0;
}

static void write_lines(struct audit *audit, const struct buffer *lines)
{
    struct failure why;
    if (lines->length == 0)
        return;
    write_loss(audit);
    for (size_t at = 0; at < lines->length; at += strlen(lines->data + at) + 1)
        write_text(audit, lines->data + at);
    if (audit_log_sync(audit->log, &why) != CODE_OK)
        logging_warning("%s", why.text);
}

static void anchor(struct audit *audit, bool now)
{
    struct failure why;
    struct audit_place place = audit_log_place(audit->log);
    int64_t ms = timing_monotonic_ms();
    if (place.lines == audit->anchored.lines || (!now && ms - audit->anchored_ms < ANCHOR_EVERY_MS))
        return;
    audit->anchored_ms = ms;
    if (save_record(audit->tree, audit->key_bytes, &place, &why) == CODE_OK)
        audit->anchored = place;
    else
        logging_warning("the audit log: %s", why.text);
}

/* The folder of a side's log, as it is kept until the end; NULL without memory. */
static const char *folder_of(struct audit *audit, size_t side)
{
    if (!audit->folders[1 + side])
        audit->folders[1 + side] = file_join(mirror_set_path(audit->mirrors, side), AUDIT_FILES_FOLDER);
    const char *folder = audit->folders[1 + side];
    return folder && strcmp(folder, audit->folders[0]) == 0 ? audit->folders[0] : folder;
}

/* Sides that have gone are written to no more, those that have come are brought up to date. */
static void follow_sides(struct audit *audit)
{
    struct failure why;
    struct audit_copies *copies = audit_log_copies(audit->log);
    const char *reading = NULL;
    int64_t now_ms = timing_monotonic_ms();
    for (size_t side = 0; audit->mirrors && side < mirror_set_count(audit->mirrors); side++) {
        const char *folder = mirror_set_path(audit->mirrors, side) ? folder_of(audit, side) : NULL;
        bool current = folder && mirror_set_is_current(audit->mirrors, side);
        if (folder && !current)
            audit_copies_detach(copies, folder);
        if (current && !audit_copies_has(copies, folder) && now_ms - audit->attached_ms >= ATTACH_EVERY_MS) {
            audit->attached_ms = now_ms;
            if (audit_copies_attach(copies, folder, &why) != CODE_OK)
                logging_warning("the audit log is not kept in %s: %s", folder, why.text);
        }
        if (current && !reading && audit_copies_has(copies, folder))
            reading = folder;
    }
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&audit->lock);
    audit->folder = reading ? reading : audit->folder;
}

/* With the lock: until there is something to do. */
static void wait_for_work(struct audit *audit)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WRITE_EVERY_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!audit->stopping && !audit->hurried)
        if (pthread_cond_timedwait(&audit->work, &audit->lock, &until) != 0)
            break;
    audit->hurried = false;
}

static void *run_writer(void *argument)
{
    struct audit *audit = argument;
    bool stopping = false;
    while (!stopping) {
        pthread_mutex_lock(&audit->lock);
        wait_for_work(audit);
        stopping = audit->stopping;
        uint64_t wanted = audit->wanted;
        bool all = stopping || wanted != audit->written;
        audit_batches_flush(audit->batches, all ? INT64_MAX : timing_wall_ms() - BATCH_MS, &audit->lines);
        struct buffer lines = audit->lines;
        audit->lines = (struct buffer){0};
        audit->version += lines.length > 0;
        pthread_mutex_unlock(&audit->lock);

        follow_sides(audit);
        write_lines(audit, &lines);
        buffer_free(&lines);
        anchor(audit, stopping);

        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&audit->lock);
        audit->written = wanted;
        pthread_cond_broadcast(&audit->room);
    }
    return NULL;
}

static void take(void *context, enum audit_verb verb, const char *path, const char *detail)
{
    struct audit *audit = context;
    const struct audit_event event = {timing_wall_ms(), tree_viewer_name(audit->tree), verb, path, detail};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&audit->lock);
    while (audit->lines.length > LINES_MAX && !audit->stopping)
        pthread_cond_wait(&audit->room, &audit->lock);
    audit_batches_add(audit->batches, &event, &audit->lines);
    audit->version++;
}

void audit_flush(struct audit *audit)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&audit->lock);
    uint64_t mine = ++audit->wanted;
    audit->hurried = true;
    pthread_cond_broadcast(&audit->work);
    while (audit->written < mine && !audit->stopping)
        pthread_cond_wait(&audit->room, &audit->lock);
}

uint64_t audit_version(struct audit *audit)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&audit->lock);
    return audit->version;
}

const char *audit_folder(struct audit *audit)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&audit->lock);
    return audit->folder;
}

/* Life ---------------------------------------------------------------------------------------------------------------- */

/* The key and the end that the lab remembers; new ones for a lab that has none. */
static enum code find_key(struct audit *audit, struct failure *why)
{
    enum code code = load_record(audit->tree, audit->key_bytes, &audit->anchored, why);
    if (code == CODE_NO_DATA) {
        code = entropy_fill(audit->key_bytes, AUDIT_KEY_BYTES, why);
        if (code == CODE_OK)
            code = save_record(audit->tree, audit->key_bytes, &audit->anchored, why);
    }
    return code == CODE_OK ? aead_key_create(audit->key_bytes, &audit->key, why) : code;
}

/* If somebody was at the files while no server ran, the log itself says so from then on. */
static enum code look_back(struct audit *audit, struct failure *why)
{
    struct audit_read read;
    char text[FAILURE_TEXT_MAX + 100];
    const struct audit_reading reading = {.from = audit->anchored.lines ? audit->anchored.lines - 1 : 0};
    enum code code = audit_log_read(audit->folder, audit->key, &reading, &audit->anchored, &read, why);
    if (code != CODE_CORRUPT)
        return code;
    logging_warning("the audit log was changed while no server ran: %s", why->text);
    snprintf(text, sizeof text, "the log was found changed when the server started: %s", why->text);
    return audit_log_append(audit->log, text, why);
}

static enum code start(struct audit *audit, const char *folder, struct failure *why)
{
    audit->folder = audit->folders[0] = strdup(folder);
    audit->key_bytes = secret_allocate(AUDIT_KEY_BYTES);
    audit->batches = audit_batches_create();
    if (!audit->folder || !audit->key_bytes || !audit->batches)
        return failure_set(why, CODE_NO_MEMORY, "the audit log: no memory");
    enum code code = find_key(audit, why);
    if (code == CODE_OK)
        code = audit_log_open(folder, audit->key, &audit->log, why);
    if (code == CODE_OK)
        code = look_back(audit, why);
    if (code != CODE_OK)
        return code;
    audit->writer_runs = pthread_create(&audit->writer, NULL, run_writer, audit) == 0;
    return audit->writer_runs ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "no thread for the audit log");
}

enum code audit_open(struct tree *tree, const char *folder, struct mirror_set *mirrors, struct audit **out,
                     struct failure *why)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (!audit)
        return failure_set(why, CODE_NO_MEMORY, "the audit log: no memory");
    audit->tree = tree;
    audit->mirrors = mirrors;
    audit->attached_ms = INT64_MIN / 2;
    pthread_mutex_init(&audit->lock, NULL);
    pthread_cond_init(&audit->work, NULL);
    pthread_cond_init(&audit->room, NULL);
    enum code code = start(audit, folder, why);
    if (code != CODE_OK) {
        audit_close(audit);
        return failure_wrap(why, code, "the audit log");
    }
    tree_audit_set(tree, take, audit);
    *out = audit;
    return CODE_OK;
}

void audit_close(struct audit *audit)
{
    if (!audit)
        return;
    tree_audit_set(audit->tree, NULL, NULL);
    pthread_mutex_lock(&audit->lock);
    audit->stopping = true;
    pthread_cond_broadcast(&audit->work);
    pthread_cond_broadcast(&audit->room);
    pthread_mutex_unlock(&audit->lock);
    if (audit->writer_runs)
        pthread_join(audit->writer, NULL);
    audit_log_close(audit->log);
    aead_key_destroy(audit->key);
    secret_free(audit->key_bytes);
    audit_batches_destroy(audit->batches);
    buffer_free(&audit->lines);
    pthread_cond_destroy(&audit->work);
    pthread_cond_destroy(&audit->room);
    pthread_mutex_destroy(&audit->lock);
    for (size_t i = 0; i < sizeof audit->folders / sizeof *audit->folders; i++)
        free(audit->folders[i]);
    free(audit);
}

/* Looking ------------------------------------------------------------------------------------------------------------- */

static void append_line(void *context, uint64_t number, const char *text)
{
    buffer_printf(context, "%8" PRIu64 " %s\n", number, text);
}

/* Opens the log with the lab's record, for reading. */
static enum code look(struct tree *tree, const char *folder, struct audit_reading *reading, uint64_t newest,
                      struct audit_read *read, struct failure *why)
{
    struct audit_place known = {0};
    struct aead_key *key = NULL;
    uint8_t *bytes = secret_allocate(AUDIT_KEY_BYTES);
    enum code code = bytes ? load_record(tree, bytes, &known, why) : failure_set(why, CODE_NO_MEMORY, "no memory");
    if (code == CODE_NO_DATA)
        code = failure_set(why, CODE_NO_DATA, "the lab has no audit log: it was not served yet");
    if (code == CODE_OK)
        code = aead_key_create(bytes, &key, why);
    if (newest)
        reading->from = known.lines > newest ? known.lines - newest : 0;
    if (code == CODE_OK)
        code = audit_log_read(folder, key, reading, newest ? NULL : &known, read, why);
    aead_key_destroy(key);
    secret_free(bytes);
    return code;
}

enum code audit_show(struct tree *tree, const char *folder, uint64_t count, struct buffer *out, struct failure *why)
{
    struct audit_read read;
    struct audit_reading reading = {.each = append_line, .context = out};
    return look(tree, folder, &reading, count, &read, why);
}

enum code audit_verify(struct tree *tree, const char *folder, uint64_t *lines, struct failure *why)
{
    struct audit_read read = {.first = 0};
    struct audit_reading reading = {.from = 0};
    enum code code = look(tree, folder, &reading, 0, &read, why);
    *lines = read.end.lines;
    return code;
}
