/* The sums of spaces: see tree_space_sum.h.
 *
 * F is AES-256-CMAC under a space's newest key for the catalog; S the sum of the proofs of the space's inodes.
 *
 *     spaces.digest          counter (8) | F('S' | space (8) | counter (8) | S)
 *     of the lab's own       ... | F('R' | counter (8) | next inode (8) | next space (8) | last stamp (8) | T)
 *
 * T sums up F('F' | row) of the few rows: members, and spaces with the digests of all but the lab's own.  The counter is the
 * number of the commit that made the digest; at each commit the digests of the spaces that changed are made anew, and the
 * lab's.  So the one digest of the lab's space stands for the whole catalog as of one commit, and no part of it can be put
 * back alone.  That the whole store was put back shows by the counter: tree_seen.h.
 *
 * A space whose key is not at hand is left as it is: its rows cannot be changed, and its digest is vouched for.
 */
#include "tree_space_sum.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "catalog_digest.h"
#include "catalog_inode.h"
#include "cmac.h"
#include "tree_authentic.h"
#include "tree_space.h"
#include "tree_usage.h"

enum { LABEL_SPACE = 'S', LABEL_ROOT = 'R', LABEL_FEW = 'F' };

#define SPACE_DIGEST_BYTES (8 + CMAC_BYTES)
#define LAB_DIGEST_BYTES   (SPACE_DIGEST_BYTES + CMAC_BYTES)
#define ROWS_AT_ONCE       256

struct space_sum {
    uint64_t space;
    uint8_t sum[TREE_SUM_BYTES], if_kept[TREE_SUM_BYTES];
    uint32_t generation; /* that the digest was made with; 0: it has to be made */
};

/* Adding ------------------------------------------------------------------------------------------------------------- */

static unsigned __int128 load(const uint8_t *sum)
{
    return (unsigned __int128)bytes_load64(sum + 8) << 64 | bytes_load64(sum);
}

static void store(uint8_t *sum, unsigned __int128 value)
{
    bytes_store64(sum, (uint64_t)value);
    bytes_store64(sum + 8, (uint64_t)(value >> 64));
}

void space_sum_plus(uint8_t *sum, const uint8_t *weight)
{
    store(sum, load(sum) + load(weight));
}

void space_sum_minus(uint8_t *sum, const uint8_t *weight)
{
    store(sum, load(sum) - load(weight));
}

/* The entry of a space, made where there is none; NULL without memory, which is noted. */
static struct space_sum *entry_of(struct tree *tree, uint64_t space)
{
    for (size_t i = tree->sums.count; i-- > 0;)
        if (tree->sums.entries[i].space == space)
            return &tree->sums.entries[i];
    struct space_sum *entries = realloc(tree->sums.entries, (tree->sums.count + 1) * sizeof *entries);
    if (!entries) {
        tree->sums.lost = true;
        return NULL;
    }
    tree->sums.entries = entries;
    entries[tree->sums.count] = (struct space_sum){.space = space};
    return &entries[tree->sums.count++];
}

void space_sum_add(struct tree *tree, uint64_t space, const uint8_t *proof)
{
    struct space_sum *entry = entry_of(tree, space);
    if (!entry)
        return;
    space_sum_plus(entry->sum, proof);
    entry->generation = 0;
}

void space_sum_subtract(struct tree *tree, uint64_t space, const uint8_t *proof)
{
    struct space_sum *entry = entry_of(tree, space);
    if (!entry)
        return;
    space_sum_minus(entry->sum, proof);
    entry->generation = 0;
}

void space_sum_add_if_kept(struct tree *tree, uint64_t space, const uint8_t *proof)
{
    struct space_sum *entry = entry_of(tree, space);
    if (entry)
        space_sum_plus(entry->if_kept, proof);
    tree->sums.waiting = true;
}

void space_sum_subtract_if_kept(struct tree *tree, uint64_t space, const uint8_t *proof)
{
    struct space_sum *entry = entry_of(tree, space);
    if (entry)
        space_sum_minus(entry->if_kept, proof);
    tree->sums.waiting = true;
}

void space_sum_begin(struct tree *tree)
{
    space_sum_end(tree, false);
}

void space_sum_end(struct tree *tree, bool kept)
{
    static const uint8_t nothing[TREE_SUM_BYTES];
    for (size_t i = 0; tree->sums.waiting && i < tree->sums.count; i++) {
        struct space_sum *entry = &tree->sums.entries[i];
        if (kept && memcmp(entry->if_kept, nothing, sizeof nothing) != 0) {
            space_sum_plus(entry->sum, entry->if_kept);
            entry->generation = 0;
        }
        memset(entry->if_kept, 0, sizeof entry->if_kept);
    }
    tree->sums.waiting = false;
}

