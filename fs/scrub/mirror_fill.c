/* Filling a mirror: see mirror_fill.h and the theory of mirror_set.c.
 *
 *   1. Its list of mirrors says that it is not whole; it gets every new chunk from now on.
 *   2. Packs that the store does not have any more go.  The audit log is copied.
 *   3. Packs: each record that it lacks, or has damaged, is placed.  A pack that is as long as the leader's and is not one
 * of its last two was whole when the side was last in use, and is taken for that; scrub looks closer.
 *   4. The catalog's pages; then, while nothing can change the catalog: the log, a sync of the chunks, and the new epoch.
 *
 * A chunk that a row names by the time of 4 was put before, and so was placed here by 1 or 3.  A record that is damaged on
 * the leader itself cannot be copied and is left to scrub.
 *
 * Runs in any thread, one at a time for a store.  The caller sees to it that no pack is dropped between the listing and its
 * copying, or bears with one that is: it is gone from all sides by 5, a second look for packs that are not the store's. */
#include "mirror_fill.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "audit_files.h"
#include "buffer.h"
#include "catalog_pages.h"
#include "chunk_store.h"
#include "chunk_store_mirror.h"
#include "file.h"
#include "logging.h"
#include "mirror_set.h"
#include "recent_format.h"
#include "scope.h"
#include "store_folder.h"

#define LAST_PACKS 2 /* of the side's packs: looked at record by record */

struct copy {
    const struct mirror_fill *fill;
    size_t side;
    struct chunk_store *to;
    uint64_t done, all; /* bytes */
    uint8_t *chunk;
    enum code code;
    struct failure *why;
};

static bool go_on(struct copy *copy, uint64_t bytes)
{
    copy->done += bytes;
    const struct mirror_fill *fill = copy->fill;
    if (!fill->progress || fill->progress(fill->context, copy->done, copy->all))
        return true;
    copy->code = failure_set(copy->why, CODE_INTERRUPTED, "filling a mirror was stopped");
    return false;
}

/* Told of each record of the leader's pack. */
static bool copy_record(void *context, const struct chunk_address *address, enum code code)
{
    struct copy *copy = context;
    if (code != CODE_OK)
        return go_on(copy, address->bytes);
    if (chunk_store_get(copy->to, address, copy->chunk, NULL) != CODE_OK &&
        chunk_store_get(copy->fill->chunks, address, copy->chunk, NULL) == CODE_OK)
        copy->code = chunk_store_place(copy->to, address, copy->chunk, copy->why);
    return copy->code == CODE_OK && go_on(copy, address->bytes);
}

static const struct chunk_pack *find_pack(const struct chunk_pack_list *list, uint32_t number)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->packs[i].number == number)
            return &list->packs[i];
    return NULL;
}

static enum code copy_pack(struct copy *copy, const struct chunk_pack *pack, const struct chunk_pack_list *there)
{
    const struct chunk_pack *has = find_pack(there, pack->number);
    bool last = there->count > 0 && pack->number + LAST_PACKS > there->packs[there->count - 1].number;
    if (has && !last && has->bytes == pack->bytes)
        return go_on(copy, pack->bytes) ? CODE_OK : copy->code;
    enum code code = chunk_store_verify(copy->fill->chunks, pack->number, copy_record, copy, copy->why);
    return copy->code != CODE_OK ? copy->code : code == CODE_NOT_FOUND ? CODE_OK : code;
}

/* Those that the store does not have. */
static enum code drop_others(struct copy *copy, struct failure *why)
{
    struct chunk_pack_list ours = {0}, there = {0};
    enum code code = chunk_store_list_packs(copy->to, &there, why);
    if (code == CODE_OK)
        code = chunk_store_list_packs(copy->fill->chunks, &ours, why);
    for (size_t i = 0; code == CODE_OK && i < there.count; i++) {
        if (find_pack(&ours, there.packs[i].number))
            continue;
        code = chunk_store_seal(copy->to, why);
        if (code == CODE_OK)
            code = chunk_store_drop_pack(copy->to, there.packs[i].number, why);
    }
    chunk_store_list_free(&ours);
    chunk_store_list_free(&there);
    return code;
}

static enum code copy_packs(struct copy *copy, struct failure *why)
{
    struct chunk_pack_list ours = {0}, there = {0};
    enum code code = chunk_store_list_packs(copy->to, &there, why);
    if (code == CODE_OK)
        code = chunk_store_list_packs(copy->fill->chunks, &ours, why);
    for (size_t i = 0; i < ours.count; i++)
        copy->all += ours.packs[i].bytes;
    for (size_t i = 0; code == CODE_OK && i < ours.count; i++)
        code = copy_pack(copy, &ours.packs[i], &there);
    chunk_store_list_free(&ours);
    chunk_store_list_free(&there);
    return code;
}

/* While nothing can change the catalog. */
static enum code join(void *context, struct failure *why)
{
    struct copy *copy = context;
    enum code code = chunk_store_sync(copy->to, why);
    return code == CODE_OK ? mirror_set_join(copy->fill->mirrors, copy->side, why) : code;
}

