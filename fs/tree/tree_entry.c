/* Names in folders: see tree_entry.h. */
#include "tree_entry.h"

#include <string.h>

#include "catalog_name.h"
#include "timing.h"
#include "tree_authentic.h"
#include "tree_piece.h"
#include "tree_seal.h"
#include "tree_space.h"
#include "tree_tell.h"

/* A name as the catalog has it. */
struct found {
    uint8_t sealed[SEAL_NAME_BYTES_MAX];
    struct catalog_name row;
    uint64_t inode;
};

/* Looks for the name as each key that the folder's entries may be sealed with would have sealed it. */
static enum code find_row(struct tree *tree, struct node *folder, const char *name, struct found *found, struct failure *why)
{
    struct seal_generations range;
    enum code code = seal_generations(tree, folder, &range, why);
    if (code == CODE_OK)
        code = authentic_check(tree, folder, why);
    if (code != CODE_OK)
        return code;
    code = CODE_NOT_FOUND;
    for (uint32_t generation = range.newest; code == CODE_NOT_FOUND && generation && generation >= range.oldest;
         generation--) {
        found->row = (struct catalog_name){.parent = folder->row.inode, .bytes = found->sealed};
        code = seal_name(tree, folder, generation, name, found->sealed, &found->row.count, why);
        if (code == CODE_OK)
            code = catalog_name_find(tree->catalog, &found->row, &found->inode, why);
    }
    return code == CODE_NOT_FOUND ? failure_set(why, CODE_NOT_FOUND, "there is no \"%s\"", name) : code;
}

enum code entry_find(struct tree *tree, struct node *folder, const char *name, struct node **out, struct failure *why)
{
    struct found found;
    enum code code = find_row(tree, folder, name, &found, why);
    if (code != CODE_OK)
        return code;
    code = node_get(tree, found.inode, out, why);
    if (code == CODE_NOT_FOUND)
        return failure_set(why, CODE_CORRUPT, "\"%s\" leads nowhere (run: cytofs fsck)", name);
    if (code == CODE_OK && (*out)->row.links == 1)
        (*out)->parent = folder->row.inode;
    return code;
}

enum code entry_insert(struct tree *tree, struct node *folder, const char *name, struct node *node, struct failure *why)
{
    if (node->row.links >= TREE_LINKS_MAX)
        return failure_set(why, CODE_LINK_LIMIT, "the file has %u names already", node->row.links);
    uint8_t sealed[SEAL_NAME_BYTES_MAX];
    struct catalog_name row = {.parent = folder->row.inode, .bytes = sealed};
    enum code code = seal_name(tree, folder, SEAL_NEWEST, name, sealed, &row.count, why);
    if (code == CODE_OK)
        code = authentic_put_name(tree, folder, &row, node->row.inode, why);
    if (code == CODE_EXISTS)
        return failure_set(why, CODE_EXISTS, "there is a \"%s\" already", name);
    if (code != CODE_OK)
        return code;
    int64_t now_ns = timing_wall_ns();
    node_change(tree, node);
    node->row.links++;
    node->row.change_ns = now_ns;
    node->parent = node->row.links == 1 ? folder->row.inode : 0;
    node_forget_path(node);
    entry_touch(tree, folder, now_ns);
    tell_name(tree, folder, name);
    return CODE_OK;
}

enum code entry_delete_name(struct tree *tree, struct node *folder, const char *name, struct failure *why)
{
    struct found found;
    enum code code = find_row(tree, folder, name, &found, why);
    return code == CODE_OK ? authentic_drop_name(tree, folder, &found.row, why) : code;
}

enum code entry_collect(struct tree *tree, struct node *node, struct failure *why)
{
    struct space *space;
    if (node->row.links || node->lookups || node->handles || node->gone)
        return CODE_OK;
    if (space_find(tree, node->row.space, &space, NULL) == CODE_DENIED)
        return CODE_OK; /* tree_orphans.h */
    enum code code = catalog_inode_delete(tree->catalog, node->row.inode, why);
    if (code != CODE_OK)
        return code;
    node_change(tree, node);
    node->gone = true;
    return CODE_OK;
}

enum code entry_delete(struct tree *tree, struct node *folder, const char *name, struct node *node, struct failure *why)
{
    if (node->row.links == 0)
        return failure_set(why, CODE_CORRUPT, "\"%s\" is one name more than the file has (run: cytofs fsck)", name);
    enum code code = entry_delete_name(tree, folder, name, why);
    if (code != CODE_OK)
        return code;
    int64_t now_ns = timing_wall_ns();
    node_change(tree, node);
    node->row.links--;
    node->row.change_ns = now_ns;
    node->parent = 0;
    node_forget_path(node);
    entry_touch(tree, folder, now_ns);
    tell_removed(tree, folder, name, node);
    if (node->row.links)
        tell_attributes(tree, node);
    return entry_collect(tree, node, why);
}

