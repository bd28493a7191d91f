/* Advisory locks: flock(2)'s on whole files and fcntl(2)'s on ranges, of all clients of one tree, so that a lock which is
 * taken through one mount holds against every other.
 *
 * A lock belongs to an owner, who is never in his own way.  It ends when its owner gives it back, closes the file, or is
 * gone.  The two kinds do not see each other.  Any thread; nothing here waits: who has to wait leaves a lock_waiter behind.
 */
#ifndef CYTOFS_LOCK_TABLE_H
#define CYTOFS_LOCK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define LOCK_TABLE_LOCKS_MAX   (1u << 20) /* in all files together */
#define LOCK_TABLE_WAITERS_MAX 4096

struct lock_table;

enum lock_kind { LOCK_OF_RANGE /* fcntl(2) */, LOCK_OF_FILE /* flock(2) */ };
enum lock_mode { LOCK_MODE_NONE, LOCK_MODE_SHARED, LOCK_MODE_EXCLUSIVE };

struct lock_owner {
    const void *client; /* a session; only compared */
    uint64_t number;    /* by its client: a process's open files (LOCK_OF_RANGE), one open file (LOCK_OF_FILE) */
};

struct lock_request {
    uint64_t node;
    enum lock_kind kind;
    enum lock_mode mode;
    uint64_t first, last; /* bytes, both belong to it; 0 and UINT64_MAX for LOCK_OF_FILE */
    struct lock_owner owner;
    uint64_t handle;  /* the open file by which it is asked for: with that it ends at the latest */
    uint32_t process; /* told to those in whose way it is; 0 where it means nothing to them */
};

/* A request that waits.  Its memory is the caller's. */
struct lock_waiter {
    /* Called once, from any thread and without a lock, when the lock is the owner's (CODE_OK) or cannot be (CODE_NO_MEMORY);
     * unless lock_table_cancel came first.  The waiter is the callee's from then on. */
    void (*answer)(struct lock_waiter *waiter, enum code code);

    /* The table's own; to be zeroed. */
    struct lock_request request;
    enum { LOCK_WAITER_NEW, LOCK_WAITER_WAITING, LOCK_WAITER_CANCELLED, LOCK_WAITER_ANSWERED } state;
    enum code code;
    bool visited;
    struct locked_file *file;
    struct lock_waiter *previous, *next; /* of the file, oldest first */
    struct lock_waiter *all_previous, *all_next;
    struct lock_waiter *list_next;
};

MUST_CHECK enum code lock_table_create(struct lock_table **out, struct failure *why);

/* With nobody waiting any more. */
void lock_table_destroy(struct lock_table *table);

/* Whether another owner's lock is in the request's way; *held then describes it. */
bool lock_table_find_conflict(struct lock_table *table, const struct lock_request *request, struct lock_request *held);

/* Whether anybody has a lock on the file. */
bool lock_table_is_locked(struct lock_table *table, uint64_t node);

/* Takes the lock, changes what the owner has in the range to the request's mode, or gives it back (LOCK_MODE_NONE).
 *
 * With another's lock in its way: CODE_AGAIN; where `waiter` is not NULL, it then waits and is answered later.
 * CODE_DEADLOCK where waiting would be for an owner who waits for this one (LOCK_OF_RANGE only).  CODE_INTERRUPTED where
 * the waiter was cancelled before.  CODE_NO_LOCKS at a maximum or without memory.
 * As on Linux, changing the mode of a LOCK_OF_FILE gives the old one back first, and fails without it. */
MUST_CHECK enum code lock_table_set(struct lock_table *table, const struct lock_request *request, struct lock_waiter *waiter,
                                    struct failure *why);

/* True: it waited, and waits no more; it will not be answered.  False: it is answered, or is being; or lock_table_set has
 * not made it wait yet, and will not. */
bool lock_table_cancel(struct lock_table *table, struct lock_waiter *waiter);

/* close(2): the owner's LOCK_OF_RANGE locks on the node end. */
void lock_table_release_owner(struct lock_table *table, uint64_t node, struct lock_owner owner);

/* The client's open file is gone: what was locked by it ends. */
void lock_table_release_handle(struct lock_table *table, uint64_t node, const void *client, uint64_t handle);

/* The client is gone: everything of its ends. */
void lock_table_release_client(struct lock_table *table, const void *client);

/* Reports each lock that the client holds; under the table's mutex, so `report` may not call back. */
void lock_table_visit_client(struct lock_table *table, const void *client,
                             void (*report)(void *context, const struct lock_request *held), void *context);

/* How many locks are held, for tests and figures. */
size_t lock_table_count(struct lock_table *table);

#endif
