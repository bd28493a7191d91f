/* Locks: see session_locks.h.  The table is the tree's, so they hold across all mounts of it.
 *
 *   SETLKW, the range is free            --> answered by the worker
 *   SETLKW, another has it --> parked --(the other lets go | INTERRUPT | the session ends)--> answered by who made it so
 *
 * Who may touch a parked_lock: the worker, until lock_table_set has made it wait.  Then whoever ends the wait, and
 * only he: the table's answer function, or who got `true` from lock_table_cancel.  He replies, takes it out of
 * the session's list, last, and frees it; so when the list is empty nobody replies any more.  Interrupts: libfuse calls
 * on_interrupt under the request's own lock, which taking the function back waits for; hence it is taken back before
 * parked_lock is freed, but for on_interrupt itself, which libfuse will not call again.
 *
 * When the locks end.  A process's fcntl(2) locks end with any close(2) of its on the file, which FLUSH tells; but files
 * opened for reading only have no FLUSH (it costs each reader a round trip), and there they end with RELEASE, when the last
 * descriptor of that open file is closed.  flock(2) locks, and those of F_OFD_SETLK, end with RELEASE.
 *
 * What another wrote under his lock is to be seen under ours: before a lock is granted the client drops its old pages
 * (session_grants.h), or, where it is fed, has been told of all changes; and it asks for the attributes anew.  It would
 * throw their answer away if it were made to ask once more meanwhile, since somebody else opens the file, and miss what the
 * file has grown by; so that waits until nobody has a lock (the session's lock makes it come wholly before a lock is
 * granted, or not at all). */
#include "session_locks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "lock_table.h"
#include "scope.h"
#include "session_reply.h"
#include "session_state.h"

struct parked_lock {
    struct lock_waiter waiter;     /* first: the table gives us its address */
    struct session_handle *handle; /* borrowed: it is not closed while somebody waits by it */
    fuse_req_t request;
    struct parked_lock *previous, *next;
};

static struct lock_table *table_of(const struct session *session)
{
    return tree_locks(session->tree);
}

void session_locks_init(struct session_locks *locks)
{
    *locks = (struct session_locks){.first = NULL};
    pthread_mutex_init(&locks->lock, NULL);
    pthread_cond_init(&locks->changed, NULL);
}

void session_locks_destroy(struct session_locks *locks)
{
    pthread_cond_destroy(&locks->changed);
    pthread_mutex_destroy(&locks->lock);
}

/* Parking ---------------------------------------------------------------------------------------------------------- */

static void enter(struct parked_lock *parked)
{
    struct session_locks *locks = &parked->handle->session->locks;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&locks->lock);
    parked->next = locks->first;
    if (locks->first)
        locks->first->previous = parked;
    locks->first = parked;
    atomic_fetch_add(&locks->parked, 1);
}

/* The last step: from here on session_locks_abandon does not wait for it any more. */
static void leave_and_free(struct parked_lock *parked, struct session *session)
{
    struct session_locks *locks = &session->locks;
    pthread_mutex_lock(&locks->lock);
    *(parked->previous ? &parked->previous->next : &locks->first) = parked->next;
    if (parked->next)
        parked->next->previous = parked->previous;
    atomic_fetch_sub(&locks->parked, 1);
    pthread_cond_broadcast(&locks->changed);
    pthread_mutex_unlock(&locks->lock);
    free(parked);
}

/* Puts the handle back first: after the reply the client may send RELEASE. */
static void finish(fuse_req_t request, struct session_handle *handle, enum lock_mode mode, enum code code,
                   const struct failure *why)
{
    struct session *session = handle->session;
    struct node_id node = handle->node;
    session_handles_put(handle);
    if (code != CODE_OK || mode == LOCK_MODE_NONE) {
        session_reply_done(request, code, why, node, NULL);
        return;
    }
    session_push_flush(&session->push);
    if (session->channel.peer.send || session_grants_need_nothing(&session->grants, node))
        session_locks_granted(session, request);
    else
        session_grants_give(&session->grants, node, request);
}

void session_locks_granted(struct session *session, struct fuse_req *request)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&session->locks.lock);
    fuse_reply_err(request, 0);
}

void session_locks_forget_attributes(struct session *session, struct node_id node)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&session->locks.lock);
    if (!lock_table_is_locked(table_of(session), node.value))
        session_reply_forget_attributes(session, node);
}

static void end_wait(struct parked_lock *parked, enum code code)
{
    struct session *session = parked->handle->session;
    struct failure why;
    if (code != CODE_OK)
        failure_set(&why, code, "waiting for a lock ended without it");
    fuse_req_interrupt_func(parked->request, NULL, NULL);
    finish(parked->request, parked->handle, parked->waiter.request.mode, code, &why);
    leave_and_free(parked, session);
}

static void on_answer(struct lock_waiter *waiter, enum code code)
{
    end_wait((struct parked_lock *)waiter, code);
}

static void on_interrupt(fuse_req_t request, void *context)
{
    struct parked_lock *parked = context;
    struct session *session = parked->handle->session;
    if (!lock_table_cancel(table_of(session), &parked->waiter))
        return;
    struct failure why;
    enum code code = failure_set(&why, CODE_INTERRUPTED, "waiting for a lock was interrupted");
    finish(request, parked->handle, LOCK_MODE_NONE, code, &why);
    leave_and_free(parked, session);
}

