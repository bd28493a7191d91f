/* Lookup, and making and removing names.
 *
 * The order in each operation that makes a name: is it a derived file's; does a rule admit it (neither with the lock);
 * then, in one operation, the checks against the stored tree and the change; then, without the lock, the rules are told.
 */
#include "tree_names.h"

#include <string.h>
#include <sys/stat.h>

#include "catalog_attribute.h"
#include "timing.h"
#include "tree_alias.h"
#include "tree_commit.h"
#include "tree_authentic.h"
#include "tree_derived.h"
#include "tree_entry.h"
#include "tree_leftovers.h"
#include "tree_operation.h"
#include "tree_range.h"
#include "tree_seal.h"
#include "tree_share.h"
#include "tree_snapshot.h"
#include "tree_space.h"
#include "tree_usage.h"
#include "tree_watch.h"
#include "viewer.h"

enum code names_folder(struct tree *tree, struct node_id id, struct node **out, struct failure *why)
{
    if (tree_is_derived(id))
        return failure_set(why, CODE_NOT_DIRECTORY, "this is not a folder");
    enum code code = node_get(tree, id.value, out, why);
    if (code == CODE_OK && (*out)->row.kind != CATALOG_INODE_FOLDER)
        return failure_set(why, CODE_NOT_DIRECTORY, "this is not a folder");
    return code;
}

/* A space's folder that one has no key for shows that one may do nothing with it. */
static struct node_attributes describe(struct tree *tree, struct node *node)
{
    struct node_attributes attributes = node_describe(node);
    if (attributes.kind == NODE_FILE)
        attributes.blocks = range_blocks(tree, node);
    struct space *space;
    if (node->row.flags & CATALOG_INODE_SPACE_ROOT && space_find(tree, node->row.space, &space, NULL) == CODE_DENIED)
        attributes.mode = 0;
    return attributes;
}

static enum code lookup_stored(struct tree *tree, struct node_id folder, const char *name, struct node_attributes *out,
                               struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *parent = NULL, *node;
    enum code code = names_folder(tree, folder, &parent, why);
    if (code == CODE_OK)
        code = entry_find(tree, parent, name, &node, why);
    if (code == CODE_OK)
        *out = describe(tree, node);
    else if (code == CODE_NOT_FOUND && parent && parent->row.flags & CATALOG_INODE_SNAPSHOTS)
        code = alias_find(tree, parent, name, out, why);
    return code;
}

enum code tree_lookup(struct tree *tree, struct node_id folder, const char *name, struct node_attributes *out,
                      struct failure *why)
{
    enum code code = lookup_stored(tree, folder, name, out, why);
    if (code != CODE_NOT_FOUND)
        return code;
    struct derived *entry;
    code = derived_find(tree, folder, name, &entry, why);
    if (code == CODE_OK) {
        *out = derived_describe(tree, entry);
        derived_unpin(tree, entry);
    }
    return code;
}

enum code tree_attributes(struct tree *tree, struct node_id id, struct node_attributes *out, struct failure *why)
{
    if (alias_is(id))
        return alias_describe(tree, id, out, why);
    if (tree_is_derived(id)) {
        struct derived *entry;
        enum code code = derived_get(tree, id, &entry, why);
        if (code == CODE_OK) {
            *out = derived_describe(tree, entry);
            derived_unpin(tree, entry);
        }
        return code;
    }
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node;
    enum code code = node_get(tree, id.value, &node, why);
    if (code == CODE_OK)
        *out = describe(tree, node);
    return code;
}

enum code names_check_underived(struct tree *tree, struct node_id folder, const char *name, enum code taken,
                                struct failure *why)
{
    struct derived *entry;
    if (derived_find(tree, folder, name, &entry, NULL) != CODE_OK)
        return CODE_OK;
    derived_unpin(tree, entry);
    if (taken == CODE_EXISTS)
        return failure_set(why, CODE_EXISTS, "there is a \"%s\" already", name);
    return failure_set(why, CODE_NOT_PERMITTED,
                       "\"%s\" is made by the lab from other files: it can be read, not made, moved or removed", name);
}

/* The space that a new node in the folder belongs to; makes one where a dataset begins. */
static enum code choose_space(struct tree *tree, const struct node *folder, struct catalog_inode *row, struct failure *why)
{
    row->space = folder->row.space;
    if (folder->row.inode != INODE_DATASETS || row->kind != CATALOG_INODE_FOLDER)
        return CODE_OK;
    row->space = tree->next_space++; /* never reused, even if this fails */
    row->flags |= CATALOG_INODE_SPACE_ROOT;
    SCOPE_ROSTER everyone = {.everyone = true};
    enum code code = share_new_roster(tree, true, &everyone, why);
    return code == CODE_OK ? space_make(tree, row->space, &everyone, why) : code;
}

