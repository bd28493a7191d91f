/* The committer: one thread that makes rounds, each TREE_COMMIT_INTERVAL_MS if something changed, or when asked.
 *
 *     ahead      without the lock: seal what is dirty into the chunk store; sync it where that may take long
 *     collect    with the lock: seal the little that was changed meanwhile, put changed rows into the catalog's open
 *                transaction.  The transaction now describes the tree as it is at this moment.  Close the gate.
 *     sync       without the lock: sync the chunk store.  Bytes first ...
 *     commit     ... then COMMIT, which names them; open the gate; sync the catalog's log.
 *     drop       packs that nothing named at the moment of `collect`
 *     compact    a little of it (tree_compact.c)
 *     reseal     a little of it (tree_reseal.c)
 *
 * While the gate is closed, operations that would change the catalog wait: their changes belong to the next round.
 * Writes into files go on: they change pieces and nodes in memory, which the next round collects.
 *
 * A round that fails before COMMIT leaves everything pending: the next one tries again.  If the catalog lost its
 * transaction, or a sync of its log failed, memory and disk have parted, and the tree refuses changes (commit.broken).
 */
#include "tree_commit.h"

#include <stdlib.h>
#include <string.h>

#include "catalog_chunk.h"
#include "chunk_store.h"
#include "logging.h"
#include "thread.h"
#include "timing.h"
#include "tree_authentic.h"
#include "tree_compact.h"
#include "tree_node.h"
#include "tree_operation.h"
#include "tree_piece.h"
#include "tree_reseal.h"
#include "tree_seen.h"
#include "tree_lending.h"
#include "tree_space_sum.h"
#include "tree_statistics.h"
#include "tree_storing.h"
#include "tree_waiting.h"

#define DEAD_PACKS_MAX   64                  /* dropped in one round */
#define PIECES_AT_ONCE   64                  /* named in one operation of the catalog */
#define SYNC_AHEAD_BYTES ((uint64_t)1 << 20) /* of chunks that are synced before the gate is closed */
#define ROOM_BYTES       ((uint64_t)1 << 20) /* left free beside the chunks */

struct dead_packs {
    uint32_t numbers[DEAD_PACKS_MAX];
    size_t count;
};

/* Some of those that wait to be named. */
static size_t first_pieces(struct tree *tree, struct piece *pieces[PIECES_AT_ONCE])
{
    size_t count = 0;
    struct piece *const lists[] = {tree->stored_pieces.first, tree->dirty_pieces.first};
    for (size_t list = 0; list < 2; list++)
        for (struct piece *piece = lists[list]; piece && count < PIECES_AT_ONCE; piece = piece->list_next)
            pieces[count++] = piece;
    return count;
}

static enum code write_pieces(struct tree *tree, struct failure *why)
{
    struct piece *pieces[PIECES_AT_ONCE];
    uint8_t sums[PIECES_AT_ONCE][CATALOG_SUM_BYTES]; /* of their nodes, before each was named */
    size_t count, named = 0;
    for (; (count = first_pieces(tree, pieces)) > 0; named = 0) {
        enum code code = catalog_operation_begin(tree->catalog, why);
        if (code != CODE_OK)
            return code;
        for (; code == CODE_OK && named < count; named++) {
            memcpy(sums[named], pieces[named]->node->row.sum, CATALOG_SUM_BYTES);
            code = piece_write_out(tree, pieces[named], why);
        }
        enum code kept = catalog_operation_end(tree->catalog, code == CODE_OK, why);
        code = code != CODE_OK ? code : kept;
        if (code != CODE_OK) { /* none of them is named */
            while (named-- > 0)
                memcpy(pieces[named]->node->row.sum, sums[named], CATALOG_SUM_BYTES);
            return code;
        }
        for (size_t i = 0; i < count; i++)
            piece_mark_clean(tree, pieces[i]);
    }
    return CODE_OK;
}

static enum code put_rows(struct tree *tree, struct failure *why)
{
    enum code code = CODE_OK;
    for (struct node *node = tree->dirty_nodes; code == CODE_OK && node; node = node->dirty_next)
        code = authentic_put_row(tree, node, why);
    const struct {
        enum catalog_number which;
        uint64_t value;
    } numbers[] = {{CATALOG_NEXT_INODE, tree->next_inode},
                   {CATALOG_NEXT_SPACE, tree->next_space},
                   {CATALOG_LAST_STAMP, tree->last_stamp},
                   {CATALOG_COMMIT, tree->commit.number + 1}};
    for (size_t i = 0; code == CODE_OK && i < sizeof numbers / sizeof *numbers; i++)
        code = catalog_set_number(tree->catalog, numbers[i].which, numbers[i].value, why);
    return code;
}

