/* Lent keys: see tree_lending.h.
 *
 * The table has an entry a (space, generation, lender).  An entry whose lender has gone is `leaving`: it still opens the
 * space, until the sweep finds that nothing in memory waits to be sealed with it, that the space's digest is in the catalog,
 * that nobody seals or reads without the lock, and that its rotation is not under way.  Then the keys are wiped, and clean
 * contents of the space are dropped from memory.
 *
 * A key is believed only if the space's sealed list of readers opens with it and names the lender, and if the rows of the
 * space add up to its digest: those were let pass unseen when the tree was opened.  Older generations come after the newest,
 * from the same lender; a wrong one could only make old contents unreadable for as long as it is lent.
 */
#include "tree_lending.h"

#include <stdlib.h>
#include <string.h>

#include "catalog_space.h"
#include "logging.h"
#include "member_key.h"
#include "secret.h"
#include "tree_commit.h"
#include "tree_node.h"
#include "tree_orphans.h"
#include "tree_piece.h"
#include "tree_roster.h"
#include "tree_space.h"
#include "tree_space_sum.h"

struct lent_key {
    uint64_t space;
    uint32_t generation;
    bool leaving;
    char lender[MEMBER_NAME_MAX + 1]; /* "": a key that was made here for others */
    uint8_t *key;                     /* secret memory */
};

/* The table -------------------------------------------------------------------------------------------------------- */

const uint8_t *lending_key(const struct tree *tree, uint64_t space, uint32_t generation)
{
    for (size_t i = 0; i < tree->lent_count; i++)
        if (tree->lent[i].space == space && tree->lent[i].generation == generation)
            return tree->lent[i].key;
    return NULL;
}

bool lending_is_lent(const struct tree *tree, uint64_t space)
{
    for (size_t i = 0; i < tree->lent_count; i++)
        if (tree->lent[i].space == space)
            return true;
    return false;
}

static struct lent_key *find(const struct tree *tree, uint64_t space, uint32_t generation, const char *lender)
{
    for (size_t i = 0; i < tree->lent_count; i++) {
        struct lent_key *entry = &tree->lent[i];
        if (entry->space == space && entry->generation == generation && strcmp(entry->lender, lender) == 0)
            return entry;
    }
    return NULL;
}

static void drop_at(struct tree *tree, size_t position)
{
    secret_free(tree->lent[position].key);
    tree->lent[position] = tree->lent[--tree->lent_count];
}

static enum code add(struct tree *tree, uint64_t space, uint32_t generation, const char *lender, const uint8_t *key,
                     struct failure *why)
{
    if (tree->lent_count == LENDING_KEYS_MAX)
        return failure_set(why, CODE_TOO_LARGE, "%d keys are lent already", LENDING_KEYS_MAX);
    struct lent_key *entries = realloc(tree->lent, (tree->lent_count + 1) * sizeof *entries);
    uint8_t *copy = entries ? secret_allocate(SPACE_KEY_BYTES) : NULL;
    if (entries)
        tree->lent = entries;
    if (!copy)
        return failure_set(why, CODE_NO_MEMORY, "lending a key: no memory");
    memcpy(copy, key, SPACE_KEY_BYTES);
    struct lent_key *entry = &entries[tree->lent_count++];
    *entry = (struct lent_key){.space = space, .generation = generation, .key = copy};
    memcpy(entry->lender, lender, strnlen(lender, MEMBER_NAME_MAX));
    return CODE_OK;
}

