/* Scrubbing the packs of one side (scrub.h).
 *
 *     each pack    header and records, by their own checksums (chunk_store's verify)
 *     damage       a header is written anew: it is a function of the store's id and the pack's number.  A damaged range is
 * held against the same pack on the other sides: their good records in it are placed here.  What is not mended that way is
 *                  damage where the catalog names a chunk in it, else bytes that nothing needs
 *     absence      each pack that the catalog names must be there, as long as its last chunk needs
 *
 * A damaged range may hide several records, and begins where the first of them begins.  A record whose checksum is wrong is
 * found by the others' sides too when it is read (chunk_store_mirror.c); here it is found before anybody needs it. */
#include <inttypes.h>
#include <stdlib.h>

#include "catalog_chunk.h"
#include "chunk_store.h"
#include "chunk_store_mirror.h"
#include "mirror_set.h"
#include "scope.h"
#include "scrub_internal.h"

#define RANGES_MAX   4096 /* remembered of one pack; what is beyond is one range to its end */
#define RECORD_BYTES 24   /* in front of each chunk */
#define ROWS_MAX     64

struct range {
    uint64_t from, to; /* half-open */
};

struct pack_scrub {
    struct scrub *scrub;
    size_t side;
    uint32_t pack;
    struct range ranges[RANGES_MAX];
    size_t range_count;
    bool stopped;
};

static struct chunk_store *store_of(const struct scrub *scrub, size_t side)
{
    return chunk_store_mirror_side(scrub->options->chunks, side);
}

static void hold(const struct scrub *scrub, bool held)
{
    if (scrub->options->hold)
        scrub->options->hold(scrub->options->context, held);
}

/* Finding --------------------------------------------------------------------------------------------------------------- */

static bool note_record(void *context, const struct chunk_address *address, enum code code)
{
    struct pack_scrub *pack = context;
    uint64_t bytes = address->bytes;
    if (code == CODE_OK) {
        pack->scrub->summary->records++;
        bytes += RECORD_BYTES;
    } else if (pack->range_count == RANGES_MAX) {
        pack->ranges[RANGES_MAX - 1].to = address->offset + address->bytes;
    } else {
        pack->ranges[pack->range_count++] = (struct range){address->offset, address->offset + address->bytes};
    }
    pack->stopped = !scrub_step(pack->scrub, bytes);
    return !pack->stopped;
}

/* Mending --------------------------------------------------------------------------------------------------------------- */

struct mending {
    struct pack_scrub *pack;
    struct chunk_store *from, *to;
    const struct range *range;
    uint8_t *chunk;
};

/* Told of each record of the other side's pack. */
static bool mend_record(void *context, const struct chunk_address *address, enum code code)
{
    struct mending *mending = context;
    if (address->offset >= mending->range->to)
        return false;
    if (code != CODE_OK || address->offset + RECORD_BYTES + address->bytes <= mending->range->from)
        return true;
    if (chunk_store_get(mending->to, address, mending->chunk, NULL) != CODE_OK &&
        chunk_store_get(mending->from, address, mending->chunk, NULL) == CODE_OK)
        (void)!chunk_store_place(mending->to, address, mending->chunk, NULL);
    return true;
}

static void mend_range(struct pack_scrub *pack, const struct range *range, uint8_t *chunk)
{
    const struct scrub *scrub = pack->scrub;
    for (size_t other = 0; other < mirror_set_count(scrub->options->mirrors); other++) {
        struct mending mending = {pack, store_of(scrub, other), store_of(scrub, pack->side), range, chunk};
        if (other != pack->side && scrub_has_side(scrub, other) && mending.from)
            (void)!chunk_store_verify(mending.from, pack->pack, mend_record, &mending, NULL);
    }
}

