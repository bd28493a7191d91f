/* Making a point:
 *
 *     catalog   an image of the state of the last commit goes to points/new/catalog.db; it says which packs are needed, and
 *               how much of them
 *     packs     what is not in packs/ yet is copied and checked (backup_pack.h)
 *     audit     the audit log's files (backup_audit.h)
 *     point     written and shown under its number by one rename; everything that it names is durable by then
 *     keep      points beyond the wanted number go, then packs that no point needs
 *
 * Interrupted anywhere, the folder holds whole points only.  Packs that were copied stay, and the next backup does not write
 * them again.
 *
 * What a damaged place means is decided by the image: only where rows point into it something is lost.  Each such chunk is
 * asked for once more through the chunk store, which may have a mirror. */
#include "backup_make.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup_audit.h"
#include "backup_folder.h"
#include "backup_pack.h"
#include "backup_point.h"
#include "catalog.h"
#include "catalog_chunk.h"
#include "catalog_image.h"
#include "chunk_store.h"
#include "file.h"
#include "recent_format.h"
#include "scope.h"
#include "timing.h"

#define CATALOG_FILE     "catalog.db"
#define FORMAT_FILE      "FORMAT"
#define PACKS_FOLDER     "packs"
#define FORMAT_BYTES_MAX 4096
#define ROWS_AT_ONCE     64

struct making {
    const struct backup_source *source;
    const struct backup_options *options;
    struct backup_folder *folder;
    struct catalog *image; /* of this point */
    struct backup_point point;
    struct backup_point *points; /* the earlier ones, ascending */
    size_t point_count;
    bool recent;   /* writes that follow the image's commit are saved too */
    uint32_t pack; /* being copied */
    struct backup_progress progress;
    struct backup_summary *summary;
};

static enum code out_of_memory(struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "out of memory");
}

/* The catalog ------------------------------------------------------------------------------------------------------- */

static enum code digest_file(const char *path, uint64_t *bytes, uint8_t result[DIGEST_BYTES], struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    SCOPE_FREE uint8_t *step = malloc((size_t)1 << 20);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    if (!step)
        return out_of_memory(why);
    struct digest digest;
    digest_begin(&digest);
    *bytes = 0;
    for (ssize_t got; (got = read(fd, step, (size_t)1 << 20)) != 0;) {
        if (got < 0 && errno != EINTR)
            return failure_set_errno(why, errno, "%s: cannot be read", path);
        if (got > 0) {
            digest_add(&digest, step, (size_t)got);
            *bytes += (uint64_t)got;
        }
    }
    digest_end(&digest, result);
    return CODE_OK;
}

static enum code copy_format(struct making *making, struct failure *why)
{
    SCOPE_FREE char *from = file_join(making->source->folder, FORMAT_FILE);
    SCOPE_FREE char *to = backup_folder_point_path(making->folder, 0, FORMAT_FILE);
    SCOPE_BUFFER text = {0};
    if (!from || !to)
        return out_of_memory(why);
    enum code code = file_read(from, FORMAT_BYTES_MAX, &text, why);
    return code == CODE_OK ? file_replace(to, text.data, text.length, why) : code;
}

/* Whether the log holds writes that follow the image's commit (fs/tree/FORMAT.md): its first record says. */
static bool has_recent_writes(const struct making *making, const struct buffer *log)
{
    uint64_t commit;
    struct recent_head head;
    uint8_t first[RECENT_FORMAT_RECORD_MAX];
    size_t count = log->length < sizeof first ? log->length : sizeof first;
    memcpy(first, buffer_text(log), count);
    enum recent_state state = recent_format_read(first, count, &head);
    return state != RECENT_NONE && state != RECENT_DAMAGED &&
           catalog_get_number(making->image, CATALOG_COMMIT, &commit, NULL) == CODE_OK && head.commit == commit;
}

