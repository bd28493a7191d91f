/* Numbers about the whole lab.
 *
 * Counting files reads every row, and df and its like ask often.  So the totals are kept, and counted anew only so often
 * that counting takes at most one part in TOTALS_SHARE of the time; in a small lab that is always.
 */
#include "tree_statistics.h"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include "chunk_store.h"
#include "mirror_set.h"
#include "timing.h"
#include "tree_commit.h"

#define TOTALS_SHARE    50
#define TOTALS_CHEAP_NS INT64_C(2000000)

uint64_t statistics_free_bytes(const struct tree *tree)
{
    struct statvfs device;
    const char *path = tree->mirrors ? mirror_set_path(tree->mirrors, mirror_set_leader(tree->mirrors)) : tree->catalog_path;
    if (path && statvfs(path, &device) == 0)
        return (uint64_t)device.f_bavail * device.f_frsize;
    struct sysinfo machine;
    return sysinfo(&machine) == 0 ? (uint64_t)machine.freeram * machine.mem_unit : 0;
}

/* With the lock. */
static void count_totals(struct tree *tree)
{
    int64_t start_ns = timing_monotonic_ns();
    bool cheap = tree->totals.cost_ns < TOTALS_CHEAP_NS;
    if (!cheap && start_ns - tree->totals.counted_ns < TOTALS_SHARE * tree->totals.cost_ns)
        return;
    /* Rows in memory are newer than the catalog's.  If they cannot be written now, the numbers lag: no harm. */
    (void)!commit_bring_up_to_date(tree, NULL);
    start_ns = timing_monotonic_ns();
    (void)!catalog_inode_totals(tree->catalog, &tree->totals.rows, NULL);
    tree->totals.counted_ns = timing_monotonic_ns();
    tree->totals.cost_ns = tree->totals.counted_ns - start_ns;
}

void tree_statistics(struct tree *tree, struct tree_statistics *out)
{
    struct chunk_store_statistics chunks = {0};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    uint64_t dirty_bytes = tree->dirty_pieces.bytes;
    count_totals(tree);
    chunk_store_statistics(tree->chunks, &chunks);
    const struct catalog_totals *rows = &tree->totals.rows;
    *out = (struct tree_statistics){.files = rows->files + rows->links,
                                    .folders = rows->folders,
                                    .bytes_logical = rows->bytes,
                                    .bytes_stored = chunks.bytes_stored,
                                    .bytes_shared = atomic_load(&tree->shared_bytes),
                                    .dirty_bytes = dirty_bytes,
                                    .commits = tree->commit.count,
                                    .bytes_free = statistics_free_bytes(tree)};
}
