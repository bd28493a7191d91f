/* Advisory locks: see lock_table.h.
 *
 * A file that has locks or waiters has an entry in a hash table by node.  Its locks are an unordered list: files have few.
 *
 * Invariants
 *  1. Locks of one owner and kind on one file do not overlap; neighbours of equal mode and handle are one.
 *  2. No two owners' locks of one kind are in each other's way.
 *  3. A waiter that is WAITING has a lock in its way.  So whoever takes a lock away, or makes one weaker, calls wake.
 *  4. Waiters are granted in the order in which they came, but one whose way is free does not wait for those before it.
 *
 * Changing a range (set_range) first allocates the two locks that the change can need at most, so that it cannot fail half
 * way.  Answers are given after the table's mutex was released: a waiter that is answered is in no list any more.
 *
 * Deadlock: the owners form a graph, an edge from each that waits to those whose locks are in its way.  A request that would
 * close a circle is refused: a search from the locks in its way, over the waiters of their owners, finds the requester.
 *
 * One mutex, a leaf.  Read next: fs/session/session_locks.c, where requests are parked. */
#include "lock_table.h"

#include <pthread.h>
#include <stdlib.h>

#include "scope.h"

#define BUCKETS 1024

struct held_lock {
    struct lock_request what;
    struct held_lock *next;
};

struct locked_file {
    uint64_t node;
    struct held_lock *locks;
    struct lock_waiter *first, *last;
    struct locked_file *next;
};

struct lock_table {
    pthread_mutex_t mutex;
    struct locked_file *buckets[BUCKETS];
    struct lock_waiter *waiters; /* of all files */
    size_t lock_count, waiter_count;
};

enum code lock_table_create(struct lock_table **out, struct failure *why)
{
    struct lock_table *table = calloc(1, sizeof *table);
    if (!table)
        return failure_set(why, CODE_NO_MEMORY, "opening the lab: no memory");
    pthread_mutex_init(&table->mutex, NULL);
    *out = table;
    return CODE_OK;
}

static void free_locks(struct held_lock *lock)
{
    while (lock) {
        struct held_lock *next = lock->next;
        free(lock);
        lock = next;
    }
}

void lock_table_destroy(struct lock_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct locked_file *file = table->buckets[i], *next; file; file = next) {
            next = file->next;
            free_locks(file->locks);
            free(file);
        }
    pthread_mutex_destroy(&table->mutex);
    free(table);
}

static struct locked_file **bucket_of(struct lock_table *table, uint64_t node)
{
    return &table->buckets[(node * UINT64_C(0x9E3779B97F4A7C15)) >> 54];
}

static struct locked_file *find_file(struct lock_table *table, uint64_t node)
{
    struct locked_file *file = *bucket_of(table, node);
    while (file && file->node != node)
        file = file->next;
    return file;
}

static struct locked_file *find_or_make_file(struct lock_table *table, uint64_t node)
{
    struct locked_file *file = find_file(table, node);
    if (file || !(file = calloc(1, sizeof *file)))
        return file;
    file->node = node;
    file->next = *bucket_of(table, node);
    *bucket_of(table, node) = file;
    return file;
}

static void drop_unused_file(struct lock_table *table, struct locked_file *file)
{
    if (file->locks || file->first)
        return;
    struct locked_file **link = bucket_of(table, file->node);
    while (*link != file)
        link = &(*link)->next;
    *link = file->next;
    free(file);
}

static bool same_owner(const struct lock_request *a, const struct lock_request *b)
{
    return a->kind == b->kind && a->owner.client == b->owner.client && a->owner.number == b->owner.number;
}

static bool in_the_way(const struct lock_request *held, const struct lock_request *wanted)
{
    return held->kind == wanted->kind && !same_owner(held, wanted) && held->first <= wanted->last &&
           wanted->first <= held->last && (held->mode == LOCK_MODE_EXCLUSIVE || wanted->mode == LOCK_MODE_EXCLUSIVE);
}

/* The first lock from `lock` on that is in the way, or NULL. */
static struct held_lock *next_conflict(struct held_lock *lock, const struct lock_request *wanted)
{
    while (lock && (wanted->mode == LOCK_MODE_NONE || !in_the_way(&lock->what, wanted)))
        lock = lock->next;
    return lock;
}