static enum code keep_target(struct tree *tree, struct node *link, const char *target, struct failure *why)
{
    size_t length = strlen(target);
    if (length == 0)
        return failure_set(why, CODE_NOT_FOUND, "a symbolic link needs a target");
    if (length > TREE_LINK_TARGET_MAX)
        return failure_set(why, CODE_NAME_TOO_LONG, "a symbolic link's target has %zu bytes (up to %d)", length,
                           TREE_LINK_TARGET_MAX);
    SCOPE_BUFFER sealed = {0};
    enum code code = seal_target(tree, link, target, &sealed, why);
    if (code != CODE_OK)
        return code;
    link->row.size = length;
    return authentic_put_attribute(
        tree, link,
        &(struct catalog_attribute){
            .inode = link->row.inode, .name = "", .value = sealed.data, .value_count = sealed.length},
        why);
}

/* Who owns what is made.  What a member on another machine makes is known as that member's; what programs make for a member,
 * in a run of his, too: it counts for his quota.  But links are whoever's made them, since they are followed on their
 * maker's behalf (tree_maker.h). */
static int64_t choose_owner(const struct node *folder, const struct names_new *what)
{
    const struct viewer *viewer = viewer_current();
    bool for_folder = what->for_folder || (viewer && viewer->role == ROLE_NODE);
    if (for_folder && folder->row.uid > UINT32_MAX &&
        (what->kind == CATALOG_INODE_FILE || what->kind == CATALOG_INODE_FOLDER))
        return folder->row.uid;
    return viewer ? viewer_owner(&viewer->id) : what->owned ? what->owner : TREE_MOUNTER;
}

/* What belongs to somebody takes the group of a folder with the set-group bit; folders take on the bit as well. */
static struct catalog_inode make_row(const struct node *folder, const struct names_new *what)
{
    struct catalog_inode row = {
        .inode = what->inode,
        .kind = what->kind,
        .mode = what->mode & 07777,
        .uid = choose_owner(folder, what),
        .gid = what->owned ? what->group : TREE_MOUNTER,
        .rdev = what->kind == CATALOG_INODE_CHARACTER || what->kind == CATALOG_INODE_BLOCK ? what->device : 0,
    };
    if (!(folder->row.mode & S_ISGID))
        return row;
    if (what->owned)
        row.gid = folder->row.gid;
    if (what->kind == CATALOG_INODE_FOLDER)
        row.mode |= S_ISGID;
    return row;
}

enum code names_make(struct tree *tree, struct node *folder, const char *name, const struct names_new *what,
                     struct node **out, struct failure *why)
{
    struct catalog_inode row = make_row(folder, what);
    struct node *node, *existing;
    enum code code = entry_check_folder(folder, what->server, why);
    if (code == CODE_OK)
        code = entry_find(tree, folder, name, &existing, why);
    if (code == CODE_OK)
        return failure_set(why, CODE_EXISTS, "there is a \"%s\" already", name);
    if (code == CODE_NOT_FOUND)
        code = choose_space(tree, folder, &row, why);
    if (code == CODE_OK)
        code = node_make(tree, &row, &node, why);
    if (code == CODE_OK && what->kind == CATALOG_INODE_LINK)
        code = keep_target(tree, node, what->target, why);
    if (code == CODE_OK)
        code = entry_insert(tree, folder, name, node, why);
    if (code == CODE_OK && row.flags & CATALOG_INODE_SPACE_ROOT)
        code = snapshot_prepare(tree, node, why);
    if (code == CODE_OK)
        *out = node;
    return code;
}

/* One operation that makes a node. */
static enum code make_node(struct tree *tree, struct node_id folder, const char *name, const struct names_new *what,
                           struct node_attributes *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *parent, *node = NULL;
    enum code code = commit_make_room_for_name(tree, why);
    if (code == CODE_OK)
        code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = names_folder(tree, folder, &parent, why);
    if (code == CODE_OK)
        code = names_make(tree, parent, name, what, &node, why);
    code = operation_end(tree, code, why);
    if (code != CODE_OK)
        return code;
    node_stamp(tree, node, timing_wall_ns());
    *out = node_describe(node);
    commit_hint(tree);
    return CODE_OK;
}