/* Of a store that is not in use: after a crash, small writes that were acknowledged lie in its log only.  One that is in use
 * has just committed all that its log holds. */
static enum code copy_recent(struct making *making, struct failure *why)
{
    SCOPE_FREE char *from = file_join(making->source->folder, RECENT_FORMAT_FILE);
    SCOPE_FREE char *to = backup_folder_point_path(making->folder, 0, RECENT_FORMAT_FILE);
    SCOPE_BUFFER log = {0};
    if (!from || !to)
        return out_of_memory(why);
    if (making->source->save_catalog || !file_exists(from))
        return CODE_OK;
    enum code code = file_read(from, RECENT_FORMAT_FILE_BYTES, &log, why);
    if (code != CODE_OK || !has_recent_writes(making, &log))
        return code;
    making->recent = true;
    return file_replace(to, log.data, log.length, why);
}

static enum code save_image(struct making *making, struct failure *why)
{
    SCOPE_FREE char *path = backup_folder_point_path(making->folder, 0, CATALOG_FILE);
    SCOPE_FREE char *from = file_join(making->source->folder, CATALOG_FILE);
    if (!path || !from)
        return out_of_memory(why);
    enum code code = making->source->save_catalog ? making->source->save_catalog(making->source->context, path, why)
                                                  : catalog_image_take_closed(from, path, why);
    if (code == CODE_OK)
        code = digest_file(path, &making->point.catalog_bytes, making->point.catalog_digest, why);
    return code;
}

static enum code open_image(struct making *making, struct failure *why)
{
    SCOPE_FREE char *path = backup_folder_point_path(making->folder, 0, CATALOG_FILE);
    if (!path)
        return out_of_memory(why);
    return catalog_open(&(struct catalog_options){.path = path, .read_only = true}, &making->image, why);
}

/* Packs ------------------------------------------------------------------------------------------------------------ */

/* Puts a chunk that the chunk store still has into the copy. */
static bool mend(struct making *making, int fd, const struct catalog_chunk *row)
{
    struct chunk_address address = {.pack = row->pack, .bytes = row->bytes, .offset = row->offset};
    if (!making->source->chunks || row->bytes < 1 || row->bytes > CHUNK_STORE_BYTES_MAX)
        return false;
    SCOPE_FREE uint8_t *bytes = malloc(PACK_RECORD_BYTES + (size_t)row->bytes);
    if (!bytes || chunk_store_get(making->source->chunks, &address, bytes + PACK_RECORD_BYTES, NULL) != CODE_OK)
        return false;
    const struct pack_place place = {row->pack, row->offset};
    pack_format_write_record(&place, bytes + PACK_RECORD_BYTES, row->bytes, bytes);
    ssize_t count = (ssize_t)(PACK_RECORD_BYTES + (size_t)row->bytes);
    return pwrite(fd, bytes, (size_t)count, (off_t)row->offset) == count;
}

/* What rows point into the range, and of them, what cannot be mended, is lost. */
static enum code count_lost(struct making *making, int fd, const struct catalog_chunk_range *range, uint64_t *lost,
                            struct failure *why)
{
    struct catalog_chunk rows[ROWS_AT_ONCE];
    struct catalog_chunk_range left = *range;
    size_t count;
    do {
        enum code code = catalog_chunk_in_range(making->image, &left, rows, ROWS_AT_ONCE, &count, why);
        if (code != CODE_OK)
            return code;
        for (size_t i = 0; i < count; i++) {
            *lost += !mend(making, fd, &rows[i]);
            left.from = rows[i].offset + 1; /* rows of one chunk share its offset, and its fate */
        }
    } while (count == ROWS_AT_ONCE);
    return CODE_OK;
}

static enum code note_damage(struct making *making, const struct backup_damage *damage, struct failure *why)
{
    making->summary->damages++;
    making->summary->damaged_chunks += damage->chunks;
    return backup_point_add_damage(&making->point, damage, why);
}