bool lock_table_find_conflict(struct lock_table *table, const struct lock_request *request, struct lock_request *held)
{
    SCOPE_UNLOCK pthread_mutex_t *locked = scope_lock(&table->mutex);
    struct locked_file *file = find_file(table, request->node);
    struct held_lock *lock = file ? next_conflict(file->locks, request) : NULL;
    if (lock)
        *held = lock->what;
    return lock;
}

bool lock_table_is_locked(struct lock_table *table, uint64_t node)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->mutex);
    const struct locked_file *file = find_file(table, node);
    return file && file->locks;
}

/* Changing a range ------------------------------------------------------------------------------------------------- */

static void take_out(struct lock_table *table, struct held_lock **link)
{
    struct held_lock *lock = *link;
    *link = lock->next;
    free(lock);
    table->lock_count--;
}

static void put_in(struct lock_table *table, struct locked_file *file, struct held_lock *lock,
                   const struct lock_request *what)
{
    lock->what = *what;
    lock->next = file->locks;
    file->locks = lock;
    table->lock_count++;
}

/* Cuts [first, last] out of the owner's locks.  Where it lies within one of them, *spare becomes that lock's rear part. */
static void cut_out(struct lock_table *table, struct locked_file *file, const struct lock_request *request,
                    struct held_lock **spare)
{
    for (struct held_lock **link = &file->locks; *link;) {
        struct lock_request *what = &(*link)->what;
        bool touched = same_owner(what, request) && what->first <= request->last && request->first <= what->last;
        if (touched && what->first >= request->first && what->last <= request->last) {
            take_out(table, link);
            continue;
        }
        if (touched && what->first < request->first && what->last > request->last) {
            struct lock_request rear = *what;
            rear.first = request->last + 1;
            what->last = request->first - 1;
            put_in(table, file, *spare, &rear);
            *spare = NULL;
            return; /* nothing else of the owner's can overlap */
        }
        if (touched && what->first < request->first)
            what->last = request->first - 1;
        else if (touched)
            what->first = request->last + 1;
        link = &(*link)->next;
    }
}

/* Makes *what larger by the owner's locks that touch it and are like it, which go. */
static void absorb_neighbours(struct lock_table *table, struct locked_file *file, struct lock_request *what)
{
    for (struct held_lock **link = &file->locks; *link;) {
        const struct lock_request *other = &(*link)->what;
        bool alike = same_owner(other, what) && other->mode == what->mode && other->handle == what->handle;
        if (alike && other->last != UINT64_MAX && other->last + 1 == what->first)
            what->first = other->first;
        else if (alike && what->last != UINT64_MAX && what->last + 1 == other->first)
            what->last = other->last;
        else {
            link = &(*link)->next;
            continue;
        }
        take_out(table, link);
    }
}

/* Nobody else's lock is in the way. */
static enum code set_range(struct lock_table *table, struct locked_file *file, const struct lock_request *request,
                           struct failure *why)
{
    SCOPE_FREE struct held_lock *rear = malloc(sizeof *rear);
    struct held_lock *lock = request->mode == LOCK_MODE_NONE ? NULL : malloc(sizeof *lock);
    bool full = request->mode != LOCK_MODE_NONE && table->lock_count + 2 > LOCK_TABLE_LOCKS_MAX;
    if (full || !rear || (!lock && request->mode != LOCK_MODE_NONE)) {
        free(lock);
        return failure_set(why, CODE_NO_LOCKS,
                           full ? "locking a file: %u locks are held, which is the limit (let go of some)"
                                : "locking a file: no memory",
                           LOCK_TABLE_LOCKS_MAX);
    }
    cut_out(table, file, request, &rear);
    if (lock) {
        struct lock_request what = *request;
        absorb_neighbours(table, file, &what);
        put_in(table, file, lock, &what);
    }
    return CODE_OK;
}

/* Waiting ---------------------------------------------------------------------------------------------------------- */

static void start_waiting(struct lock_table *table, struct locked_file *file, struct lock_waiter *waiter)
{
    waiter->state = LOCK_WAITER_WAITING;
    waiter->file = file;
    waiter->previous = file->last;
    waiter->next = NULL;
    *(file->last ? &file->last->next : &file->first) = waiter;
    file->last = waiter;
    waiter->all_previous = NULL;
    waiter->all_next = table->waiters;
    if (table->waiters)
        table->waiters->all_previous = waiter;
    table->waiters = waiter;
    table->waiter_count++;
}

