/* Sealing anew: see tree_reseal.h.
 *
 *     idle --a key is due: rotate; rows of an older generation--> nodes --all of the newest--> chunks --a pass finds none--> idle
 *
 *     nodes    in the order of their numbers: names in folders, targets of links, attributes, then row.generation
 *     chunks   pack after pack: every pack in which the space has a chunk of an older generation is emptied.  That chunk is
 *              opened and sealed anew, others are copied as they are, so that the old bytes go with their pack
 *     the end  the older generations' wraps are deleted
 *
 * Nothing is remembered outside of the rows: each says its generation, so that after a crash the walk begins anew and finds
 * what is left.  What is written meanwhile is sealed with the newest key, except for chunks that were being stored at the
 * moment of the rotation: the pass that may end it begins only after those have rows.
 *
 * Each step is a few operations; between two the committer makes them durable.
 */
#include "tree_reseal.h"

#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "catalog_attribute.h"
#include "catalog_chunk.h"
#include "catalog_name.h"
#include "catalog_space.h"
#include "chunk_store.h"
#include "logging.h"
#include "secret.h"
#include "timing.h"
#include "tree_commit.h"
#include "tree_compact.h"
#include "tree_authentic.h"
#include "tree_node.h"
#include "tree_operation.h"
#include "tree_piece.h"
#include "tree_seal.h"
#include "tree_share.h"
#include "tree_space.h"
#include "tree_storing.h"

#define STEP_NODES    256
#define STEP_BYTES    ((uint64_t)16 << 20)
#define STEP_PACKS    64
#define NODES_AHEAD   20000 /* numbers looked at by one statement */
#define NAMES_AT_ONCE 2000  /* sealed anew in one operation */
#define CHUNK_ROWS    64
#define LOOK_NS       INT64_C(30000000000)
#define PAUSE_NS      INT64_C(300000000000) /* after a failure */

void reseal_look(struct tree *tree)
{
    tree->reseal.next_look_ns = 0;
}

void reseal_describe(struct tree *tree, uint64_t space, struct buffer *out)
{
    if (tree->reseal.space != space) {
        buffer_printf(out, "%-12s waits: what was sealed before is sealed anew while a reader has the lab open\n", "rotation");
        return;
    }
    double names = tree->reseal.phase == RESEAL_NODES ? (double)tree->reseal.inode / (double)tree->next_inode : 1;
    double contents = tree->reseal.phase == RESEAL_NODES || !tree->reseal.last_pack
                          ? 0
                          : (double)tree->reseal.pack / (double)tree->reseal.last_pack;
    buffer_printf(out, "%-12s names %.0f %%, contents %.0f %% sealed with the new key\n", "rotation", 100 * names,
                  100 * (contents < 1 ? contents : 1));
}

/* Nodes ------------------------------------------------------------------------------------------------------------ */

struct sealed_name {
    uint64_t inode;
    size_t count;
    uint8_t bytes[SEAL_NAME_BYTES_MAX];
};

/* Names of a folder that an older key sealed. */
struct old_names {
    struct tree *tree;
    const struct node *folder;
    const struct space *space;
    struct sealed_name *names; /* NAMES_AT_ONCE */
    size_t count;
};

/* Whether the newest key sealed it: then the name that it gives seals to the same bytes again. */
static bool is_newest(struct tree *tree, const struct node *folder, const char *name, const void *sealed, size_t count)
{
    uint8_t again[SEAL_NAME_BYTES_MAX];
    size_t again_count;
    return seal_name(tree, folder, SEAL_NEWEST, name, again, &again_count, NULL) == CODE_OK && again_count == count &&
           memcmp(again, sealed, count) == 0;
}

static bool take_old_name(void *context, const struct catalog_name *row, uint64_t inode)
{
    struct old_names *old = context;
    char name[TREE_NAME_MAX + 1];
    if (seal_open_name(old->tree, old->folder, row->bytes, row->count, name, NULL) != CODE_OK ||
        is_newest(old->tree, old->folder, name, row->bytes, row->count))
        return true; /* what does not open is fsck's business, and stays as it is */
    struct sealed_name *taken = &old->names[old->count++];
    taken->inode = inode;
    taken->count = row->count;
    memcpy(taken->bytes, row->bytes, row->count);
    return old->count < NAMES_AT_ONCE;
}

