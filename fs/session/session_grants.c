/* Pages that others made old: see session_grants.h.
 *
 *     another client's change --told, with the tree's lock--> counted
 *     a lock is granted --the count is another than at the last drop--> waiting --the thread--> pages dropped --> answered
 *
 * Whoever gets a lock after another gave it up finds the other's changes counted: they were counted before the other was
 * answered.  Two who get a lock at once need the pages dropped once, and the second must be answered after that: hence one
 * thread, which looks at the count again before it drops.  Then no page and no attribute is dropped any more behind who has
 * been answered, but for what is changed later.
 */
#include "session_grants.h"

#include <stdlib.h>

#include "scope.h"
#include "session_state.h"
#include "thread.h"

struct waiting_grant {
    struct waiting_grant *next;
    struct node_id node;
    fuse_req_t request;
};

static atomic_uint *changes_of(struct session_grants *grants, struct node_id node)
{
    return &grants->changes[(node.value * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (SESSION_GRANTS_BUCKETS - 1)];
}

static void on_told(void *context, const struct tree_event *event)
{
    struct session_grants *grants = context;
    if (event->kind == EVENT_CONTENTS)
        atomic_fetch_add(changes_of(grants, event->node), 1);
    for (size_t i = 0; event->kind == EVENT_EVERYTHING && i < SESSION_GRANTS_BUCKETS; i++)
        atomic_fetch_add(&grants->changes[i], 1);
}

bool session_grants_need_nothing(struct session_grants *grants, struct node_id node)
{
    return session_nodes_dropped_at(&grants->session->nodes, node) == atomic_load(changes_of(grants, node));
}

static void drop_and_answer(struct session_grants *grants, struct node_id node, fuse_req_t request)
{
    struct session *session = grants->session;
    unsigned changes = atomic_load(changes_of(grants, node));
    if (session_nodes_dropped_at(&session->nodes, node) != changes) {
        fuse_lowlevel_notify_inval_inode(session->fuse, node.value, 0, 0); /* attributes, too */
        session_nodes_set_dropped(&session->nodes, node, changes);
    }
    session_locks_granted(session, request);
}

static bool enqueue(struct session_grants *grants, struct waiting_grant *waiting)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&grants->lock);
    if (grants->stop)
        return false;
    *(grants->first ? &grants->last->next : &grants->first) = waiting;
    grants->last = waiting;
    pthread_cond_signal(&grants->changed);
    return true;
}

void session_grants_give(struct session_grants *grants, struct node_id node, fuse_req_t request)
{
    struct waiting_grant *waiting = malloc(sizeof *waiting);
    if (!waiting) {
        drop_and_answer(grants, node, request);
        return;
    }
    *waiting = (struct waiting_grant){.node = node, .request = request};
    if (enqueue(grants, waiting))
        return;
    free(waiting);
    session_locks_granted(grants->session, request); /* the session ends: nobody will read */
}

static void *run(void *context)
{
    struct session_grants *grants = context;
    pthread_mutex_lock(&grants->lock);
    while (grants->first || !grants->stop) {
        struct waiting_grant *waiting = grants->first;
        if (!waiting) {
            pthread_cond_wait(&grants->changed, &grants->lock);
            continue;
        }
        grants->first = waiting->next;
        pthread_mutex_unlock(&grants->lock);
        drop_and_answer(grants, waiting->node, waiting->request);
        free(waiting);
        pthread_mutex_lock(&grants->lock);
    }
    pthread_mutex_unlock(&grants->lock);
    return NULL;
}

void session_grants_init(struct session_grants *grants, struct session *session)
{
    grants->session = session;
    pthread_mutex_init(&grants->lock, NULL);
    pthread_cond_init(&grants->changed, NULL);
}

enum code session_grants_start(struct session_grants *grants, struct failure *why)
{
    enum code code = thread_start(&grants->thread, run, grants, "a thread that drops pages", why);
    if (code != CODE_OK)
        return code;
    grants->running = true;
    struct tree_observer *observer = &grants->session->observer;
    observer->told = on_told;
    observer->context = grants;
    tree_observe(grants->session->tree, observer);
    return CODE_OK;
}

void session_grants_stop(struct session_grants *grants)
{
    if (!grants->running)
        return;
    tree_observe_end(grants->session->tree, &grants->session->observer);
    pthread_mutex_lock(&grants->lock);
    grants->stop = true;
    pthread_cond_signal(&grants->changed);
    pthread_mutex_unlock(&grants->lock);
    pthread_join(grants->thread, NULL);
    grants->running = false;
}

void session_grants_destroy(struct session_grants *grants)
{
    session_grants_stop(grants);
    pthread_mutex_destroy(&grants->lock);
    pthread_cond_destroy(&grants->changed);
}