static enum code on_damage(void *context, int fd, uint64_t offset, uint64_t bytes, struct failure *why)
{
    struct making *making = context;
    struct catalog_chunk_range range = {.pack = making->pack, .from = offset, .to = offset + bytes};
    struct backup_damage damage = {.number = making->pack, .offset = offset, .bytes = bytes};
    enum code code = count_lost(making, fd, &range, &damage.chunks, why);
    return code == CODE_OK && damage.chunks ? note_damage(making, &damage, why) : code;
}

static bool on_progress(void *context, uint64_t bytes)
{
    struct making *making = context;
    making->progress.bytes_done += bytes;
    return !making->options->progress || making->options->progress(making->options->context, &making->progress);
}

/* How much of the pack earlier points have, and from which of the folder's files. */
static void find_earlier(const struct making *making, uint32_t number, struct backup_pack *out)
{
    *out = (struct backup_pack){.number = number};
    for (size_t i = making->point_count; i-- > 0;) {
        const struct backup_pack *pack = backup_point_find_pack(&making->points[i], number);
        if (!pack || (out->bytes && pack->variant != out->variant))
            continue;
        out->variant = pack->variant;
        out->bytes = pack->bytes > out->bytes ? pack->bytes : out->bytes;
        out->sound = pack->sound > out->sound ? pack->sound : out->sound;
    }
}

/* A number that no file of the folder has for this pack. */
static uint32_t next_variant(const struct making *making, uint32_t number)
{
    for (uint32_t variant = 0;; variant++) {
        SCOPE_FREE char *path = backup_folder_pack_path(making->folder, number, variant);
        if (!path || !file_exists(path))
            return variant;
    }
}

static char *source_path(const struct making *making, uint32_t number)
{
    char name[40];
    snprintf(name, sizeof name, PACKS_FOLDER "/%08u.pack", number);
    return file_join(making->source->folder, name);
}

/* A pack that is not there is lost from its beginning on. */
static enum code note_missing(struct making *making, struct backup_pack *pack, struct failure *why)
{
    struct catalog_chunk_range range = {.pack = pack->number, .from = 0, .to = pack->bytes};
    struct backup_damage damage = {.number = pack->number, .bytes = pack->bytes};
    SCOPE_FREE char *path = backup_folder_pack_path(making->folder, pack->number, pack->variant);
    SCOPE_CLOSE int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (fd < 0)
        return failure_set_errno(why, path ? errno : ENOMEM, "copying pack %u", pack->number);
    uint8_t header[PACK_HEADER_BYTES];
    pack_format_write_header(&(struct pack_header){making->source->id, pack->number}, header);
    if (pwrite(fd, header, sizeof header, 0) != (ssize_t)sizeof header)
        return failure_set_errno(why, errno, "%s: cannot be written", path);
    enum code code = count_lost(making, fd, &range, &damage.chunks, why);
    if (code == CODE_OK && (ftruncate(fd, (off_t)pack->bytes) != 0 || fsync(fd) != 0))
        code = failure_set_errno(why, errno, "%s: cannot be written", path);
    pack->sound = PACK_HEADER_BYTES;
    return code == CODE_OK && damage.chunks ? note_damage(making, &damage, why) : code;
}

