/* Proofs of rows: see tree_authentic.h.
 *
 * F is AES-256-CMAC under the space's key for the catalog, of the generation that the inode's row names.
 *
 *     sum    what hangs on the inode: F of each of its names, chunks and attributes, added up modulo 2^128
 *     proof  F of everything else in the inode's row, and of the sum
 *
 * A sum of that kind (MSet-Add-Hash: Clarke, Devadas, van Dijk, Gassend, Suh, ASIACRYPT 2003) is changed by an addition when
 * a row comes or goes, and nobody without the key can find other rows with the same one.  Where a chunk lies in the packs is
 * no part of it, so chunks can be moved and shared: what is there opens only if it has the row's nonce.
 *
 * The rows that hang on an inode are looked at when they are first needed (node->checked), and what they weigh is kept up
 * from then on.  The proofs of all inodes of a space are summed up in turn: tree_space_sum.h.
 */
#include "tree_authentic.h"

#include <string.h>

#include "bytes.h"
#include "catalog_snapshot.h"
#include "cmac.h"
#include "tree_space.h"
#include "tree_space_sum.h"
#include "tree_usage.h"

enum { LABEL_CHUNK = 'C', LABEL_NAME = 'N', LABEL_ATTRIBUTE = 'A', LABEL_INODE = 'I' };

#define CHUNKS_AT_ONCE 32

/* A sum that is being made.  The first failure stays. */
struct adding {
    struct cmac_key *key;
    uint8_t sum[CATALOG_SUM_BYTES];
    enum code code;
    struct failure *why;
};

/* The key that the proofs of an inode of that space and generation are made with. */
static enum code key_of(struct tree *tree, uint64_t number, uint32_t generation, struct cmac_key **key, struct failure *why)
{
    struct space *space;
    enum code code = space_find(tree, number, &space, why);
    if (code != CODE_OK)
        return code;
    const struct space_keys *keys = space_keys_of(space, generation);
    if (!keys)
        return failure_set(why, CODE_DENIED, "you were not given this key of this part of the lab");
    *key = keys->catalog;
    return CODE_OK;
}

static enum code begin(struct tree *tree, const struct catalog_inode *row, struct adding *adding, struct failure *why)
{
    *adding = (struct adding){.why = why};
    return key_of(tree, row->space, row->generation, &adding->key, why);
}

static void weigh(struct adding *adding, const struct cmac_part *parts, size_t count,
                  void (*apply)(uint8_t *, const uint8_t *))
{
    uint8_t weight[CMAC_BYTES];
    if (adding->code == CODE_OK)
        adding->code = cmac_compute(adding->key, parts, count, weight, adding->why);
    if (adding->code == CODE_OK)
        apply(adding->sum, weight);
}

/* Messages ------------------------------------------------------------------------------------------------------- */

static void weigh_chunk(struct adding *adding, const struct catalog_chunk *row, void (*apply)(uint8_t *, const uint8_t *))
{
    uint8_t message[1 + 8 + 4 + 4 + CATALOG_CHUNK_NONCE_BYTES];
    message[0] = LABEL_CHUNK;
    bytes_store64(message + 1, row->index);
    bytes_store32(message + 9, row->generation);
    bytes_store32(message + 13, row->bytes);
    memcpy(message + 17, row->nonce, CATALOG_CHUNK_NONCE_BYTES);
    weigh(adding, &(struct cmac_part){message, sizeof message}, 1, apply);
}

static void weigh_name(struct adding *adding, const struct catalog_name *name, uint64_t inode,
                       void (*apply)(uint8_t *, const uint8_t *))
{
    uint8_t head[1 + 8];
    head[0] = LABEL_NAME;
    bytes_store64(head + 1, inode);
    weigh(adding, (const struct cmac_part[]){{head, sizeof head}, {name->bytes, name->count}}, 2, apply);
}

static void weigh_attribute(struct adding *adding, const struct catalog_attribute *row,
                            void (*apply)(uint8_t *, const uint8_t *))
{
    uint8_t head[1 + 4];
    head[0] = LABEL_ATTRIBUTE;
    bytes_store32(head + 1, (uint32_t)row->name_count);
    const struct cmac_part parts[] = {{head, sizeof head}, {row->name, row->name_count}, {row->value, row->value_count}};
    weigh(adding, parts, 3, apply);
}

