/* Putting a store back:
 *
 *     RESTORING   in the new folder says which point is being put back, so that an interrupted restore can be gone on with,
 * and nothing else takes the folder for its own packs/      copied and checked like any copy (backup_pack.h); what is there
 * already is compared catalog.db  its digest is checked first FORMAT      last, by rename: from now on it is a store;
 * RESTORING goes
 *
 * The lock of the new store is held meanwhile. */
#include "backup_restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup_audit.h"
#include "backup_folder.h"
#include "backup_pack.h"
#include "catalog.h"
#include "catalog_chunk.h"
#include "file.h"
#include "hex.h"
#include "recent_format.h"
#include "scope.h"
#include "when.h"

#define CATALOG_FILE   "catalog.db"
#define FORMAT_FILE    "FORMAT"
#define LOCK_FILE      "lock"
#define MARK_FILE      "RESTORING"
#define PACKS_FOLDER   "packs"
#define TEXT_BYTES_MAX 4096
#define NAMES_MAX      1000
#define ROWS_AT_ONCE   64
#define STEP_BYTES     ((size_t)1 << 20)

struct restoring {
    struct backup_folder *folder;
    const struct backup_restore_options *options;
    const char *store;
    struct backup_point point;
    struct catalog *catalog; /* of the point, as copied */
    int lock_fd;
    uint32_t pack; /* being copied */
    uint64_t bytes_done, bytes_all;
    struct backup_restore_summary *summary;
};

static enum code out_of_memory(struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "out of memory");
}

/* The new folder --------------------------------------------------------------------------------------------------- */

static void describe(const struct restoring *restoring, char text[TEXT_BYTES_MAX])
{
    char id[HEX_TEXT_BYTES(IDENTITY_BYTES)];
    hex_encode(restoring->point.store.bytes, IDENTITY_BYTES, id);
    snprintf(text, TEXT_BYTES_MAX, "cytofs restore of store %s, point %u made %" PRId64 "\n", id, restoring->point.number,
             restoring->point.made_ms);
}

static enum code check_empty(const char *store, struct failure *why)
{
    struct file_names names;
    enum code code = file_list(store, NAMES_MAX, &names, why);
    for (size_t i = 0; code == CODE_OK && i < names.count; i++)
        if (strcmp(names.names[i], LOCK_FILE) != 0 &&
            strncmp(names.names[i], MARK_FILE ".tmp-", sizeof MARK_FILE ".tmp-" - 1) != 0)
            code = failure_set(why, CODE_NOT_EMPTY, "%s: holds other files (%s): name an empty or a new folder", store,
                               names.names[i]);
    file_names_free(&names);
    return code;
}

/* Marks an empty folder, or knows the mark of the same restore again. */
static enum code mark(const struct restoring *restoring, struct failure *why)
{
    char wanted[TEXT_BYTES_MAX];
    SCOPE_BUFFER found = {0};
    SCOPE_FREE char *path = file_join(restoring->store, MARK_FILE);
    SCOPE_FREE char *format = file_join(restoring->store, FORMAT_FILE);
    if (!path || !format)
        return out_of_memory(why);
    if (file_exists(format))
        return failure_set(why, CODE_EXISTS, "%s: is a store already: name a new folder", restoring->store);
    describe(restoring, wanted);
    if (file_exists(path)) {
        enum code code = file_read(path, TEXT_BYTES_MAX, &found, why);
        if (code == CODE_OK && strcmp(buffer_text(&found), wanted) != 0)
            code = failure_set(why, CODE_NOT_EMPTY,
                               "%s: holds an unfinished restore of another point: finish that one, or remove the folder",
                               restoring->store);
        return code;
    }
    enum code code = check_empty(restoring->store, why);
    return code == CODE_OK ? file_replace(path, wanted, strlen(wanted), why) : code;
}

