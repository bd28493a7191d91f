/* What the tree's own files share: the tree itself and its locking.
 *
 * Locks, outermost first; a thread that holds one takes only those below it:
 *   1. tree->lock        nodes, pieces, handles, spaces, derived entries, commit state.  Held for memory and catalog work
 *                        and for single chunk reads, never across fsync or a rule's callback.
 *   2. tree->packs_lock  read side: chunks are being read.  Write side: packs are being dropped.
 *   3. the catalog's mutex, the chunk store's locks, failures_lock (leaves)
 *
 * The gate: while a commit has the catalog's transaction in its hands (tree->commit.committing), operations that change the
 * catalog wait (tree_operation.h).  Reads, and writes into files that exist, go on: they touch memory only.
 */
#ifndef CYTOFS_TREE_INTERNAL_H
#define CYTOFS_TREE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "block_pool.h"
#include "catalog.h"
#include "catalog_inode.h"
#include "gathering.h"
#include "identity.h"
#include "rule.h"
#include "scope.h"
#include "tree.h"
#include "tree_audit.h"
#include "tree_observe.h"
#include "tree_remembered.h"

#define TREE_CHUNK_BYTES        131072u              /* plaintext in one chunk */
#define TREE_DIRTY_BYTES_MAX    ((uint64_t)64 << 20) /* unwritten contents in memory; then writers wait */
#define TREE_STORED_PIECES_MAX  1024                 /* whole chunks that no row names; then a commit is started early */
#define TREE_BLOCKS_KEPT        16
#define TREE_CLEAN_BYTES_MAX    ((uint64_t)16 << 20) /* contents kept to be read or changed again */
#define TREE_DIRTY_NODES_MAX    20000                /* then a commit is started early */
#define TREE_IDLE_NODES_MAX     16384                /* rows kept in memory though nobody uses them */
#define TREE_RULES_MAX          256
#define TREE_DERIVED_IDLE_MAX   4096                 /* derived entries kept though nobody uses them */
#define TREE_RENDERED_BYTES_MAX ((uint64_t)64 << 20) /* renderings kept to be shown again */
#define TREE_LINKS_MAX          65000
#define TREE_LINK_TARGET_MAX    4095
#define TREE_PATH_MAX           4095
#define TREE_FOLDERS_DEEP_MAX   65536 /* deeper ones are not moved or stamped; ends walks upwards in a damaged catalog */
#define TREE_FAILURES_KEPT      32
#define TREE_SUM_BYTES          16
#define TREE_EVENTS_MAX         40    /* that one operation gives observers */
#define TREE_IDLE_FOLDERS_MAX   65536 /* a folder that is looked at again costs a look at all its names */

/* The lab's frame: inodes of the fixed folders. */
enum {
    INODE_ROOT = 1,
    INODE_DATASETS,
    INODE_JOBS,
    INODE_EXPERIMENTS,
    INODE_MODELS,
    INODE_LAB,
    INODE_LAB_NODES,
    INODE_HOME,
    INODE_LAB_MEMBERS,
    INODE_LAB_SPACES,
    INODE_LAB_QUOTAS,
    INODE_FIRST_FREE = 16
};
enum { SPACE_LAB = 1, SPACE_REGISTRY, SPACE_FIRST_FREE };

#define TREE_SNAPSHOT_FOLDER ".snap"
#define TREE_DERIVED_BIT     (UINT64_C(1) << 63)

struct lock_table;
struct node;
struct piece;
struct storing;
struct usage;
struct quota_list;
struct commit_waiter;
struct recent_log;
struct recent_writes;
struct space;
struct derived;

struct tree_failure_note {
    int64_t wall_ms;
    int64_t viewer; /* whose it is: viewer_owner, or TREE_MOUNTER */
    char path[256];
    struct failure failure;
};

struct piece_list {
    struct piece *first, *last;
    size_t count;
    uint64_t bytes; /* of memory: the sum of the capacities */
};

struct space_sum;

struct waiting_event {
    struct tree_event event;
    char name[TREE_NAME_MAX + 1];
};