static bool catalog_progress(void *context, uint64_t done, uint64_t all)
{
    struct copy *copy = context;
    (void)done;
    (void)all;
    return go_on(copy, 0);
}

static enum code copy_catalog(struct copy *copy, struct failure *why)
{
    struct store_folder *folder = mirror_set_folder(copy->fill->mirrors, copy->side);
    const struct catalog_pages_fill pages = {.side = copy->side,
                                             .path = store_folder_catalog_path(folder),
                                             .join = join,
                                             .progress = catalog_progress,
                                             .context = copy};
    return catalog_pages_fill(copy->fill->catalog, &pages, why);
}

static enum code remove_file(const char *path, struct failure *why)
{
    return unlink(path) == 0 || errno == ENOENT ? CODE_OK : failure_set_errno(why, errno, "%s: cannot be removed", path);
}

/* While a side is filled no write is made durable but by commits (fs/tree/tree_recent_log.h).  What the log of recent writes
 * holds is committed, or copied where nothing is in use that could; one that the side has of its own is none of this store's
 * present. */
static enum code settle(struct copy *copy, struct failure *why)
{
    const struct mirror_fill *fill = copy->fill;
    SCOPE_FREE char *from = file_join(mirror_set_path(fill->mirrors, mirror_set_leader(fill->mirrors)), RECENT_FORMAT_FILE);
    SCOPE_FREE char *to = file_join(mirror_set_path(fill->mirrors, copy->side), RECENT_FORMAT_FILE);
    SCOPE_BUFFER bytes = {0};
    if (!from || !to)
        return failure_set(why, CODE_NO_MEMORY, "filling a mirror: no memory");
    enum code code = remove_file(to, why);
    if (code == CODE_OK && fill->settle)
        return fill->settle(fill->context, why);
    if (code != CODE_OK || !file_exists(from))
        return code;
    code = file_read(from, RECENT_FORMAT_FILE_BYTES, &bytes, why);
    return code == CODE_OK ? file_replace(to, buffer_text(&bytes), bytes.length, why) : code;
}

/* What is written to it meanwhile follows when the side is current (fs/audit). */
static enum code copy_audit(struct copy *copy, struct failure *why)
{
    const struct mirror_fill *fill = copy->fill;
    SCOPE_FREE char *from = file_join(mirror_set_path(fill->mirrors, mirror_set_leader(fill->mirrors)), AUDIT_FILES_FOLDER);
    SCOPE_FREE char *to = file_join(mirror_set_path(fill->mirrors, copy->side), AUDIT_FILES_FOLDER);
    if (!from || !to)
        return failure_set(why, CODE_NO_MEMORY, "filling a mirror: no memory");
    return audit_files_bring(from, to, why);
}

static enum code run(struct copy *copy, struct failure *why)
{
    enum code code = settle(copy, why);
    if (code == CODE_OK)
        code = copy_audit(copy, why);
    if (code == CODE_OK)
        code = copy_packs(copy, why);
    if (code == CODE_OK)
        code = drop_others(copy, why);
    return code == CODE_OK ? copy_catalog(copy, why) : code;
}

/* Packs that the side made for itself in a time of its own must be gone before it gets new chunks: they could bear the
 * numbers of those to come.  They lie above all that the store has. */
enum code mirror_fill_run(const struct mirror_fill *fill, size_t side, struct failure *why)
{
    struct failure here;
    SCOPE_FREE uint8_t *chunk = malloc(CHUNK_STORE_BYTES_MAX);
    struct copy copy = {.fill = fill, .side = side, .chunk = chunk, .why = &here};
    if (!chunk)
        return failure_set(why, CODE_NO_MEMORY, "filling a mirror: no memory");
    enum code code = chunk_store_mirror_open_side(fill->mirrors, side, &copy.to, &here);
    if (code == CODE_OK) {
        chunk_store_mirror_attach(fill->chunks, side, copy.to);
        code = mirror_set_mark_unwhole(fill->mirrors, side, &here);
    }
    if (code == CODE_OK)
        code = drop_others(&copy, &here);
    if (code == CODE_OK) {
        mirror_set_begin_fill(fill->mirrors, side);
        code = run(&copy, &here);
    }
    if (code == CODE_OK) {
        logging_info("%s is up to date: the store is mirrored there", mirror_set_path(fill->mirrors, side));
        return CODE_OK;
    }
    mirror_set_stop_fill(fill->mirrors, side);
    if (why)
        *why = here;
    return failure_wrap(why, code, "%s: bringing it up to date", mirror_set_path(fill->mirrors, side));
}

void mirror_fill_all(const struct mirror_fill *fill, size_t *left)
{
    *left = 0;
    for (size_t side = 0; side < mirror_set_count(fill->mirrors); side++) {
        struct failure why;
        if (mirror_set_state(fill->mirrors, side) != MIRROR_BEHIND || mirror_fill_run(fill, side, &why) == CODE_OK)
            continue;
        logging_warning("%s", why.text);
        ++*left;
    }
}