#define ROW_MESSAGE_BYTES (1 + 6 * 4 + 13 * 8 + CATALOG_SUM_BYTES)

static enum code prove(struct cmac_key *key, const struct catalog_inode *row, uint8_t proof[CATALOG_PROOF_BYTES],
                       struct failure *why)
{
    const uint32_t small[] = {(uint32_t)row->kind, row->flags, row->mode, row->links, row->generation, 0};
    const uint64_t large[] = {row->inode,
                              row->origin,
                              row->space,
                              row->size,
                              (uint64_t)row->access_ns,
                              (uint64_t)row->modify_ns,
                              (uint64_t)row->change_ns,
                              row->version,
                              row->stamp,
                              (uint64_t)row->stamp_ns,
                              (uint64_t)row->uid,
                              (uint64_t)row->gid,
                              row->rdev};
    uint8_t message[ROW_MESSAGE_BYTES];
    uint8_t *at = message;
    *at++ = LABEL_INODE;
    for (size_t i = 0; i < sizeof large / sizeof *large; i++, at += 8)
        bytes_store64(at, large[i]);
    for (size_t i = 0; i < sizeof small / sizeof *small; i++, at += 4)
        bytes_store32(at, small[i]);
    memcpy(at, row->sum, CATALOG_SUM_BYTES);
    return cmac_compute(key, &(struct cmac_part){message, sizeof message}, 1, proof, why);
}

/* Sums of rows ------------------------------------------------------------------------------------------------------ */

static bool add_name(void *context, const struct catalog_name *name, uint64_t inode)
{
    struct adding *adding = context;
    weigh_name(adding, name, inode, space_sum_plus);
    return adding->code == CODE_OK;
}

static bool add_attribute(void *context, const struct catalog_attribute *row)
{
    struct adding *adding = context;
    weigh_attribute(adding, row, space_sum_plus);
    return adding->code == CODE_OK;
}

/* Applies to the chunks of an inode in the range [from, to). */
static enum code weigh_chunks(struct tree *tree, uint64_t inode, uint64_t from, uint64_t to, struct adding *adding,
                              void (*apply)(uint8_t *, const uint8_t *), struct failure *why)
{
    struct catalog_chunk rows[CHUNKS_AT_ONCE];
    size_t count;
    int64_t after = (int64_t)from - 1;
    do {
        enum code code = catalog_chunk_of_inode(tree->catalog, inode, after, rows, CHUNKS_AT_ONCE, &count, why);
        for (size_t i = 0; code == CODE_OK && i < count; i++) {
            if (rows[i].index >= to)
                return adding->code;
            weigh_chunk(adding, &rows[i], apply);
            after = (int64_t)rows[i].index;
        }
        if (code != CODE_OK || adding->code != CODE_OK)
            return code != CODE_OK ? code : adding->code;
    } while (count == CHUNKS_AT_ONCE);
    return CODE_OK;
}

/* What hangs on an inode, as the catalog has it. */
static enum code add_all(struct tree *tree, const struct catalog_inode *row, struct adding *adding, struct failure *why)
{
    enum code code = catalog_attribute_list_all(tree->catalog, row->inode, add_attribute, adding, why);
    if (code == CODE_OK && adding->code == CODE_OK && row->kind == CATALOG_INODE_FOLDER)
        code = catalog_name_list(tree->catalog, row->inode, add_name, adding, why);
    if (code == CODE_OK && adding->code == CODE_OK && row->kind == CATALOG_INODE_FILE)
        code = weigh_chunks(tree, row->inode, 0, INT64_MAX, adding, space_sum_plus, why);
    return code != CODE_OK ? code : adding->code;
}

enum code authentic_check_hanging(struct tree *tree, const struct catalog_inode *row, struct failure *why)
{
    struct adding adding;
    if (tree->sums.unsealed)
        return CODE_OK;
    enum code code = begin(tree, row, &adding, why);
    if (code == CODE_OK)
        code = add_all(tree, row, &adding, why);
    if (code == CODE_OK && memcmp(adding.sum, row->sum, CATALOG_SUM_BYTES) != 0)
        return failure_set(why, CODE_CORRUPT,
                           "what the catalog says about %s (inode %llu) is not what was written last: somebody or "
                           "something changed the store (run: cytofs fsck)",
                           row->kind == CATALOG_INODE_FOLDER ? "the names in this folder"
                           : row->kind == CATALOG_INODE_FILE ? "the parts of this file"
                                                             : "this file",
                           (unsigned long long)row->inode);
    return code;
}

