/* Making, opening and closing a tree.  What is in between is in files of its own:
 *
 *   tree_node.c       rows in memory                 tree_names.c     lookup, making and removing names
 *   tree_piece.c      contents in memory             tree_rename.c    renames
 *   tree_contents.c   the bytes of files             tree_file.c      open files
 *   tree_seal.c       encryption                     tree_folder.c    listings
 *   tree_space.c      keys                           tree_xattr.c     extended attributes
 *   tree_entry.c      names in folders               tree_snapshot.c  snapshots
 *   tree_operation.c  all or nothing                 tree_derived.c   derived files
 *   tree_commit.c     durability                     tree_watch.c     watching rules
 *   rule.c            the table of rules             tree_path.c      the tree by path
 *   repair.c          fsck --repair (repair_names.c, repair_contents.c)
 *   check.c           fsck                            tree_statistics.c  numbers about the whole
 *   tree_frame.c      the fixed folders, homes          tree_members.c   members, sharing
 *   tree_share.c      changes of who may read           tree_roster.c    lists of readers
 *   tree_compact.c    giving space back, a little     tree_collect.c     all of it at once
 *   tree_alias.c      snapshots by number and date    tree_reseal.c      sealing anew after a rotation
 *   tree_authentic.c  proofs of rows                  tree_space_sum.c digests of spaces and of the whole
 *   tree_first_look.c the names of all folders held against their proofs when the lab is opened
 *   tree_seen.c       stores put back in time         tree_sharing.c   chunks that several files name
 *   tree_lending.c    keys lent by members            tree_record.c    what the lab remembers, unseen by clients
 *   tree_observe.c    who is told of changes          tree_put.c       whole files without a handle
 *   lock_table.c      advisory locks                tree_range.c      holes, preallocating, copying
 *   tree_usage.c      what members use                tree_quota.c     what they may (quota.c, quota_list.c)
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "catalog_chunk.h"
#include "catalog_image.h"
#include "catalog_repair.h"
#include "catalog_space.h"
#include "chunk_store.h"
#include "logging.h"
#include "lock_table.h"
#include "member_key.h"
#include "mirror_set.h"
#include "timing.h"
#include "tree_authentic.h"
#include "tree_commit.h"
#include "tree_derived.h"
#include "tree_first_look.h"
#include "tree_frame.h"
#include "tree_node.h"
#include "tree_operation.h"
#include "tree_orphans.h"
#include "tree_piece.h"
#include "tree_quota.h"
#include "tree_recent.h"
#include "tree_seen.h"
#include "tree_space.h"
#include "tree_lending.h"
#include "tree_space_sum.h"
#include "tree_usage.h"
#include "viewer.h"

/* When the tree is opened: numbers that were given out and not committed before a crash stay unused, since clients may still
 * know them.  More than one commit makes. */
#define INODES_SKIPPED (UINT64_C(1) << 24)

static enum code init_locks(struct tree *tree, struct failure *why)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    int result = pthread_mutex_init(&tree->lock, NULL);
    result = result ? result : pthread_cond_init(&tree->commit.wanted, &monotonic);
    result = result ? result : pthread_cond_init(&tree->commit.finished, NULL);
    result = result ? result : pthread_cond_init(&tree->waiting.wanted, NULL);
    result = result ? result : pthread_cond_init(&tree->lent_settled, &monotonic);
    result = result ? result : pthread_rwlock_init(&tree->packs_lock, NULL);
    result = result ? result : pthread_mutex_init(&tree->failures_lock, NULL);
    pthread_condattr_destroy(&monotonic);
    return result ? failure_set_errno(why, result, "opening the lab") : lock_table_create(&tree->locks, why);
}

/* A tree without rows, keys or a committer. */
static enum code make_tree(const struct tree_open_options *options, struct tree **out, struct failure *why)
{
    struct tree *tree = calloc(1, sizeof *tree);
    struct tree_failure_note *failures = calloc(TREE_FAILURES_KEPT, sizeof *failures);
    if (!tree || !failures) {
        free(tree);
        free(failures);
        return failure_set(why, CODE_NO_MEMORY, "opening the lab: no memory");
    }
    tree->failures = failures;
    block_pool_init(&tree->chunk_blocks, TREE_CHUNK_BYTES + AEAD_OVERHEAD, TREE_BLOCKS_KEPT);
    tree->chunks = options->chunks;
    tree->member = options->member;
    tree->read_only = options->read_only;
    tree->seen_fd = -1;
    tree->opened_ns = timing_wall_ns();
    tree->next_inode = INODE_FIRST_FREE;
    tree->next_space = SPACE_FIRST_FREE;
    if (options->store)
        tree->store = *options->store;
    enum code code = init_locks(tree, why);
    tree->mirrors = options->mirrors;
    if (code == CODE_OK && options->catalog_path && !(tree->catalog_path = strdup(options->catalog_path)))
        code = failure_set(why, CODE_NO_MEMORY, "opening the lab: no memory");
    if (code == CODE_OK && !options->member) {
        code = options->catalog_path ? failure_set(why, CODE_INVALID, "a lab on disk needs a member's key")
                                     : member_key_generate(&tree->own_member, why);
        tree->member = tree->own_member;
    }
    if (code != CODE_OK) {
        tree_close(tree);
        return code;
    }
    *out = tree;
    return CODE_OK;
}

