/* Extended attributes of stored nodes.  Names are sealed deterministically, so that they can be found; values freshly.
 * Records (tree_record.h) are attributes whose names clients can neither ask for nor see.
 */
#include "tree_xattr.h"

#include <string.h>

#include "catalog_attribute.h"
#include "timing.h"
#include "tree_authentic.h"
#include "tree_node.h"
#include "tree_operation.h"
#include "tree_record.h"
#include "tree_seal.h"
#include "tree_space.h"

#define NAMES_BYTES_MAX 65536 /* XATTR_LIST_MAX */
#define NAME_BYTES_MAX  255

/* system.* would be access control lists, which nobody here obeys; security.capability would give a program powers that a
 * mount does not grant (nosuid).  Keeping either would be a promise. */
static enum code check_name(const char *name, struct failure *why)
{
    static const char *const spaces[] = {"user.", "trusted.", "security."};
    size_t length = strlen(name), space = 0;
    if (length > NAME_BYTES_MAX)
        return failure_set(why, CODE_INVALID, "an attribute's name has up to %d bytes", NAME_BYTES_MAX);
    while (space < sizeof spaces / sizeof *spaces && strncmp(name, spaces[space], strlen(spaces[space])) != 0)
        space++;
    if (space == sizeof spaces / sizeof *spaces || strcmp(name, "security.capability") == 0)
        return failure_set(why, CODE_UNSUPPORTED,
                           "there are no attributes \"%s\": names begin with user., trusted. or security., and there are "
                           "neither access control lists nor file capabilities",
                           name);
    if (length == strlen(spaces[space]))
        return failure_set(why, CODE_INVALID, "an attribute needs a name behind \"%s\"", spaces[space]);
    return CODE_OK;
}

/* The node, and the attribute's name as it is sealed: as the catalog has it, else as it would get it.  With the lock; *found
 * tells which. */
static enum code find_any(struct tree *tree, struct node_id id, const char *name, struct node **node,
                          struct buffer *sealed_name, bool *found, struct failure *why)
{
    struct seal_generations range;
    *found = false;
    enum code code = node_get(tree, id.value, node, why);
    if (code == CODE_OK)
        code = authentic_check(tree, *node, why);
    if (code == CODE_OK)
        code = seal_generations(tree, *node, &range, why);
    for (uint32_t generation = range.newest; code == CODE_OK && generation && generation >= range.oldest; generation--) {
        SCOPE_BUFFER ignored = {0};
        buffer_clear(sealed_name);
        code = seal_xattr_name(tree, *node, generation, name, sealed_name, why);
        if (code != CODE_OK)
            return code;
        struct catalog_attribute row = {
            .inode = (*node)->row.inode, .name = sealed_name->data, .name_count = sealed_name->length};
        code = catalog_attribute_get(tree->catalog, &row, &ignored, why);
        *found = code == CODE_OK;
        if (code != CODE_NO_DATA)
            return code;
        code = CODE_OK;
    }
    if (code != CODE_OK)
        return code;
    buffer_clear(sealed_name);
    return seal_xattr_name(tree, *node, SEAL_NEWEST, name, sealed_name, why);
}

/* The same for a name that comes from a client. */
static enum code find(struct tree *tree, struct node_id id, const char *name, struct node **node, struct buffer *sealed_name,
                      bool *found, struct failure *why)
{
    *found = false;
    if (tree_is_derived(id))
        return failure_set(why, CODE_UNSUPPORTED, "a derived file has no extended attributes");
    enum code code = check_name(name, why);
    return code == CODE_OK ? find_any(tree, id, name, node, sealed_name, found, why) : code;
}

/* Puts the value under the name's newest form; an older form goes. */
static enum code set(struct tree *tree, struct node *node, const char *name, const struct buffer *old_name,
                     const struct buffer *value, struct failure *why)
{
    SCOPE_BUFFER new_name = {0};
    SCOPE_BUFFER sealed = {0};
    struct catalog_attribute old = {.inode = node->row.inode, .name = old_name->data, .name_count = old_name->length};
    enum code code = seal_xattr_name(tree, node, SEAL_NEWEST, name, &new_name, why);
    if (code == CODE_OK)
        code = seal_xattr(tree, node, &new_name, buffer_text(value), value->length, &sealed, why);
    if (code != CODE_OK)
        return code;
    struct catalog_attribute row = {.inode = node->row.inode,
                                    .name = new_name.data,
                                    .name_count = new_name.length,
                                    .value = sealed.data,
                                    .value_count = sealed.length};
    node_change(tree, node);
    node->row.change_ns = timing_wall_ns();
    bool same = old.name_count == row.name_count && memcmp(old.name, row.name, row.name_count) == 0;
    if (!same)
        code = authentic_drop_attribute(tree, node, &old, why);
    return code == CODE_OK || code == CODE_NO_DATA ? authentic_put_attribute(tree, node, &row, why) : code;
}

