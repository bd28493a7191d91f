/* What members use: see tree_usage.h.
 *
 * Nothing of it is on disk: the rows of all inodes are looked at whenever the lab is opened (tree_space_sum.h), and summed
 * up on the way.  From then on each node knows what it was counted with (node->counted), and whatever changes a row tells,
 * at the latest at the end of its operation.
 *
 * Invariant: an owner's bytes are the sum over the catalog's rows of nodes that are not in memory, and over node->counted of
 * those that are. */
#include "tree_usage.h"

#include <stdlib.h>

#include "logging.h"
#include "member_key.h"
#include "quota_list.h"
#include "tree_node.h"
#include "tree_roster.h"
#include "tree_space.h"
#include "viewer.h"

#define ROWS_AT_ONCE 256
#define HOLD_SHARE   8 /* of what is left of a quota, at most this part is set aside */

struct usage {
    int64_t owner; /* TREE_MOUNTER: the member who opened the lab, and whatever no member made */
    uint64_t bytes, held, most;
};

static int64_t key_of(const struct tree *tree, int64_t owner)
{
    bool opener = owner <= UINT32_MAX || owner == viewer_owner(&member_key_public(tree->member)->id);
    return opener ? TREE_MOUNTER : owner;
}

/* The name by which the list has the owner; NULL for who has left. */
static const char *name_of(struct tree *tree, int64_t owner)
{
    struct space *lab;
    if (owner == TREE_MOUNTER)
        return tree->member_name;
    if (space_find(tree, SPACE_LAB, &lab, NULL) != CODE_OK)
        return NULL;
    for (size_t i = 0; i < lab->roster.count; i++)
        if (viewer_owner(&lab->roster.readers[i].public.id) == owner)
            return lab->roster.readers[i].former ? NULL : lab->roster.readers[i].name;
    return NULL;
}

static uint64_t limit_of(struct tree *tree, int64_t owner)
{
    const char *name = tree->usage.quotas ? name_of(tree, owner) : NULL;
    if (!name)
        return QUOTA_UNLIMITED;
    const struct quota own = quota_list_get(tree->usage.quotas, name);
    const struct quota everyone = quota_list_get(tree->usage.quotas, QUOTA_EVERYONE);
    return quota_effective(&own, &everyone).most[QUOTA_STORAGE];
}

/* NULL without memory: then the owner is not counted until the lab is opened anew. */
static struct usage *entry_of(struct tree *tree, int64_t owner)
{
    owner = key_of(tree, owner);
    for (size_t i = 0; i < tree->usage.count; i++)
        if (tree->usage.entries[i].owner == owner)
            return &tree->usage.entries[i];
    if (tree->usage.count == tree->usage.room) {
        size_t room = tree->usage.room ? 2 * tree->usage.room : 16;
        struct usage *entries = realloc(tree->usage.entries, room * sizeof *entries);
        if (!entries) {
            logging_warning("no memory to count what a member uses");
            return NULL;
        }
        tree->usage.entries = entries;
        tree->usage.room = room;
    }
    struct usage *entry = &tree->usage.entries[tree->usage.count++];
    *entry = (struct usage){.owner = owner, .most = limit_of(tree, owner)};
    return entry;
}

static void add(struct tree *tree, int64_t owner, uint64_t bytes)
{
    struct usage *entry = bytes ? entry_of(tree, owner) : NULL;
    if (entry)
        entry->bytes += bytes;
}

static void subtract(struct tree *tree, int64_t owner, uint64_t bytes)
{
    struct usage *entry = bytes ? entry_of(tree, owner) : NULL;
    if (entry)
        entry->bytes -= bytes < entry->bytes ? bytes : entry->bytes;
}

/* What has lost its name counts as long as it is open, and no longer: clients may remember it for a while. */
static uint64_t weight_of(const struct catalog_inode *row, bool open)
{
    bool counts = row->kind == CATALOG_INODE_FILE && !(row->flags & CATALOG_INODE_FROZEN) && (row->links || open);
    return counts ? row->size : 0;
}

static uint64_t weight_of_node(const struct node *node)
{
    return node->gone ? 0 : weight_of(&node->row, node->handles > 0);
}

void usage_take_row(struct tree *tree, const struct catalog_inode *row)
{
    add(tree, row->uid, weight_of(row, false));
}

void usage_drop_row(struct tree *tree, const struct catalog_inode *row)
{
    subtract(tree, row->uid, weight_of(row, false));
}

