/* Sealing anew: see tree_reseal.h.
 *
 *     idle --a key is due: rotate; rows of an older generation--> nodes --all of the newest--> chunks --a pass finds none-->
 * idle
 *
 *     nodes    in the order of their numbers: names in folders, targets of links, attributes, then row.generation
 *     chunks   pack after pack: every pack in which the space has a chunk of an older generation is emptied.  That chunk is
 *              opened and sealed anew, others are copied as they are, so that the old bytes go with their pack
 *     the end  the older generations' wraps are deleted
 *
 * A rotation that comes meanwhile makes rows older that were done: the walk ends nothing then, and begins anew.
 *
 * Nothing is remembered outside of the rows: each says its generation, so that after a crash the walk begins anew and finds
 * what is left.  What is written meanwhile is sealed with the newest key, except for chunks that were being stored at the
 * moment of the rotation: the pass that may end it begins only after those have rows.
 *
 * Each step is a few operations; between two the committer makes them durable.  One that can do nothing but wait (for packs
 * that are held, for chunks that are being stored) is followed by the next at the committer's interval.
 */
#include "tree_reseal.h"

#include <string.h>

#include "catalog_space.h"
#include "chunk_store.h"
#include "logging.h"
#include "timing.h"
#include "tree_commit.h"
#include "tree_compact.h"
#include "tree_operation.h"
#include "tree_reseal_chunks.h"
#include "tree_reseal_nodes.h"
#include "tree_share.h"
#include "tree_space.h"

#define LOOK_NS  INT64_C(30000000000)
#define PAUSE_NS INT64_C(300000000000) /* after a failure */

void reseal_look(struct tree *tree)
{
    tree->reseal.next_look_ns = 0;
}

void reseal_wait(struct tree *tree)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    tree->reseal.waits = true;
}

void reseal_describe(struct tree *tree, uint64_t space, struct buffer *out)
{
    if (tree->reseal.space != space) {
        buffer_printf(out, "%-12s waits: what was sealed before is sealed anew while a reader has the lab open\n",
                      "rotation");
        return;
    }
    double names = tree->reseal.phase == RESEAL_NODES ? (double)tree->reseal.inode / (double)tree->next_inode : 1;
    double contents = tree->reseal.phase == RESEAL_NODES || !tree->reseal.last_pack
                          ? 0
                          : (double)tree->reseal.pack / (double)tree->reseal.last_pack;
    buffer_printf(out, "%-12s names %.0f %%, contents %.0f %% sealed with the new key\n", "rotation", 100 * names,
                  100 * (contents < 1 ? contents : 1));
}

/* Rotates the key where somebody has left; inside an operation. */
static enum code rotate_if_due(struct tree *tree, uint64_t number, bool *rotated, struct failure *why)
{
    struct space *space;
    *rotated = false;
    enum code code = space_find(tree, number, &space, why);
    if (code == CODE_OK)
        code = share_is_due(tree, space, rotated, why);
    if (code != CODE_OK || !*rotated)
        return code;
    tree->rotations++;
    tree->keys_changed_in = commit_round_of_changes(tree);
    return share_rotate(tree, number, &space->roster, why);
}

static enum code rotate_all_due(struct tree *tree, struct failure *why)
{
    struct catalog_space row = {.space = 0};
    enum code code;
    while ((code = catalog_space_next(tree->catalog, row.space, &row, why)) == CODE_OK) {
        bool rotated;
        code = operation_begin(tree, why);
        if (code == CODE_OK)
            code = operation_end(tree, rotate_if_due(tree, row.space, &rotated, why), why);
        if (code != CODE_OK)
            space_forget(tree, row.space);
        if (code != CODE_OK && code != CODE_DENIED)
            return code;
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

/* Where something is sealed with an older key than the newest, and we have both. */
static enum code choose_space(struct tree *tree, struct failure *why)
{
    struct catalog_space row = {.space = 0};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    tree->reseal.space = 0;
    enum code code = rotate_all_due(tree, why);
    while (code == CODE_OK && (code = catalog_space_next(tree->catalog, row.space, &row, why)) == CODE_OK) {
        struct space *space;
        if (row.oldest == row.generation || space_find(tree, row.space, &space, NULL) != CODE_OK)
            continue;
        uint32_t last = 0;
        struct chunk_pack_list list;
        if (chunk_store_list_packs(tree->chunks, &list, NULL) == CODE_OK) {
            for (size_t i = 0; i < list.count; i++)
                last = list.packs[i].number > last ? list.packs[i].number : last;
            chunk_store_list_free(&list);
        }
        const int64_t look_ns = tree->reseal.next_look_ns;
        memset(&tree->reseal, 0, sizeof tree->reseal);
        tree->reseal.space = row.space;
        tree->reseal.generation = space->generation;
        tree->reseal.last_pack = last;
        tree->reseal.next_look_ns = look_ns;
        return CODE_OK;
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

/* Whether the space has a newer key than the one that it is being sealed with, or is gone. */
static bool is_overtaken(struct tree *tree)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct space *space;
    return space_find(tree, tree->reseal.space, &space, NULL) != CODE_OK || space->generation != tree->reseal.generation;
}

static enum code step(struct tree *tree, struct failure *why)
{
    if (!tree->reseal.space || is_overtaken(tree))
        return choose_space(tree, why);
    if (tree->reseal.phase == RESEAL_NODES)
        return reseal_nodes_step(tree, why);
    if (!compact_try_enter(tree)) {
        reseal_wait(tree);
        return CODE_OK;
    }
    enum code code = reseal_chunks_step(tree, why);
    compact_leave(tree);
    return code;
}

void reseal_some(struct tree *tree)
{
    int64_t now_ns = timing_monotonic_ns();
    pthread_mutex_lock(&tree->lock);
    bool wanted = tree->reseal.space || now_ns >= tree->reseal.next_look_ns;
    if (wanted && !tree->reseal.space)
        tree->reseal.next_look_ns = now_ns + LOOK_NS;
    tree->reseal.waits = false;
    pthread_mutex_unlock(&tree->lock);
    if (!wanted)
        return;
    struct failure why = {.code = CODE_OK};
    enum code code = step(tree, &why);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    if (code != CODE_OK) {
        logging_warning("sealing anew what an older key sealed stops for a while: %s", why.text);
        tree->reseal.space = 0;
        tree->reseal.next_look_ns = now_ns + PAUSE_NS;
    }
    if (tree->reseal.space && !tree->reseal.waits)
        commit_ask(tree);
}
