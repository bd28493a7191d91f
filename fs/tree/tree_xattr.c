/* Extended attributes of stored nodes.  Names are sealed deterministically, so that they can be found; values freshly. */
#include <string.h>

#include "catalog_attribute.h"
#include "timing.h"
#include "tree_node.h"
#include "tree_operation.h"
#include "tree_seal.h"
#include "tree_space.h"

#define NAMES_BYTES_MAX 65536 /* XATTR_LIST_MAX */
#define NAME_BYTES_MAX  255

static enum code check_name(const char *name, struct failure *why)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_BYTES_MAX)
        return failure_set(why, CODE_INVALID, "an attribute's name has 1 to %d bytes", NAME_BYTES_MAX);
    return CODE_OK;
}

/* The node and the sealed name of an attribute; with the lock. */
static enum code find(struct tree *tree, struct node_id id, const char *name, struct node **node,
                      struct buffer *sealed_name, struct failure *why)
{
    if (tree_is_derived(id))
        return failure_set(why, CODE_UNSUPPORTED, "a derived file has no extended attributes");
    enum code code = check_name(name, why);
    if (code == CODE_OK)
        code = node_get(tree, id.value, node, why);
    return code == CODE_OK ? seal_xattr_name(tree, *node, name, sealed_name, why) : code;
}

static enum code set(struct tree *tree, struct node *node, const struct buffer *sealed_name, const struct buffer *value,
                     int flags, struct failure *why)
{
    struct catalog_attribute row = {.inode = node->row.inode,
                                    .name = sealed_name->data,
                                    .name_count = sealed_name->length,
                                    .value = value->data,
                                    .value_count = value->length};
    SCOPE_BUFFER old = {0};
    enum code code = catalog_attribute_get(tree->catalog, &row, &old, why);
    if (code == CODE_OK && flags & XATTR_CREATE_FLAG)
        return failure_set(why, CODE_EXISTS, "the file has such an attribute already");
    if (code == CODE_NO_DATA && flags & XATTR_REPLACE_FLAG)
        return failure_set(why, CODE_NO_DATA, "the file has no such attribute");
    if (code != CODE_OK && code != CODE_NO_DATA)
        return code;
    node_change(tree, node);
    node->row.change_ns = timing_wall_ns();
    return catalog_attribute_put(tree->catalog, &row, why);
}

static enum code check_frozen(const struct node *node, struct failure *why)
{
    return node->row.flags & CATALOG_INODE_FROZEN ? failure_set(why, CODE_READ_ONLY, "a snapshot never changes")
                                                  : CODE_OK;
}

enum code tree_set_xattr(struct tree *tree, struct node_id id, const char *name, const void *value, size_t count,
                         int flags, struct failure *why)
{
    if (count > TREE_XATTR_BYTES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "an attribute of %zu bytes is too large (up to %d)", count,
                           TREE_XATTR_BYTES_MAX);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    SCOPE_BUFFER sealed_name = {0};
    SCOPE_BUFFER sealed = {0};
    struct node *node = NULL;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = find(tree, id, name, &node, &sealed_name, why);
    if (code == CODE_OK)
        code = check_frozen(node, why);
    if (code == CODE_OK)
        code = seal_xattr(tree, node, &sealed_name, value, count, &sealed, why);
    if (code == CODE_OK)
        code = set(tree, node, &sealed_name, &sealed, flags, why);
    code = operation_end(tree, code, why);
    if (code == CODE_OK)
        node_stamp(tree, node, timing_wall_ns());
    return code;
}

/* What only shows what the node is, and is no row: a snapshot's number.  It is not listed, so that no program copies it. */
static bool get_shown(const struct node *node, const char *name, struct buffer *value)
{
    if (strcmp(name, TREE_XATTR_SNAPSHOT_NUMBER) != 0 || !(node->row.flags & CATALOG_INODE_FROZEN) ||
        node->row.kind != CATALOG_INODE_FOLDER || !node->row.rdev)
        return false;
    buffer_printf(value, "%llu", (unsigned long long)node->row.rdev);
    return true;
}

enum code tree_get_xattr(struct tree *tree, struct node_id id, const char *name, struct buffer *value,
                         struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    SCOPE_BUFFER sealed_name = {0};
    SCOPE_BUFFER sealed = {0};
    struct node *node;
    if (tree_is_derived(id))
        return failure_set(why, CODE_NO_DATA, "a derived file has no extended attributes");
    enum code code = find(tree, id, name, &node, &sealed_name, why);
    if (code != CODE_OK)
        return code;
    if (get_shown(node, name, value))
        return buffer_check(value, name, why);
    struct catalog_attribute row = {
        .inode = node->row.inode, .name = sealed_name.data, .name_count = sealed_name.length};
    code = catalog_attribute_get(tree->catalog, &row, &sealed, why);
    if (code == CODE_NO_DATA)
        return failure_set(why, CODE_NO_DATA, "the file has no attribute \"%s\"", name);
    return code == CODE_OK ? seal_open_xattr(tree, node, &sealed_name, &sealed, value, why) : code;
}

struct listing {
    struct tree *tree;
    const struct node *node;
    struct buffer *names;
    enum code code;
    struct failure *why;
};

static bool add_name(void *context, const struct catalog_attribute *attribute)
{
    struct listing *listing = context;
    listing->code = seal_open_xattr_name(listing->tree, listing->node, attribute->name, attribute->name_count,
                                         listing->names, listing->why);
    buffer_append(listing->names, "", 1);
    return listing->code == CODE_OK && !listing->names->failed;
}

enum code tree_list_xattrs(struct tree *tree, struct node_id id, struct buffer *names, struct failure *why)
{
    if (tree_is_derived(id))
        return CODE_OK;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node;
    struct space *space;
    enum code code = node_get(tree, id.value, &node, why);
    if (code == CODE_OK)
        code = space_find(tree, node->row.space, &space, why); /* before the catalog's mutex is held by the listing */
    if (code != CODE_OK)
        return code;
    if (!names->max)
        names->max = NAMES_BYTES_MAX;
    struct listing listing = {tree, node, names, CODE_OK, why};
    code = catalog_attribute_list(tree->catalog, id.value, add_name, &listing, why);
    if (code == CODE_OK)
        code = listing.code;
    return code == CODE_OK ? buffer_check(names, "the list of attributes", why) : code;
}

enum code tree_remove_xattr(struct tree *tree, struct node_id id, const char *name, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    SCOPE_BUFFER sealed_name = {0};
    struct node *node = NULL;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = find(tree, id, name, &node, &sealed_name, why);
    if (code == CODE_OK)
        code = check_frozen(node, why);
    if (code == CODE_OK) {
        struct catalog_attribute row = {
            .inode = node->row.inode, .name = sealed_name.data, .name_count = sealed_name.length};
        node_change(tree, node);
        node->row.change_ns = timing_wall_ns();
        code = catalog_attribute_delete(tree->catalog, &row, why);
        if (code == CODE_NO_DATA)
            code = failure_set(why, CODE_NO_DATA, "the file has no attribute \"%s\"", name);
    }
    code = operation_end(tree, code, why);
    if (code == CODE_OK)
        node_stamp(tree, node, timing_wall_ns());
    return code;
}