/* Nodes count as clean only when their rows are kept for sure. */
static enum code write_rows(struct tree *tree, struct failure *why)
{
    enum code code = catalog_operation_begin(tree->catalog, why);
    if (code != CODE_OK)
        return code;
    code = put_rows(tree, why);
    enum code kept = catalog_operation_end(tree->catalog, code == CODE_OK, why);
    if (code != CODE_OK || kept != CODE_OK)
        return code != CODE_OK ? code : kept;
    for (struct node *node; (node = tree->dirty_nodes);) {
        authentic_row_kept(tree, node);
        node_mark_clean(tree, node);
        node_settle(tree, node);
    }
    return CODE_OK;
}

static enum code write_out(struct tree *tree, struct failure *why)
{
    enum code code = write_pieces(tree, why);
    return code == CODE_OK ? write_rows(tree, why) : code;
}

enum code commit_bring_up_to_date(struct tree *tree, struct failure *why)
{
    while (tree->commit.committing)
        pthread_cond_wait(&tree->commit.finished, &tree->lock);
    enum code code = operation_allowed(tree, why);
    return code == CODE_OK ? write_out(tree, why) : code;
}

static bool is_growing(const struct chunk_pack_list *list, uint32_t pack)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->packs[i].number == pack)
            return list->packs[i].growing;
    return false;
}

void commit_leave_pack(struct tree *tree, uint32_t pack)
{
    tree->commit.left_pack = pack;
}

/* The packs that nothing names now.  One that still grows is left alone: it may be named again at any moment. */
static void find_dead_packs(struct tree *tree, struct dead_packs *dead)
{
    uint32_t pack = 0;
    struct chunk_pack_list list = {0};
    bool listed = false;
    uint32_t floor = storing_floor(tree);
    dead->count = 0;
    tree->commit.left_pack = 0;
    while (dead->count < DEAD_PACKS_MAX && catalog_chunk_dead_pack(tree->catalog, pack, &pack, NULL) == CODE_OK) {
        if (!listed && chunk_store_list_packs(tree->chunks, &list, NULL) != CODE_OK)
            return;
        listed = true;
        if (is_growing(&list, pack))
            continue;
        if (pack < floor)
            dead->numbers[dead->count++] = pack;
        else
            commit_leave_pack(tree, pack);
    }
    chunk_store_list_free(&list);
}

void tree_hold_packs(struct tree *tree)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    tree->pack_holds++;
}

void tree_release_packs(struct tree *tree)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    tree->pack_holds--;
}

/* Whether packs are held; then the pack is left for later. */
static bool must_leave(struct tree *tree, uint32_t pack)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    if (tree->pack_holds > 0)
        commit_leave_pack(tree, pack);
    return tree->pack_holds > 0;
}

static void drop_packs(struct tree *tree, const struct dead_packs *dead)
{
    for (size_t i = 0; i < dead->count && !must_leave(tree, dead->numbers[i]); i++) {
        struct failure why;
        pthread_rwlock_wrlock(&tree->packs_lock);
        enum code code = chunk_store_drop_pack(tree->chunks, dead->numbers[i], &why);
        pthread_rwlock_unlock(&tree->packs_lock);
        if (code != CODE_OK && code != CODE_NOT_FOUND) {
            logging_trace(TRACE_STORE, "pack %u stays: %s", dead->numbers[i], why.text);
            continue;
        }
        /* Should this not be kept, the pack is not found the next time, and forgotten then. */
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
        if (catalog_operation_begin(tree->catalog, NULL) == CODE_OK) {
            code = catalog_chunk_forget_pack(tree->catalog, dead->numbers[i], NULL);
            (void)!catalog_operation_end(tree->catalog, code == CODE_OK, NULL);
        }
    }
}

static void break_tree(struct tree *tree, const struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    if (tree->commit.broken.code == CODE_OK) {
        tree->commit.broken = *why;
        logging_warning("nothing can be changed any more: %s", why->text);
    }
}

