/* The frame: see tree_frame.h.  Its folders have fixed numbers, so that nobody needs to look for them. */
#include "tree_frame.h"

#include <string.h>

#include "catalog_space.h"
#include "member_key.h"
#include "timing.h"
#include "tree_entry.h"
#include "tree_members.h"
#include "tree_node.h"
#include "tree_operation.h"
#include "tree_share.h"
#include "tree_snapshot.h"
#include "tree_space.h"

struct frame_folder {
    uint64_t inode, parent;
    const char *name;
    uint64_t space;
};

static const struct frame_folder frame[] = {
    {INODE_ROOT, 0, "", SPACE_LAB},
    {INODE_DATASETS, INODE_ROOT, "datasets", SPACE_LAB},
    {INODE_JOBS, INODE_ROOT, "jobs", SPACE_LAB},
    {INODE_EXPERIMENTS, INODE_ROOT, "experiments", SPACE_LAB},
    {INODE_MODELS, INODE_ROOT, "models", SPACE_REGISTRY},
    {INODE_LAB, INODE_ROOT, "lab", SPACE_LAB},
    {INODE_LAB_NODES, INODE_LAB, "nodes", SPACE_LAB},
    {INODE_HOME, INODE_ROOT, "home", SPACE_LAB},
    {INODE_LAB_MEMBERS, INODE_LAB, "members", SPACE_LAB},
    {INODE_LAB_SPACES, INODE_LAB, "spaces", SPACE_LAB},
    {INODE_LAB_QUOTAS, INODE_LAB, "quotas", SPACE_LAB},
};

bool frame_place(uint64_t inode, uint64_t *parent, const char **name)
{
    for (size_t i = 0; i < sizeof frame / sizeof *frame; i++)
        if (frame[i].inode == inode && frame[i].parent) {
            *parent = frame[i].parent;
            *name = frame[i].name;
            return true;
        }
    return false;
}

/* A folder of the frame, with a number of its own choosing. */
static enum code make_folder(struct tree *tree, const struct frame_folder *what, struct failure *why)
{
    struct catalog_inode row = {.kind = CATALOG_INODE_FOLDER,
                                .flags = CATALOG_INODE_FIXED,
                                .space = what->space,
                                .mode = 0755,
                                .uid = TREE_MOUNTER,
                                .gid = TREE_MOUNTER};
    struct node *node, *parent;
    uint64_t next_inode = tree->next_inode;
    tree->next_inode = what->inode;
    enum code code = node_make(tree, &row, &node, why);
    tree->next_inode = next_inode;
    if (code == CODE_OK && !what->parent) {
        node->row.links = 1; /* the root has no name, and is not an orphan */
        return CODE_OK;
    }
    if (code == CODE_OK)
        code = node_get(tree, what->parent, &parent, why);
    return code == CODE_OK ? entry_insert(tree, parent, what->name, node, why) : code;
}

enum code frame_make_home(struct tree *tree, const char *name, const struct roster *readers, struct failure *why)
{
    struct catalog_inode row = {.kind = CATALOG_INODE_FOLDER,
                                .flags = CATALOG_INODE_FIXED | CATALOG_INODE_SPACE_ROOT,
                                .space = tree->next_space++,
                                .mode = 0700,
                                .uid = TREE_MOUNTER,
                                .gid = TREE_MOUNTER};
    struct node *node, *parent;
    enum code code = space_make(tree, row.space, readers, why);
    if (code == CODE_OK)
        code = node_get(tree, INODE_HOME, &parent, why);
    if (code == CODE_OK)
        code = node_make(tree, &row, &node, why);
    if (code == CODE_OK)
        code = entry_insert(tree, parent, name, node, why);
    return code == CODE_OK ? snapshot_prepare(tree, node, why) : code;
}