static enum code check_frozen(const struct node *node, struct failure *why)
{
    return node->row.flags & CATALOG_INODE_FROZEN ? failure_set(why, CODE_READ_ONLY, "a snapshot never changes") : CODE_OK;
}

enum code tree_set_xattr(struct tree *tree, struct node_id id, const char *name, const void *value, size_t count, int flags,
                         struct failure *why)
{
    if (count > TREE_XATTR_BYTES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "an attribute of %zu bytes is too large (up to %d)", count,
                           TREE_XATTR_BYTES_MAX);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    SCOPE_BUFFER sealed_name = {0};
    SCOPE_BUFFER plain = {0};
    struct node *node = NULL;
    bool found;
    buffer_append(&plain, value, count);
    enum code code = buffer_check(&plain, "an attribute", why);
    if (code == CODE_OK)
        code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = find(tree, id, name, &node, &sealed_name, &found, why);
    if (code == CODE_OK)
        code = check_frozen(node, why);
    if (code == CODE_OK && found && flags & XATTR_CREATE_FLAG)
        code = failure_set(why, CODE_EXISTS, "the file has such an attribute already");
    if (code == CODE_OK && !found && flags & XATTR_REPLACE_FLAG)
        code = failure_set(why, CODE_NO_DATA, "the file has no such attribute");
    if (code == CODE_OK)
        code = set(tree, node, name, &sealed_name, &plain, why);
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

static enum code read_found(struct tree *tree, const struct node *node, const struct buffer *sealed_name, const char *name,
                            struct buffer *value, struct failure *why)
{
    SCOPE_BUFFER sealed = {0};
    struct catalog_attribute row = {.inode = node->row.inode, .name = sealed_name->data, .name_count = sealed_name->length};
    enum code code = catalog_attribute_get(tree->catalog, &row, &sealed, why);
    if (code == CODE_NO_DATA)
        return failure_set(why, CODE_NO_DATA, "the file has no attribute \"%s\"", name);
    return code == CODE_OK ? seal_open_xattr(tree, node, sealed_name, &sealed, value, why) : code;
}

enum code tree_get_xattr(struct tree *tree, struct node_id id, const char *name, struct buffer *value, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    SCOPE_BUFFER sealed_name = {0};
    struct node *node;
    bool found;
    if (tree_is_derived(id))
        return failure_set(why, CODE_NO_DATA, "a derived file has no extended attributes");
    enum code code = find(tree, id, name, &node, &sealed_name, &found, why);
    if (code != CODE_OK)
        return code;
    if (get_shown(node, name, value))
        return buffer_check(value, name, why);
    return read_found(tree, node, &sealed_name, name, value, why);
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
    size_t before = listing->names->length;
    listing->code = seal_open_xattr_name(listing->tree, listing->node, attribute->name, attribute->name_count,
                                         listing->names, listing->why);
    if (strncmp(buffer_text(listing->names) + before, RECORD_PREFIX, strlen(RECORD_PREFIX)) == 0 &&
        !listing->names->failed) {
        listing->names->length = before; /* the lab's own */
        return listing->code == CODE_OK;
    }
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
        code = authentic_check(tree, node, why);
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
    bool found;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = find(tree, id, name, &node, &sealed_name, &found, why);
    if (code == CODE_OK)
        code = check_frozen(node, why);
    if (code == CODE_OK) {
        struct catalog_attribute row = {
            .inode = node->row.inode, .name = sealed_name.data, .name_count = sealed_name.length};
        node_change(tree, node);
        node->row.change_ns = timing_wall_ns();
        code = authentic_drop_attribute(tree, node, &row, why);
        if (code == CODE_NO_DATA)
            code = failure_set(why, CODE_NO_DATA, "the file has no attribute \"%s\"", name);
    }
    code = operation_end(tree, code, why);
    if (code == CODE_OK)
        node_stamp(tree, node, timing_wall_ns());
    return code;
}

enum code xattr_read(struct tree *tree, struct node_id id, const char *name, struct buffer *out, struct failure *why)
{
    SCOPE_BUFFER sealed_name = {0};
    struct node *node;
    bool found;
    enum code code = find_any(tree, id, name, &node, &sealed_name, &found, why);
    return code == CODE_OK ? read_found(tree, node, &sealed_name, name, out, why) : code;
}

enum code xattr_write(struct tree *tree, struct node_id id, const char *name, const struct buffer *value,
                      struct failure *why)
{
    SCOPE_BUFFER sealed_name = {0};
    struct node *node;
    bool found;
    enum code code = find_any(tree, id, name, &node, &sealed_name, &found, why);
    return code == CODE_OK ? set(tree, node, name, &sealed_name, value, why) : code;
}
