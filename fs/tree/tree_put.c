/* Whole files: see tree_put.h.
 *
 * A put holds the tree's lock from the check of the name to the last attribute, so nobody sees a part of it.  A new file's
 * name and contents belong to one operation: both are there or neither.  Replaced contents are written first and cut to
 * their new size afterwards; should memory end between the two, the file has been written in part, as by any other writer.
 *
 * Before and after that the same rules are asked and told as for a file that is created, written, flushed and released.
 */
#include "tree_put.h"

#include "catalog.h"
#include "timing.h"
#include "tree_commit.h"
#include "tree_contents.h"
#include "tree_entry.h"
#include "tree_file.h"
#include "tree_names.h"
#include "tree_operation.h"
#include "tree_range.h"
#include "tree_usage.h"
#include "tree_watch.h"
#include "viewer.h"

#define ATTEMPTS_MAX 4

/* Reading ---------------------------------------------------------------------------------------------------------- */

static struct node_attributes describe(struct tree *tree, struct node *node)
{
    struct node_attributes attributes = node_describe(node);
    attributes.blocks = range_blocks(tree, node);
    return attributes;
}

/* Bytes of one version of the file: where it changed while it was read, it is read again, a few times. */
static enum code read_version(struct tree *tree, struct node *node, uint64_t version, struct tree_part *part,
                              struct node_attributes *attributes, struct failure *why)
{
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        enum code code = contents_read(tree, node, part->offset, part->bytes, part->count, &part->got, why);
        if (code != CODE_OK)
            return code;
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
        *attributes = describe(tree, node);
        if (node->row.version == version)
            break;
        version = node->row.version;
    }
    return CODE_OK;
}

enum code tree_fetch(struct tree *tree, struct node_id id, struct tree_part *part, struct node_attributes *attributes,
                     struct failure *why)
{
    part->got = 0;
    if (tree_is_derived(id))
        return failure_set(why, CODE_INVALID, "this file is made by the lab: it has to be opened to be read");
    pthread_mutex_lock(&tree->lock);
    struct node *node;
    uint64_t version = 0;
    enum code code = node_get(tree, id.value, &node, why);
    if (code == CODE_OK && node->row.kind != CATALOG_INODE_FILE)
        code = failure_set(why, CODE_INVALID, "this is not an ordinary file");
    if (code == CODE_OK) {
        *attributes = describe(tree, node);
        version = node->row.version;
        node_hold(tree, node);
    }
    pthread_mutex_unlock(&tree->lock);
    if (code != CODE_OK)
        return code;
    if (part->count)
        code = read_version(tree, node, version, part, attributes, why);
    pthread_mutex_lock(&tree->lock);
    node->handles--;
    names_lost_user(tree, node);
    pthread_mutex_unlock(&tree->lock);
    return code;
}

/* Numbers ---------------------------------------------------------------------------------------------------------- */