static enum code take_lock(struct restoring *restoring, struct failure *why)
{
    SCOPE_FREE char *path = file_join(restoring->store, LOCK_FILE);
    if (!path)
        return out_of_memory(why);
    restoring->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (restoring->lock_fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    if (flock(restoring->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return failure_set(why, CODE_BUSY, "%s: is in use by another process", restoring->store);
    return CODE_OK;
}

static enum code prepare_folder(struct restoring *restoring, struct failure *why)
{
    SCOPE_FREE char *packs = file_join(restoring->store, PACKS_FOLDER);
    enum code code = packs ? file_make_folders_durable(restoring->store, why) : out_of_memory(why);
    if (code == CODE_OK)
        code = take_lock(restoring, why);
    if (code == CODE_OK)
        code = mark(restoring, why);
    if (code == CODE_OK && mkdir(packs, 0700) != 0 && errno != EEXIST)
        code = failure_set_errno(why, errno, "%s: the folder cannot be made", packs);
    return code;
}

/* The catalog ------------------------------------------------------------------------------------------------------- */

/* Copies a file as it is; what it held is digested. */
static enum code copy_file(const char *from, const char *to, uint64_t *bytes, uint8_t digest_out[DIGEST_BYTES],
                           struct failure *why)
{
    SCOPE_CLOSE int source = open(from, O_RDONLY | O_CLOEXEC);
    if (source < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", from);
    SCOPE_CLOSE int target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    SCOPE_FREE char *step = malloc(STEP_BYTES);
    if (target < 0 || !step)
        return failure_set_errno(why, step ? errno : ENOMEM, "%s: cannot be made", to);
    struct digest digest;
    digest_begin(&digest);
    *bytes = 0;
    for (ssize_t got; (got = read(source, step, STEP_BYTES)) != 0;) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failure_set_errno(why, errno, "%s: cannot be read", from);
        digest_add(&digest, step, (size_t)got);
        for (ssize_t done = 0, put; done < got; done += put) {
            put = write(target, step + done, (size_t)(got - done));
            if (put < 0 && errno == EINTR)
                put = 0;
            if (put < 0)
                return failure_set_errno(why, errno, "%s: cannot be written", to);
        }
        *bytes += (uint64_t)got;
    }
    digest_end(&digest, digest_out);
    return fsync(target) == 0 ? CODE_OK : failure_set_errno(why, errno, "%s: cannot be written", to);
}

static enum code restore_catalog(struct restoring *restoring, struct failure *why)
{
    uint64_t bytes = 0;
    uint8_t digest[DIGEST_BYTES] = {0};
    SCOPE_FREE char *from = backup_folder_point_path(restoring->folder, restoring->point.number, CATALOG_FILE);
    SCOPE_FREE char *to = file_join(restoring->store, CATALOG_FILE);
    SCOPE_FREE char *log = file_join(restoring->store, CATALOG_FILE "-wal");
    if (!from || !to || !log)
        return out_of_memory(why);
    unlink(log); /* of an interrupted restore */
    enum code code = copy_file(from, to, &bytes, digest, why);
    if (code == CODE_OK &&
        (bytes != restoring->point.catalog_bytes || memcmp(digest, restoring->point.catalog_digest, sizeof digest) != 0))
        code = failure_set(why, CODE_CORRUPT, "%s: is damaged: choose another point (cytofs backup --list)", from);
    return code;
}

/* To ask it what damage means; the file itself stays as it is. */
static enum code open_catalog(struct restoring *restoring, struct failure *why)
{
    SCOPE_FREE char *path = file_join(restoring->store, CATALOG_FILE);
    if (!path)
        return out_of_memory(why);
    return catalog_open(&(struct catalog_options){.path = path, .read_only = true}, &restoring->catalog, why);
}

/* Packs ------------------------------------------------------------------------------------------------------------ */

static enum code count_rows(struct restoring *restoring, const struct catalog_chunk_range *range, uint64_t *rows_found,
                            struct failure *why)
{
    struct catalog_chunk rows[ROWS_AT_ONCE];
    struct catalog_chunk_range left = *range;
    size_t count;
    do {
        enum code code = catalog_chunk_in_range(restoring->catalog, &left, rows, ROWS_AT_ONCE, &count, why);
        if (code != CODE_OK)
            return code;
        *rows_found += count;
        if (count)
            left.from = rows[count - 1].offset + 1;
    } while (count == ROWS_AT_ONCE);
    return CODE_OK;
}

static enum code tell_damage(struct restoring *restoring, uint64_t offset, uint64_t bytes, struct failure *why)
{
    struct catalog_chunk_range range = {.pack = restoring->pack, .from = offset, .to = offset + bytes};
    struct backup_damage damage = {.number = restoring->pack, .offset = offset, .bytes = bytes};
    enum code code = count_rows(restoring, &range, &damage.chunks, why);
    if (code != CODE_OK || damage.chunks == 0)
        return code;
    restoring->summary->damages++;
    restoring->summary->damaged_chunks += damage.chunks;
    if (restoring->options->damaged)
        restoring->options->damaged(restoring->options->context, &damage);
    return CODE_OK;
}

static enum code on_damage(void *context, int fd, uint64_t offset, uint64_t bytes, struct failure *why)
{
    (void)fd;
    return tell_damage(context, offset, bytes, why);
}

static bool on_progress(void *context, uint64_t bytes)
{
    struct restoring *restoring = context;
    restoring->bytes_done += bytes;
    return !restoring->options->progress ||
           restoring->options->progress(restoring->options->context, restoring->bytes_done, restoring->bytes_all);
}

static enum code restore_pack(struct restoring *restoring, const struct backup_pack *pack, struct failure *why)
{
    char name[40];
    snprintf(name, sizeof name, PACKS_FOLDER "/%08u.pack", pack->number);
    SCOPE_FREE char *from = backup_folder_pack_path(restoring->folder, pack->number, pack->variant);
    SCOPE_FREE char *to = file_join(restoring->store, name);
    if (!from || !to)
        return out_of_memory(why);
    restoring->pack = pack->number;
    if (!file_exists(from))
        return tell_damage(restoring, 0, pack->bytes, why);
    const struct backup_pack_copy copy = {.from = from,
                                          .to = to,
                                          .header = {restoring->point.store, pack->number},
                                          .bytes = pack->bytes,
                                          .damaged = on_damage,
                                          .progress = on_progress,
                                          .context = restoring};
    uint64_t sound, written;
    return backup_pack_copy(&copy, &sound, &written, why);
}

static enum code restore_packs(struct restoring *restoring, struct failure *why)
{
    enum code code = open_catalog(restoring, why);
    for (size_t i = 0; code == CODE_OK && i < restoring->point.pack_count; i++)
        code = restore_pack(restoring, &restoring->point.packs[i], why);
    catalog_close(restoring->catalog);
    restoring->catalog = NULL;
    restoring->summary->bytes = restoring->bytes_all;
    restoring->summary->packs = (uint32_t)restoring->point.pack_count;
    return code;
}

/* The whole -------------------------------------------------------------------------------------------------------- */

static enum code sync_folder(const char *store, const char *name, struct failure *why)
{
    SCOPE_FREE char *path = file_join(store, name);
    SCOPE_CLOSE int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0 || fsync(fd) != 0)
        return failure_set_errno(why, path ? errno : ENOMEM, "%s: cannot be synced", path ? path : store);
    return CODE_OK;
}

/* Where the point has a log of recent writes. */
static enum code restore_recent(const struct restoring *restoring, struct failure *why)
{
    SCOPE_FREE char *from = backup_folder_point_path(restoring->folder, restoring->point.number, RECENT_FORMAT_FILE);
    SCOPE_FREE char *to = file_join(restoring->store, RECENT_FORMAT_FILE);
    uint64_t bytes;
    uint8_t digest[DIGEST_BYTES];
    if (!from || !to)
        return out_of_memory(why);
    return file_exists(from) ? copy_file(from, to, &bytes, digest, why) : CODE_OK;
}

/* From here on it is a store. */
static enum code finish(const struct restoring *restoring, struct failure *why)
{
    SCOPE_FREE char *from = backup_folder_point_path(restoring->folder, restoring->point.number, FORMAT_FILE);
    SCOPE_FREE char *to = file_join(restoring->store, FORMAT_FILE);
    SCOPE_FREE char *marked = file_join(restoring->store, MARK_FILE);
    SCOPE_BUFFER text = {0};
    if (!from || !to || !marked)
        return out_of_memory(why);
    enum code code = file_read(from, TEXT_BYTES_MAX, &text, why);
    if (code == CODE_OK)
        code = sync_folder(restoring->store, PACKS_FOLDER, why);
    if (code == CODE_OK)
        code = sync_folder(restoring->store, ".", why);
    if (code == CODE_OK)
        code = file_replace(to, text.data, text.length, why);
    if (code == CODE_OK)
        code = sync_folder(restoring->store, ".", why);
    if (code == CODE_OK)
        unlink(marked);
    return code;
}

static enum code restore(struct restoring *restoring, struct failure *why)
{
    enum code code = backup_folder_read_point(restoring->folder, restoring->options->point, &restoring->point, why);
    restoring->bytes_all = backup_point_bytes(&restoring->point);
    if (code == CODE_OK)
        code = prepare_folder(restoring, why);
    if (code == CODE_OK)
        code = restore_catalog(restoring, why);
    if (code == CODE_OK)
        code = restore_packs(restoring, why);
    if (code == CODE_OK)
        code = restore_catalog(restoring, why); /* what was asked might have left a mark */
    if (code == CODE_OK)
        code = restore_recent(restoring, why);
    if (code == CODE_OK)
        code = backup_audit_restore(restoring->folder, restoring->point.number, restoring->store, why);
    return code == CODE_OK ? finish(restoring, why) : code;
}

enum code backup_restore(const char *path, const char *store, const struct backup_restore_options *options,
                         struct backup_restore_summary *out, struct failure *why)
{
    *out = (struct backup_restore_summary){0};
    struct restoring restoring = {.options = options, .store = store, .lock_fd = -1, .summary = out};
    enum code code = backup_folder_open(path, &restoring.folder, why);
    if (code == CODE_OK)
        code = restore(&restoring, why);
    catalog_close(restoring.catalog);
    if (restoring.lock_fd >= 0)
        close(restoring.lock_fd);
    backup_folder_close(restoring.folder);
    backup_point_free(&restoring.point);
    return code == CODE_OK ? code : failure_wrap(why, code, "restoring");
}

/* Looking ---------------------------------------------------------------------------------------------------------- */

enum code backup_restore_list(const char *path, backup_restore_visit *each, void *context, struct failure *why)
{
    struct backup_folder *folder;
    SCOPE_FREE uint32_t *numbers = NULL;
    size_t count = 0;
    enum code code = backup_folder_open(path, &folder, why);
    if (code != CODE_OK)
        return code;
    code = backup_folder_points(folder, &numbers, &count, why);
    for (size_t i = 0; code == CODE_OK && i < count; i++) {
        struct backup_point point;
        struct failure damage;
        bool whole = backup_folder_read_point(folder, numbers[i], &point, &damage) == CODE_OK;
        each(context, numbers[i], whole ? &point : NULL, whole ? NULL : &damage);
        backup_point_free(&point);
    }
    backup_folder_close(folder);
    return code;
}

struct choice {
    uint32_t number;  /* wanted; 0: by time */
    int64_t until_ms; /* INT64_MAX: the newest */
    uint32_t chosen, first, last;
    int64_t first_ms;
};

static void consider(void *context, uint32_t number, const struct backup_point *point, const struct failure *why)
{
    (void)why;
    struct choice *choice = context;
    if (!choice->first && point) {
        choice->first = number;
        choice->first_ms = point->made_ms;
    }
    choice->last = number;
    if (choice->number ? number == choice->number : point && point->made_ms <= choice->until_ms)
        choice->chosen = number;
}

static enum code parse_choice(const char *at, struct choice *choice, struct failure *why)
{
    size_t digits = at ? strspn(at, "0123456789") : 0;
    if (!at || !*at)
        choice->until_ms = INT64_MAX;
    else if (!at[digits] && digits <= 6)
        choice->number = (uint32_t)strtoul(at, NULL, 10);
    else if (!when_parse(at, &choice->until_ms))
        return failure_set(why, CODE_INVALID,
                           "\"%s\" is neither a number of a point nor a moment such as 2026-11-22 or 2026-11-22T14:30", at);
    return CODE_OK;
}

enum code backup_restore_choose(const char *path, const char *at, uint32_t *point, struct failure *why)
{
    struct choice choice = {0};
    char first[WHEN_TEXT_BYTES];
    enum code code = parse_choice(at, &choice, why);
    if (code == CODE_OK)
        code = backup_restore_list(path, consider, &choice, why);
    if (code != CODE_OK)
        return code;
    *point = choice.chosen;
    if (choice.chosen)
        return CODE_OK;
    if (!choice.first)
        return failure_set(why, CODE_NOT_FOUND, "%s: holds no point that can be read", path);
    when_print(choice.first_ms, first);
    return failure_set(why, CODE_NOT_FOUND, "%s: has no point \"%s\": there are %u (of %s) to %u", path, at, choice.first,
                       first, choice.last);
}