static bool may_drop_left_pack(const struct tree *tree)
{
    return tree->commit.left_pack && tree->pack_holds == 0 && tree->commit.left_pack < storing_floor(tree);
}

static bool has_changes(struct tree *tree)
{
    return tree->dirty_pieces.first || tree->stored_pieces.first || tree->dirty_nodes || catalog_pending(tree->catalog) ||
           may_drop_left_pack(tree);
}

/* Chunks are sealed and put only where there is room for them; the catalog takes care of its own (database_reserve). */
static enum code check_room(const struct tree *tree, struct failure *why)
{
    if (!tree->dirty_pieces.first || statistics_free_bytes(tree) >= ROOM_BYTES + tree->dirty_pieces.bytes)
        return CODE_OK;
    return failure_set(why, CODE_NO_SPACE,
                       "the disk that holds the lab is full: make room on it, or remove what was "
                       "written last");
}

/* collect; true where there is something to commit, which has that number. */
static bool collect(struct tree *tree, struct dead_packs *dead, uint64_t *commit, enum code *code, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    tree->commit.started++;
    *code = CODE_OK;
    if (!has_changes(tree))
        return false;
    *code = operation_allowed(tree, why);
    if (*code == CODE_OK)
        *code = check_room(tree, why);
    tree->commit.collecting = true;
    if (*code == CODE_OK)
        *code = write_out(tree, why);
    if (*code == CODE_OK)
        *code = space_sum_seal(tree, why);
    tree->commit.collecting = false;
    if (*code != CODE_OK)
        return false;
    node_trim(tree);
    tree->commit.inodes_collected = tree->next_inode;
    find_dead_packs(tree, dead);
    *commit = tree->commit.number + 1;
    tree->commit.committing = true;
    return true;
}

/* Does what takes long before the gate is closed: seals what is dirty, and syncs it where it is much.  What fails here fails
 * again in the round, which tells. */
static void store_ahead(struct tree *tree)
{
    pthread_mutex_lock(&tree->lock);
    bool allowed = operation_allowed(tree, NULL) == CODE_OK;
    if (allowed)
        storing_store_all(tree);
    bool much = tree->stored_pieces.count * TREE_CHUNK_BYTES > SYNC_AHEAD_BYTES;
    pthread_mutex_unlock(&tree->lock);
    if (allowed && much)
        (void)!chunk_store_sync(tree->chunks, NULL);
}

static enum code make_round(struct tree *tree, struct failure *why)
{
    struct dead_packs dead;
    uint64_t commit;
    enum code code;
    store_ahead(tree);
    if (!collect(tree, &dead, &commit, &code, why))
        return code;
    bool lost = false;
    code = chunk_store_sync(tree->chunks, why);
    if (code == CODE_OK)
        code = catalog_commit(tree->catalog, &lost, why);
    pthread_mutex_lock(&tree->lock);
    tree->commit.committing = false;
    tree->commit.count += code == CODE_OK;
    tree->commit.number += code == CODE_OK;
    if (code == CODE_OK)
        tree->commit.inodes_durable = tree->commit.inodes_collected;
    pthread_cond_broadcast(&tree->commit.finished);
    pthread_mutex_unlock(&tree->lock);
    if (code == CODE_OK) {
        code = catalog_sync(tree->catalog, why);
        lost = code != CODE_OK;
    }
    if (lost)
        break_tree(tree, why);
    if (code == CODE_OK)
        seen_note(tree, commit);
    if (code == CODE_OK)
        drop_packs(tree, &dead);
    return code;
}

static void finish_round(struct tree *tree, enum code code, const struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    tree->commit.leading = false;
    if (code == CODE_OK)
        tree->commit.durable = tree->commit.started;
    if (code != CODE_OK && tree->commit.last.code == CODE_OK)
        logging_warning("changes could not be made durable and are kept in memory: %s", why->text);
    if (code != CODE_OK)
        tree->commit.last = *why;
    else
        tree->commit.last.code = CODE_OK;
    tree->commit.done = tree->commit.started;
    pthread_cond_broadcast(&tree->commit.finished);
}

enum code commit_round(struct tree *tree, struct failure *why)
{
    why->code = CODE_OK;
    enum code code = make_round(tree, why);
    finish_round(tree, code, why);
    return code;
}