void usage_recount(struct tree *tree)
{
    SCOPE_FREE struct catalog_inode *rows = calloc(ROWS_AT_ONCE, sizeof *rows);
    struct failure why;
    uint64_t after = 0;
    size_t count = 0;
    for (size_t i = 0; i < tree->usage.count; i++)
        tree->usage.entries[i].bytes = 0;
    do {
        enum code code = rows ? catalog_inode_walk(tree->catalog, after, rows, ROWS_AT_ONCE, &count, &why)
                              : failure_set(&why, CODE_NO_MEMORY, "no memory");
        if (code != CODE_OK) {
            logging_warning("what members use is counted too low until the lab is opened anew: %s", why.text);
            break;
        }
        for (size_t i = 0; i < count; i++)
            usage_take_row(tree, &rows[i]);
        after = count ? rows[count - 1].inode : after;
    } while (count == ROWS_AT_ONCE);
    for (size_t i = 0; i < tree->node_bucket_count; i++)
        for (struct node *node = tree->node_buckets[i]; node; node = node->hash_next)
            usage_note_counted(node);
}

void usage_settle(struct tree *tree, struct node *node)
{
    uint64_t bytes = weight_of_node(node);
    if (bytes == node->counted.bytes && node->row.uid == node->counted.owner)
        return;
    subtract(tree, node->counted.owner, node->counted.bytes);
    add(tree, node->row.uid, bytes);
    usage_note_counted(node);
}

void usage_note_counted(struct node *node)
{
    node->counted.owner = node->row.uid;
    node->counted.bytes = weight_of_node(node);
}

static uint64_t used(const struct usage *entry)
{
    return entry->bytes + entry->held;
}

static uint64_t left(const struct usage *entry)
{
    return used(entry) < entry->most ? entry->most - used(entry) : 0;
}

enum code usage_admit(struct tree *tree, const struct node *node, uint64_t size, uint64_t promised, struct failure *why)
{
    if (!tree->usage.quotas || size <= node->row.size || size - node->row.size <= promised)
        return CODE_OK;
    const struct usage *entry = entry_of(tree, node->row.uid);
    if (!entry || entry->most == QUOTA_UNLIMITED || size - node->row.size - promised <= left(entry))
        return CODE_OK;
    const char *name = name_of(tree, entry->owner);
    char most[QUOTA_TEXT_MAX], have[QUOTA_TEXT_MAX], more[QUOTA_TEXT_MAX];
    quota_print_bytes(entry->most, most);
    quota_print_bytes(used(entry), have);
    quota_print_bytes(size - node->row.size, more);
    return failure_set(why, CODE_QUOTA,
                       "%s's files may have %s in all: there are %s, and this would be %s more (remove some, or ask an "
                       "admin: lab/quotas/%s)",
                       name ? name : "the owner", most, have, more, name ? name : "");
}

uint64_t usage_hold(struct tree *tree, int64_t owner, uint64_t bytes)
{
    struct usage *entry = entry_of(tree, owner);
    if (!entry)
        return 0;
    if (entry->most != QUOTA_UNLIMITED && bytes > left(entry) / HOLD_SHARE)
        bytes = left(entry) / HOLD_SHARE;
    entry->held += bytes;
    return bytes;
}

void usage_let_go(struct tree *tree, int64_t owner, uint64_t bytes)
{
    struct usage *entry = entry_of(tree, owner);
    if (entry)
        entry->held -= bytes < entry->held ? bytes : entry->held;
}

void usage_take_back(struct tree *tree, int64_t owner, uint64_t bytes)
{
    struct usage *entry = entry_of(tree, owner);
    if (entry)
        entry->held += bytes;
}

struct usage_numbers usage_of(struct tree *tree, int64_t owner)
{
    const struct usage *entry = entry_of(tree, owner);
    return entry ? (struct usage_numbers){entry->bytes, entry->held, entry->most}
                 : (struct usage_numbers){0, 0, QUOTA_UNLIMITED};
}

void usage_renew_limits(struct tree *tree)
{
    for (size_t i = 0; i < tree->usage.count; i++)
        tree->usage.entries[i].most = limit_of(tree, tree->usage.entries[i].owner);
}

void usage_free(struct tree *tree)
{
    free(tree->usage.entries);
    free(tree->usage.quotas);
    tree->usage.entries = NULL;
    tree->usage.quotas = NULL;
    tree->usage.count = tree->usage.room = 0;
}
