/* Nodes and names: see relay_node.h.
 *
 * Invariants
 *   1. A node's id is the server's.  server_lookups counts how often the server told us of it, kernel_lookups how often we
 * told the kernel; the two have nothing to do with each other, so that we can know nodes which the kernel does not.
 *   2. An entry leads to a node in the table; a node is taken out only when nothing refers to it: no kernel, handle, call or
 * entry below it.  Its names go with it, and their folders are not complete any more.
 *   3. `known` and `complete` are true only while every change would have been told to us: a change, told by the server or
 *      made by ourselves, takes them back and moves the node's stamp, so that an answer which was asked for before is not
 * kept.
 *
 * Stamps are kept by buckets of ids, also of ids that are not in the table; two nodes in one bucket cost an answer not kept,
 * no more. */
#include "relay_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logging.h"
#include "relay_durable.h"
#include "relay_state.h"

#define DEPTH_MAX   256
#define FORGETS_MAX 4096 /* in one message */
#define SWEEP_STEP  4096 /* buckets looked at in one go */
#define PLAIN_DEPTH 2    /* datasets/<x> and home/<m>, and below */

static size_t spread(uint64_t id, size_t buckets)
{
    return (size_t)(id * UINT64_C(0x9E3779B97F4A7C15) >> 32) % buckets;
}

struct relay_node *relay_node_find(struct relay *relay, uint64_t id)
{
    struct relay_node *node = relay->nodes.buckets[spread(id, RELAY_NODE_BUCKETS)];
    while (node && node->id != id)
        node = node->next;
    if (node)
        node->touched = true;
    return node;
}

struct relay_node *relay_node_get(struct relay *relay, uint64_t id)
{
    struct relay_node *node = relay_node_find(relay, id);
    if (node)
        return node;
    node = calloc(1, sizeof *node);
    if (!node)
        abort();
    node->id = id;
    node->touched = true;
    struct relay_node **bucket = &relay->nodes.buckets[spread(id, RELAY_NODE_BUCKETS)];
    node->next = *bucket;
    *bucket = node;
    relay->nodes.count++;
    return node;
}

/* Changes ----------------------------------------------------------------------------------------------------------- */

void relay_node_changed_id(struct relay *relay, uint64_t id)
{
    relay->stamps[spread(id, RELAY_STAMP_BUCKETS)] = ++relay->stamp;
}

void relay_node_changed(struct relay *relay, struct relay_node *node)
{
    relay_node_changed_id(relay, node->id);
    node->known = false;
    node->no_xattrs = false;
}

bool relay_node_unchanged_since(const struct relay *relay, uint64_t id, uint64_t stamp)
{
    return relay->stamps[spread(id, RELAY_STAMP_BUCKETS)] <= stamp;
}

void relay_node_changed_by_others(struct relay *relay, uint64_t id)
{
    relay_node_changed_id(relay, id);
    relay->foreign[spread(id, RELAY_STAMP_BUCKETS)] = relay->stamp;
}

bool relay_node_left_alone_since(const struct relay *relay, uint64_t id, uint64_t stamp)
{
    return relay->foreign[spread(id, RELAY_STAMP_BUCKETS)] <= stamp;
}

uint64_t relay_node_version(const struct relay_node *node)
{
    const struct fuse_attr *attr = &node->attr;
    uint64_t mixed = attr->mtime * UINT64_C(1000000000) + attr->mtimensec;
    mixed = mixed * UINT64_C(0x9E3779B97F4A7C15) + attr->ctime * UINT64_C(1000000000) + attr->ctimensec;
    mixed = (mixed ^ mixed >> 29) * UINT64_C(0xBF58476D1CE4E5B9) + attr->size;
    return mixed | 1; /* 0 is no version */
}

void relay_node_take_attributes(struct relay *relay, struct relay_node *node, struct fuse_attr *attr, bool stored,
                                uint64_t stamp)
{
    relay->server_owner = attr->uid;
    relay->server_group = attr->gid;
    attr->uid = relay->owner;
    attr->gid = relay->group;
    if (node->fresh || node->writing)
        return;
    node->stored = stored && !(node->id & RELAY_DERIVED);
    bool current = node->fresh_children ? relay_node_left_alone_since(relay, node->id, stamp)
                                        : relay_node_unchanged_since(relay, node->id, stamp);
    node->known = node->stored && !relay->options.plain && current;
    node->attr = *attr;
}

struct relay_node *relay_node_learn(struct relay *relay, struct fuse_entry_out *entry, uint64_t stamp)
{
    struct relay_node *node = relay_node_get(relay, entry->nodeid);
    bool stored = entry->attr_valid || entry->attr_valid_nsec;
    node->generation = entry->generation;
    node->server_lookups++;
    relay_node_take_attributes(relay, node, &entry->attr, stored, stamp);
    return node;
}