enum code authentic_check(struct tree *tree, struct node *node, struct failure *why)
{
    if (node->checked || tree->sums.unsealed)
        return CODE_OK;
    enum code code = authentic_check_hanging(tree, &node->row, why);
    node->checked = code == CODE_OK;
    return code;
}

/* Changes ------------------------------------------------------------------------------------------------------------ */

/* Before rows of the node are changed: they are right, and *adding goes on from their sum. */
static enum code begin_change(struct tree *tree, struct node *node, struct adding *adding, struct failure *why)
{
    enum code code = authentic_check(tree, node, why);
    if (code == CODE_OK)
        code = begin(tree, &node->row, adding, why);
    memcpy(adding->sum, node->row.sum, CATALOG_SUM_BYTES);
    return code;
}

static enum code end_change(struct tree *tree, struct node *node, const struct adding *adding)
{
    if (adding->code == CODE_OK) {
        node_change(tree, node);
        memcpy(node->row.sum, adding->sum, CATALOG_SUM_BYTES);
    }
    return adding->code;
}

enum code authentic_put_chunk(struct tree *tree, struct node *node, const struct catalog_chunk *row, struct failure *why)
{
    struct adding adding;
    struct catalog_chunk old;
    enum code code = begin_change(tree, node, &adding, why);
    if (code != CODE_OK)
        return code;
    code = catalog_chunk_get(tree->catalog, row->inode, row->index, &old, why);
    if (code == CODE_OK)
        weigh_chunk(&adding, &old, space_sum_minus);
    if (code == CODE_OK || code == CODE_NO_DATA)
        code = catalog_chunk_put(tree->catalog, row, why);
    if (code != CODE_OK)
        return code;
    weigh_chunk(&adding, row, space_sum_plus);
    return end_change(tree, node, &adding);
}

enum code authentic_drop_chunk(struct tree *tree, struct node *node, uint64_t index, struct failure *why)
{
    struct adding adding;
    struct catalog_chunk old;
    enum code code = begin_change(tree, node, &adding, why);
    if (code == CODE_OK)
        code = catalog_chunk_get(tree->catalog, node->row.inode, index, &old, why);
    if (code == CODE_NO_DATA)
        return CODE_OK;
    if (code == CODE_OK)
        code = catalog_chunk_delete(tree->catalog, node->row.inode, index, why);
    if (code != CODE_OK)
        return code;
    weigh_chunk(&adding, &old, space_sum_minus);
    return end_change(tree, node, &adding);
}

enum code authentic_drop_chunks(struct tree *tree, struct node *node, uint64_t from, uint64_t to, struct failure *why)
{
    struct adding adding;
    enum code code = begin_change(tree, node, &adding, why);
    if (code == CODE_OK)
        code = weigh_chunks(tree, node->row.inode, from, to, &adding, space_sum_minus, why);
    if (code == CODE_OK)
        code = catalog_chunk_delete_range(tree->catalog, node->row.inode, from, to, why);
    return code == CODE_OK ? end_change(tree, node, &adding) : code;
}

enum code authentic_put_name(struct tree *tree, struct node *folder, const struct catalog_name *name, uint64_t inode,
                             struct failure *why)
{
    struct adding adding;
    enum code code = begin_change(tree, folder, &adding, why);
    if (code == CODE_OK)
        code = catalog_name_insert(tree->catalog, name, inode, why);
    if (code != CODE_OK)
        return code;
    weigh_name(&adding, name, inode, space_sum_plus);
    return end_change(tree, folder, &adding);
}

enum code authentic_drop_name(struct tree *tree, struct node *folder, const struct catalog_name *name, struct failure *why)
{
    struct adding adding;
    uint64_t inode;
    enum code code = begin_change(tree, folder, &adding, why);
    if (code == CODE_OK)
        code = catalog_name_find(tree->catalog, name, &inode, why);
    if (code == CODE_OK)
        code = catalog_name_delete(tree->catalog, name, why);
    if (code != CODE_OK)
        return code;
    weigh_name(&adding, name, inode, space_sum_minus);
    return end_change(tree, folder, &adding);
}