/* How many chunks that the catalog names lie in a range and cannot be read here.  Without a catalog: one, for safety. */
static uint64_t count_lost(const struct pack_scrub *pack, const struct range *range, uint8_t *chunk)
{
    const struct scrub_options *options = pack->scrub->options;
    struct catalog_chunk_range rows_of = {pack->pack, range->from, range->to};
    struct catalog_chunk rows[ROWS_MAX];
    uint64_t lost = 0;
    size_t count = ROWS_MAX;
    if (!options->catalog)
        return 1;
    while (count == ROWS_MAX && rows_of.from < rows_of.to) {
        if (catalog_chunk_in_range(options->catalog, &rows_of, rows, ROWS_MAX, &count, NULL) != CODE_OK)
            return lost + 1;
        for (size_t i = 0; i < count; i++) {
            const struct chunk_address address = {rows[i].pack, rows[i].bytes, rows[i].offset};
            lost += chunk_store_get(store_of(pack->scrub, pack->side), &address, chunk, NULL) != CODE_OK;
            rows_of.from = rows[i].offset + 1;
        }
    }
    return lost;
}

static void tell_range(struct pack_scrub *pack, const struct range *range, bool tried, uint64_t named, uint64_t lost)
{
    struct scrub *scrub = pack->scrub;
    const char *folder = scrub_side_path(scrub, pack->side);
    if (named == 0 && lost == 0 && !tried) {
        scrub->summary->unnamed_bytes += range->to - range->from;
        scrub_tell(scrub, SCRUB_UNNAMED,
                   "%s/packs/%08u.pack: bytes %" PRIu64 " to %" PRIu64 ": hold nothing whole, and nothing needs them",
                   folder, pack->pack, range->from, range->to - 1);
    } else if (lost) {
        scrub_tell(scrub, SCRUB_DAMAGED,
                   "%s/packs/%08u.pack: bytes %" PRIu64 " to %" PRIu64 ": are damaged: %" PRIu64 " chunk%s lost", folder,
                   pack->pack, range->from, range->to - 1, lost, lost == 1 ? " is" : "s are");
    } else {
        scrub_tell(scrub, SCRUB_MENDED, "%s/packs/%08u.pack: bytes %" PRIu64 " to %" PRIu64 ": were damaged", folder,
                   pack->pack, range->from, range->to - 1);
    }
}

/* Whether a range is whole by now, as told by another walk over it. */
struct recheck {
    const struct range *range;
    bool damaged;
};

static bool recheck_record(void *context, const struct chunk_address *address, enum code code)
{
    struct recheck *recheck = context;
    if (address->offset >= recheck->range->to)
        return false;
    recheck->damaged |= code != CODE_OK && address->offset + address->bytes > recheck->range->from;
    return !recheck->damaged;
}

static bool is_whole(const struct pack_scrub *pack, const struct range *range)
{
    struct recheck recheck = {.range = range};
    return chunk_store_verify(store_of(pack->scrub, pack->side), pack->pack, recheck_record, &recheck, NULL) == CODE_OK &&
           !recheck.damaged;
}

static void settle_range(struct pack_scrub *pack, const struct range *range, uint8_t *chunk)
{
    uint64_t before = count_lost(pack, range, chunk), after = before;
    bool mended = false;
    if (!pack->scrub->options->look_only) {
        hold(pack->scrub, true);
        mend_range(pack, range, chunk);
        hold(pack->scrub, false);
        mended = is_whole(pack, range);
        after = mended ? 0 : count_lost(pack, range, chunk);
    }
    tell_range(pack, range, mended, before, after);
}

static bool mend_header(const struct pack_scrub *pack)
{
    const struct chunk_address header = {.pack = pack->pack};
    hold(pack->scrub, true);
    enum code code = chunk_store_place(store_of(pack->scrub, pack->side), &header, NULL, NULL);
    hold(pack->scrub, false);
    return code == CODE_OK;
}

/* One pack ----------------------------------------------------------------------------------------------------------------
 */