static void stop_waiting(struct lock_table *table, struct lock_waiter *waiter)
{
    struct locked_file *file = waiter->file;
    *(waiter->previous ? &waiter->previous->next : &file->first) = waiter->next;
    *(waiter->next ? &waiter->next->previous : &file->last) = waiter->previous;
    *(waiter->all_previous ? &waiter->all_previous->all_next : &table->waiters) = waiter->all_next;
    if (waiter->all_next)
        waiter->all_next->all_previous = waiter->all_previous;
    table->waiter_count--;
}

/* After a lock of the file was taken away or made weaker: gives those who waited what they can have now, and adds them to
 * *answered, for answer_all. */
static void wake(struct lock_table *table, struct locked_file *file, struct lock_waiter **answered)
{
    struct lock_waiter *waiter = file->first;
    while (waiter) {
        struct lock_waiter *next = waiter->next;
        if (!next_conflict(file->locks, &waiter->request)) {
            waiter->code = set_range(table, file, &waiter->request, NULL);
            stop_waiting(table, waiter);
            waiter->state = LOCK_WAITER_ANSWERED;
            waiter->list_next = *answered;
            *answered = waiter;
            next = file->first; /* what it got may be weaker than what it had */
        }
        waiter = next;
    }
}

/* Without the mutex. */
static void answer_all(struct lock_waiter *answered)
{
    while (answered) {
        struct lock_waiter *next = answered->list_next;
        answered->answer(answered, answered->code);
        answered = next;
    }
}

static bool is_of(const struct lock_waiter *waiter, const struct lock_request *owner)
{
    return !waiter->visited && same_owner(&waiter->request, owner);
}

/* Whether somebody whose lock is in the request's way waits, directly or through others, for its owner. */
static bool would_deadlock(struct lock_table *table, struct locked_file *file, const struct lock_request *request)
{
    for (struct lock_waiter *waiter = table->waiters; waiter; waiter = waiter->all_next)
        waiter->visited = false;
    struct lock_waiter *pending = NULL; /* reached, and not yet looked at */
    const struct lock_request *wanted = request;
    while (file) {
        for (struct held_lock *lock = next_conflict(file->locks, wanted); lock; lock = next_conflict(lock->next, wanted)) {
            if (same_owner(&lock->what, request))
                return true;
            for (struct lock_waiter *waiter = table->waiters; waiter; waiter = waiter->all_next)
                if (is_of(waiter, &lock->what)) {
                    waiter->visited = true;
                    waiter->list_next = pending;
                    pending = waiter;
                }
        }
        file = pending ? pending->file : NULL;
        wanted = pending ? &pending->request : NULL;
        pending = pending ? pending->list_next : NULL;
    }
    return false;
}

static enum code refuse_or_wait(struct lock_table *table, struct locked_file *file, const struct lock_request *request,
                                struct lock_waiter *waiter, struct failure *why)
{
    if (!waiter)
        return failure_set(why, CODE_AGAIN, "another process has locked the file");
    if (waiter->state == LOCK_WAITER_CANCELLED)
        return failure_set(why, CODE_INTERRUPTED, "waiting for a lock was interrupted");
    if (request->kind == LOCK_OF_RANGE && would_deadlock(table, file, request))
        return failure_set(why, CODE_DEADLOCK, "this process and another would wait for each other's locks for ever");
    if (table->waiter_count >= LOCK_TABLE_WAITERS_MAX)
        return failure_set(why, CODE_NO_LOCKS, "waiting for a lock: %u processes wait already, which is the limit",
                           LOCK_TABLE_WAITERS_MAX);
    waiter->request = *request;
    start_waiting(table, file, waiter);
    return failure_set(why, CODE_AGAIN, "waiting for another process's lock");
}

static bool has_lock_of_other_mode(const struct locked_file *file, const struct lock_request *request)
{
    for (const struct held_lock *lock = file->locks; lock; lock = lock->next)
        if (same_owner(&lock->what, request) && lock->what.mode != request->mode)
            return true;
    return false;
}