static enum code add_member(struct tree *tree, const struct member_public *public, const char *name, uint32_t flags,
                            struct roster *roster, uint64_t *number, struct failure *why)
{
    struct catalog_member row = {.flags = flags};
    struct reader reader = {.public = *public, .flags = flags};
    memcpy(row.id, public->id.bytes, sizeof row.id);
    memcpy(row.public_key, public->key, sizeof row.public_key);
    enum code code = member_card_check_name(name, why);
    if (code != CODE_OK)
        return code;
    strcpy(row.name, name);
    strcpy(reader.name, name);
    code = catalog_space_add_member(tree->catalog, &row, why);
    *number = row.member;
    return code == CODE_OK ? roster_add(roster, &reader, why) : code;
}

enum code frame_make(struct tree *tree, const struct tree_open_options *options, struct failure *why)
{
    SCOPE_ROSTER everyone = {.everyone = true};
    SCOPE_ROSTER first = {.everyone = false};
    uint64_t recovery;
    const char *name = options->member_name && *options->member_name ? options->member_name : "me";
    enum code code = add_member(tree, member_key_public(tree->member), name, 0, &everyone, &tree->member_number, why);
    if (code == CODE_OK && options->recovery)
        code =
            add_member(tree, options->recovery, MEMBERS_RECOVERY_NAME, CATALOG_MEMBER_RECOVERY, &everyone, &recovery, why);
    if (code == CODE_OK)
        code = space_make(tree, SPACE_LAB, &everyone, why);
    if (code == CODE_OK)
        code = space_make(tree, SPACE_REGISTRY, &everyone, why);
    for (size_t i = 0; code == CODE_OK && i < sizeof frame / sizeof *frame; i++)
        code = make_folder(tree, &frame[i], why);
    if (code == CODE_OK)
        code = roster_copy(&everyone, &first, why);
    first.everyone = false;
    if (code == CODE_OK)
        code = frame_make_home(tree, name, &first, why);
    tree->last_stamp = 1; /* which node_make gave to the whole frame */
    if (code == CODE_OK)
        code = catalog_set_number(tree->catalog, CATALOG_CREATED_MS, (uint64_t)timing_wall_ms(), why);
    return code;
}

/* Completing ------------------------------------------------------------------------------------------------------- */

static enum code complete_folders(struct tree *tree, struct failure *why)
{
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < sizeof frame / sizeof *frame; i++) {
        struct node *node;
        if (node_get(tree, frame[i].inode, &node, why) != CODE_NOT_FOUND)
            continue;
        code = operation_begin(tree, why);
        if (code == CODE_OK)
            code = operation_end(tree, make_folder(tree, &frame[i], why), why);
    }
    return code;
}

static enum code complete_lists(struct tree *tree, struct failure *why)
{
    struct space *lab;
    enum code code = space_find(tree, SPACE_LAB, &lab, why);
    if (code != CODE_OK || lab->listed)
        return code;
    code = operation_begin(tree, why);
    if (code == CODE_OK)
        code = operation_end(tree, share_list_all(tree, why), why);
    share_changed(tree);
    return code;
}

static enum code complete_home(struct tree *tree, struct failure *why)
{
    SCOPE_ROSTER readers = {.everyone = false};
    struct node *home, *own;
    struct reader self;
    enum code code = share_self(tree, &self, why);
    if (code != CODE_OK || self.flags & CATALOG_MEMBER_RECOVERY || member_card_check_name(self.name, NULL) != CODE_OK)
        return code;
    code = node_get(tree, INODE_HOME, &home, why);
    if (code == CODE_OK)
        code = entry_find(tree, home, self.name, &own, why);
    if (code != CODE_NOT_FOUND)
        return code;
    code = roster_add(&readers, &self, why);
    if (code == CODE_OK)
        code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = operation_end(tree, frame_make_home(tree, self.name, &readers, why), why);
    if (code == CODE_OK && node_get(tree, INODE_HOME, &home, NULL) == CODE_OK)
        node_stamp(tree, home, timing_wall_ns());
    return code;
}

enum code frame_complete(struct tree *tree, struct failure *why)
{
    enum code code = complete_lists(tree, why);
    if (code == CODE_OK)
        code = complete_folders(tree, why);
    return code == CODE_OK ? complete_home(tree, why) : code;
}
