/* Aliases: see tree_alias.h.  A snapshot's number is its topmost folder's rdev, which its row's proof covers; its moment is
 * that folder's change time, set when it was named and never again.  The number given out last is the rdev of .snap itself,
 * so no number comes twice, whatever was dropped.
 *
 * The id of an alias is that of the snapshot's folder with the two highest bits set: ids of derived files have the highest
 * alone. */
#include "tree_alias.h"

#include <stdlib.h>
#include <string.h>

#include "catalog_name.h"
#include "tree_authentic.h"
#include "tree_seal.h"
#include "when.h"

#define ALIAS_BITS        (TREE_DERIVED_BIT | TREE_DERIVED_BIT >> 1)
#define NUMBER_DIGITS_MAX 18

bool alias_is(struct node_id id)
{
    return (id.value & ALIAS_BITS) == ALIAS_BITS;
}

struct node_id alias_folder(struct node_id id)
{
    return (struct node_id){id.value & ~ALIAS_BITS};
}

/* What is looked for. */
struct wanted {
    uint64_t number; /* 0: by time */
    int64_t until_ns;
};

static bool parse(const char *name, struct wanted *out)
{
    size_t length = strlen(name);
    int64_t last_ms;
    *out = (struct wanted){0};
    if (length && length <= NUMBER_DIGITS_MAX && strspn(name, "0123456789") == length) {
        out->number = strtoull(name, NULL, 10);
        return out->number > 0;
    }
    if (!when_parse(name, &last_ms))
        return false;
    /* Beyond the year 2262 nanoseconds end. */
    out->until_ns = last_ms < INT64_MAX / 1000000 ? last_ms * 1000000 + 999999 : INT64_MAX;
    return true;
}

bool alias_is_reserved(const char *name)
{
    struct wanted wanted;
    return strspn(name, "0123456789") == strlen(name) || parse(name, &wanted);
}

/* The rows of all snapshots are looked at: there are few, and none is decrypted. */
struct search {
    struct buffer inodes;
};

static bool collect(void *context, const struct catalog_name *name, uint64_t inode)
{
    (void)name;
    struct search *search = context;
    buffer_append(&search->inodes, &inode, sizeof inode);
    return !search->inodes.failed;
}

static bool is_better(const struct wanted *wanted, const struct node *image, const struct node *best)
{
    if (wanted->number)
        return image->row.rdev == wanted->number;
    return image->row.change_ns <= wanted->until_ns &&
           (!best || image->row.change_ns > best->row.change_ns ||
            (image->row.change_ns == best->row.change_ns && image->row.rdev > best->row.rdev));
}

static enum code choose(struct tree *tree, struct node *snapshots, const struct wanted *wanted, struct node **best,
                        struct failure *why)
{
    struct search search = {0};
    *best = NULL;
    enum code code = authentic_check(tree, snapshots, why);
    if (code == CODE_OK)
        code = catalog_name_list(tree->catalog, snapshots->row.inode, collect, &search, why);
    if (code == CODE_OK)
        code = buffer_check(&search.inodes, "the list of snapshots", why);
    for (size_t at = 0; code == CODE_OK && at < search.inodes.length; at += sizeof(uint64_t)) {
        uint64_t inode;
        struct node *image;
        memcpy(&inode, search.inodes.data + at, sizeof inode);
        code = node_get(tree, inode, &image, why);
        if (code == CODE_OK && is_better(wanted, image, *best))
            *best = image;
    }
    buffer_free(&search.inodes);
    return code;
}

/* The snapshot's label; with the lock. */
struct naming {
    struct tree *tree;
    uint64_t parent;
    size_t count;
    uint8_t sealed[SEAL_NAME_BYTES_MAX];
};

static bool keep_name(void *context, const struct catalog_name *name, uint64_t inode)
{
    (void)inode;
    struct naming *naming = context;
    if (name->count > sizeof naming->sealed)
        return true;
    naming->parent = name->parent;
    naming->count = name->count;
    memcpy(naming->sealed, name->bytes, name->count);
    return false;
}

static enum code label_of(struct tree *tree, const struct node *image, char label[TREE_NAME_MAX + 1], struct failure *why)
{
    struct naming naming = {.tree = tree};
    struct node *snapshots;
    enum code code = catalog_name_of_inode(tree->catalog, image->row.inode, keep_name, &naming, why);
    if (code == CODE_OK && !naming.count)
        return failure_set(why, CODE_NOT_FOUND, "there is no such snapshot any more");
    if (code == CODE_OK)
        code = node_get(tree, naming.parent, &snapshots, why);
    return code == CODE_OK ? seal_open_name(tree, snapshots, naming.sealed, naming.count, label, why) : code;
}

static enum code describe(struct tree *tree, struct node *image, struct node_attributes *out, struct failure *why)
{
    char label[TREE_NAME_MAX + 1];
    enum code code = label_of(tree, image, label, why);
    if (code != CODE_OK)
        return code;
    *out = node_describe(image);
    out->id.value = image->row.inode | ALIAS_BITS;
    out->kind = NODE_LINK;
    out->mode = 0777;
    out->size = strlen(label);
    out->blocks = 0;
    out->links = 1;
    out->modify_ns = out->access_ns = image->row.change_ns;
    out->derived = true; /* what a date leads to may be another tomorrow */
    return CODE_OK;
}

enum code alias_find(struct tree *tree, struct node *snapshots, const char *name, struct node_attributes *out,
                     struct failure *why)
{
    struct wanted wanted;
    struct node *image = NULL;
    enum code code = parse(name, &wanted) ? choose(tree, snapshots, &wanted, &image, why) : CODE_OK;
    if (code == CODE_OK && !image)
        return failure_set(why, CODE_NOT_FOUND, "there is no \"%s\"", name);
    return code == CODE_OK ? describe(tree, image, out, why) : code;
}

static enum code image_of(struct tree *tree, struct node_id id, struct node **image, struct failure *why)
{
    enum code code = node_get(tree, id.value & ~ALIAS_BITS, image, why);
    if (code == CODE_OK && !((*image)->row.flags & CATALOG_INODE_FROZEN))
        return failure_set(why, CODE_NOT_FOUND, "there is no such snapshot any more");
    return code;
}

enum code alias_describe(struct tree *tree, struct node_id id, struct node_attributes *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *image;
    enum code code = image_of(tree, id, &image, why);
    return code == CODE_OK ? describe(tree, image, out, why) : code;
}

enum code alias_target(struct tree *tree, struct node_id id, struct buffer *target, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    char label[TREE_NAME_MAX + 1];
    struct node *image;
    enum code code = image_of(tree, id, &image, why);
    if (code == CODE_OK)
        code = label_of(tree, image, label, why);
    if (code == CODE_OK)
        buffer_append_text(target, label);
    return code == CODE_OK ? buffer_check(target, "a link", why) : code;
}