static void set_or_park(fuse_req_t request, struct session_handle *handle, const struct lock_request *wanted)
{
    struct failure why;
    struct session *session = handle->session;
    struct parked_lock *parked =
        atomic_load(&session->locks.parked) < SESSION_LOCKS_PARKED_MAX ? calloc(1, sizeof *parked) : NULL;
    if (!parked) {
        finish(request, handle, LOCK_MODE_NONE,
               failure_set(&why, CODE_NO_LOCKS, "locking a file: no memory, or too many wait for locks already"), &why);
        return;
    }
    parked->waiter.answer = on_answer;
    parked->handle = handle;
    parked->request = request;
    enter(parked);
    fuse_req_interrupt_func(request, on_interrupt, parked);
    enum code code = lock_table_set(table_of(session), wanted, &parked->waiter, &why);
    if (code == CODE_AGAIN)
        return; /* it waits, or was answered meanwhile */
    fuse_req_interrupt_func(request, NULL, NULL);
    finish(request, handle, wanted->mode, code, &why);
    leave_and_free(parked, session);
}

/* Most locks are free: those are not parked first.  Puts back the handle. */
static void set(fuse_req_t request, struct session_handle *handle, const struct lock_request *wanted, bool wait)
{
    struct failure why;
    enum code code = lock_table_set(table_of(handle->session), wanted, NULL, &why);
    if (code == CODE_AGAIN && wait)
        set_or_park(request, handle, wanted);
    else
        finish(request, handle, wanted->mode, code, &why);
}

void session_locks_abandon(struct session *session)
{
    struct session_locks *locks = &session->locks;
    pthread_mutex_lock(&locks->lock);
    while (locks->first) {
        struct parked_lock *parked = locks->first;
        if (lock_table_cancel(table_of(session), &parked->waiter)) {
            pthread_mutex_unlock(&locks->lock);
            end_wait(parked, CODE_INTERRUPTED);
            pthread_mutex_lock(&locks->lock);
        } else {
            pthread_cond_wait(&locks->changed, &locks->lock);
        }
    }
    pthread_mutex_unlock(&locks->lock);
    lock_table_release_client(table_of(session), session);
}

/* Requests --------------------------------------------------------------------------------------------------------- */

static bool decode_mode(int type, enum lock_mode *mode)
{
    *mode = type == F_RDLCK ? LOCK_MODE_SHARED : type == F_WRLCK ? LOCK_MODE_EXCLUSIVE : LOCK_MODE_NONE;
    return type == F_RDLCK || type == F_WRLCK || type == F_UNLCK;
}

static bool decode_range(const struct session_handle *handle, uint64_t owner, const struct flock *lock,
                         struct lock_request *out)
{
    *out = (struct lock_request){
        .node = handle->node.value,
        .kind = LOCK_OF_RANGE,
        .first = (uint64_t)lock->l_start,
        .last = lock->l_len == 0 ? UINT64_MAX : (uint64_t)lock->l_start + (uint64_t)lock->l_len - 1,
        .owner = {.client = handle->session, .number = owner},
        .handle = handle->key,
        .process = (uint32_t)lock->l_pid,
    };
    return decode_mode(lock->l_type, &out->mode) && lock->l_start >= 0 && lock->l_len >= 0;
}

/* Borrows the handle that a request is about; NULL and replied where there is none. */
static struct session_handle *get_handle(fuse_req_t request, const struct fuse_file_info *info)
{
    struct session_handle *handle = session_handles_get(&session_of(request)->handles, info->fh, false);
    if (!handle)
        fuse_reply_err(request, EBADF);
    return handle;
}

static void on_getlk(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info, struct flock *lock)
{
    (void)node;
    struct lock_request wanted, held;
    struct session_handle *handle = get_handle(request, info);
    if (!handle)
        return;
    bool valid = decode_range(handle, info->lock_owner, lock, &wanted);
    session_handles_put(handle);
    if (!valid) {
        fuse_reply_err(request, EINVAL);
        return;
    }
    struct flock answer = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    if (lock_table_find_conflict(table_of(session_of(request)), &wanted, &held)) {
        answer.l_type = held.mode == LOCK_MODE_SHARED ? F_RDLCK : F_WRLCK;
        answer.l_start = (off_t)held.first;
        answer.l_len = held.last == UINT64_MAX ? 0 : (off_t)(held.last - held.first + 1);
        answer.l_pid = (pid_t)held.process;
    }
    fuse_reply_lock(request, &answer);
}

static void on_setlk(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info, struct flock *lock, int sleep)
{
    (void)node;
    struct lock_request wanted;
    struct session_handle *handle = get_handle(request, info);
    if (!handle)
        return;
    if (decode_range(handle, info->lock_owner, lock, &wanted)) {
        set(request, handle, &wanted, sleep);
        return;
    }
    session_handles_put(handle);
    fuse_reply_err(request, EINVAL);
}

static void on_flock(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info, int operation)
{
    (void)node;
    struct session_handle *handle = get_handle(request, info);
    if (!handle)
        return;
    const struct lock_request wanted = {
        .node = handle->node.value,
        .kind = LOCK_OF_FILE,
        .mode = operation & LOCK_EX   ? LOCK_MODE_EXCLUSIVE
                : operation & LOCK_SH ? LOCK_MODE_SHARED
                                      : LOCK_MODE_NONE,
        .last = UINT64_MAX,
        .owner = {.client = handle->session, .number = handle->key},
        .handle = handle->key,
    };
    set(request, handle, &wanted, !(operation & LOCK_NB));
}

void session_locks_close(struct session_handle *handle, uint64_t owner)
{
    const struct lock_owner who = {.client = handle->session, .number = owner};
    lock_table_release_owner(table_of(handle->session), handle->node.value, who);
}

void session_locks_leave(struct session_handle *handle)
{
    lock_table_release_handle(table_of(handle->session), handle->node.value, handle->session, handle->key);
}

void session_locks_fill(struct fuse_lowlevel_ops *operations)
{
    operations->getlk = on_getlk;
    operations->setlk = on_setlk;
    operations->flock = on_flock;
}