/* Digests ------------------------------------------------------------------------------------------------------------ */

static enum code space_digest(const struct space *space, const uint8_t *sum, uint64_t counter,
                              uint8_t digest[SPACE_DIGEST_BYTES], struct failure *why)
{
    uint8_t message[1 + 8 + 8 + TREE_SUM_BYTES];
    message[0] = LABEL_SPACE;
    bytes_store64(message + 1, space->number);
    bytes_store64(message + 9, counter);
    memcpy(message + 17, sum, TREE_SUM_BYTES);
    bytes_store64(digest, counter);
    return cmac_compute(space->keys.catalog, &(struct cmac_part){message, sizeof message}, 1, digest + 8, why);
}

struct few {
    struct cmac_key *key;
    uint8_t sum[TREE_SUM_BYTES];
    enum code code;
    struct failure *why;
};

static bool add_few(void *context, const void *row, size_t count)
{
    struct few *few = context;
    const uint8_t label = LABEL_FEW;
    uint8_t weight[CMAC_BYTES];
    few->code = cmac_compute(few->key, (const struct cmac_part[]){{&label, 1}, {row, count}}, 2, weight, few->why);
    if (few->code == CODE_OK)
        space_sum_plus(few->sum, weight);
    return few->code == CODE_OK;
}

/* F of everything that the lab's own key vouches for. */
static enum code root_proof(struct tree *tree, const struct space *lab, uint64_t counter, uint8_t proof[CMAC_BYTES],
                            struct failure *why)
{
    struct few few = {.key = lab->keys.catalog, .why = why};
    enum code code = catalog_digest_few(tree->catalog, add_few, &few, why);
    if (code == CODE_OK)
        code = few.code;
    if (code != CODE_OK)
        return code;
    uint8_t message[1 + 4 * 8 + TREE_SUM_BYTES];
    message[0] = LABEL_ROOT;
    bytes_store64(message + 1, counter);
    bytes_store64(message + 9, tree->next_inode);
    bytes_store64(message + 17, tree->next_space);
    bytes_store64(message + 25, tree->last_stamp);
    memcpy(message + 33, few.sum, TREE_SUM_BYTES);
    return cmac_compute(lab->keys.catalog, &(struct cmac_part){message, sizeof message}, 1, proof, why);
}

/* A space that is gone has no digest; its orphans may outlive it. */
static void forget_entry(struct tree *tree, size_t position)
{
    tree->sums.entries[position] = tree->sums.entries[--tree->sums.count];
}

static enum code seal_space(struct tree *tree, size_t *position, uint64_t counter, struct failure *why)
{
    struct space_sum *entry = &tree->sums.entries[*position];
    struct space *space;
    uint8_t digest[CATALOG_DIGEST_BYTES_MAX];
    size_t count;
    if (entry->space == SPACE_LAB)
        return CODE_OK;
    enum code code = catalog_digest_get(tree->catalog, entry->space, digest, &count, why);
    if (code == CODE_NO_DATA) {
        forget_entry(tree, (*position)--);
        return CODE_OK;
    }
    if (code == CODE_OK)
        code = space_find(tree, entry->space, &space, why);
    if (code == CODE_DENIED)
        return CODE_OK;
    if (code != CODE_OK || entry->generation == space->generation)
        return code;
    code = space_digest(space, entry->sum, counter, digest, why);
    if (code == CODE_OK)
        code = catalog_digest_put(tree->catalog, space->number, digest, SPACE_DIGEST_BYTES, why);
    if (code == CODE_OK)
        entry->generation = space->generation;
    return code;
}

static enum code seal_lab(struct tree *tree, uint64_t counter, struct failure *why)
{
    struct space *lab;
    uint8_t digest[LAB_DIGEST_BYTES];
    const struct space_sum *entry = entry_of(tree, SPACE_LAB);
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    if (code == CODE_OK && !entry)
        return failure_set(why, CODE_NO_MEMORY, "sealing the catalog: no memory");
    if (code == CODE_OK)
        code = space_digest(lab, entry->sum, counter, digest, why);
    if (code == CODE_OK)
        code = root_proof(tree, lab, counter, digest + SPACE_DIGEST_BYTES, why);
    return code == CODE_OK ? catalog_digest_put(tree->catalog, SPACE_LAB, digest, sizeof digest, why) : code;
}