void relay_node_fill_attr(const struct relay *relay, const struct relay_node *node, struct fuse_attr_out *out)
{
    (void)relay;
    *out = (struct fuse_attr_out){.attr_valid = node->known ? RELAY_LONG_S : 0, .attr = node->attr};
}

void relay_node_fill_entry(const struct relay *relay, const struct relay_node *node, struct fuse_entry_out *out)
{
    (void)relay;
    *out = (struct fuse_entry_out){
        .nodeid = node->id,
        .generation = node->generation,
        .entry_valid = node->known || node->fresh ? RELAY_LONG_S : 0,
        .attr_valid = node->known ? RELAY_LONG_S : 0,
        .attr = node->attr,
    };
}

/* Places ------------------------------------------------------------------------------------------------------------ */

bool relay_node_is_plain(const struct relay *relay, const struct relay_node *folder)
{
    if (relay->options.plain || !folder->stored || (folder->names && strcmp(folder->names->name, ".snap") == 0))
        return false;
    int depth = 0;
    const struct relay_entry *top = NULL;
    for (const struct relay_node *at = folder; at->id != FUSE_ROOT_ID; at = top->folder, depth++) {
        top = at->names;
        if (!top || depth > DEPTH_MAX)
            return false;
    }
    return depth >= PLAIN_DEPTH && (strcmp(top->name, "datasets") == 0 || strcmp(top->name, "home") == 0);
}

void relay_node_path(const struct relay_node *node, char *path, size_t size)
{
    const struct relay_entry *names[DEPTH_MAX];
    int depth = 0;
    for (; node->names && depth < DEPTH_MAX; node = node->names->folder)
        names[depth++] = node->names;
    size_t used = 0;
    if (size)
        path[0] = 0;
    while (depth-- > 0 && used < size)
        used += (size_t)snprintf(path + used, size - used, "%s%s", used ? "/" : "", names[depth]->name);
}

void relay_node_path_warn(const struct relay_node *node, int error)
{
    char path[512];
    relay_node_path(node, path, sizeof path);
    logging_warning("%s: what was written did not get through: %s", path[0] ? path : "a file without a name",
                    strerror(error));
}

/* Entries ----------------------------------------------------------------------------------------------------------- */

static struct relay_entry **entry_bucket(struct relay *relay, const struct relay_node *folder, const char *name)
{
    uint64_t hash = folder->id * UINT64_C(0x9E3779B97F4A7C15);
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001B3);
    return &relay->nodes.entries[(hash ^ hash >> 32) % RELAY_NODE_BUCKETS];
}

struct relay_entry *relay_entry_find(struct relay *relay, const struct relay_node *folder, const char *name)
{
    struct relay_entry *entry = *entry_bucket(relay, folder, name);
    while (entry && (entry->folder != folder || strcmp(entry->name, name) != 0))
        entry = entry->next;
    if (entry)
        entry->child->touched = true;
    return entry;
}

static void ripen(struct relay *relay, const struct relay_node *node)
{
    struct relay_nodes *nodes = &relay->nodes;
    if (node->names || node->kernel_lookups)
        return;
    if (nodes->ripe_count == nodes->ripe_room) {
        size_t room = nodes->ripe_room ? nodes->ripe_room * 2 : 256;
        uint64_t *ripe = realloc(nodes->ripe, room * sizeof *ripe);
        if (!ripe)
            abort();
        nodes->ripe = ripe;
        nodes->ripe_room = room;
    }
    nodes->ripe[nodes->ripe_count++] = node->id;
}

static void leave_child(struct relay *relay, struct relay_entry *entry)
{
    struct relay_entry **link = &entry->child->names;
    while (*link != entry)
        link = &(*link)->other;
    *link = entry->other;
    ripen(relay, entry->child);
}

static void join_child(struct relay_entry *entry, struct relay_node *child)
{
    entry->child = child;
    entry->other = child->names;
    child->names = entry;
}

struct relay_entry *relay_entry_set(struct relay *relay, struct relay_node *folder, const char *name,
                                    struct relay_node *child)
{
    struct relay_entry *entry = relay_entry_find(relay, folder, name);
    if (entry) {
        if (entry->child != child) {
            leave_child(relay, entry);
            join_child(entry, child);
        }
        return entry;
    }
    size_t length = strlen(name);
    entry = calloc(1, sizeof *entry + length + 1);
    if (!entry)
        abort();
    memcpy(entry->name, name, length);
    entry->length = (uint32_t)length;
    entry->folder = folder;
    entry->order = ++relay->nodes.last_order;
    join_child(entry, child);
    struct relay_entry **bucket = entry_bucket(relay, folder, name);
    entry->next = *bucket;
    *bucket = entry;
    entry->before = folder->last;
    *(folder->last ? &folder->last->behind : &folder->first) = entry;
    folder->last = entry;
    folder->entry_count++;
    return entry;
}