struct tree {
    /* Set when opened, then only read. */
    struct chunk_store *chunks;
    struct catalog *catalog;
    struct store_id store;
    const struct member_key *member; /* whose keys open the spaces */
    struct member_key *own_member;   /* the same, where the tree made it */
    uint64_t member_number;
    char *member_name;
    bool read_only;
    int64_t opened_ns; /* wall clock */

    /* Added before the tree is served, then only read. */
    struct rule rules[TREE_RULES_MAX];
    size_t rule_count;
    char *catalog_path;         /* NULL in memory */
    struct mirror_set *mirrors; /* NULL: none */

    pthread_mutex_t lock; /* guards everything down to packs_lock */

    struct node **node_buckets; /* by inode */
    size_t node_bucket_count, node_count;
    struct node *dirty_nodes; /* rows that differ from the catalog's */
    size_t dirty_node_count;
    struct idle_list {
        struct node *first, *last; /* unused, least recently used first */
        size_t count;
    } idle_files, idle_folders;
    struct remembered remembered; /* references on nodes that are not in memory */
    uint64_t next_inode, last_stamp;
    uint64_t name_epoch; /* counts renames of folders: cached paths of an older epoch are stale */

    struct piece **piece_buckets;    /* by (inode, index) */
    struct piece_list dirty_pieces;  /* the oldest change first */
    struct piece_list stored_pieces; /* dirty, and in the chunk store already */
    struct piece_list clean_pieces;  /* least recently used first */
    uint64_t piece_changes;          /* ever */
    struct storing *storing;         /* chunks on their way into the store (tree_storing.h) */
    pthread_cond_t lent_settled;     /* told when a writer has stored what he lent */
    uint32_t newest_pack;            /* that a chunk was put into */

    struct space **spaces; /* by number, ascending; heap objects that live until the tree is closed */
    size_t space_count;
    struct space *retired_spaces;
    uint64_t rotations;       /* of keys, since the tree was opened */
    uint64_t keys_changed_in; /* the round that makes the last of them durable */
    uint64_t next_space;
    struct lent_key *lent; /* tree_lending.c */
    size_t lent_count;

    struct {
        struct space_sum *entries; /* of spaces that have inodes */
        size_t count;
        bool unsealed;             /* a catalog of format 1, open for reading only: it has no digests */
        bool waiting;              /* some entries hold what counts if the operation is kept */
        bool lost;                 /* memory was short: they are wrong */
        struct failure wrong;      /* what was found wrong first when the catalog was opened all the same */
    } sums;                        /* tree_space_sum.c */
    int seen_fd;                   /* tree_seen.c; -1: none */
    _Atomic uint64_t shared_bytes; /* sealed bytes that did not have to be stored, since the tree was opened */

    struct derived **derived_buckets; /* by (folder, name) */
    struct derived **derived_by_id;
    struct derived *derived_first, *derived_last; /* all of them, least recently used first */
    size_t derived_count;
    uint64_t rendered_bytes;

    struct {
        pthread_t thread;
        bool running, stop;
        pthread_cond_t wanted;   /* the committer waits here */
        pthread_cond_t finished; /* those who asked wait here, and those at the gate */
        uint64_t asked;          /* the highest round that somebody waits for */
        uint64_t started, done;  /* rounds */
        uint64_t durable;        /* the last round that was made durable */
        uint64_t number;         /* of the catalog's last commit, kept in the catalog */
        uint64_t inodes_durable; /* inodes below are in it, or were deleted */
        uint64_t inodes_collected;
        bool collecting;       /* a round takes what is dirty; under the lock throughout */
        bool leading;          /* somebody makes a round or writes the log of recent writes */
        bool committing;       /* the gate is closed */
        struct failure last;   /* of the round that ended last; CODE_OK where it went well */
        struct failure broken; /* not CODE_OK: nobody can say what the disk holds, so nothing may change any more */
        uint64_t count;        /* commits that wrote something */
        /* A pack that nothing names, which was held or in use when a round would have dropped it; 0: none. */
        uint32_t left_pack;
    } commit;