static enum code scrub_pack(struct pack_scrub *pack, uint8_t *chunk, struct failure *why)
{
    struct scrub *scrub = pack->scrub;
    struct chunk_store *store = store_of(scrub, pack->side);
    enum code code = chunk_store_verify(store, pack->pack, note_record, pack, why);
    if (code == CODE_NOT_FOUND) /* dropped meanwhile; what the catalog needs is looked for later */
        return CODE_OK;
    if (code == CODE_CORRUPT) {
        bool mended = !scrub->options->look_only && mend_header(pack);
        scrub_tell(scrub, mended ? SCRUB_MENDED : SCRUB_DAMAGED, "%s/packs/%08u.pack: its header is damaged",
                   scrub_side_path(scrub, pack->side), pack->pack);
        code = mended ? chunk_store_verify(store, pack->pack, note_record, pack, why) : CODE_OK;
    }
    if (code != CODE_OK)
        return code;
    scrub->summary->packs++;
    for (size_t i = 0; i < pack->range_count && !pack->stopped; i++)
        settle_range(pack, &pack->ranges[i], chunk);
    return pack->stopped ? scrub_interrupted(why) : CODE_OK;
}

/* Absence
 * ------------------------------------------------------------------------------------------------------------------- */

static bool is_there(const struct scrub *scrub, size_t side, const struct chunk_address *last, uint8_t *chunk)
{
    struct chunk_pack_list list = {0};
    bool there = false;
    if (chunk_store_list_packs(store_of(scrub, side), &list, NULL) != CODE_OK)
        return true; /* told elsewhere */
    for (size_t i = 0; i < list.count; i++)
        if (list.packs[i].number == last->pack)
            there = list.packs[i].bytes >= last->offset + RECORD_BYTES + last->bytes ||
                    chunk_store_get(store_of(scrub, side), last, chunk, NULL) == CODE_OK;
    chunk_store_list_free(&list);
    return there;
}

/* Places all that other sides have of a pack. */
static bool bring_back(struct scrub *scrub, size_t side, const struct chunk_address *last, uint8_t *chunk)
{
    struct pack_scrub *pack = calloc(1, sizeof *pack);
    const struct range all = {0, UINT64_MAX};
    if (!pack)
        return false;
    pack->scrub = scrub;
    pack->side = side;
    pack->pack = last->pack;
    hold(scrub, true);
    mend_range(pack, &all, chunk);
    hold(scrub, false);
    free(pack);
    return chunk_store_get(store_of(scrub, side), last, chunk, NULL) == CODE_OK;
}

static enum code check_absence(struct scrub *scrub, size_t side, uint8_t *chunk, struct failure *why)
{
    struct chunk_address last = {0};
    enum code code = CODE_OK;
    while (scrub->options->catalog && (code = catalog_chunk_next_pack(scrub->options->catalog, last.pack, &last.pack,
                                                                      &last.offset, &last.bytes, why)) == CODE_OK) {
        if (is_there(scrub, side, &last, chunk))
            continue;
        bool mended = !scrub->options->look_only && bring_back(scrub, side, &last, chunk);
        scrub_tell(scrub, mended ? SCRUB_MENDED : SCRUB_DAMAGED, "%s/packs/%08u.pack: is missing, or too short",
                   scrub_side_path(scrub, side), last.pack);
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code scrub_packs(struct scrub *scrub, size_t side, struct failure *why)
{
    struct chunk_pack_list list = {0};
    SCOPE_FREE uint8_t *chunk = malloc(CHUNK_STORE_BYTES_MAX);
    SCOPE_FREE struct pack_scrub *pack = malloc(sizeof *pack);
    if (!chunk || !pack)
        return failure_set(why, CODE_NO_MEMORY, "scrubbing: no memory");
    enum code code = chunk_store_list_packs(store_of(scrub, side), &list, why);
    for (size_t i = 0; code == CODE_OK && i < list.count; i++) {
        pack->scrub = scrub;
        pack->side = side;
        pack->pack = list.packs[i].number;
        pack->range_count = 0;
        pack->stopped = false;
        code = scrub_pack(pack, chunk, why);
    }
    chunk_store_list_free(&list);
    return code == CODE_OK ? check_absence(scrub, side, chunk, why) : code;
}
