/* Garbage collection to the end: see tree_collect.h.  The steps are those of the background (tree_compact.c), chosen from
 * exact counts, one pack after the other:
 *
 *     commit    what was moved last becomes durable, and packs that nothing names are dropped (tree_commit.c)
 *     choose    the pack with the greatest part dead, counting a chunk once however many files share it
 *     move      what lives in it, a step at a time
 *
 * until no pack is worth it.  A pack that cannot be emptied is left out and counted.  Stopping is possible between steps;
 * nothing is lost by it. */
#include "tree_collect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "catalog_chunk.h"
#include "chunk_store.h"
#include "logging.h"
#include "pack_format.h"
#include "timing.h"
#include "tree_commit.h"
#include "tree_compact.h"
#include "tree_operation.h"

#define STEP_BYTES     ((uint64_t)4 << 20)
#define PACK_BYTES_MIN ((uint64_t)64 << 10) /* smaller packs are not worth a new place */
#define STUCK_MAX      1024
#define ROUNDS_MAX     100000 /* more packs than any store has, 64 a round */

struct collecting {
    struct tree *tree;
    const struct tree_collect_options *options;
    struct tree_collect_summary *summary;
    unsigned dead_percent;
    uint64_t wanted; /* bytes that can be given back, as counted first */
    uint32_t last;   /* the newest pack when it began: later ones hold what was moved, and are left alone */
    uint32_t stuck[STUCK_MAX];
};

static bool is_stuck(const struct collecting *collecting, uint32_t pack)
{
    for (uint32_t i = 0; i < collecting->summary->packs_stuck; i++)
        if (collecting->stuck[i] == pack)
            return true;
    return false;
}

/* And how many packs there are, and the highest number; either may be NULL. */
static uint64_t bytes_stored(struct tree *tree, size_t *packs, uint32_t *last)
{
    struct chunk_pack_list list;
    uint64_t bytes = 0;
    if (chunk_store_list_packs(tree->chunks, &list, NULL) != CODE_OK)
        return 0;
    for (size_t i = 0; i < list.count; i++)
        bytes += list.packs[i].bytes;
    if (packs)
        *packs = list.count;
    if (last)
        *last = list.count ? list.packs[list.count - 1].number : 0;
    chunk_store_list_free(&list);
    return bytes;
}

struct survey {
    uint32_t best;     /* 0: none is worth it */
    double best_share; /* dead */
    uint64_t worth;    /* dead bytes of all that are worth it */
    uint64_t not_worth;
};

/* One pack's part in the survey.  The growing one is ended where it is worth it. */
static enum code look_at(struct collecting *collecting, const struct chunk_pack *pack, struct survey *survey,
                         struct failure *why)
{
    uint64_t chunks, alive;
    enum code code = catalog_chunk_alive(collecting->tree->catalog, pack->number, &chunks, &alive, why);
    if (code != CODE_OK)
        return code;
    alive += PACK_HEADER_BYTES + chunks * PACK_RECORD_BYTES;
    uint64_t dead = pack->bytes > alive ? pack->bytes - alive : 0;
    double share = (double)dead / (double)(pack->bytes ? pack->bytes : 1);
    if (share * 100 < collecting->dead_percent || pack->bytes < PACK_BYTES_MIN || pack->number > collecting->last ||
        is_stuck(collecting, pack->number)) {
        survey->not_worth += dead;
        return CODE_OK;
    }
    survey->worth += dead;
    if (pack->growing)
        code = chunk_store_seal(collecting->tree->chunks, why);
    if (code == CODE_OK && chunks && share > survey->best_share) {
        survey->best = pack->number;
        survey->best_share = share;
    }
    return code;
}

static enum code look_around(struct collecting *collecting, struct survey *survey, struct failure *why)
{
    struct chunk_pack_list list;
    *survey = (struct survey){0};
    enum code code = chunk_store_list_packs(collecting->tree->chunks, &list, why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; code == CODE_OK && i < list.count; i++)
        code = look_at(collecting, &list.packs[i], survey, why);
    chunk_store_list_free(&list);
    return code;
}

/* A round of the committer that looks for dead packs even if nothing else has changed. */
static enum code make_round(struct tree *tree, struct failure *why)
{
    pthread_mutex_lock(&tree->lock);
    enum code code = operation_begin(tree, why);
    if (code == CODE_OK)
        code = operation_end(tree, CODE_OK, why);
    pthread_mutex_unlock(&tree->lock);
    return code == CODE_OK ? commit_wait(tree, why) : code;
}

static bool has_dead_packs(struct collecting *collecting)
{
    struct tree *tree = collecting->tree;
    uint32_t pack = 0;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    collecting->summary->held = tree->pack_holds > 0;
    return !collecting->summary->held && catalog_chunk_dead_pack(tree->catalog, 0, &pack, NULL) == CODE_OK;
}

