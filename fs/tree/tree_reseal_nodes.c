/* Sealing nodes anew: see tree_reseal_nodes.h.  Names in folders, attributes and targets of links are opened and sealed with
 * the newest key, the node's sum is made with it, and then row.generation says so: what a crash leaves half done is found by
 * its row again.
 */
#include "tree_reseal_nodes.h"

#include <stdlib.h>
#include <string.h>

#include "catalog_attribute.h"
#include "catalog_name.h"
#include "tree_authentic.h"
#include "tree_node.h"
#include "tree_operation.h"
#include "tree_seal.h"
#include "tree_space.h"

#define STEP_NODES    256
#define NODES_AHEAD   20000 /* numbers looked at by one statement */
#define NAMES_AT_ONCE 2000  /* sealed anew in one operation */

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

static enum code replace_name(struct tree *tree, struct node *folder, const struct sealed_name *old, struct failure *why)
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

static enum code put_value(struct tree *tree, struct node *node, const struct buffer *name, const struct buffer *value,
                           struct failure *why)
{
    const struct catalog_attribute row = {.inode = node->row.inode,
                                          .name = name->data ? name->data : "",
                                          .name_count = name->length,
                                          .value = value->data,
                                          .value_count = value->length};
    return authentic_put_attribute(tree, node, &row, why);
}

static enum code replace_value(struct tree *tree, struct node *node, const struct sealed_value *old, struct failure *why)
{
    SCOPE_BUFFER plain_name = {0};
    SCOPE_BUFFER plain = {0};
    SCOPE_BUFFER name = {0};
    SCOPE_BUFFER value = {0};
    const struct catalog_attribute row = {.inode = node->row.inode, .name = old->name.data, .name_count = old->name.length};
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
    enum code code =
        catalog_attribute_get(tree->catalog, &(struct catalog_attribute){.inode = link->row.inode, .name = ""}, &old, why);
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

/* Moves reseal.inode to just before the next node that there is: numbers are handed out in blocks, far apart. */
static enum code skip_gap(struct tree *tree, struct failure *why)
{
    struct catalog_inode next;
    size_t count;
    enum code code = catalog_inode_walk(tree->catalog, tree->reseal.inode, &next, 1, &count, why);
    if (code == CODE_OK)
        tree->reseal.inode = count ? next.inode - 1 : tree->next_inode;
    return code;
}

enum code reseal_nodes_step(struct tree *tree, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    uint64_t inodes[STEP_NODES];
    size_t count;
    struct space *space;
    enum code code = space_find(tree, tree->reseal.space, &space, why);
    if (code == CODE_OK)
        code = skip_gap(tree, why);
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