static enum code seal_all(struct tree *tree, uint64_t counter, struct failure *why)
{
    if (tree->sums.lost)
        return failure_set(why, CODE_NO_MEMORY, "sealing the catalog: no memory: mount the lab anew");
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < tree->sums.count; i++)
        code = seal_space(tree, &i, counter, why);
    if (code == CODE_OK)
        code = catalog_set_number(tree->catalog, CATALOG_COMMIT, counter, why);
    return code == CODE_OK ? seal_lab(tree, counter, why) : code;
}

enum code space_sum_seal(struct tree *tree, struct failure *why)
{
    uint64_t counter = tree->commit.number + 1;
    enum code code = catalog_operation_begin(tree->catalog, why);
    if (code != CODE_OK)
        return code;
    code = seal_all(tree, counter, why);
    enum code kept = catalog_operation_end(tree->catalog, code == CODE_OK, why);
    code = code != CODE_OK ? code : kept;
    for (size_t i = 0; code != CODE_OK && i < tree->sums.count; i++)
        tree->sums.entries[i].generation = 0; /* none of them is in the catalog */
    return code;
}

/* Opening ------------------------------------------------------------------------------------------------------------ */

/* Something is: a reason to stop, or to remember. */
static enum code found_wrong(struct tree *tree, bool accept, enum code code, const struct failure *why)
{
    if (code != CODE_CORRUPT || !accept)
        return code;
    if (tree->sums.wrong.code == CODE_OK)
        tree->sums.wrong = *why;
    return CODE_OK;
}

/* A node without names, of a space that is gone: collected next. */
static bool is_leftover(struct tree *tree, const struct catalog_inode *row)
{
    uint8_t digest[CATALOG_DIGEST_BYTES_MAX];
    size_t count;
    return row->links == 0 && catalog_digest_get(tree->catalog, row->space, digest, &count, NULL) == CODE_NO_DATA;
}

static enum code take_row(struct tree *tree, struct catalog_inode *row, bool accept, struct failure *why)
{
    if (is_leftover(tree, row))
        return CODE_OK;
    enum code code = tree->sums.unsealed ? authentic_prove(tree, row, why) : authentic_check_row(tree, row, why);
    if (code == CODE_OK)
        space_sum_add(tree, row->space, row->proof);
    return found_wrong(tree, accept, code, why);
}

static enum code take_rows(struct tree *tree, bool accept, struct failure *why)
{
    SCOPE_FREE struct catalog_inode *rows = calloc(ROWS_AT_ONCE, sizeof *rows);
    if (!rows)
        return failure_set(why, CODE_NO_MEMORY, "opening the lab: no memory");
    uint64_t after = 0;
    size_t count;
    do {
        enum code code = catalog_inode_walk(tree->catalog, after, rows, ROWS_AT_ONCE, &count, why);
        for (size_t i = 0; code == CODE_OK && i < count; i++) {
            after = rows[i].inode;
            usage_take_row(tree, &rows[i]);
            code = take_row(tree, &rows[i], accept, why);
        }
        if (code != CODE_OK)
            return code;
    } while (count == ROWS_AT_ONCE);
    return CODE_OK;
}

static enum code not_as_sealed(const char *what, struct failure *why)
{
    return failure_set(why, CODE_CORRUPT,
                       "the catalog is not as it was written last (%s): somebody or something changed the store, or "
                       "put a part of it back (run: cytofs fsck)",
                       what);
}

static enum code check_space(struct tree *tree, struct space_sum *entry, struct failure *why)
{
    struct space *space;
    uint8_t digest[CATALOG_DIGEST_BYTES_MAX], right[SPACE_DIGEST_BYTES];
    size_t count;
    enum code code = catalog_digest_get(tree->catalog, entry->space, digest, &count, why);
    if (code == CODE_NO_DATA)
        return not_as_sealed("a key space is missing", why);
    if (code == CODE_OK)
        code = space_find(tree, entry->space, &space, why);
    if (code == CODE_DENIED)
        return CODE_OK;
    if (code == CODE_OK && count != (entry->space == SPACE_LAB ? LAB_DIGEST_BYTES : SPACE_DIGEST_BYTES))
        return not_as_sealed("a digest", why);
    if (code == CODE_OK)
        code = space_digest(space, entry->sum, bytes_load64(digest), right, why);
    if (code == CODE_OK && memcmp(digest, right, sizeof right) != 0)
        return not_as_sealed("its files", why);
    if (code == CODE_OK)
        entry->generation = space->generation;
    return code;
}