static enum code make_folder(struct tree *tree, struct node_id folder, const char *name, const struct names_new *what,
                             struct node_attributes *out, struct failure *why)
{
    if (snapshot_is_folder(tree, folder))
        return snapshot_make(tree, folder, name, out, why);
    enum code code = names_check_underived(tree, folder, name, CODE_EXISTS, why);
    return code == CODE_OK ? make_node(tree, folder, name, what, out, why) : code;
}

/* What rules say before a name is made; then *path is the name's path, "" where no rule follows it. */
static enum code ask_rules(struct tree *tree, struct node_id folder, const char *name, const char *target,
                           struct buffer *path, struct failure *why)
{
    enum code code = names_check_underived(tree, folder, name, CODE_EXISTS, why);
    if (code != CODE_OK || tree->rule_count == 0 || !watch_path_in(tree, folder, name, path))
        return code;
    if (!watch_follows(tree, path->data)) {
        buffer_clear(path);
        return CODE_OK;
    }
    return watch_admit(tree, path->data, target, why);
}

/* A link, a pipe, a socket, a device, or a file without contents. */
static enum code make_other(struct tree *tree, struct node_id folder, const char *name, const struct names_new *what,
                            struct node_attributes *out, struct failure *why)
{
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    struct node_attributes existing;
    if (lookup_stored(tree, folder, name, &existing, NULL) == CODE_OK)
        return failure_set(why, CODE_EXISTS, "there is a \"%s\" already", name);
    enum code code = ask_rules(tree, folder, name, what->target, &path, why);
    if (code == CODE_OK)
        code = make_node(tree, folder, name, what, out, why);
    if (code == CODE_OK && path.length)
        watch_settled(tree, path.data);
    return code;
}

struct names_new names_translate(const struct tree_new *what)
{
    static const enum catalog_inode_kind kinds[] = {
        [NODE_FILE] = CATALOG_INODE_FILE,   [NODE_FOLDER] = CATALOG_INODE_FOLDER, [NODE_LINK] = CATALOG_INODE_LINK,
        [NODE_FIFO] = CATALOG_INODE_FIFO,   [NODE_SOCKET] = CATALOG_INODE_SOCKET, [NODE_CHARACTER] = CATALOG_INODE_CHARACTER,
        [NODE_BLOCK] = CATALOG_INODE_BLOCK,
    };
    return (struct names_new){
        .kind = kinds[what->kind],
        .mode = what->kind == NODE_LINK ? 0777 : what->mode,
        .owned = true,
        .owner = what->owner,
        .group = what->group,
        .device = what->device,
        .target = what->kind == NODE_LINK ? what->target : NULL,
        .for_folder = what->for_folder,
    };
}

enum code tree_make(struct tree *tree, struct node_id folder, const char *name, const struct tree_new *what,
                    struct node_attributes *out, struct failure *why)
{
    struct names_new translated = names_translate(what);
    return what->kind == NODE_FOLDER ? make_folder(tree, folder, name, &translated, out, why)
                                     : make_other(tree, folder, name, &translated, out, why);
}

enum code tree_make_folder(struct tree *tree, struct node_id folder, const char *name, uint32_t mode,
                           struct node_attributes *out, struct failure *why)
{
    struct names_new what = {.kind = CATALOG_INODE_FOLDER, .mode = mode};
    return make_folder(tree, folder, name, &what, out, why);
}

enum code tree_make_link(struct tree *tree, struct node_id folder, const char *name, const char *target,
                         struct node_attributes *out, struct failure *why)
{
    struct names_new what = {.kind = CATALOG_INODE_LINK, .mode = 0777, .target = target};
    return make_other(tree, folder, name, &what, out, why);
}

enum code names_read_target(struct tree *tree, uint64_t inode, struct buffer *target, struct failure *why)
{
    struct node *node;
    enum code code = node_get(tree, inode, &node, why);
    if (code != CODE_OK)
        return code;
    if (node->row.kind != CATALOG_INODE_LINK)
        return failure_set(why, CODE_INVALID, "this is not a symbolic link");
    SCOPE_BUFFER sealed = {0};
    code = authentic_check(tree, node, why);
    if (code == CODE_OK)
        code = catalog_attribute_get(tree->catalog, &(struct catalog_attribute){.inode = inode, .name = ""}, &sealed, why);
    if (code == CODE_NO_DATA)
        return failure_set(why, CODE_CORRUPT, "the symbolic link has lost its target (run: cytofs fsck)");
    return code == CODE_OK ? seal_open_target(tree, node, &sealed, target, why) : code;
}