/* Takes away what the attribute of that name weighs, if there is one. */
static enum code forget_attribute(struct tree *tree, struct adding *adding, const struct catalog_attribute *row,
                                  struct failure *why)
{
    SCOPE_BUFFER value = {0};
    enum code code = catalog_attribute_get(tree->catalog, row, &value, why);
    if (code != CODE_OK)
        return code;
    struct catalog_attribute old = *row;
    old.value = value.data;
    old.value_count = value.length;
    weigh_attribute(adding, &old, space_sum_minus);
    return CODE_OK;
}

enum code authentic_put_attribute(struct tree *tree, struct node *node, const struct catalog_attribute *row,
                                  struct failure *why)
{
    struct adding adding;
    enum code code = begin_change(tree, node, &adding, why);
    if (code == CODE_OK)
        code = forget_attribute(tree, &adding, row, why);
    if (code == CODE_OK || code == CODE_NO_DATA)
        code = catalog_attribute_put(tree->catalog, row, why);
    if (code != CODE_OK)
        return code;
    weigh_attribute(&adding, row, space_sum_plus);
    return end_change(tree, node, &adding);
}

enum code authentic_drop_attribute(struct tree *tree, struct node *node, const struct catalog_attribute *row,
                                   struct failure *why)
{
    struct adding adding;
    enum code code = begin_change(tree, node, &adding, why);
    if (code == CODE_OK)
        code = forget_attribute(tree, &adding, row, why);
    if (code == CODE_OK)
        code = catalog_attribute_delete(tree->catalog, row, why);
    return code == CODE_OK ? end_change(tree, node, &adding) : code;
}

enum code authentic_renew(struct tree *tree, struct node *node, uint32_t generation, struct failure *why)
{
    enum code code = authentic_check(tree, node, why);
    if (code != CODE_OK)
        return code;
    struct catalog_inode row = node->row;
    struct adding adding;
    row.generation = generation;
    code = begin(tree, &row, &adding, why);
    if (code == CODE_OK)
        code = add_all(tree, &row, &adding, why);
    if (code != CODE_OK)
        return code;
    node_change(tree, node);
    node->row.generation = generation;
    return end_change(tree, node, &adding);
}

enum code authentic_accept(struct tree *tree, struct node *node, struct failure *why)
{
    node->checked = true;
    return authentic_renew(tree, node, node->row.generation, why);
}

/* Rows of inodes ------------------------------------------------------------------------------------------------- */

enum code authentic_check_row(struct tree *tree, const struct catalog_inode *row, struct failure *why)
{
    struct cmac_key *key = NULL;
    uint8_t proof[CATALOG_PROOF_BYTES];
    if (tree->sums.unsealed)
        return CODE_OK;
    enum code code = key_of(tree, row->space, row->generation, &key, why);
    if (code == CODE_DENIED)
        return CODE_OK;
    if (code == CODE_OK)
        code = prove(key, row, proof, why);
    if (code == CODE_OK && (!row->sealed || memcmp(proof, row->proof, sizeof proof) != 0))
        return failure_set(why, CODE_CORRUPT,
                           "the catalog: inode %llu is not as it was written: somebody or something changed the store "
                           "(run: cytofs fsck)",
                           (unsigned long long)row->inode);
    return code;
}

enum code authentic_put_row(struct tree *tree, struct node *node, struct failure *why)
{
    struct cmac_key *key = NULL;
    enum code code = key_of(tree, node->row.space, node->row.generation, &key, why);
    if (code == CODE_DENIED)
        return CODE_OK;
    if (code == CODE_OK)
        code = prove(key, &node->row, node->row.proof, why);
    node->row.sealed = true;
    return code == CODE_OK ? catalog_inode_put(tree->catalog, &node->row, why) : code;
}

void authentic_row_kept(struct tree *tree, struct node *node)
{
    if (!node->row.sealed || memcmp(node->kept_proof, node->row.proof, CATALOG_PROOF_BYTES) == 0)
        return;
    space_sum_add(tree, node->row.space, node->row.proof);
    space_sum_subtract(tree, node->row.space, node->kept_proof);
    memcpy(node->kept_proof, node->row.proof, CATALOG_PROOF_BYTES);
}

