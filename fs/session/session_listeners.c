/* Listeners: see session_listeners.h.
 *
 *     parked --called--> listening --a message came--> working --done--> listening, or parked where enough others listen
 *
 * Who calls.  A worker that goes to work on something long leaves nobody without a listener: where it was the last one, it
 * calls another.  After short work it comes back to listen sooner than another would be awake, so it calls nobody.  But
 * short work can take long all the same: it waits for a lock, for a commit's gate, for the disk, maybe for an answer that
 * only another worker can give. Therefore the watch, a thread of its own, looks at the workers each TICK_NS while it happens
 * that nobody listens, and calls as many as are at the same message still.
 *
 * Invariants
 *  1. `listening` counts workers that receive, or are about to; it is raised only where it is below its limit, so that
 *     nobody is counted who then parks.
 *  2. Whoever takes the last listener away sees to it that the watch is awake.  The watch goes to sleep only after a while
 * in which somebody listened, and looks once more after it has said so.
 *  3. active = workers - parked.
 */
#include "session_listeners.h"

#include <time.h>
#include <unistd.h>

#include "scope.h"
#include "thread.h"

#define MOST_MIN        2 /* one that waits for a lock, one that answers */
#define MOST_MAX        8
#define LONG_ROOM       2 /* more may listen after long work, so that a reader's messages call and park nobody each time */
#define TICK_NS         4000000
#define QUIET_TICKS_MAX 20

static int by_cores(void)
{
    long half = sysconf(_SC_NPROCESSORS_ONLN) / 2; /* the clients are at work as well */
    return half < MOST_MIN ? MOST_MIN : half > MOST_MAX ? MOST_MAX : (int)half;
}

void session_listeners_init(struct session_listeners *listeners, int most)
{
    *listeners = (struct session_listeners){.most = most > 0 ? most : by_cores()};
    pthread_mutex_init(&listeners->lock, NULL);
    pthread_cond_init(&listeners->called, NULL);
    pthread_cond_init(&listeners->wanted, NULL);
}

void session_listeners_destroy(struct session_listeners *listeners)
{
    pthread_mutex_destroy(&listeners->lock);
    pthread_cond_destroy(&listeners->called);
    pthread_cond_destroy(&listeners->wanted);
}

void session_listeners_enter(struct session_listeners *listeners)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&listeners->lock);
    listeners->active++;
}

void session_listeners_leave(struct session_listeners *listeners)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&listeners->lock);
    listeners->active--;
}

void session_listeners_release(struct session_listeners *listeners)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&listeners->lock);
    listeners->released = true;
    pthread_cond_broadcast(&listeners->called);
    pthread_cond_signal(&listeners->wanted);
}

/* Parking ---------------------------------------------------------------------------------------------------------- */

/* With the lock. */
static void call(struct session_listeners *listeners, int count)
{
    for (; count > 0 && listeners->parked > 0; count--) {
        listeners->parked--;
        listeners->active++;
        listeners->calls++;
        pthread_cond_signal(&listeners->called);
    }
}

/* Until it is called. */
static void park(struct session_listeners *listeners)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&listeners->lock);
    if (listeners->released)
        return;
    listeners->active--;
    listeners->parked++;
    while (listeners->calls == 0 && !listeners->released)
        pthread_cond_wait(&listeners->called, &listeners->lock);
    if (listeners->calls > 0) {
        listeners->calls--;
    } else {
        listeners->parked--;
        listeners->active++;
    }
}

void session_listeners_listen(struct session_listeners *listeners, int worker, bool was_long)
{
    int limit = listeners->most + (was_long ? LONG_ROOM : 0), listening = atomic_load(&listeners->listening);
    if (atomic_load_explicit(&listeners->turns[worker], memory_order_relaxed) & 1)
        atomic_fetch_add(&listeners->turns[worker], 1);
    while (listening < limit)
        if (atomic_compare_exchange_weak(&listeners->listening, &listening, listening + 1))
            return;
    park(listeners);
    atomic_fetch_add(&listeners->listening, 1);
}

void session_listeners_deafen(struct session_listeners *listeners)
{
    atomic_fetch_sub(&listeners->listening, 1);
}

void session_listeners_work(struct session_listeners *listeners, int worker, bool is_long)
{
    atomic_fetch_add(&listeners->turns[worker], 1);
    if (atomic_fetch_sub(&listeners->listening, 1) > 1)
        return;
    if (!is_long && atomic_load(&listeners->watching))
        return;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&listeners->lock);
    if (is_long && listeners->calls == 0)
        call(listeners, 1);
    if (!atomic_exchange(&listeners->watching, true))
        pthread_cond_signal(&listeners->wanted);
}

/* The watch -------------------------------------------------------------------------------------------------------- */

/* How many workers are at the message that they were at the last time. */
static int count_stuck(struct session_listeners *listeners, unsigned seen[SESSION_THREADS_MAX])
{
    int stuck = 0;
    for (int i = 0; i < SESSION_THREADS_MAX; i++) {
        unsigned turns = atomic_load(&listeners->turns[i]);
        stuck += turns & 1 && turns == seen[i];
        seen[i] = turns;
    }
    return stuck;
}

/* Gives how long somebody has been listening, in ticks. */
static int look(struct session_listeners *listeners, unsigned seen[SESSION_THREADS_MAX], int quiet)
{
    int stuck = count_stuck(listeners, seen);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&listeners->lock);
    if (atomic_load(&listeners->listening) > 0)
        return quiet + 1;
    call(listeners, listeners->most - (listeners->active - stuck));
    return 0;
}

/* Until nobody listens again. */
static void sleep_until_wanted(struct session_listeners *listeners)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&listeners->lock);
    atomic_store(&listeners->watching, false);
    if (atomic_load(&listeners->listening) == 0)
        atomic_store(&listeners->watching, true);
    while (!atomic_load(&listeners->watching) && !listeners->released)
        pthread_cond_wait(&listeners->wanted, &listeners->lock);
}

static bool is_released(struct session_listeners *listeners)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&listeners->lock);
    return listeners->released;
}

static void *watch(void *argument)
{
    struct session_listeners *listeners = argument;
    unsigned seen[SESSION_THREADS_MAX] = {0};
    for (int quiet = QUIET_TICKS_MAX; !is_released(listeners);) {
        if (quiet >= QUIET_TICKS_MAX) {
            sleep_until_wanted(listeners);
            quiet = 0;
            continue;
        }
        nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
        quiet = look(listeners, seen, quiet);
    }
    return NULL;
}

enum code session_listeners_start(struct session_listeners *listeners, int workers, struct failure *why)
{
    listeners->released = workers <= listeners->most; /* all of them may listen */
    if (listeners->released)
        return CODE_OK;
    enum code code = thread_start(&listeners->watch, watch, listeners, "a thread that watches those that answer", why);
    listeners->running = code == CODE_OK;
    return code;
}

void session_listeners_stop(struct session_listeners *listeners)
{
    session_listeners_release(listeners);
    if (listeners->running)
        pthread_join(listeners->watch, NULL);
    listeners->running = false;
}