static enum code set(struct lock_table *table, const struct lock_request *request, struct lock_waiter *waiter,
                     struct lock_waiter **answered, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->mutex);
    struct locked_file *file =
        request->mode == LOCK_MODE_NONE ? find_file(table, request->node) : find_or_make_file(table, request->node);
    if (!file)
        return request->mode == LOCK_MODE_NONE ? CODE_OK : failure_set(why, CODE_NO_LOCKS, "locking a file: no memory");
    enum code code = CODE_OK;
    if (request->kind == LOCK_OF_FILE && has_lock_of_other_mode(file, request)) {
        struct lock_request given_back = *request;
        given_back.mode = LOCK_MODE_NONE;
        code = set_range(table, file, &given_back, why);
    }
    if (code == CODE_OK)
        code = next_conflict(file->locks, request) ? refuse_or_wait(table, file, request, waiter, why)
                                                   : set_range(table, file, request, why);
    if (waiter && waiter->state == LOCK_WAITER_NEW)
        waiter->state = LOCK_WAITER_ANSWERED; /* by what we return */
    wake(table, file, answered);
    drop_unused_file(table, file);
    return code;
}

enum code lock_table_set(struct lock_table *table, const struct lock_request *request, struct lock_waiter *waiter,
                         struct failure *why)
{
    struct lock_waiter *answered = NULL;
    enum code code = set(table, request, waiter, &answered, why);
    answer_all(answered);
    return code;
}

bool lock_table_cancel(struct lock_table *table, struct lock_waiter *waiter)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->mutex);
    bool waiting = waiter->state == LOCK_WAITER_WAITING;
    if (waiting) {
        stop_waiting(table, waiter);
        drop_unused_file(table, waiter->file);
    }
    if (waiting || waiter->state == LOCK_WAITER_NEW)
        waiter->state = LOCK_WAITER_CANCELLED;
    return waiting;
}

/* Letting go ------------------------------------------------------------------------------------------------------- */

typedef bool lock_matches(const struct lock_request *held, const struct lock_request *pattern);

static bool is_by_handle(const struct lock_request *held, const struct lock_request *pattern)
{
    return held->owner.client == pattern->owner.client && held->handle == pattern->handle;
}

static bool is_of_client(const struct lock_request *held, const struct lock_request *pattern)
{
    return held->owner.client == pattern->owner.client;
}

static void release_in_file(struct lock_table *table, struct locked_file *file, const struct lock_request *pattern,
                            lock_matches *matches, struct lock_waiter **answered)
{
    for (struct held_lock **link = &file->locks; *link;)
        if (matches(&(*link)->what, pattern))
            take_out(table, link);
        else
            link = &(*link)->next;
    wake(table, file, answered);
    drop_unused_file(table, file);
}

static void release(struct lock_table *table, const struct lock_request *pattern, lock_matches *matches)
{
    struct lock_waiter *answered = NULL;
    pthread_mutex_lock(&table->mutex);
    struct locked_file *file = find_file(table, pattern->node);
    if (file)
        release_in_file(table, file, pattern, matches, &answered);
    pthread_mutex_unlock(&table->mutex);
    answer_all(answered);
}

void lock_table_release_owner(struct lock_table *table, uint64_t node, struct lock_owner owner)
{
    const struct lock_request pattern = {.node = node, .kind = LOCK_OF_RANGE, .owner = owner};
    release(table, &pattern, same_owner);
}

void lock_table_release_handle(struct lock_table *table, uint64_t node, const void *client, uint64_t handle)
{
    const struct lock_request pattern = {.node = node, .owner = {.client = client}, .handle = handle};
    release(table, &pattern, is_by_handle);
}

void lock_table_release_client(struct lock_table *table, const void *client)
{
    const struct lock_request pattern = {.owner = {.client = client}};
    struct lock_waiter *answered = NULL;
    pthread_mutex_lock(&table->mutex);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct locked_file *file = table->buckets[i], *next; file; file = next) {
            next = file->next;
            release_in_file(table, file, &pattern, is_of_client, &answered);
        }
    pthread_mutex_unlock(&table->mutex);
    answer_all(answered);
}

void lock_table_visit_client(struct lock_table *table, const void *client,
                             void (*report)(void *context, const struct lock_request *held), void *context)
{
    const struct lock_request pattern = {.owner = {.client = client}};
    SCOPE_UNLOCK pthread_mutex_t *locked = scope_lock(&table->mutex);
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct locked_file *file = table->buckets[i]; file; file = file->next)
            for (const struct held_lock *lock = file->locks; lock; lock = lock->next)
                if (is_of_client(&lock->what, &pattern))
                    report(context, &lock->what);
}

size_t lock_table_count(struct lock_table *table)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->mutex);
    return table->lock_count;
}