enum code lending_keep(struct tree *tree, uint64_t space, uint32_t generation, const uint8_t *key,
                       const struct roster *roster, struct failure *why)
{
    if (roster_find(roster, &member_key_public(tree->member)->id))
        return CODE_OK;
    /* What an operation that was taken back has left. */
    for (size_t i = tree->lent_count; i-- > 0;)
        if (tree->lent[i].space == space && tree->lent[i].generation >= generation)
            drop_at(tree, i);
    enum code code = CODE_OK;
    for (size_t i = 0, count = tree->lent_count; code == CODE_OK && i < count; i++) {
        const struct lent_key older = tree->lent[i];
        if (older.space != space || find(tree, space, generation, older.lender))
            continue;
        code = add(tree, space, generation, older.lender, key, why);
        if (code == CODE_OK)
            tree->lent[tree->lent_count - 1].leaving = older.leaving;
    }
    if (code != CODE_OK || lending_key(tree, space, generation))
        return code;
    code = add(tree, space, generation, "", key, why);
    if (code == CODE_OK)
        tree->lent[tree->lent_count - 1].leaving = true;
    return code;
}

void lending_free_all(struct tree *tree)
{
    while (tree->lent_count)
        drop_at(tree, tree->lent_count - 1);
    free(tree->lent);
    tree->lent = NULL;
}

/* Listing ---------------------------------------------------------------------------------------------------------- */

static struct member_public public_of(const struct catalog_member *row)
{
    struct member_public public;
    memcpy(public.id.bytes, row->id, IDENTITY_BYTES);
    memcpy(public.key, row->public_key, MEMBER_KEY_BYTES);
    return public;
}

/* The member's row, if he is one now. */
static enum code find_member(struct tree *tree, const char *name, struct catalog_member *row, struct failure *why)
{
    struct space *lab;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    const struct reader *reader = code == CODE_OK ? roster_find_name(&lab->roster, name) : NULL;
    if (code == CODE_OK && (!reader || reader->former))
        return failure_set(why, CODE_NOT_FOUND, "there is no member \"%s\"", name);
    if (code == CODE_OK)
        code = catalog_space_find_member(tree->catalog, reader->public.id.bytes, row, why);
    struct member_public public = public_of(row);
    if (code == CODE_OK && !member_key_same(&public, &reader->public))
        return failure_set(why, CODE_CORRUPT, "the catalog: member %s has another key", name);
    return code;
}

static bool is_our_own(struct tree *tree, const struct catalog_space *space)
{
    struct catalog_wrap own = {.space = space->space, .member = tree->member_number, .generation = space->generation};
    return catalog_space_get_wrap(tree->catalog, &own, NULL) == CODE_OK;
}

static enum code describe_wrap(struct tree *tree, const struct catalog_space *space, struct catalog_wrap *wrap,
                               struct lending_wrap *out, struct failure *why)
{
    struct catalog_member sender;
    enum code code = catalog_space_get_wrap(tree->catalog, wrap, why);
    if (code != CODE_OK)
        return code;
    if (wrap->count != KEYWRAP_BYTES || catalog_space_get_member(tree->catalog, wrap->sender, &sender, why) != CODE_OK)
        return failure_set(why, CODE_CORRUPT, "the catalog: a wrapped key is damaged");
    *out = (struct lending_wrap){.number = space->space, .sender = public_of(&sender)};
    out->place = (struct keywrap_place){.store = tree->store, .generation = wrap->generation};
    memcpy(out->place.space.bytes, space->id, IDENTITY_BYTES);
    memcpy(out->wrapped, wrap->wrapped, KEYWRAP_BYTES);
    return CODE_OK;
}

static enum code list_space(struct tree *tree, const struct catalog_space *space, const struct catalog_member *member,
                            lending_visit *each, void *context, bool *more, struct failure *why)
{
    for (uint32_t generation = space->generation; *more && generation >= space->oldest; generation--) {
        struct catalog_wrap wrap = {.space = space->space, .member = member->member, .generation = generation};
        const struct lent_key *lent = find(tree, space->space, generation, member->name);
        struct lending_wrap out;
        if (lent && !lent->leaving)
            continue;
        enum code code = describe_wrap(tree, space, &wrap, &out, why);
        if (code == CODE_OK)
            *more = each(context, &out);
        else if (code != CODE_NO_DATA)
            return code;
    }
    return CODE_OK;
}