void relay_entry_remove(struct relay *relay, struct relay_entry *entry)
{
    struct relay_node *folder = entry->folder;
    struct relay_entry **link = entry_bucket(relay, folder, entry->name);
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    *(entry->before ? &entry->before->behind : &folder->first) = entry->behind;
    *(entry->behind ? &entry->behind->before : &folder->last) = entry->before;
    folder->entry_count--;
    if (folder->opened == entry)
        folder->opened = NULL;
    if (folder->ahead_all == entry)
        folder->ahead_all = entry->behind;
    leave_child(relay, entry);
    free(entry);
}

void relay_entry_remove_all(struct relay *relay, struct relay_node *folder)
{
    folder->complete = false;
    while (folder->first)
        relay_entry_remove(relay, folder->first);
}

/* Forgetting -------------------------------------------------------------------------------------------------------- */

static bool may_go(const struct relay_node *node)
{
    return node->id != FUSE_ROOT_ID && !node->kernel_lookups && !node->opens && !node->writing && !node->fresh &&
           !node->busy && !node->listing && !node->entry_count && !node->waiting.first;
}

/* Also frees it. */
static void take_out(struct relay *relay, struct relay_node *node)
{
    while (node->names) {
        node->names->folder->complete = false;
        relay_entry_remove(relay, node->names);
    }
    relay_piece_drop_all(relay, node);
    if (node->server_lookups) {
        if (!relay->forgets && !(relay->forgets = calloc(FORGETS_MAX, sizeof *relay->forgets)))
            abort();
        relay->forgets[relay->forget_count++] = (struct fuse_forget_one){node->id, node->server_lookups};
    }
    struct relay_node **link = &relay->nodes.buckets[spread(node->id, RELAY_NODE_BUCKETS)];
    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    relay->nodes.count--;
    free(node);
}

void relay_node_tell_forgets(struct relay *relay, struct relay_output *out)
{
    if (!relay->forget_count)
        return;
    const struct fuse_batch_forget_in head = {.count = (uint32_t)relay->forget_count};
    relay_call_tell(relay, out,
                    &(struct relay_call_message){.opcode = FUSE_BATCH_FORGET,
                                                 .fixed = &head,
                                                 .fixed_bytes = sizeof head,
                                                 .first = relay->forgets,
                                                 .first_bytes = relay->forget_count * sizeof *relay->forgets});
    relay->forget_count = 0;
}

/* Frees it where nothing needs it. */
static void let_go(struct relay *relay, struct relay_output *out, struct relay_node *node)
{
    if (!may_go(node) || relay_durable_is_doubtful(node))
        return;
    take_out(relay, node);
    if (relay->forget_count == FORGETS_MAX)
        relay_node_tell_forgets(relay, out);
}

void relay_node_forget(struct relay *relay, struct relay_output *out, uint64_t id, uint64_t count)
{
    struct relay_node *node = relay_node_find(relay, id);
    if (!node || id == FUSE_ROOT_ID)
        return;
    node->kernel_lookups -= count < node->kernel_lookups ? count : node->kernel_lookups;
    if (!node->kernel_lookups && (!node->names || !node->stored || relay->options.plain))
        let_go(relay, out, node);
}

void relay_node_sweep(struct relay *relay, struct relay_output *out)
{
    struct relay_nodes *nodes = &relay->nodes;
    while (nodes->ripe_count) {
        struct relay_node *node = relay_node_find(relay, nodes->ripe[--nodes->ripe_count]);
        if (node && !node->names)
            let_go(relay, out, node);
    }
    for (int i = 0; i < SWEEP_STEP && nodes->count > relay->options.limits.nodes; i++) {
        struct relay_node *next;
        for (struct relay_node *node = nodes->buckets[nodes->sweep]; node; node = next) {
            next = node->next;
            if (node->touched)
                node->touched = false;
            else
                let_go(relay, out, node);
        }
        nodes->sweep = (nodes->sweep + 1) % RELAY_NODE_BUCKETS;
    }
    relay_node_tell_forgets(relay, out);
}

void relay_node_clear(struct relay *relay)
{
    for (size_t i = 0; i < RELAY_NODE_BUCKETS; i++)
        for (struct relay_node *node = relay->nodes.buckets[i]; node; node = node->next) {
            while (node->first)
                relay_entry_remove(relay, node->first);
            relay_piece_drop_all(relay, node);
        }
    for (size_t i = 0; i < RELAY_NODE_BUCKETS; i++)
        while (relay->nodes.buckets[i]) {
            struct relay_node *node = relay->nodes.buckets[i];
            relay->nodes.buckets[i] = node->next;
            free(node);
        }
    free(relay->nodes.ripe);
    free(relay->forgets);
}