static enum code copy_pack(struct making *making, struct backup_pack *pack, struct failure *why)
{
    struct backup_pack earlier;
    find_earlier(making, pack->number, &earlier);
    SCOPE_FREE char *from = source_path(making, pack->number);
    SCOPE_FREE char *to = backup_folder_pack_path(making->folder, pack->number, earlier.variant);
    if (!from || !to)
        return out_of_memory(why);
    struct backup_pack_copy copy = {.from = from,
                                    .to = to,
                                    .header = {making->source->id, pack->number},
                                    .bytes = pack->bytes,
                                    .trusted = making->options->again ? 0 : earlier.sound,
                                    .damaged = on_damage,
                                    .progress = on_progress,
                                    .context = making};
    bool same = true;
    enum code code = earlier.bytes && file_exists(from) ? backup_pack_same(&copy, earlier.sound, &same, why) : CODE_OK;
    pack->variant = earlier.variant;
    if (code == CODE_OK && !same) {
        pack->variant = next_variant(making, pack->number);
        copy.trusted = 0;
        free(to);
        copy.to = to = backup_folder_pack_path(making->folder, pack->number, pack->variant);
        code = to ? CODE_OK : out_of_memory(why);
    }
    if (code != CODE_OK)
        return code;
    if (!file_exists(from))
        return note_missing(making, pack, why);
    uint64_t written = 0;
    code = backup_pack_copy(&copy, &pack->sound, &written, why);
    making->summary->bytes_new += written;
    return code;
}

/* The packs that the image names, with their needed lengths. */
static enum code list_packs(struct making *making, struct failure *why)
{
    uint32_t number = 0, bytes;
    uint64_t offset;
    for (;;) {
        enum code code = catalog_chunk_next_pack(making->image, number, &number, &offset, &bytes, why);
        if (code == CODE_NO_DATA)
            return CODE_OK;
        if (code != CODE_OK)
            return code;
        if (number > CHUNK_STORE_PACK_MAX || offset < PACK_HEADER_BYTES || bytes > CHUNK_STORE_BYTES_MAX ||
            offset + PACK_RECORD_BYTES + bytes > PACK_BYTES_MAX)
            return failure_set(why, CODE_CORRUPT, "the catalog names an impossible place in pack %u (run: cytofs fsck)",
                               number);
        struct backup_pack pack = {
            .number = number, .bytes = offset + PACK_RECORD_BYTES + bytes, .sound = PACK_HEADER_BYTES};
        code = backup_point_add_pack(&making->point, &pack, why);
        if (code != CODE_OK)
            return code;
        making->progress.bytes_all += pack.bytes;
    }
}

static enum code copy_packs(struct making *making, struct failure *why)
{
    enum code code = list_packs(making, why);
    for (size_t i = 0; code == CODE_OK && i < making->point.pack_count; i++) {
        making->pack = making->point.packs[i].number;
        code = copy_pack(making, &making->point.packs[i], why);
    }
    return code;
}

/* The whole -------------------------------------------------------------------------------------------------------- */

/* An earlier point that cannot be read any more is left alone, and nothing is taken from it. */
static enum code read_points(struct making *making, struct failure *why)
{
    SCOPE_FREE uint32_t *numbers = NULL;
    size_t count;
    enum code code = backup_folder_points(making->folder, &numbers, &count, why);
    if (code == CODE_OK && !(making->points = calloc(count + 1, sizeof *making->points)))
        code = out_of_memory(why);
    for (size_t i = 0; code == CODE_OK && i < count; i++) {
        struct backup_point *point = &making->points[making->point_count];
        if (backup_folder_read_point(making->folder, numbers[i], point, NULL) == CODE_OK)
            making->point_count++;
        else
            backup_point_free(point);
    }
    making->point.number = code == CODE_OK && count ? numbers[count - 1] + 1 : 1;
    if (code == CODE_OK && making->point.number > BACKUP_POINTS_MAX)
        code = failure_set(why, CODE_TOO_LARGE, "the folder has had %u points: name a new folder", BACKUP_POINTS_MAX);
    return code;
}

/* The newest point, where its catalog is the same as the one just saved and it lacks nothing. */
static bool is_unchanged(struct making *making)
{
    if (!making->point_count || making->options->again || making->recent)
        return false;
    const struct backup_point *last = &making->points[making->point_count - 1];
    if (last->damage_count || last->catalog_bytes != making->point.catalog_bytes ||
        memcmp(last->catalog_digest, making->point.catalog_digest, DIGEST_BYTES) != 0)
        return false;
    making->summary->unchanged = true;
    making->summary->point = last->number;
    making->summary->packs = (uint32_t)last->pack_count;
    making->summary->bytes = backup_point_bytes(last);
    return true;
}