/* Until somebody asks, or the interval is over.  With the lock.  False when the tree is being closed. */
static bool wait_for_work(struct tree *tree)
{
    int64_t deadline_ns = timing_monotonic_ns() + INT64_C(1000000) * TREE_COMMIT_INTERVAL_MS;
    struct timespec deadline = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
    int timed_out = 0;
    while (!tree->commit.stop && tree->commit.asked <= tree->commit.started && !timed_out)
        timed_out = pthread_cond_timedwait(&tree->commit.wanted, &tree->lock, &deadline);
    return !tree->commit.stop;
}

static void *run(void *context)
{
    struct tree *tree = context;
    pthread_mutex_lock(&tree->lock);
    while (wait_for_work(tree)) {
        while (tree->commit.leading)
            pthread_cond_wait(&tree->commit.finished, &tree->lock);
        bool needed = tree->commit.asked > tree->commit.started || has_changes(tree);
        tree->commit.leading = needed;
        pthread_mutex_unlock(&tree->lock);
        struct failure why;
        enum code code = needed ? commit_round(tree, &why) : CODE_OK;
        waiting_lead(tree);
        if (code == CODE_OK) {
            compact_some(tree);
            reseal_some(tree);
            lending_sweep(tree);
        }
        pthread_mutex_lock(&tree->lock);
    }
    pthread_mutex_unlock(&tree->lock);
    return NULL;
}

enum code commit_start(struct tree *tree, struct failure *why)
{
    enum code code = waiting_start(tree, why);
    if (code == CODE_OK)
        code = thread_start(&tree->commit.thread, run, tree, "a thread that makes changes durable", why);
    tree->commit.running = code == CODE_OK;
    return code;
}

void commit_stop(struct tree *tree)
{
    waiting_stop(tree);
    if (!tree->commit.running)
        return;
    pthread_mutex_lock(&tree->lock);
    tree->commit.stop = true;
    pthread_cond_signal(&tree->commit.wanted);
    pthread_mutex_unlock(&tree->lock);
    pthread_join(tree->commit.thread, NULL);
    tree->commit.running = false;
    struct failure why;
    tree->commit.leading = true;
    (void)!commit_round(tree, &why); /* it has been logged */
}

/* With the lock. */
static enum code wait_for_round(struct tree *tree, struct failure *why)
{
    uint64_t ticket = tree->commit.started + 1;
    if (tree->commit.asked < ticket)
        tree->commit.asked = ticket;
    pthread_cond_signal(&tree->commit.wanted);
    while (tree->commit.done < ticket)
        pthread_cond_wait(&tree->commit.finished, &tree->lock);
    if (tree->commit.last.code == CODE_OK)
        return CODE_OK;
    if (why)
        *why = tree->commit.last;
    return tree->commit.last.code;
}

enum code commit_wait(struct tree *tree, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    if (tree->read_only)
        return CODE_OK;
    return wait_for_round(tree, why);
}

void commit_ask(struct tree *tree)
{
    if (tree->commit.asked <= tree->commit.started) {
        tree->commit.asked = tree->commit.started + 1;
        pthread_cond_signal(&tree->commit.wanted);
    }
}

void commit_hint(struct tree *tree)
{
    if (tree->dirty_pieces.bytes + tree->stored_pieces.bytes < TREE_DIRTY_BYTES_MAX / 2 &&
        tree->stored_pieces.count < TREE_STORED_PIECES_MAX && tree->dirty_node_count < TREE_DIRTY_NODES_MAX)
        return;
    if (tree->commit.asked <= tree->commit.started) {
        tree->commit.asked = tree->commit.started + 1;
        pthread_cond_signal(&tree->commit.wanted);
    }
}

enum code commit_make_room(struct tree *tree, struct failure *why)
{
    while (tree->dirty_pieces.bytes + tree->stored_pieces.bytes >= TREE_DIRTY_BYTES_MAX ||
           tree->dirty_node_count >= 2 * TREE_DIRTY_NODES_MAX) {
        enum code code = wait_for_round(tree, why);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

enum code commit_make_room_for_name(struct tree *tree, struct failure *why)
{
    enum code code = commit_make_room(tree, why);
    return code == CODE_OK ? catalog_has_room(tree->catalog, why) : code;
}