static enum code replace_name(struct tree *tree, struct node *folder, const struct sealed_name *old,
                              struct failure *why)
{
    char name[TREE_NAME_MAX + 1];
    uint8_t sealed[SEAL_NAME_BYTES_MAX];
    struct catalog_name row = {.parent = folder->row.inode, .bytes = old->bytes, .count = old->count};
    enum code code = seal_open_name(tree, folder, old->bytes, old->count, name, why);
    if (code == CODE_OK)
        code = authentic_drop_name(tree, folder, &row, why);
    row.bytes = sealed;
    if (code == CODE_OK)
        code = seal_name(tree, folder, SEAL_NEWEST, name, sealed, &row.count, why);
    return code == CODE_OK ? authentic_put_name(tree, folder, &row, old->inode, why) : code;
}

/* Some of a folder's names; *left: there may be more. */
static enum code reseal_names(struct tree *tree, struct node *folder, bool *left, struct failure *why)
{
    SCOPE_FREE struct sealed_name *names = malloc(NAMES_AT_ONCE * sizeof *names);
    struct space *space;
    if (!names)
        return failure_set(why, CODE_NO_MEMORY, "sealing names anew: no memory");
    enum code code = space_find(tree, folder->row.space, &space, why); /* before the catalog's mutex is held */
    struct old_names old = {.tree = tree, .folder = folder, .space = space, .names = names};
    if (code == CODE_OK)
        code = catalog_name_list(tree->catalog, folder->row.inode, take_old_name, &old, why);
    for (size_t i = 0; code == CODE_OK && i < old.count; i++)
        code = replace_name(tree, folder, &names[i], why);
    *left = old.count == NAMES_AT_ONCE;
    return code;
}

/* An attribute as the catalog has it, or a link's target. */
struct sealed_value {
    struct buffer name, value;
};

struct old_values {
    struct sealed_value *values;
    size_t count;
    bool failed;
};

static bool take_value(void *context, const struct catalog_attribute *row)
{
    struct old_values *old = context;
    struct sealed_value *values = realloc(old->values, (old->count + 1) * sizeof *values);
    old->failed = !values;
    if (!values)
        return false;
    old->values = values;
    struct sealed_value *taken = &values[old->count++];
    *taken = (struct sealed_value){0};
    buffer_append(&taken->name, row->name, row->name_count);
    buffer_append(&taken->value, row->value, row->value_count);
    old->failed = taken->name.failed || taken->value.failed;
    return !old->failed;
}

static enum code put_value(struct tree *tree, struct node *node, const struct buffer *name,
                           const struct buffer *value, struct failure *why)
{
    const struct catalog_attribute row = {.inode = node->row.inode,
                                          .name = name->data ? name->data : "",
                                          .name_count = name->length,
                                          .value = value->data,
                                          .value_count = value->length};
    return authentic_put_attribute(tree, node, &row, why);
}

static enum code replace_value(struct tree *tree, struct node *node, const struct sealed_value *old,
                               struct failure *why)
{
    SCOPE_BUFFER plain_name = {0};
    SCOPE_BUFFER plain = {0};
    SCOPE_BUFFER name = {0};
    SCOPE_BUFFER value = {0};
    const struct catalog_attribute row = {
        .inode = node->row.inode, .name = old->name.data, .name_count = old->name.length};
    enum code code = seal_open_xattr_name(tree, node, old->name.data, old->name.length, &plain_name, why);
    if (code == CODE_OK)
        code = seal_open_xattr(tree, node, &old->name, &old->value, &plain, why);
    if (code == CODE_OK)
        code = authentic_drop_attribute(tree, node, &row, why);
    if (code == CODE_OK)
        code = seal_xattr_name(tree, node, SEAL_NEWEST, buffer_text(&plain_name), &name, why);
    if (code == CODE_OK)
        code = seal_xattr(tree, node, &name, buffer_text(&plain), plain.length, &value, why);
    return code == CODE_OK ? put_value(tree, node, &name, &value, why) : code;
}

static enum code replace_target(struct tree *tree, struct node *link, struct failure *why)
{
    SCOPE_BUFFER old = {0};
    SCOPE_BUFFER target = {0};
    SCOPE_BUFFER sealed = {0};
    SCOPE_BUFFER no_name = {0};
    enum code code = catalog_attribute_get(
        tree->catalog, &(struct catalog_attribute){.inode = link->row.inode, .name = ""}, &old, why);
    if (code == CODE_OK)
        code = seal_open_target(tree, link, &old, &target, why);
    if (code == CODE_OK)
        code = seal_target(tree, link, buffer_text(&target), &sealed, why);
    return code == CODE_OK ? put_value(tree, link, &no_name, &sealed, why) : code;
}