/* Rounds until all that nothing names is gone, or stays because it grows or somebody holds it. */
static enum code drop_dead(struct collecting *collecting, struct failure *why)
{
    size_t before = 0, after = 0;
    enum code code = CODE_OK;
    for (int round = 0; code == CODE_OK && round < ROUNDS_MAX; round++) {
        bytes_stored(collecting->tree, &before, NULL);
        code = make_round(collecting->tree, why);
        bytes_stored(collecting->tree, &after, NULL);
        if (after < before)
            collecting->summary->packs_given_back += (uint32_t)(before - after);
        if (!has_dead_packs(collecting) || after >= before)
            break;
    }
    return code;
}

static enum code tell(struct collecting *collecting, struct failure *why)
{
    uint64_t before = collecting->summary->bytes_before, now = bytes_stored(collecting->tree, NULL, NULL);
    if (collecting->options->progress &&
        !collecting->options->progress(collecting->options->context, before > now ? before - now : 0, collecting->wanted))
        return failure_set(why, CODE_INTERRUPTED, "stopped: what was not given back yet stays where it is");
    return CODE_OK;
}

static void rest(int64_t since_ns)
{
    int64_t pause_ns = timing_monotonic_ns() - since_ns;
    nanosleep(&(struct timespec){.tv_sec = pause_ns / 1000000000, .tv_nsec = pause_ns % 1000000000}, NULL);
}

static enum code empty_pack(struct collecting *collecting, uint32_t pack, struct failure *why)
{
    struct tree_collect_summary *summary = collecting->summary;
    bool left = true;
    while (left) {
        int64_t begun_ns = timing_monotonic_ns();
        enum code code = compact_pack(collecting->tree, pack, STEP_BYTES, &left, &summary->bytes_moved, why);
        if (code == CODE_CORRUPT || code == CODE_NOT_FOUND) {
            logging_warning("pack %u cannot be emptied and stays: %s", pack, why->text);
            if (summary->packs_stuck == STUCK_MAX)
                return code;
            collecting->stuck[summary->packs_stuck++] = pack;
            return CODE_OK;
        }
        if (code == CODE_OK)
            code = tell(collecting, why);
        if (code != CODE_OK)
            return code;
        if (collecting->options->unhurried)
            rest(begun_ns);
    }
    return CODE_OK;
}

static enum code collect(struct collecting *collecting, struct failure *why)
{
    struct survey survey;
    enum code code = drop_dead(collecting, why);
    if (code == CODE_OK)
        code = look_around(collecting, &survey, why);
    collecting->wanted = code == CODE_OK ? survey.worth : 0;
    while (code == CODE_OK && survey.best) {
        code = empty_pack(collecting, survey.best, why);
        if (code == CODE_OK)
            code = drop_dead(collecting, why);
        if (code == CODE_OK)
            code = look_around(collecting, &survey, why);
    }
    /* What was sealed just now, with nothing alive in it. */
    if (code == CODE_OK)
        code = drop_dead(collecting, why);
    if (code == CODE_OK)
        code = look_around(collecting, &survey, why);
    collecting->summary->bytes_dead = code == CODE_OK ? survey.worth + survey.not_worth : 0;
    return code;
}

enum code tree_collect(struct tree *tree, const struct tree_collect_options *options, struct tree_collect_summary *out,
                       struct failure *why)
{
    *out = (struct tree_collect_summary){0};
    struct collecting *collecting = calloc(1, sizeof *collecting);
    if (!collecting)
        return failure_set(why, CODE_NO_MEMORY, "giving space back: no memory");
    collecting->tree = tree;
    collecting->options = options;
    collecting->summary = out;
    collecting->dead_percent = options->dead_percent ? options->dead_percent : TREE_COLLECT_DEAD_PERCENT;
    compact_enter(tree);
    out->bytes_before = bytes_stored(tree, NULL, &collecting->last);
    enum code code = collect(collecting, why);
    tree->compact.pack = 0; /* whatever the background was at is done or was chosen anew */
    compact_leave(tree);
    out->bytes_after = bytes_stored(tree, NULL, NULL);
    free(collecting);
    return code == CODE_OK ? code : failure_wrap(why, code, "giving space back");
}

void tree_collect_describe(const struct tree_collect_summary *summary, struct buffer *out)
{
    uint64_t given = summary->bytes_before > summary->bytes_after ? summary->bytes_before - summary->bytes_after : 0;
    buffer_printf(out,
                  "gave back %.1f MB of %.1f MB: %u packs are gone, %.1f MB were moved; %.1f MB dead stay in fuller packs",
                  (double)given / 1e6, (double)summary->bytes_before / 1e6, summary->packs_given_back,
                  (double)summary->bytes_moved / 1e6, (double)summary->bytes_dead / 1e6);
    if (summary->held)
        buffer_append_text(out, "\na backup is being made: packs that were emptied go when it is done");
    if (summary->packs_stuck)
        buffer_printf(out,
                      "\n%u packs could not be emptied, because something in them cannot be read: cytofs fsck tells what",
                      summary->packs_stuck);
}
