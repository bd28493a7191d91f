/* The nodes that a client knows: see session_nodes.h.
 *
 * A hash table with open addressing: an entry lies in the slot of its hash or in one of those behind it, with no free slot
 * between.  Removal moves later entries of the same run back, so there are no tombstones.
 *
 * Invariants: 1. at most three quarters of the slots are in use; 2. every entry has lookups > 0, and the tree counts exactly
 * one reference for it.  The root needs no reference and is never in the table.  Any worker thread; one lock. */
#include "session_nodes.h"

#include <assert.h>
#include <stdlib.h>

#include "scope.h"

#define SLOTS_FIRST 256

static size_t slot_of(const struct session_nodes *nodes, uint64_t id)
{
    /* Fibonacci hashing: node ids are consecutive numbers, the multiplication spreads them. */
    return (size_t)(id * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (nodes->slot_count - 1);
}

/* The entry's slot, or the free one where it belongs. */
static struct session_node_entry *find(const struct session_nodes *nodes, uint64_t id)
{
    size_t at = slot_of(nodes, id);
    while (nodes->slots[at].id != 0 && nodes->slots[at].id != id)
        at = (at + 1) & (nodes->slot_count - 1);
    return &nodes->slots[at];
}

static bool make_room(struct session_nodes *nodes)
{
    if (nodes->slot_count > 0 && nodes->used + 1 <= nodes->slot_count / 4 * 3)
        return true;
    struct session_nodes larger = *nodes;
    larger.slot_count = nodes->slot_count > 0 ? nodes->slot_count * 2 : SLOTS_FIRST;
    larger.slots = calloc(larger.slot_count, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < nodes->slot_count; i++)
        if (nodes->slots[i].id != 0)
            *find(&larger, nodes->slots[i].id) = nodes->slots[i];
    free(nodes->slots);
    nodes->slots = larger.slots;
    nodes->slot_count = larger.slot_count;
    return true;
}

static void remove_entry(struct session_nodes *nodes, struct session_node_entry *entry)
{
    size_t mask = nodes->slot_count - 1;
    size_t hole = (size_t)(entry - nodes->slots);
    for (size_t at = (hole + 1) & mask; nodes->slots[at].id != 0; at = (at + 1) & mask) {
        size_t home = slot_of(nodes, nodes->slots[at].id);
        /* It may move back to the hole unless its home lies behind the hole. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            nodes->slots[hole] = nodes->slots[at];
            hole = at;
        }
    }
    nodes->slots[hole] = (struct session_node_entry){0};
    nodes->used--;
}

void session_nodes_init(struct session_nodes *nodes, struct tree *tree)
{
    *nodes = (struct session_nodes){.tree = tree};
    pthread_mutex_init(&nodes->lock, NULL);
}

void session_nodes_destroy(struct session_nodes *nodes)
{
    for (size_t i = 0; i < nodes->slot_count; i++)
        if (nodes->slots[i].id != 0)
            tree_forget(nodes->tree, (struct node_id){nodes->slots[i].id}, 1);
    free(nodes->slots);
    pthread_mutex_destroy(&nodes->lock);
}

bool session_nodes_remember(struct session_nodes *nodes, struct node_id node)
{
    if (node.value == TREE_ROOT.value)
        return true;
    assert(node.value != 0);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    if (!make_room(nodes))
        return false;
    struct session_node_entry *entry = find(nodes, node.value);
    if (entry->id == 0) {
        *entry = (struct session_node_entry){.id = node.value};
        nodes->used++;
        tree_remember(nodes->tree, node);
    }
    if (entry->lookups < UINT32_MAX)
        entry->lookups++;
    return true;
}

bool session_nodes_restore(struct session_nodes *nodes, struct node_id node, uint32_t lookups, uint32_t mark)
{
    if (lookups == 0 || !session_nodes_remember(nodes, node))
        return lookups == 0;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    struct session_node_entry *entry = nodes->slot_count && node.value ? find(nodes, node.value) : NULL;
    if (entry && entry->id) {
        entry->lookups = lookups;
        entry->mark = mark;
    }
    return true;
}

void session_nodes_forget(struct session_nodes *nodes, struct node_id node, uint64_t count)
{
    if (node.value == TREE_ROOT.value || node.value == 0)
        return;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    if (nodes->slot_count == 0)
        return;
    struct session_node_entry *entry = find(nodes, node.value);
    if (entry->id == 0)
        return;
    if (entry->lookups == UINT32_MAX)
        return;
    if (entry->lookups > count) {
        entry->lookups -= (uint32_t)count;
        return;
    }
    remove_entry(nodes, entry);
    tree_forget(nodes->tree, node, 1);
}

enum session_pages session_nodes_open(struct session_nodes *nodes, struct node_id node, uint64_t version)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    if (nodes->slot_count == 0)
        return PAGES_UNKNOWN;
    struct session_node_entry *entry = find(nodes, node.value);
    if (entry->id == 0)
        return PAGES_UNKNOWN;
    /* 31 bits of it: nobody changes a file two thousand million times between two opens. */
    uint32_t mark = (uint32_t)version << 1 | 1;
    enum session_pages pages = entry->mark == 0 ? PAGES_UNKNOWN : entry->mark == mark ? PAGES_CURRENT : PAGES_OUTDATED;
    entry->mark = mark;
    return pages;
}

/* NULL for one that the client does not know.  With the lock. */
static struct session_node_entry *find_known(const struct session_nodes *nodes, struct node_id node)
{
    struct session_node_entry *entry = nodes->slot_count && node.value ? find(nodes, node.value) : NULL;
    return entry && entry->id ? entry : NULL;
}

bool session_nodes_knows(struct session_nodes *nodes, struct node_id node)
{
    if (node.value == TREE_ROOT.value)
        return true;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    return find_known(nodes, node) != NULL;
}

void session_nodes_touch(struct session_nodes *nodes, struct node_id node)
{
    struct node_attributes there;
    if (node.value >> 63 || session_nodes_knows(nodes, node) || tree_attributes(nodes->tree, node, &there, NULL) != CODE_OK)
        return;
    (void)!session_nodes_remember(nodes, node); /* without memory it hears of no changes */
}

void session_nodes_count_open(struct session_nodes *nodes, struct node_id node)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    struct session_node_entry *entry = find_known(nodes, node);
    if (entry)
        entry->opens++;
}

void session_nodes_count_close(struct session_nodes *nodes, struct node_id node)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    struct session_node_entry *entry = find_known(nodes, node);
    if (entry && entry->opens)
        entry->opens--;
}

bool session_nodes_is_open(struct session_nodes *nodes, struct node_id node)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    const struct session_node_entry *entry = find_known(nodes, node);
    return entry && entry->opens;
}

uint32_t session_nodes_dropped_at(struct session_nodes *nodes, struct node_id node)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    const struct session_node_entry *entry = find_known(nodes, node);
    return entry ? entry->dropped : 0;
}

void session_nodes_set_dropped(struct session_nodes *nodes, struct node_id node, uint32_t changes)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    struct session_node_entry *entry = find_known(nodes, node);
    if (entry)
        entry->dropped = changes;
}

size_t session_nodes_count(struct session_nodes *nodes)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    return nodes->used;
}