enum code entry_move(struct tree *tree, struct node *from, const char *from_name, struct node *to, const char *to_name,
                     struct node *node, struct failure *why)
{
    enum code code = entry_delete_name(tree, from, from_name, why);
    uint8_t sealed[SEAL_NAME_BYTES_MAX];
    struct catalog_name row = {.parent = to->row.inode, .bytes = sealed};
    if (code == CODE_OK)
        code = seal_name(tree, to, SEAL_NEWEST, to_name, sealed, &row.count, why);
    if (code == CODE_OK)
        code = authentic_put_name(tree, to, &row, node->row.inode, why);
    if (code != CODE_OK)
        return code;
    int64_t now_ns = timing_wall_ns();
    node_change(tree, node);
    node->row.change_ns = now_ns;
    node->parent = node->row.links == 1 ? to->row.inode : 0;
    node_forget_path(node);
    entry_touch(tree, from, now_ns);
    entry_touch(tree, to, now_ns);
    tell_removed(tree, from, from_name, node);
    tell_name(tree, to, to_name);
    return CODE_OK;
}

bool entry_is_dataset(const struct node *folder)
{
    return (folder->row.flags & CATALOG_INODE_SPACE_ROOT) && folder->row.space >= SPACE_FIRST_FREE &&
           !(folder->row.flags & CATALOG_INODE_FROZEN);
}

bool entry_is_hidden(const struct node *folder, const char *name)
{
    if (strncmp(name, TREE_STAGING_PREFIX, sizeof TREE_STAGING_PREFIX - 1) == 0)
        return true;
    return entry_is_dataset(folder) && strcmp(name, TREE_SNAPSHOT_FOLDER) == 0;
}

enum code entry_check_empty(struct tree *tree, struct node *folder, struct failure *why)
{
    uint64_t count, own = 0;
    enum code code = authentic_check(tree, folder, why);
    if (code == CODE_OK)
        code = catalog_name_count(tree->catalog, folder->row.inode, 2, &count, why);
    if (code == CODE_OK && entry_is_dataset(folder) && count == 1) {
        struct node *snapshots;
        code = entry_find(tree, folder, TREE_SNAPSHOT_FOLDER, &snapshots, why);
        if (code == CODE_OK)
            code = authentic_check(tree, snapshots, why);
        if (code == CODE_OK)
            code = catalog_name_count(tree->catalog, snapshots->row.inode, 1, &own, why);
        if (code == CODE_OK && own)
            return failure_set(why, CODE_NOT_EMPTY,
                               "the dataset has snapshots: remove them first (ls and rmdir in its .snap folder)");
        return code == CODE_NOT_FOUND ? CODE_OK : code;
    }
    if (code == CODE_OK && count > 0)
        return failure_set(why, CODE_NOT_EMPTY, "the folder is not empty");
    return code;
}

enum code entry_delete_folder(struct tree *tree, struct node *parent, const char *name, struct node *folder,
                              struct failure *why)
{
    enum code code = entry_check_empty(tree, folder, why);
    struct node *snapshots;
    if (code == CODE_OK && entry_is_dataset(folder)) {
        code = entry_find(tree, folder, TREE_SNAPSHOT_FOLDER, &snapshots, why);
        if (code == CODE_OK)
            code = entry_delete(tree, folder, TREE_SNAPSHOT_FOLDER, snapshots, why);
        if (code == CODE_NOT_FOUND)
            code = CODE_OK;
        if (code == CODE_OK)
            code = space_delete(tree, folder->row.space, why);
    }
    return code == CODE_OK ? entry_delete(tree, parent, name, folder, why) : code;
}

enum code entry_check_folder(const struct node *folder, bool server, struct failure *why)
{
    if (folder->row.kind != CATALOG_INODE_FOLDER)
        return failure_set(why, CODE_NOT_DIRECTORY, "this is not a folder");
    if (folder->row.flags & CATALOG_INODE_FROZEN)
        return failure_set(why, CODE_READ_ONLY, "a snapshot never changes");
    if (folder->row.flags & CATALOG_INODE_SNAPSHOTS)
        return failure_set(why, CODE_NOT_PERMITTED,
                           ".snap holds snapshots only: mkdir makes one of the dataset, rmdir drops one");
    bool made_by_lab = folder->row.inode == INODE_HOME || folder->row.inode == INODE_LAB_MEMBERS ||
                       folder->row.inode == INODE_LAB_SPACES || folder->row.inode == INODE_LAB_QUOTAS;
    if (made_by_lab && !server)
        return failure_set(why, CODE_NOT_PERMITTED,
                           "what lies here is made by the lab: home/ has a folder a member, lab/members, "
                           "lab/quotas and lab/spaces a file each");
    if (folder->row.inode == INODE_ROOT && !server)
        return failure_set(why, CODE_NOT_PERMITTED,
                           "nothing can be made or removed beside the lab's own folders: use datasets, jobs, "
                           "experiments or models");
    return CODE_OK;
}

void entry_touch(struct tree *tree, struct node *folder, int64_t now_ns)
{
    node_change(tree, folder);
    folder->row.modify_ns = folder->row.change_ns = now_ns;
}