enum code tree_read_link(struct tree *tree, struct node_id id, struct buffer *target, struct failure *why)
{
    if (alias_is(id))
        return alias_target(tree, id, target, why);
    if (tree_is_derived(id))
        return failure_set(why, CODE_INVALID, "this is not a symbolic link");
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return names_read_target(tree, id.value, target, why);
}

static enum code add_name(struct tree *tree, struct node_id id, struct node_id folder, const char *name, struct node **node,
                          struct failure *why)
{
    struct node *parent, *existing;
    enum code code = names_folder(tree, folder, &parent, why);
    if (code == CODE_OK)
        code = entry_check_folder(parent, false, why);
    if (code == CODE_OK)
        code = node_get(tree, id.value, node, why);
    if (code != CODE_OK)
        return code;
    if ((*node)->row.kind == CATALOG_INODE_FOLDER)
        return failure_set(why, CODE_NOT_PERMITTED, "a folder has one name");
    if ((*node)->row.flags & CATALOG_INODE_FROZEN)
        return failure_set(why, CODE_READ_ONLY, "a snapshot never changes");
    if ((*node)->row.space != parent->row.space)
        return failure_set(why, CODE_CROSS_SPACE, "\"%s\" lies in another key space: copy it there", name);
    if ((*node)->row.links == 0)
        return failure_set(why, CODE_NOT_FOUND, "there is no such file any more");
    code = entry_find(tree, parent, name, &existing, why);
    if (code == CODE_OK)
        return failure_set(why, CODE_EXISTS, "there is a \"%s\" already", name);
    return code == CODE_NOT_FOUND ? entry_insert(tree, parent, name, *node, why) : code;
}

enum code tree_hard_link(struct tree *tree, struct node_id id, struct node_id folder, const char *name,
                         struct node_attributes *out, struct failure *why)
{
    if (tree_is_derived(id))
        return failure_set(why, CODE_NOT_PERMITTED, "a derived file has one name");
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    struct node_attributes existing;
    if (lookup_stored(tree, folder, name, &existing, NULL) == CODE_OK)
        return failure_set(why, CODE_EXISTS, "there is a \"%s\" already", name);
    enum code code = ask_rules(tree, folder, name, NULL, &path, why);
    if (code != CODE_OK)
        return code;
    pthread_mutex_lock(&tree->lock);
    struct node *node = NULL;
    code = commit_make_room_for_name(tree, why);
    if (code == CODE_OK)
        code = operation_begin(tree, why);
    if (code == CODE_OK)
        code = operation_end(tree, add_name(tree, id, folder, name, &node, why), why);
    if (code == CODE_OK) {
        node_stamp(tree, node, timing_wall_ns());
        *out = node_describe(node);
    }
    pthread_mutex_unlock(&tree->lock);
    if (code == CODE_OK && path.length)
        watch_settled(tree, path.data);
    return code;
}

enum code names_remove_file(struct tree *tree, struct node *folder, const char *name, struct failure *why)
{
    struct node *node;
    enum code code = entry_find(tree, folder, name, &node, why);
    if (code != CODE_OK)
        return code;
    if (node->row.kind == CATALOG_INODE_FOLDER)
        return failure_set(why, CODE_IS_DIRECTORY, "\"%s\" is a folder", name);
    return entry_delete(tree, folder, name, node, why);
}

/* A derived file cannot go while what it is made from is there; but `rm -r` of its folder must get past it, so removing it
 * is agreed to and does nothing.  Streams and switches are not part of what anybody removes. */
static enum code unlink_derived(struct tree *tree, struct node_id folder, const char *name, struct failure *why)
{
    struct derived *entry;
    if (derived_find(tree, folder, name, &entry, NULL) != CODE_OK)
        return failure_set(why, CODE_NOT_FOUND, "there is no \"%s\"", name);
    struct node_attributes attributes = derived_describe(tree, entry);
    const struct rule *rule = entry->rule;
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    enum code code = rule->kind == RULE_CONTROL && rule->remove ? derived_path(tree, entry, &path, why) : CODE_OK;
    derived_unpin(tree, entry);
    if (path.length && code == CODE_OK) {
        const struct tree_observer *caller = tree_observe_as(NULL); /* what a command does is the server's doing */
        code = rule->remove(rule->context, path.data, why);
        tree_observe_as(caller);
        return code;
    }
    if (code != CODE_OK)
        return code;
    if (attributes.stream || attributes.mode & 0222)
        return failure_set(why, CODE_NOT_PERMITTED, "\"%s\" is part of the lab and stays", name);
    return CODE_OK;
}