static enum code reseal_values(struct tree *tree, struct node *node, struct failure *why)
{
    struct old_values old = {0};
    enum code code = catalog_attribute_list(tree->catalog, node->row.inode, take_value, &old, why);
    if (code == CODE_OK && old.failed)
        code = failure_set(why, CODE_NO_MEMORY, "sealing attributes anew: no memory");
    for (size_t i = 0; i < old.count; i++) {
        if (code == CODE_OK)
            code = replace_value(tree, node, &old.values[i], why);
        buffer_free(&old.values[i].name);
        buffer_free(&old.values[i].value);
    }
    free(old.values);
    return code == CODE_OK && node->row.kind == CATALOG_INODE_LINK ? replace_target(tree, node, why) : code;
}

/* One operation's worth of a node; *left: it is not done yet. */
static enum code reseal_part(struct tree *tree, struct node *node, uint32_t generation, bool *left, struct failure *why)
{
    *left = false;
    enum code code = CODE_OK;
    if (node->row.kind == CATALOG_INODE_FOLDER)
        code = reseal_names(tree, node, left, why);
    if (code != CODE_OK || *left)
        return code;
    code = reseal_values(tree, node, why);
    return code == CODE_OK ? authentic_renew(tree, node, generation, why) : code;
}

/* With the lock. */
static enum code reseal_node(struct tree *tree, uint64_t inode, bool *left, struct failure *why)
{
    struct node *node;
    struct space *space;
    *left = false;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = node_get(tree, inode, &node, why);
    if (code == CODE_NOT_FOUND)
        return operation_end(tree, CODE_OK, why);
    if (code == CODE_OK)
        code = space_find(tree, tree->reseal.space, &space, why);
    if (code == CODE_OK && node->row.space == space->number && node->row.generation < space->generation)
        code = reseal_part(tree, node, space->generation, left, why);
    return operation_end(tree, code, why);
}

/* Some nodes behind tree->reseal.inode. */
static enum code step_nodes(struct tree *tree, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    uint64_t inodes[STEP_NODES];
    size_t count;
    struct space *space;
    enum code code = space_find(tree, tree->reseal.space, &space, why);
    if (code != CODE_OK)
        return code;
    const struct catalog_older older = {.space = space->number,
                                        .generation = space->generation,
                                        .after = tree->reseal.inode,
                                        .until = tree->reseal.inode + NODES_AHEAD};
    code = catalog_inode_older(tree->catalog, &older, inodes, STEP_NODES, &count, why);
    for (size_t i = 0; code == CODE_OK && i < count; i++) {
        bool left = true;
        while (code == CODE_OK && left)
            code = reseal_node(tree, inodes[i], &left, why);
        tree->reseal.inode = code == CODE_OK ? inodes[i] : tree->reseal.inode;
    }
    if (code == CODE_OK && count < STEP_NODES)
        tree->reseal.inode = older.until;
    if (code == CODE_OK && tree->reseal.inode >= tree->next_inode)
        tree->reseal.phase = RESEAL_CHUNKS;
    return code;
}

/* Chunks ----------------------------------------------------------------------------------------------------------- */

/* Whether an older key of the space sealed a row's chunk; then *place is where it belongs. */
static enum code place_of(struct tree *tree, const struct catalog_chunk *row, struct seal_place *place, bool *older,
                          struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node;
    struct space *space;
    enum code code = node_get(tree, row->inode, &node, why);
    if (code != CODE_OK)
        return code;
    *older = node->row.space == tree->reseal.space;
    if (!*older)
        return CODE_OK;
    code = space_find(tree, node->row.space, &space, why);
    if (code != CODE_OK)
        return code;
    *place = (struct seal_place){.space = space, .origin = node->row.origin, .index = row->index};
    *older = row->generation < space->generation;
    return CODE_OK;
}

/* Opens the chunk of `row`, seals it anew and puts it into the growing pack; *to is what names it there. */
static enum code put_anew(struct tree *tree, const struct catalog_chunk *row, const struct seal_place *place,
                          struct catalog_chunk *to, struct failure *why)
{
    if (row->bytes <= AEAD_OVERHEAD || row->bytes > TREE_CHUNK_BYTES + AEAD_OVERHEAD)
        return failure_set(why, CODE_CORRUPT, "a chunk has an impossible length (run: cytofs fsck)");
    SCOPE_FREE uint8_t *sealed = malloc(2 * (size_t)row->bytes);
    if (!sealed)
        return failure_set(why, CODE_NO_MEMORY, "sealing a chunk anew: no memory");
    uint8_t *plain = sealed + row->bytes;
    struct chunk_address address = {.pack = row->pack, .bytes = row->bytes, .offset = row->offset};
    pthread_rwlock_rdlock(&tree->packs_lock);
    enum code code = chunk_store_get(tree->chunks, &address, sealed, why);
    pthread_rwlock_unlock(&tree->packs_lock);
    *to = *row;
    to->generation = place->space->generation;
    if (code == CODE_OK)
        code = seal_open_chunk(place, row, sealed, plain, why);
    if (code == CODE_OK)
        code = seal_chunk(place, plain, row->bytes - AEAD_OVERHEAD, sealed, to->nonce, why);
    if (code == CODE_OK)
        code = chunk_store_put(tree->chunks, sealed, row->bytes, &address, why);
    secret_wipe(plain, row->bytes);
    to->pack = address.pack;
    to->offset = address.offset;
    return code;
}

