/* Scrubbing: see scrub.h.  One file after the other, side by side:
 *
 *     for each current side:  FORMAT, lists of mirrors -> recent.log (scrub_recent.c) -> audit (scrub_audit.c) -> catalog.db
 * -> packs (scrub_pack.c)
 *
 * The rate is kept by sleeping after each step, in pieces so short that a request to stop is heard.
 *
 * One thread.  Nothing is locked here but by the calls themselves, each of which takes a page or a record. */
#include "scrub.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "catalog_pages.h"
#include "chunk_store.h"
#include "chunk_store_mirror.h"
#include "file.h"
#include "mirror_set.h"
#include "page_sum.h"
#include "scope.h"
#include "scrub_internal.h"
#include "store_folder.h"
#include "timing.h"

#define NAP_MS 50

/* Shared with scrub_pack.c ------------------------------------------------------------------------------------------------
 */

void scrub_tell(struct scrub *scrub, enum scrub_kind kind, const char *format, ...)
{
    char text[FAILURE_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (kind == SCRUB_DAMAGED || kind == SCRUB_MENDED)
        scrub->summary->damages++;
    if (kind == SCRUB_MENDED)
        scrub->summary->mended++;
    if (scrub->options->found)
        scrub->options->found(scrub->options->context, &(struct scrub_finding){kind, text});
}

static bool is_stopped(const struct scrub *scrub)
{
    const struct scrub_options *options = scrub->options;
    return options->progress && !options->progress(options->context, scrub->summary->bytes, scrub->bytes_all);
}

bool scrub_step(struct scrub *scrub, uint64_t bytes)
{
    scrub->summary->bytes += bytes;
    if (is_stopped(scrub))
        return false;
    uint64_t rate = scrub->options->rate ? *scrub->options->rate : 0;
    if (rate == 0)
        return true;
    scrub->owed_ns += (int64_t)((double)bytes * 1e9 / (double)rate);
    int64_t now_ns = timing_monotonic_ns();
    int64_t spent_ns = now_ns - scrub->paid_ns;
    scrub->owed_ns = spent_ns < scrub->owed_ns ? scrub->owed_ns - spent_ns : 0;
    scrub->paid_ns = now_ns;
    while (scrub->owed_ns > INT64_C(1000000) * NAP_MS) {
        usleep(NAP_MS * 1000);
        now_ns = timing_monotonic_ns();
        scrub->owed_ns -= now_ns - scrub->paid_ns;
        scrub->paid_ns = now_ns;
        if (is_stopped(scrub))
            return false;
    }
    return true;
}

const char *scrub_side_path(const struct scrub *scrub, size_t side)
{
    return mirror_set_path(scrub->options->mirrors, side);
}

bool scrub_has_side(const struct scrub *scrub, size_t side)
{
    return mirror_set_is_current(scrub->options->mirrors, side);
}

/* Small files
 * --------------------------------------------------------------------------------------------------------------- */

static void check_format(struct scrub *scrub, size_t side)
{
    struct store_folder *folder = mirror_set_folder(scrub->options->mirrors, side);
    struct failure why;
    if (store_folder_check_format(folder, &why) == CODE_OK)
        return;
    bool mended = !scrub->options->look_only && store_folder_finish(folder, NULL) == CODE_OK;
    scrub_tell(scrub, mended ? SCRUB_MENDED : SCRUB_DAMAGED, "%s/FORMAT: is damaged", scrub_side_path(scrub, side));
}

static void check_lists(struct scrub *scrub, size_t side)
{
    bool sound;
    bool mend = !scrub->options->look_only;
    enum code code = mirror_set_check_lists(scrub->options->mirrors, side, mend, &sound, NULL);
    if (!sound || code != CODE_OK)
        scrub_tell(scrub, mend && code == CODE_OK ? SCRUB_MENDED : SCRUB_DAMAGED, "%s/mirrors, or its copy: is damaged",
                   scrub_side_path(scrub, side));
}

/* The catalog
 * --------------------------------------------------------------------------------------------------------------- */

static void tell_pages(struct scrub *scrub, size_t side, const struct catalog_pages_found *found)
{
    scrub->summary->pages += found->checked;
    scrub->blank_pages += found->blank;
    for (size_t i = 0; i < found->damaged_count; i++)
        scrub_tell(scrub, found->mended[i] ? SCRUB_MENDED : SCRUB_DAMAGED, "%s/catalog.db: page %" PRIu64 ": is damaged",
                   scrub_side_path(scrub, side), found->damaged[i]);
}

static enum code check_pages(struct scrub *scrub, size_t side, struct failure *why)
{
    const struct scrub_options *options = scrub->options;
    struct catalog_pages_found found = {.checked = CATALOG_PAGES_STEP};
    const char *path = store_folder_catalog_path(mirror_set_folder(options->mirrors, side));
    for (uint64_t first = 1; found.checked == CATALOG_PAGES_STEP; first += found.checked) {
        enum code code = options->catalog
                             ? catalog_pages_check(options->catalog, side, first, !options->look_only, &found, why)
                             : catalog_pages_check_file(path, first, &found, why);
        if (code != CODE_OK)
            return code;
        tell_pages(scrub, side, &found);
        if (!scrub_step(scrub, found.checked * PAGE_SUM_PAGE_BYTES))
            return scrub_interrupted(why);
    }
    return CODE_OK;
}

/* Checksums cannot tell a page that was never written from one that has become zeros: the structure can. */
static void check_structure(struct scrub *scrub)
{
    struct failure why;
    if (!scrub->options->catalog || !scrub->options->alone)
        return;
    if (catalog_pages_check_structure(scrub->options->catalog, &why) != CODE_OK)
        scrub_tell(scrub, SCRUB_DAMAGED, "catalog.db: %s", why.text);
}

/* All
 * -------------------------------------------------------------------------------------------------------------------------
 */

enum code scrub_interrupted(struct failure *why)
{
    return failure_set(why, CODE_INTERRUPTED, "scrubbing was stopped before its end");
}

static void count_bytes(struct scrub *scrub)
{
    struct mirror_set *mirrors = scrub->options->mirrors;
    for (size_t side = 0; side < mirror_set_count(mirrors); side++) {
        struct stat status;
        struct chunk_store_statistics chunks = {0};
        if (!scrub_has_side(scrub, side))
            continue;
        chunk_store_statistics(chunk_store_mirror_side(scrub->options->chunks, side), &chunks);
        scrub->bytes_all += chunks.bytes_stored;
        if (stat(store_folder_catalog_path(mirror_set_folder(mirrors, side)), &status) == 0)
            scrub->bytes_all += (uint64_t)status.st_size;
    }
}

static enum code check_side(struct scrub *scrub, size_t side, struct failure *why)
{
    mirror_set_look(scrub->options->mirrors);
    if (!scrub_has_side(scrub, side))
        return CODE_OK; /* it went away just now, which is told elsewhere */
    check_format(scrub, side);
    check_lists(scrub, side);
    enum code code = scrub_recent(scrub, side, why);
    if (code == CODE_OK)
        code = scrub_audit(scrub, side, why);
    if (code == CODE_OK)
        code = check_pages(scrub, side, why);
    return code == CODE_OK ? scrub_packs(scrub, side, why) : code;
}

enum code scrub_run(const struct scrub_options *options, struct scrub_summary *out, struct failure *why)
{
    *out = (struct scrub_summary){0};
    struct scrub scrub = {.options = options, .summary = out, .paid_ns = timing_monotonic_ns()};
    enum code code = CODE_OK;
    count_bytes(&scrub);
    for (size_t side = 0; code == CODE_OK && side < mirror_set_count(options->mirrors); side++) {
        enum mirror_state state = mirror_set_state(options->mirrors, side);
        if (state == MIRROR_CURRENT) {
            code = check_side(&scrub, side, why);
        } else if (scrub_side_path(&scrub, side)) {
            out->away++;
            scrub_tell(&scrub, SCRUB_AWAY, "%s: is %s, and was not looked at", scrub_side_path(&scrub, side),
                       state == MIRROR_LOST ? "not there" : "behind");
        }
    }
    if (code == CODE_OK)
        check_structure(&scrub);
    return code;
}

void scrub_describe(const struct scrub_summary *summary, struct buffer *out)
{
    buffer_printf(out, "looked at %.1f MB: %" PRIu64 " pages of the catalog, %" PRIu64 " packs, %" PRIu64 " chunks: ",
                  (double)summary->bytes / 1e6, summary->pages, summary->packs, summary->records);
    if (summary->damages == 0)
        buffer_append_text(out, "no damage");
    else
        buffer_printf(out, "%" PRIu64 " place%s damaged, %" PRIu64 " of them mended", summary->damages,
                      summary->damages == 1 ? "" : "s", summary->mended);
    if (summary->unnamed_bytes)
        buffer_printf(out, "; %" PRIu64 " damaged bytes that nothing needs", summary->unnamed_bytes);
    if (summary->away)
        buffer_printf(out, "; %" PRIu64 " mirror%s NOT looked at", summary->away, summary->away == 1 ? "" : "s");
}