enum code lending_list(struct tree *tree, const char *name, lending_visit *each, void *context, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct catalog_member member = {0};
    struct catalog_space space = {.space = 0};
    bool more = true;
    enum code code = find_member(tree, name, &member, why);
    while (code == CODE_OK && more && (code = catalog_space_next(tree->catalog, space.space, &space, why)) == CODE_OK)
        if (!is_our_own(tree, &space))
            code = list_space(tree, &space, &member, each, context, &more, why);
    return code == CODE_NO_DATA ? CODE_OK : code;
}

void lending_visit_keys(struct tree *tree, lending_visit_key *each, void *context)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    for (size_t i = 0; i < tree->lent_count; i++) {
        const struct lent_key *entry = &tree->lent[i];
        if (!entry->leaving && entry->lender[0])
            each(context, entry->lender, entry->space, entry->generation, entry->key);
    }
}

/* Taking ----------------------------------------------------------------------------------------------------------- */

static enum code find_space_row(struct tree *tree, uint64_t number, struct catalog_space *row, struct failure *why)
{
    enum code code = number ? catalog_space_next(tree->catalog, number - 1, row, why) : CODE_NO_DATA;
    if (code == CODE_NO_DATA || (code == CODE_OK && row->space != number))
        return failure_set(why, CODE_INVALID, "a key of a space that is not there was lent");
    return code;
}

/* Whether this member may lend that key at all. */
static enum code check_lender(struct tree *tree, const struct catalog_space *space, const char *name, uint32_t generation,
                              struct failure *why)
{
    struct catalog_member member = {0};
    enum code code = find_member(tree, name, &member, why);
    struct catalog_wrap wrap = {.space = space->space, .member = member.member, .generation = generation};
    if (code == CODE_OK)
        code = catalog_space_get_wrap(tree->catalog, &wrap, why);
    if (code == CODE_NO_DATA)
        return failure_set(why, CODE_DENIED, "%s lends a key that he was not given", name);
    return code;
}

/* The newest key opens the list of readers, which must name the lender, and the proofs of what lies in the space. */
static enum code check_opened(struct tree *tree, uint64_t number, const char *name, bool was_open, struct failure *why)
{
    struct space *space;
    space_forget(tree, number);
    enum code code = space_find(tree, number, &space, why);
    if (code != CODE_OK)
        return failure_wrap(why, CODE_INVALID, "the key that %s lends is not the space's", name);
    const struct reader *reader = roster_find_name(&space->roster, name);
    if (!reader || reader->former || !space->listed)
        return failure_set(why, CODE_DENIED, "%s lends the key of a space whose list of readers does not name him", name);
    return was_open ? CODE_OK : space_sum_check(tree, number, why);
}

/* What was unlinked while open when the program ended, and could not be given up without the key.  Else it stays for the
 * next time. */
static void collect_orphans(struct tree *tree, uint64_t space)
{
    struct failure why;
    if (orphans_collect(tree, space, &why) != CODE_OK)
        logging_warning("files without a name stay: %s", why.text);
}

static enum code take(struct tree *tree, const char *name, const struct catalog_space *space, uint32_t generation,
                      const uint8_t *key, struct failure *why)
{
    const uint8_t *known = lending_key(tree, space->space, generation);
    bool newest = generation == space->generation, was_open = lending_key(tree, space->space, space->generation) != NULL;
    struct lent_key *entry = find(tree, space->space, generation, name);
    if (known && !secret_equal(known, key, SPACE_KEY_BYTES))
        return failure_set(why, CODE_INVALID, "%s lends another key of a space than is in use", name);
    if (!newest && !find(tree, space->space, space->generation, name))
        return failure_set(why, CODE_INVALID, "the newest key of a space is to be lent first");
    if (entry) {
        entry->leaving = false;
        return CODE_OK;
    }
    enum code code = add(tree, space->space, generation, name, key, why);
    if (code == CODE_OK && newest)
        code = check_opened(tree, space->space, name, was_open, why);
    else if (code == CODE_OK)
        space_forget(tree, space->space);
    if (code == CODE_OK && newest && !was_open && !tree->keeps_nameless)
        collect_orphans(tree, space->space);
    if (code == CODE_OK)
        return code;
    entry = find(tree, space->space, generation, name);
    if (entry)
        drop_at(tree, (size_t)(entry - tree->lent));
    space_forget(tree, space->space);
    return code;
}

