/* References on nodes that are not in memory: see tree_remembered.h.
 *
 * An entry lies in the slot of its hash or in one of those behind it, with no free slot between.  Removal moves later
 * entries of the same run back, so there are no tombstones.
 */
#include "tree_remembered.h"

#include <stdlib.h>

#define SLOTS_FIRST 1024

static size_t slot_of(const struct remembered *table, uint64_t inode)
{
    return (size_t)(inode * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (table->slot_count - 1);
}

/* The node's slot, or the free one where it belongs. */
static struct remembered_node *find(const struct remembered *table, uint64_t inode)
{
    size_t at = slot_of(table, inode);
    while (table->slots[at].inode && table->slots[at].inode != inode)
        at = (at + 1) & (table->slot_count - 1);
    return &table->slots[at];
}

static bool make_room(struct remembered *table)
{
    if (table->slot_count && table->used + 1 <= table->slot_count / 4 * 3)
        return true;
    struct remembered larger = {.slot_count = table->slot_count ? table->slot_count * 2 : SLOTS_FIRST, .used = table->used};
    larger.slots = calloc(larger.slot_count, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < table->slot_count; i++)
        if (table->slots[i].inode)
            *find(&larger, table->slots[i].inode) = table->slots[i];
    free(table->slots);
    *table = larger;
    return true;
}

bool remembered_put(struct remembered *table, uint64_t inode, uint64_t lookups)
{
    if (!make_room(table))
        return false;
    *find(table, inode) = (struct remembered_node){inode, lookups};
    table->used++;
    return true;
}

uint64_t remembered_take(struct remembered *table, uint64_t inode)
{
    if (table->used == 0)
        return 0;
    struct remembered_node *found = find(table, inode);
    uint64_t lookups = found->inode ? found->lookups : 0;
    if (!found->inode)
        return 0;
    size_t mask = table->slot_count - 1, hole = (size_t)(found - table->slots);
    for (size_t at = (hole + 1) & mask; table->slots[at].inode; at = (at + 1) & mask) {
        size_t home = slot_of(table, table->slots[at].inode);
        /* It may move back to the hole unless its home lies behind the hole. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole] = (struct remembered_node){0};
    table->used--;
    return lookups;
}

void remembered_free(struct remembered *table)
{
    free(table->slots);
    *table = (struct remembered){0};
}