static enum code remove_old(struct making *making, struct failure *why)
{
    SCOPE_FREE uint32_t *numbers = NULL;
    size_t count;
    enum code code = backup_folder_points(making->folder, &numbers, &count, why);
    for (size_t i = 0; code == CODE_OK && making->options->keep && i + making->options->keep < count; i++) {
        code = backup_folder_remove_point(making->folder, numbers[i], why);
        making->summary->points_removed += code == CODE_OK;
    }
    if (code == CODE_OK && making->summary->points_removed)
        code = backup_folder_remove_packs(making->folder, &making->summary->bytes_removed, why);
    return code;
}

static enum code make_point(struct making *making, struct failure *why)
{
    enum code code = copy_packs(making, why);
    catalog_close(making->image);
    making->image = NULL;
    if (code == CODE_OK)
        code = copy_format(making, why);
    if (code == CODE_OK)
        code = backup_audit_save(making->folder, making->source->folder, &making->summary->bytes_new, why);
    if (code == CODE_OK)
        code = backup_folder_end_point(making->folder, &making->point, why);
    if (code != CODE_OK)
        return code;
    making->summary->point = making->point.number;
    making->summary->packs = (uint32_t)making->point.pack_count;
    making->summary->bytes = backup_point_bytes(&making->point);
    making->summary->bytes_new += making->point.catalog_bytes;
    return CODE_OK;
}

static enum code make(struct making *making, struct failure *why)
{
    making->point.store = making->source->id;
    making->point.made_ms = timing_wall_ms();
    enum code code = read_points(making, why);
    if (code == CODE_OK)
        code = backup_folder_begin_point(making->folder, why);
    if (code == CODE_OK)
        code = save_image(making, why);
    if (code == CODE_OK)
        code = open_image(making, why);
    if (code == CODE_OK)
        code = copy_recent(making, why);
    if (code == CODE_OK && !is_unchanged(making))
        code = make_point(making, why);
    return code == CODE_OK ? remove_old(making, why) : code;
}

void backup_make_describe(const char *folder, const struct backup_summary *summary, struct buffer *out)
{
    if (summary->unchanged)
        buffer_printf(out, "nothing has changed since point %u: %u packs, %.1f MB", summary->point, summary->packs,
                      (double)summary->bytes / 1e6);
    else
        buffer_printf(out, "made point %u in %s: %u packs, %.1f MB; new %.1f MB", summary->point, folder, summary->packs,
                      (double)summary->bytes / 1e6, (double)summary->bytes_new / 1e6);
    if (summary->points_removed)
        buffer_printf(out, "\nremoved %u older point%s, %.1f MB", summary->points_removed,
                      summary->points_removed == 1 ? "" : "s", (double)summary->bytes_removed / 1e6);
    if (summary->damages)
        buffer_printf(out,
                      "\nthe store is damaged in %u place%s, %" PRIu64
                      " parts of files are lost: cytofs fsck names the files; everything else is saved",
                      summary->damages, summary->damages == 1 ? "" : "s", summary->damaged_chunks);
}

enum code backup_make(const char *path, const struct backup_source *source, const struct backup_options *options,
                      struct backup_summary *out, struct failure *why)
{
    *out = (struct backup_summary){0};
    struct making making = {.source = source, .options = options, .summary = out};
    enum code code = backup_folder_create(path, &source->id, &making.folder, why);
    if (code == CODE_OK)
        code = make(&making, why);
    catalog_close(making.image);
    backup_folder_close(making.folder);
    backup_point_free(&making.point);
    for (size_t i = 0; i < making.point_count; i++)
        backup_point_free(&making.points[i]);
    free(making.points);
    return code == CODE_OK ? code : failure_wrap(why, code, "making a backup");
}