    struct {
        struct commit_waiter *first, **end;
        unsigned count;             /* of them */
        uint64_t came;              /* of all who ever waited */
        struct gathering gathering; /* whether more are expected */
        pthread_t watch;            /* looks for those who were expected in vain */
        bool watched, stop;         /* it runs; it is to end */
        bool awake;                 /* it looks every now and then; else it sleeps */
        bool put_off;               /* somebody was told to wait for more since it looked last */
        pthread_cond_t wanted;      /* it sleeps here */
    } waiting;                      /* tree_waiting.c */

    uint64_t rows_repaired; /* when it was opened (tree_open_options.repair) */
    bool parting;           /* tree_parting.h */
    bool keeps_nameless;    /* files without a name are not given up yet: whoever had them may come back */
    uint64_t opened_at;     /* the number of the last commit, as it was when the tree was opened */
    unsigned pack_holds;    /* while not 0, no pack is dropped (tree_hold_packs) */

    struct {
        struct node *nodes[16];
        struct catalog_inode rows[16];
        uint64_t parents[16];
        bool gone[16];
        size_t count;
        bool active;
    } undo; /* of the operation under way (tree_operation.h) */

    struct tree_observer *observers;
    struct {
        struct waiting_event events[TREE_EVENTS_MAX]; /* of the operation under way */
        size_t count;
        bool lost; /* there were more */
    } telling;     /* tree_observe.c */

    struct {
        struct usage *entries; /* an owner each */
        size_t count, room;
        struct quota_list *quotas; /* NULL: nobody has any */
    } usage;                       /* tree_usage.c, tree_quota.c */

    struct {
        struct catalog_totals rows;
        int64_t counted_ns, cost_ns; /* monotonic: when, and how long it took */
    } totals;                        /* tree_statistics.c */

    struct {
        struct recent_log *log; /* NULL: none */
        uint64_t end;           /* where the next record goes */
        uint64_t sequence;      /* of the next record */
        uint64_t follows;       /* the commit number of the records before it */

        struct recent_writes *due; /* of files that will be fsynced in a moment; these two are the lock's */
        unsigned due_count;
    } recent; /* the leader's own while the tree is served (tree_recent.h) */

    struct {
        uint32_t pack;        /* being emptied; 0: none */
        int64_t next_look_ns; /* monotonic: when to look for one */
        uint64_t bytes_moved; /* ever */
        bool busy;            /* somebody moves chunks; waited for on commit.finished.  Under the lock, the rest is his */
    } compact;                /* tree_compact.c */

    struct {
        uint64_t space;       /* being sealed anew; 0: none */
        uint32_t generation;  /* with its newest key when that began */
        int64_t next_look_ns; /* monotonic: when to look for one */
        enum { RESEAL_NODES, RESEAL_CHUNKS } phase;
        uint64_t inode;           /* nodes up to here are done */
        uint32_t pack, last_pack; /* the one at hand; the last one when it began */
        uint32_t last_emptied, damaged;
        uint64_t offset, bytes; /* in the pack; moved */
        bool emptying, found;   /* the pack at hand; the pass has found something */
        bool counts;            /* the pass began with nothing in flight: if it finds nothing, it is the last */
        unsigned passes;
        bool waits; /* for others, at its last step: to go on at once would be in vain */
    } reseal;       /* tree_reseal.c: the committer's own, changed with the lock */

    pthread_rwlock_t packs_lock;

    struct block_pool chunk_blocks; /* each has room for a sealed chunk: for reading and writing without the lock */

    struct lock_table *locks; /* advisory, of all clients */

    /* Who is told what members do (tree_audit.h): constant while the tree is served. */
    void (*audit_sink)(void *context, enum audit_verb verb, const char *path, const char *detail);
    void *audit_context;

    pthread_mutex_t failures_lock;
    struct tree_failure_note *failures; /* a ring */
    size_t failure_count;               /* ever noted */
};

static inline bool tree_is_derived(struct node_id id)
{
    return (id.value & TREE_DERIVED_BIT) != 0;
}

#endif