/* Points a row to where its chunk is now, unless the file was written meanwhile.  With the lock. */
static enum code point_row(struct tree *tree, const struct catalog_chunk *row, const struct catalog_chunk *to,
                           struct failure *why)
{
    struct catalog_chunk now;
    struct node *node;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = node_get(tree, row->inode, &node, why);
    if (code == CODE_OK)
        code = catalog_chunk_get(tree->catalog, row->inode, row->index, &now, why);
    if (code == CODE_OK && now.pack == row->pack && now.offset == row->offset) {
        now.pack = to->pack;
        now.offset = to->offset;
        now.printed = now.printed && now.generation == to->generation; /* an older key's print finds nothing */
        now.generation = to->generation;
        memcpy(now.nonce, to->nonce, sizeof now.nonce);
        now.printed = false; /* prints are the old key's */
        code = authentic_put_chunk(tree, node, &now, why);
    }
    return operation_end(tree, code == CODE_NO_DATA || code == CODE_NOT_FOUND ? CODE_OK : code, why);
}

/* The rows share one chunk.  From before it is put elsewhere until all of them name it there, no round takes its pack for
 * dead. */
static enum code reseal_chunk(struct tree *tree, const struct catalog_chunk *rows, size_t count,
                              const struct seal_place *place, struct failure *why)
{
    struct storing storing;
    struct catalog_chunk to = {.pack = 0};
    pthread_mutex_lock(&tree->lock);
    storing_begin(tree, &storing);
    pthread_mutex_unlock(&tree->lock);
    enum code code = put_anew(tree, &rows[0], place, &to, why);
    bool put = code == CODE_OK;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    for (size_t i = 0; code == CODE_OK && i < count; i++)
        code = point_row(tree, &rows[i], &to, why);
    storing_end(tree, &storing, &to, put ? 1 : 0);
    return code;
}

/* Moves the chunk that the rows share out of the pack: sealed anew where an older key did it, else as it is. */
static enum code move_chunk(struct tree *tree, const struct catalog_chunk *rows, size_t count, struct failure *why)
{
    struct seal_place place;
    bool older;
    enum code code = place_of(tree, &rows[0], &place, &older, why);
    if (code == CODE_OK)
        code = older ? reseal_chunk(tree, rows, count, &place, why) : compact_chunk(tree, &rows[0], why);
    return code;
}

/* The chunks of some rows, in the order of their offsets.  One that is damaged stays where it is, and the rotation open. */
static enum code move_chunks(struct tree *tree, const struct catalog_chunk *rows, size_t count, struct failure *why)
{
    enum code code = CODE_OK;
    for (size_t i = 0, same; code == CODE_OK && i < count; i += same) {
        for (same = 1; i + same < count && rows[i + same].offset == rows[i].offset;)
            same++;
        code = move_chunk(tree, rows + i, same, why);
        tree->reseal.bytes += rows[i].bytes;
        if (code == CODE_CORRUPT || code == CODE_NOT_FOUND || code == CODE_DENIED) {
            logging_warning("a chunk in pack %u cannot be sealed anew and stays: %s", rows[i].pack, why->text);
            tree->reseal.offset = rows[i].offset + 1;
            tree->reseal.damaged++;
            code = CODE_OK;
        }
    }
    return code;
}

/* Empties some of the pack from tree->reseal.offset on; *left: there may be more. */
static enum code empty_pack(struct tree *tree, bool *left, struct failure *why)
{
    uint64_t before = tree->reseal.bytes;
    size_t count = 1;
    while (count && tree->reseal.bytes - before < STEP_BYTES) {
        struct catalog_chunk rows[CHUNK_ROWS];
        const struct catalog_chunk_range range = {
            .pack = tree->reseal.pack, .from = tree->reseal.offset, .to = INT64_MAX};
        enum code code = catalog_chunk_in_range(tree->catalog, &range, rows, CHUNK_ROWS, &count, why);
        if (code == CODE_OK)
            code = move_chunks(tree, rows, count, why);
        if (code != CODE_OK)
            return code;
    }
    *left = count > 0;
    return CODE_OK;
}