void authentic_row_gone(struct tree *tree, struct node *node)
{
    space_sum_subtract(tree, node->row.space, node->kept_proof);
    memset(node->kept_proof, 0, CATALOG_PROOF_BYTES);
}

enum code authentic_prove(struct tree *tree, struct catalog_inode *row, struct failure *why)
{
    struct adding adding;
    enum code code = begin(tree, row, &adding, why);
    if (code == CODE_OK)
        code = add_all(tree, row, &adding, why);
    if (code != CODE_OK)
        return code;
    memcpy(row->sum, adding.sum, CATALOG_SUM_BYTES);
    row->sealed = true;
    code = prove(adding.key, row, row->proof, why);
    return code == CODE_OK ? catalog_inode_put(tree->catalog, row, why) : code;
}

/* The row of an inode that is copied, after it was held against its proof. */
static enum code original(struct tree *tree, uint64_t inode, struct catalog_inode *row, struct failure *why)
{
    enum code code = catalog_inode_get(tree->catalog, inode, row, why);
    if (code == CODE_OK)
        code = authentic_check_row(tree, row, why);
    const struct node *node = node_peek(tree, inode);
    if (code == CODE_OK && row->kind == CATALOG_INODE_FOLDER && !(node && node->checked))
        code = authentic_check_hanging(tree, row, why);
    return code;
}

/* A copied row keeps its sum, as chunks and attributes weigh the same wherever they hang; but for a folder's, whose names
 * lead to other inodes now. */
static enum code copy_row(struct tree *tree, uint64_t inode, uint64_t copied, uint32_t flags, struct failure *why)
{
    struct catalog_inode row, copy;
    struct cmac_key *key = NULL;
    enum code code = original(tree, inode, &row, why);
    if (code == CODE_OK)
        code = catalog_inode_get(tree->catalog, copied, &copy, why);
    if (code != CODE_OK)
        return code;
    row.inode = copied;
    row.flags |= flags;
    row.links = copy.links;
    if (row.kind == CATALOG_INODE_FOLDER) {
        code = authentic_prove(tree, &row, why);
    } else {
        code = key_of(tree, row.space, row.generation, &key, why);
        if (code == CODE_OK)
            code = prove(key, &row, row.proof, why);
        if (code == CODE_OK)
            code = catalog_inode_put(tree->catalog, &row, why);
    }
    if (code == CODE_OK)
        space_sum_add_if_kept(tree, row.space, row.proof);
    return code;
}

enum code authentic_copy_rows(struct tree *tree, uint32_t flags, struct failure *why)
{
    uint64_t inode = 0, copied;
    enum code code;
    while ((code = catalog_snapshot_next(tree->catalog, inode, &inode, &copied, why)) == CODE_OK) {
        code = copy_row(tree, inode, copied, flags, why);
        if (code != CODE_OK)
            return code;
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code authentic_drop_rows(struct tree *tree, struct failure *why)
{
    uint64_t inode = 0, copied;
    struct catalog_inode row;
    enum code code;
    while ((code = catalog_snapshot_next(tree->catalog, inode, &inode, &copied, why)) == CODE_OK) {
        code = catalog_inode_get(tree->catalog, inode, &row, why);
        if (code == CODE_OK)
            code = authentic_check_row(tree, &row, why);
        if (code != CODE_OK)
            return code;
        space_sum_subtract_if_kept(tree, row.space, row.proof);
    }
    return code == CODE_NO_DATA ? CODE_OK : code;
}

enum code authentic_drop_orphan(struct tree *tree, uint64_t inode, struct failure *why)
{
    struct catalog_inode row;
    struct space *space;
    enum code code = catalog_inode_get(tree->catalog, inode, &row, why);
    if (code != CODE_OK)
        return code;
    code = space_find(tree, row.space, &space, NULL);
    if (code == CODE_DENIED)
        return CODE_OK;
    if (code == CODE_OK) /* else the space has gone, and took its sum along */
        space_sum_subtract_if_kept(tree, row.space, row.proof);
    code = catalog_inode_delete(tree->catalog, inode, why);
    if (code == CODE_OK)
        usage_drop_row(tree, &row); /* should the operation fail, so does the opening of the lab */
    return code;
}
