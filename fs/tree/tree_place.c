/* Where a node lies: see tree_place.h.
 *
 * A walk from the node to the root, which costs memory accesses only while the folders above are in memory, as they are in
 * use.  Of the way only its last steps matter: the area's folder, and the one or two below it that make the thing which
 * somebody owns. */
#include "tree_place.h"

#include <stdio.h>
#include <string.h>

#include "member_key.h"
#include "tree_alias.h"
#include "tree_derived.h"
#include "tree_entry.h"
#include "tree_space.h"
#include "viewer.h"

#define TOP_STEPS 4 /* root's child, and three below */

/* The way from the root: way[0] is the root's child. */
struct way {
    uint64_t top[TOP_STEPS];
    unsigned length; /* steps in all */
};

static enum code find_way(struct tree *tree, struct node *node, struct way *out, struct failure *why)
{
    uint64_t last[TOP_STEPS]; /* the newest steps, as a ring */
    *out = (struct way){.length = 0};
    while (node->row.inode != INODE_ROOT) {
        uint64_t parent;
        last[out->length++ % TOP_STEPS] = node->row.inode;
        enum code code = node_parent(tree, node, &parent, why);
        if (code == CODE_OK)
            code = node_get(tree, parent, &node, why);
        if (code != CODE_OK)
            return code;
        if (out->length > TREE_FOLDERS_DEEP_MAX)
            return failure_set(why, CODE_CORRUPT, "the catalog: folders hold each other");
    }
    for (unsigned i = 0; i < TOP_STEPS && i < out->length; i++)
        out->top[i] = last[(out->length - 1 - i) % TOP_STEPS];
    return CODE_OK;
}

static const struct {
    uint64_t inode;
    enum place_area area;
    unsigned owned_depth; /* at which depth the things lie that somebody owns; 0: none */
} areas[] = {
    {INODE_DATASETS, PLACE_DATASETS, 1},       {INODE_HOME, PLACE_HOME, 1},     {INODE_JOBS, PLACE_JOBS, 1},
    {INODE_EXPERIMENTS, PLACE_EXPERIMENTS, 2}, {INODE_MODELS, PLACE_MODELS, 2}, {INODE_LAB, PLACE_LAB, 0},
};

static const struct {
    uint64_t inode;
    enum place_area area;
} lab_areas[] = {
    {INODE_LAB_MEMBERS, PLACE_LAB_MEMBERS},
    {INODE_LAB_SPACES, PLACE_LAB_SPACES},
    {INODE_LAB_NODES, PLACE_LAB_NODES},
    {INODE_LAB_QUOTAS, PLACE_LAB_QUOTAS},
};

/* Fills in area and depth; returns at which depth things are owned. */
static unsigned find_area(const struct way *way, struct tree_place *place)
{
    place->area = way->length == 0 ? PLACE_ROOT : PLACE_ELSEWHERE;
    place->depth = way->length ? way->length - 1 : 0;
    for (size_t i = 0; way->length && i < sizeof areas / sizeof *areas; i++) {
        if (way->top[0] != areas[i].inode)
            continue;
        place->area = areas[i].area;
        for (size_t j = 0; place->area == PLACE_LAB && way->length > 1 && j < sizeof lab_areas / sizeof *lab_areas; j++)
            if (way->top[1] == lab_areas[j].inode) {
                place->area = lab_areas[j].area;
                place->depth--;
            }
        return areas[i].owned_depth;
    }
    return 0;
}

static bool may_read(struct tree *tree, uint64_t number, const struct viewer *viewer)
{
    struct space *space;
    if (space_find(tree, number, &space, NULL) != CODE_OK)
        return false;
    const struct reader *reader = roster_find(&space->roster, &viewer->id);
    return reader && !reader->former;
}

bool tree_place_made_by(const struct tree *tree, const struct node *node, const struct viewer *viewer)
{
    const struct member_id *opener = &member_key_public(tree->member)->id;
    if (node->row.uid == viewer_owner(&viewer->id))
        return true;
    return node->row.uid == TREE_MOUNTER && memcmp(opener->bytes, viewer->id.bytes, IDENTITY_BYTES) == 0;
}