/* Whether the pack holds something that an older key of the space sealed; one that still grows is ended then. */
static enum code look_into(struct tree *tree, uint32_t pack, bool *found, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct space *space;
    enum code code = space_find(tree, tree->reseal.space, &space, why);
    if (code != CODE_OK)
        return code;
    code = catalog_chunk_pack_has_older(tree->catalog, pack, space->number, space->generation, found, why);
    return code == CODE_OK && *found ? chunk_store_seal(tree->chunks, why) : code;
}

/* Whether everything that was stored under an older key has rows by now. */
static bool nothing_in_flight(struct tree *tree, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    for (const struct storing *storing = tree->storing; storing; storing = storing->next)
        if (storing->rotations != tree->rotations)
            return false;
    return commit_bring_up_to_date(tree, why) == CODE_OK;
}

static void begin_pass(struct tree *tree)
{
    struct failure ignored;
    tree->reseal.pack = 0;
    tree->reseal.emptying = tree->reseal.found = false;
    tree->reseal.counts = nothing_in_flight(tree, &ignored);
    tree->reseal.passes++;
}

/* Whether packs wait to be dropped: the old bytes are still there. */
static bool packs_wait(struct tree *tree)
{
    uint32_t dead;
    return catalog_chunk_dead_pack(tree->catalog, 0, &dead, NULL) == CODE_OK && dead <= tree->reseal.last_emptied;
}

/* With the lock. */
static enum code end_rotation(struct tree *tree, struct failure *why)
{
    struct space *space;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = space_find(tree, tree->reseal.space, &space, why);
    if (code == CODE_OK)
        code = space_end_rotation(tree, space, why);
    code = operation_end(tree, code, why);
    space_forget(tree, tree->reseal.space);
    if (code == CODE_OK)
        logging_info("everything in a space is sealed with its new key now");
    return code;
}

static enum code end_pass(struct tree *tree, struct failure *why)
{
    if (tree->reseal.damaged)
        return failure_set(why, CODE_CORRUPT, "%u chunks are damaged, and their old key is kept (run: cytofs fsck)",
                           tree->reseal.damaged);
    if (tree->reseal.found || !tree->reseal.counts) {
        begin_pass(tree);
        return CODE_OK;
    }
    if (packs_wait(tree))
        return CODE_OK; /* the committer drops them */
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    enum code code = end_rotation(tree, why);
    tree->reseal.space = 0;
    tree->reseal.next_look_ns = 0;
    return code;
}

/* Goes on with the pack at hand, or to the next. */
static enum code step_chunks(struct tree *tree, struct failure *why)
{
    if (tree->reseal.passes == 0)
        begin_pass(tree);
    bool left = true;
    for (int i = 0; i < STEP_PACKS && !tree->reseal.emptying; i++) {
        uint64_t last_offset;
        uint32_t last_bytes;
        enum code code = catalog_chunk_next_pack(tree->catalog, tree->reseal.pack, &tree->reseal.pack, &last_offset,
                                                 &last_bytes, why);
        if (code == CODE_NO_DATA)
            return end_pass(tree, why);
        if (code == CODE_OK)
            code = look_into(tree, tree->reseal.pack, &tree->reseal.emptying, why);
        if (code != CODE_OK)
            return code;
        tree->reseal.offset = 0;
    }
    if (!tree->reseal.emptying)
        return CODE_OK;
    tree->reseal.found = true;
    enum code code = empty_pack(tree, &left, why);
    if (tree->reseal.pack > tree->reseal.last_emptied)
        tree->reseal.last_emptied = tree->reseal.pack;
    tree->reseal.emptying = left;
    return code;
}

/* Choosing --------------------------------------------------------------------------------------------------------- */

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
    enum code code = rotate_all_due(tree, why);
    while (code == CODE_OK &&
           (code = catalog_space_next(tree->catalog, row.space, &row, why)) == CODE_OK) {
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
        tree->reseal.last_pack = last;
        tree->reseal.next_look_ns = look_ns;
        return CODE_OK;
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

static enum code step(struct tree *tree, struct failure *why)
{
    if (!tree->reseal.space)
        return choose_space(tree, why);
    if (tree->reseal.phase == RESEAL_NODES)
        return step_nodes(tree, why);
    if (!compact_try_enter(tree))
        return CODE_OK;
    enum code code = step_chunks(tree, why);
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
    if (tree->reseal.space)
        commit_ask(tree);
}