enum code tree_reserve(struct tree *tree, uint32_t count, uint64_t *first, struct failure *why)
{
    if (count == 0 || count > TREE_RESERVE_MAX)
        return failure_set(why, CODE_INVALID, "between 1 and %d inode numbers can be set aside", TREE_RESERVE_MAX);
    pthread_mutex_lock(&tree->lock);
    enum code code = operation_begin(tree, why);
    if (code == CODE_OK) {
        *first = tree->next_inode;
        tree->next_inode += count; /* used up even if this fails */
        code = catalog_set_number(tree->catalog, CATALOG_NEXT_INODE, tree->next_inode, why);
        code = operation_end(tree, code, why);
    }
    pthread_mutex_unlock(&tree->lock);
    return code == CODE_OK ? commit_wait(tree, why) : code; /* a number that was given away is never given away again */
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

static void set_times(struct node *node, const struct tree_put *put)
{
    node->row.modify_ns = put->modify_ns;
    node->row.access_ns = put->access_ns;
}

/* A new file, all of it in one operation. */
static enum code make(struct tree *tree, struct node *folder, const struct tree_put *put, struct node **node,
                      struct failure *why)
{
    struct names_new what = names_translate(&put->what);
    what.inode = put->inode;
    enum code code = names_make(tree, folder, put->name, &what, node, why);
    if (code == CODE_OK)
        code = usage_admit(tree, *node, put->count, put->held, why);
    if (code == CODE_OK)
        code = contents_write(tree, *node, &(struct contents_write){.bytes = put->bytes, .count = put->count}, why);
    if (code == CODE_OK) {
        (*node)->row.version++;
        set_times(*node, put);
    }
    return code;
}

static enum code make_in_operation(struct tree *tree, const struct tree_put *put, struct node **node, struct failure *why)
{
    struct node *folder;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = names_folder(tree, put->folder, &folder, why);
    if (code == CODE_OK)
        code = make(tree, folder, put, node, why);
    code = operation_end(tree, code, why);
    if (code == CODE_OK)
        node_stamp(tree, *node, timing_wall_ns());
    return code;
}

/* Other contents for a file that is there; the node is held. */
static enum code replace(struct tree *tree, struct node *node, const struct tree_put *put, struct failure *why)
{
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    enum code code = file_check_writable(tree, node, why);
    if (code == CODE_OK && tree->rule_count && node_path(tree, node, &path, NULL) == CODE_OK &&
        watch_append_only(tree, path.data))
        code = failure_set(why, CODE_NOT_PERMITTED, "%s can only be appended to", path.data);
    if (code == CODE_OK)
        code = usage_admit(tree, node, put->count, put->held, why);
    if (code == CODE_OK)
        code = contents_write(tree, node, &(struct contents_write){.bytes = put->bytes, .count = put->count}, why);
    if (code == CODE_OK && node->row.size != put->count)
        code = file_resize(tree, node, put->count, why);
    if (code != CODE_OK)
        return code;
    if (put->flags & OPEN_DROPS_SET_ID)
        node_drop_set_id(node);
    file_note_change(tree, node, 0);
    set_times(node, put);
    if (node->writers == 0)
        node->changed = false; /* the rules are told by us, not by the release of a handle */
    return code;
}

/* Replaces what has the name.  One of this very number was made by an earlier attempt of the same put. */
static enum code put_onto(struct tree *tree, struct node *node, const struct tree_put *put, struct failure *why)
{
    if (put->exclusive && node->row.inode == put->inode)
        return CODE_OK;
    if (put->exclusive)
        return failure_set(why, CODE_EXISTS, "there is a \"%s\" already", put->name);
    if (put->made && node->row.inode != put->inode)
        return failure_set(why, CODE_NOT_FOUND, "somebody else has removed \"%s\", or put another in its place", put->name);
    node_hold(tree, node);
    enum code code = replace(tree, node, put, why);
    node_let_go(tree, node);
    return code;
}

/* Makes it or replaces what has the name, with what was set aside for it.  With the lock. */
static enum code put_with_held(struct tree *tree, const struct tree_put *put, struct node **node, struct failure *why)
{
    const struct viewer *viewer = viewer_current();
    int64_t owner = viewer ? viewer_owner(&viewer->id) : TREE_MOUNTER;
    struct node *folder;
    enum code code = names_folder(tree, put->folder, &folder, why);
    if (code == CODE_OK)
        code = entry_find(tree, folder, put->name, node, why);
    if (code == CODE_OK)
        code = put_onto(tree, *node, put, why);
    else if (code == CODE_NOT_FOUND && put->made)
        code = failure_set(why, CODE_NOT_FOUND, "somebody else has removed \"%s\"", put->name);
    else if (code == CODE_NOT_FOUND && !put->reserved)
        code = failure_set(why, CODE_INVALID, "this inode number was not set aside for you");
    else if (code == CODE_NOT_FOUND)
        code = make_in_operation(tree, put, node, why);
    if (code == CODE_OK)
        usage_let_go(tree, owner, put->held);
    return code;
}

static enum code put_stored(struct tree *tree, const struct tree_put *put, struct node_attributes *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node = NULL;
    enum code code = commit_make_room_for_name(tree, why);
    if (code == CODE_OK)
        code = operation_begin(tree, why); /* waits at the gate, so that nothing below has to */
    if (code == CODE_OK)
        code = operation_end(tree, CODE_OK, why);
    if (code == CODE_OK)
        code = put_with_held(tree, put, &node, why);
    if (code != CODE_OK)
        return code;
    *out = describe(tree, node);
    commit_hint(tree);
    return CODE_OK;
}

enum code tree_put(struct tree *tree, const struct tree_put *put, struct node_attributes *out, struct failure *why)
{
    *out = (struct node_attributes){.id = {0}};
    if (put->count > TREE_PUT_MAX)
        return failure_set(why, CODE_TOO_LARGE, "\"%s\" has more than %zu bytes: it has to be opened to be written",
                           put->name, TREE_PUT_MAX);
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    enum code code = names_check_underived(tree, put->folder, put->name, CODE_NOT_PERMITTED, why);
    bool followed = tree->rule_count && watch_path_in(tree, put->folder, put->name, &path) && watch_follows(tree, path.data);
    if (code == CODE_OK && followed)
        code = watch_admit(tree, path.data, NULL, why);
    if (code == CODE_OK)
        code = put_stored(tree, put, out, why);
    if (code != CODE_OK || !followed)
        return code;
    code = watch_check(tree, path.data, why);
    if (code == CODE_OK)
        code = commit_wait(tree, why); /* what was accepted survives a power cut */
    watch_settled(tree, path.data);
    watch_released(tree, path.data);
    return code;
}