enum code lending_take(struct tree *tree, const char *member, uint64_t number, uint32_t generation,
                       const uint8_t key[SPACE_KEY_BYTES], struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct catalog_space space;
    enum code code = find_space_row(tree, number, &space, why);
    if (code == CODE_OK && (generation < space.oldest || generation > space.generation))
        return failure_set(why, CODE_INVALID, "a key that is no longer in use was lent");
    if (code == CODE_OK && is_our_own(tree, &space))
        return CODE_OK;
    if (code == CODE_OK)
        code = check_lender(tree, &space, member, generation, why);
    return code == CODE_OK ? take(tree, member, &space, generation, key, why) : code;
}

/* Forgetting ------------------------------------------------------------------------------------------------------- */

static bool is_dirty(const struct tree *tree, uint64_t space)
{
    for (const struct node *node = tree->dirty_nodes; node; node = node->dirty_next)
        if (node->row.space == space)
            return true;
    const struct piece_list *const lists[] = {&tree->dirty_pieces, &tree->stored_pieces};
    for (size_t i = 0; i < 2; i++)
        for (const struct piece *piece = lists[i]->first; piece; piece = piece->list_next)
            if (piece->node->row.space == space)
                return true;
    return false;
}

static bool is_wanted(const struct tree *tree, uint64_t space)
{
    for (size_t i = 0; i < tree->lent_count; i++)
        if (tree->lent[i].space == space && !tree->lent[i].leaving)
            return true;
    return false;
}

static void drop_clean(struct tree *tree, uint64_t space)
{
    for (struct piece *piece = tree->clean_pieces.first, *next; piece; piece = next) {
        next = piece->list_next;
        if (piece->node->row.space == space)
            piece_drop_range(tree, piece->node, piece->index, piece->index + 1);
    }
}

/* Nobody wants the space: closes it if nothing hangs on its keys. */
static void close_space(struct tree *tree, uint64_t number)
{
    if (tree->storing || tree->commit.committing || tree->reseal.space == number || is_dirty(tree, number) ||
        !space_sum_is_sealed(tree, number))
        return;
    for (size_t i = tree->lent_count; i-- > 0;)
        if (tree->lent[i].space == number)
            drop_at(tree, i);
    drop_clean(tree, number);
    tree->name_epoch++;                       /* paths of its folders */
    pthread_rwlock_wrlock(&tree->packs_lock); /* nobody is opening a chunk with them */
    space_wipe(tree, number);
    pthread_rwlock_unlock(&tree->packs_lock);
}

static void close_unwanted(struct tree *tree)
{
    for (size_t i = 0; i < tree->lent_count; i++) {
        uint64_t space = tree->lent[i].space;
        size_t before = tree->lent_count;
        if (is_wanted(tree, space))
            continue;
        close_space(tree, space);
        if (tree->lent_count < before)
            i = (size_t)-1; /* entries have moved */
    }
}

void lending_sweep(struct tree *tree)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    close_unwanted(tree);
}

void lending_end(struct tree *tree, const char *member)
{
    struct failure why;
    pthread_mutex_lock(&tree->lock);
    bool any = false;
    for (size_t i = 0; i < tree->lent_count; i++)
        if (strcmp(tree->lent[i].lender, member) == 0)
            tree->lent[i].leaving = any = true;
    pthread_mutex_unlock(&tree->lock);
    if (!any)
        return;
    if (commit_wait(tree, &why) != CODE_OK)
        logging_warning("what %s wrote last is not durable, and the keys stay in memory: %s", member, why.text);
    lending_sweep(tree);
}