/* Making ----------------------------------------------------------------------------------------------------------- */

/* Fills a new catalog, in one operation. */
static enum code fill(struct tree *tree, const struct tree_open_options *options, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    enum code code = operation_begin(tree, why);
    if (code == CODE_OK)
        code = operation_end(tree, frame_make(tree, options, why), why);
    return code == CODE_OK ? commit_bring_up_to_date(tree, why) : code;
}

/* A tree on a new catalog, committed. */
static enum code create(const struct tree_open_options *options, struct tree **out, struct failure *why)
{
    struct tree *tree;
    enum code code = make_tree(options, &tree, why);
    if (code != CODE_OK)
        return code;
    bool lost;
    code = catalog_open(&(struct catalog_options){.path = options->catalog_path, .create = true}, &tree->catalog, why);
    if (code == CODE_OK)
        code = fill(tree, options, why);
    if (code == CODE_OK)
        code = space_sum_seal(tree, why);
    if (code == CODE_OK)
        code = catalog_commit(tree->catalog, &lost, why);
    if (code == CODE_OK)
        code = catalog_sync(tree->catalog, why);
    if (code != CODE_OK) {
        tree_close(tree);
        return code;
    }
    *out = tree;
    return CODE_OK;
}

enum code tree_create(const struct tree_open_options *options, struct failure *why)
{
    struct tree *tree;
    enum code code = create(options, &tree, why);
    if (code == CODE_OK)
        tree_close(tree);
    return code == CODE_OK ? code : failure_wrap(why, code, "making the lab");
}

/* Opening ---------------------------------------------------------------------------------------------------------- */

static enum code find_member(struct tree *tree, struct failure *why)
{
    struct catalog_member member;
    enum code code = catalog_space_find_member(tree->catalog, member_key_public(tree->member)->id.bytes, &member, why);
    if (code == CODE_NO_DATA)
        return failure_set(why, CODE_DENIED, "this key belongs to nobody in this lab: use the key of one of its members");
    if (code != CODE_OK)
        return code;
    if (member.removed_ms)
        return failure_set(why, CODE_DENIED, "you (%s) were removed from this lab: ask a member of it", member.name);
    tree->member_number = member.member;
    tree->member_name = strdup(member.name);
    return tree->member_name ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "opening the lab: no memory");
}

static enum code read_numbers(struct tree *tree, struct failure *why)
{
    enum code code = catalog_get_number(tree->catalog, CATALOG_NEXT_INODE, &tree->next_inode, why);
    if (code == CODE_OK)
        code = catalog_get_number(tree->catalog, CATALOG_NEXT_SPACE, &tree->next_space, why);
    if (code == CODE_OK)
        code = catalog_get_number(tree->catalog, CATALOG_LAST_STAMP, &tree->last_stamp, why);
    if (code == CODE_OK)
        code = catalog_get_number(tree->catalog, CATALOG_COMMIT, &tree->commit.number, why);
    tree->opened_at = tree->commit.number;
    if (code == CODE_OK && (tree->next_inode < INODE_FIRST_FREE || tree->next_space < SPACE_FIRST_FREE))
        return failure_set(why, CODE_CORRUPT, "the catalog's counters are lost (run: cytofs fsck)");
    return code;
}

/* Files that were unlinked while open when the program ended. */
static enum code collect_orphans(struct tree *tree, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return orphans_collect(tree, ORPHANS_OF_ALL, why);
}

/* Packs that no committed row ever named: what was written last before a crash. */
static enum code drop_unknown_packs(struct tree *tree, struct failure *why)
{
    struct chunk_pack_list list;
    enum code code = chunk_store_list_packs(tree->chunks, &list, why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; i < list.count; i++) {
        struct catalog_chunk named;
        size_t count;
        if (list.packs[i].growing ||
            catalog_chunk_of_pack(tree->catalog, list.packs[i].number, &named, 1, &count, NULL) != CODE_OK || count)
            continue;
        struct failure ignored;
        if (chunk_store_drop_pack(tree->chunks, list.packs[i].number, &ignored) != CODE_OK)
            logging_trace(TRACE_STORE, "pack %u stays: %s", list.packs[i].number, ignored.text);
    }
    chunk_store_list_free(&list);
    return CODE_OK;
}

static enum code complete_frame(struct tree *tree, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return frame_complete(tree, why);
}