static enum code check_root(struct tree *tree, struct failure *why)
{
    struct space *lab;
    uint8_t digest[CATALOG_DIGEST_BYTES_MAX], right[CMAC_BYTES];
    size_t count;
    enum code code = catalog_digest_get(tree->catalog, SPACE_LAB, digest, &count, why);
    if (code == CODE_OK)
        code = space_find(tree, SPACE_LAB, &lab, why);
    if (code == CODE_OK && (count != LAB_DIGEST_BYTES || bytes_load64(digest) != tree->commit.number))
        return not_as_sealed("its counter", why);
    if (code == CODE_OK)
        code = root_proof(tree, lab, tree->commit.number, right, why);
    if (code == CODE_OK && memcmp(digest + SPACE_DIGEST_BYTES, right, sizeof right) != 0)
        return not_as_sealed("its members, key spaces or counters", why);
    return code;
}

static enum code check_all(struct tree *tree, bool accept, struct failure *why)
{
    enum code code = take_rows(tree, accept, why);
    for (size_t i = 0; code == CODE_OK && i < tree->sums.count; i++)
        code = found_wrong(tree, accept, check_space(tree, &tree->sums.entries[i], why), why);
    return code == CODE_OK ? found_wrong(tree, accept, check_root(tree, why), why) : code;
}

/* A catalog of format 1: what is there is believed, once. */
static enum code upgrade(struct tree *tree, bool accept, struct failure *why)
{
    bool lost;
    if (tree->read_only)
        return CODE_OK;
    enum code code = catalog_operation_begin(tree->catalog, why);
    if (code != CODE_OK)
        return code;
    code = take_rows(tree, accept, why);
    enum code kept = catalog_operation_end(tree->catalog, code == CODE_OK, why);
    code = code != CODE_OK ? code : kept;
    if (code == CODE_OK)
        code = space_sum_seal(tree, why);
    if (code == CODE_OK)
        code = catalog_commit(tree->catalog, &lost, why);
    if (code == CODE_OK)
        code = catalog_sync(tree->catalog, why);
    if (code == CODE_OK) {
        tree->sums.unsealed = false;
        tree->commit.number++;
    }
    return code;
}

enum code space_sum_open(struct tree *tree, bool accept, struct failure *why)
{
    uint8_t digest[CATALOG_DIGEST_BYTES_MAX];
    size_t count;
    enum code code = catalog_digest_get(tree->catalog, SPACE_LAB, digest, &count, why);
    if (code != CODE_OK)
        return code == CODE_NO_DATA ? not_as_sealed("the lab's own key space is missing", why) : code;
    tree->sums.unsealed = tree->commit.number == 0 && count == 0;
    code = tree->sums.unsealed ? upgrade(tree, accept, why) : check_all(tree, accept, why);
    for (size_t i = 0; tree->sums.wrong.code != CODE_OK && i < tree->sums.count; i++)
        tree->sums.entries[i].generation = 0;
    return code;
}

enum code space_sum_check(struct tree *tree, uint64_t space, struct failure *why)
{
    SCOPE_FREE struct catalog_inode *rows = calloc(ROWS_AT_ONCE, sizeof *rows);
    struct space_sum now = {.space = space};
    uint64_t after = 0;
    size_t count;
    if (!rows)
        return failure_set(why, CODE_NO_MEMORY, "opening a key space: no memory");
    do {
        enum code code = catalog_inode_walk(tree->catalog, after, rows, ROWS_AT_ONCE, &count, why);
        for (size_t i = 0; code == CODE_OK && i < count; i++) {
            after = rows[i].inode;
            if (rows[i].space != space)
                continue;
            code = authentic_check_row(tree, &rows[i], why);
            space_sum_plus(now.sum, rows[i].proof);
        }
        if (code != CODE_OK)
            return code;
    } while (count == ROWS_AT_ONCE);
    enum code code = check_space(tree, &now, why);
    struct space_sum *entry = code == CODE_OK ? entry_of(tree, space) : NULL;
    if (entry && entry->generation == 0 && memcmp(entry->sum, now.sum, sizeof now.sum) == 0)
        entry->generation = now.generation; /* the digest that is there is right */
    return code;
}

bool space_sum_is_sealed(const struct tree *tree, uint64_t space)
{
    for (size_t i = 0; i < tree->sums.count; i++)
        if (tree->sums.entries[i].space == space)
            return tree->sums.entries[i].generation != 0;
    return true;
}

void space_sum_free(struct tree *tree)
{
    free(tree->sums.entries);
    tree->sums.entries = NULL;
    tree->sums.count = 0;
}