enum code tree_unlink(struct tree *tree, struct node_id folder, const char *name, struct failure *why)
{
    struct node_attributes attributes;
    enum code code = lookup_stored(tree, folder, name, &attributes, why);
    if (code == CODE_NOT_FOUND)
        return unlink_derived(tree, folder, name, why);
    if (code != CODE_OK)
        return code;
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    bool followed = tree->rule_count && watch_path_in(tree, folder, name, &path) && watch_follows(tree, path.data);
    pthread_mutex_lock(&tree->lock);
    struct node *parent = NULL;
    code = operation_begin(tree, why);
    if (code == CODE_OK) {
        code = names_folder(tree, folder, &parent, why);
        if (code == CODE_OK)
            code = entry_check_folder(parent, false, why);
        if (code == CODE_OK)
            code = names_remove_file(tree, parent, name, why);
        code = operation_end(tree, code, why);
    }
    if (code == CODE_OK)
        node_stamp(tree, parent, timing_wall_ns());
    pthread_mutex_unlock(&tree->lock);
    if (code == CODE_OK && followed)
        watch_removed(tree, path.data);
    return code;
}

static enum code remove_folder(struct tree *tree, struct node *parent, const char *name, struct failure *why)
{
    struct node *folder;
    enum code code = entry_check_folder(parent, true, why);
    if (code == CODE_OK)
        code = entry_find(tree, parent, name, &folder, why);
    if (code != CODE_OK)
        return code;
    if (folder->row.kind != CATALOG_INODE_FOLDER)
        return failure_set(why, CODE_NOT_DIRECTORY, "\"%s\" is not a folder", name);
    if (folder->row.flags & (CATALOG_INODE_FIXED | CATALOG_INODE_SNAPSHOTS))
        return failure_set(why, CODE_NOT_PERMITTED, "\"%s\" is part of the lab's frame and stays", name);
    return entry_delete_folder(tree, parent, name, folder, why);
}

static enum code remove_stored_folder(struct tree *tree, struct node_id folder, const char *name, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *parent = NULL;
    enum code code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = names_folder(tree, folder, &parent, why);
    if (code == CODE_OK)
        code = remove_folder(tree, parent, name, why);
    code = operation_end(tree, code, why);
    if (code == CODE_OK)
        node_stamp(tree, parent, timing_wall_ns());
    return code;
}

enum code tree_remove_folder(struct tree *tree, struct node_id folder, const char *name, struct failure *why)
{
    if (snapshot_is_folder(tree, folder))
        return snapshot_drop(tree, folder, name, why);
    enum code code = remove_stored_folder(tree, folder, name, why);
    if (code != CODE_NOT_EMPTY || leftovers_remove(tree, folder, name, NULL) != CODE_OK)
        return code;
    return remove_stored_folder(tree, folder, name, why); /* what was in the way, nobody could see */
}

void names_lost_user(struct tree *tree, struct node *node)
{
    if (node->row.links == 0)
        usage_settle(tree, node);
    if (node->row.links || node->lookups || node->handles || node->gone || tree->parting) {
        node_settle(tree, node);
        return;
    }
    node_hold(tree, node); /* it must outlive a wait at the gate */
    enum code code = operation_begin(tree, NULL);
    node_let_go(tree, node);
    if (code != CODE_OK)
        return;              /* collected when the tree is opened the next time */
    node_change(tree, node); /* so that the end of the operation settles it */
    (void)!operation_end(tree, entry_collect(tree, node, NULL), NULL);
}

void tree_remember(struct tree *tree, struct node_id id)
{
    if (tree_is_derived(id)) {
        derived_remember(tree, id);
        return;
    }
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node;
    if (node_get(tree, id.value, &node, NULL) == CODE_OK) {
        node->lookups++;
        node_settle(tree, node);
    }
}

void tree_forget(struct tree *tree, struct node_id id, uint64_t count)
{
    if (tree_is_derived(id)) {
        derived_forget(tree, id, count);
        return;
    }
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node = node_peek(tree, id.value);
    if (!node) {
        uint64_t lookups = remembered_take(&tree->remembered, id.value);
        if (lookups <= count)
            return;
        /* There was room for it a moment ago. */
        (void)!remembered_put(&tree->remembered, id.value, lookups - count);
        return;
    }
    node->lookups -= count < node->lookups ? count : node->lookups;
    names_lost_user(tree, node);
}