/* Not committed here: see repair.h. */
static enum code repair_rows(struct tree *tree, struct failure *why)
{
    enum code code = catalog_operation_begin(tree->catalog, why);
    if (code != CODE_OK)
        return code;
    code = catalog_repair_rows(tree->catalog, &tree->rows_repaired, why);
    enum code kept = catalog_operation_end(tree->catalog, code == CODE_OK, why);
    return code == CODE_OK ? kept : code;
}

static enum code open_existing(const struct tree_open_options *options, struct tree **out, struct failure *why)
{
    struct tree *tree;
    enum code code = make_tree(options, &tree, why);
    if (code != CODE_OK)
        return code;
    struct catalog_options catalog = {
        .path = options->catalog_path, .read_only = options->read_only, .mirrors = options->mirrors};
    struct space *space;
    code = catalog_open(&catalog, &tree->catalog, why);
    if (code == CODE_OK && options->repair)
        code = repair_rows(tree, why);
    if (code == CODE_OK)
        code = find_member(tree, why);
    if (code == CODE_OK)
        code = read_numbers(tree, why);
    if (code == CODE_OK)
        code = space_find(tree, SPACE_LAB, &space, why); /* says at once if the key does not fit */
    if (code == CODE_OK)
        code = space_sum_open(tree, options->accept_damage, why);
    if (code == CODE_OK && options->look_first)
        code = first_look_take(tree, why);
    if (code == CODE_OK && !options->read_only)
        code = complete_frame(tree, why);
    tree->keeps_nameless = options->keep_nameless;
    if (code == CODE_OK && !options->read_only && !options->keep_nameless)
        code = collect_orphans(tree, why);
    if (code == CODE_OK && !options->read_only)
        code = drop_unknown_packs(tree, why);
    if (code == CODE_OK)
        code = recent_open(tree, why);
    if (code == CODE_OK)
        tree_quota_load(tree);
    if (code == CODE_OK && options->seen_path)
        code = seen_open(tree, options->seen_path, options->accept_older, why);
    if (code == CODE_OK && !options->read_only)
        tree->next_inode += INODES_SKIPPED;
    if (code != CODE_OK) {
        tree_close(tree);
        return code;
    }
    *out = tree;
    return CODE_OK;
}

enum code tree_open(const struct tree_open_options *options, struct tree **out, struct failure *why)
{
    *out = NULL;
    struct tree *tree;
    enum code code = options->catalog_path ? open_existing(options, &tree, why) : create(options, &tree, why);
    if (code == CODE_OK && !tree->member_name)
        code = find_member(tree, why);
    if (code == CODE_OK && !options->read_only) {
        code = commit_start(tree, why);
        if (code != CODE_OK)
            tree_close(tree);
    }
    if (code != CODE_OK)
        return failure_wrap(why, code, "opening the lab");
    *out = tree;
    return CODE_OK;
}

void tree_close(struct tree *tree)
{
    if (!tree)
        return;
    bool served = tree->commit.running;
    commit_stop(tree);
    if (served)
        recent_wipe(tree);
    derived_free_all(tree);
    piece_free_all(tree);
    node_free_all(tree);
    usage_free(tree);
    space_sum_free(tree);
    seen_close(tree);
    space_free_all(tree);
    lending_free_all(tree);
    catalog_close(tree->catalog);
    recent_close(tree);
    member_key_destroy(tree->own_member);
    pthread_mutex_destroy(&tree->lock);
    pthread_cond_destroy(&tree->commit.wanted);
    pthread_cond_destroy(&tree->commit.finished);
    pthread_cond_destroy(&tree->waiting.wanted);
    pthread_cond_destroy(&tree->lent_settled);
    pthread_rwlock_destroy(&tree->packs_lock);
    block_pool_destroy(&tree->chunk_blocks);
    pthread_mutex_destroy(&tree->failures_lock);
    lock_table_destroy(tree->locks);
    free(tree->failures);
    free(tree->member_name);
    free(tree->catalog_path);
    free(tree);
}

/* The whole -------------------------------------------------------------------------------------------------------- */

struct lock_table *tree_locks(struct tree *tree)
{
    return tree->locks;
}

const char *tree_member_name(const struct tree *tree)
{
    return tree->member_name;
}

const char *tree_viewer_name(const struct tree *tree)
{
    const struct viewer *viewer = viewer_current();
    return viewer ? viewer->name : tree->member_name;
}

void tree_describe_mirrors(struct tree *tree, struct buffer *out)
{
    if (tree->mirrors && mirror_set_count(tree->mirrors) > 1)
        mirror_set_describe(tree->mirrors, out);
}

struct catalog *tree_catalog(struct tree *tree)
{
    return tree->catalog;
}

enum code tree_save_catalog(struct tree *tree, const char *path, struct failure *why)
{
    return catalog_image_take(tree->catalog, path, why);
}

enum code tree_sync(struct tree *tree, struct failure *why)
{
    return commit_wait(tree, why);
}

enum code tree_renew_recent(struct tree *tree, struct failure *why)
{
    enum code code = tree_sync(tree, why);
    if (code == CODE_OK)
        recent_wipe(tree);
    return code;
}