/* Whether the thing at owned_depth on the way is the viewer's. */
static bool is_own(struct tree *tree, const struct way *way, unsigned owned_depth, const struct viewer *viewer)
{
    struct node *thing;
    if (owned_depth == 0 || way->length <= owned_depth)
        return false;
    return node_get(tree, way->top[owned_depth], &thing, NULL) == CODE_OK && tree_place_made_by(tree, thing, viewer);
}

/* With the lock. */
static enum code place_stored(struct tree *tree, struct node *folder, const char *name, const struct viewer *viewer,
                              struct tree_place *out, struct failure *why)
{
    struct node *node = folder, *child;
    struct way way;
    enum code code = CODE_OK;
    out->exists = true;
    if (name) {
        code = entry_find(tree, folder, name, &child, why);
        out->exists = code == CODE_OK;
        if (code == CODE_OK)
            node = child;
        else if (code != CODE_NOT_FOUND)
            return code;
        snprintf(out->name, sizeof out->name, "%s", name);
    }
    code = find_way(tree, folder, &way, why);
    if (code != CODE_OK)
        return code;
    if (name) {
        if (way.length < TOP_STEPS)
            way.top[way.length] = out->exists ? node->row.inode : 0;
        way.length++;
    }
    unsigned owned_depth = find_area(&way, out);
    out->kind = out->exists ? node_describe(node).kind : NODE_FILE;
    out->made = out->exists && tree_place_made_by(tree, node, viewer);
    out->readable = may_read(tree, node->row.space, viewer);
    if (out->area == PLACE_HOME)
        out->own = out->readable && (out->depth > 1 || (out->depth == 1 && out->exists));
    else if (way.length > owned_depth + 1 || out->exists)
        out->own = is_own(tree, &way, owned_depth, viewer);
    return CODE_OK;
}

/* Removed, and still open somewhere: it has no place any more, but a space, and whoever made it.  Like a file of a dataset.
 */
static void place_nameless(struct tree *tree, const struct node *node, const struct viewer *viewer, struct tree_place *out)
{
    *out = (struct tree_place){
        .area = PLACE_DATASETS,
        .depth = 2,
        .exists = true,
        .kind = node_describe(node).kind,
        .made = tree_place_made_by(tree, node, viewer),
        .readable = may_read(tree, node->row.space, viewer),
    };
    out->own = out->readable && out->made;
}

/* A derived file is part of the folder that it lies in. */
static enum code place_derived(struct tree *tree, struct node_id id, const struct viewer *viewer, struct tree_place *out,
                               struct failure *why)
{
    uint64_t folder;
    struct node *node;
    enum code code = derived_folder(tree, id, &folder, out->name, why);
    if (code != CODE_OK)
        return code;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    code = node_get(tree, folder, &node, why);
    if (code == CODE_OK)
        code = place_stored(tree, node, NULL, viewer, out, why);
    if (code != CODE_OK)
        return code;
    out->depth++;
    out->derived = true;
    out->kind = NODE_FILE;
    return CODE_OK;
}

enum code tree_place(struct tree *tree, struct node_id id, const char *name, const struct viewer *viewer,
                     struct tree_place *out, struct failure *why)
{
    struct node *node;
    *out = (struct tree_place){.area = PLACE_ELSEWHERE};
    if (alias_is(id))
        id = alias_folder(id); /* what it leads to */
    if (tree_is_derived(id))
        return name ? failure_set(why, CODE_NOT_DIRECTORY, "\"%s\" would lie in a file", name)
                    : place_derived(tree, id, viewer, out, why);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    enum code code = node_get(tree, id.value, &node, why);
    if (code != CODE_OK)
        return code;
    code = place_stored(tree, node, name, viewer, out, why);
    if (code != CODE_NOT_FOUND || name || node->row.links != 0)
        return code;
    place_nameless(tree, node, viewer, out);
    return CODE_OK;
}
