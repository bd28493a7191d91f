/* Waiting for durability: see tree_waiting.h.
 *
 *     nobody leads --somebody waits--> one leads: takes all who wait, writes --> nobody leads; he tells those he took
 *
 * Those who come while one leads are taken when he has ended, by himself or by whoever comes next: so the more wait, the
 * more each sync does.  Nobody is told before the lead is given up, since who is told may wait for a commit himself.
 */
#include "tree_waiting.h"

#include <stdlib.h>

#include "tree_commit.h"
#include "tree_recent.h"

struct commit_waiter {
    struct node *node;
    commit_told *told;
    void *context;
    struct commit_waiter *next;
};

/* With the lock: takes all who wait.  Gives what the most demanding of them needs. */
static enum recent_need take_waiters(struct tree *tree, struct commit_waiter **first, struct recent_batch *batch)
{
    enum recent_need most = RECENT_NOTHING;
    *first = tree->commit.waiters_first;
    tree->commit.waiters_first = NULL;
    for (const struct commit_waiter *waiter = *first; waiter; waiter = waiter->next) {
        enum recent_need need = recent_need_of(tree, waiter->node);
        most = need > most ? need : most;
    }
    if (most == RECENT_LOG)
        for (const struct commit_waiter *waiter = *first; waiter; waiter = waiter->next)
            if (recent_need_of(tree, waiter->node) == RECENT_LOG)
                recent_take(waiter->node, batch);
    return most;
}

/* With the lead, which is given up. */
static enum code make_durable(struct tree *tree, enum recent_need need, struct recent_batch *batch, struct failure *why)
{
    if (need == RECENT_LOG && recent_write(tree, batch, why) != CODE_OK)
        need = RECENT_ROUND;
    if (need == RECENT_ROUND)
        return commit_round(tree, why);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    tree->commit.leading = false;
    pthread_cond_broadcast(&tree->commit.finished);
    return CODE_OK;
}

/* Leads as long as somebody waits and nobody else does. */
void waiting_lead(struct tree *tree)
{
    for (;;) {
        struct commit_waiter *first;
        struct recent_batch batch = {0};
        struct failure why = {.code = CODE_OK};
        pthread_mutex_lock(&tree->lock);
        if (tree->commit.leading || !tree->commit.waiters_first) {
            pthread_mutex_unlock(&tree->lock);
            return;
        }
        tree->commit.leading = true;
        enum recent_need need = take_waiters(tree, &first, &batch);
        pthread_mutex_unlock(&tree->lock);
        enum code code = make_durable(tree, need, &batch, &why);
        for (struct commit_waiter *waiter = first, *next; waiter; waiter = next) {
            next = waiter->next;
            waiter->told(waiter->context, code, &why);
            free(waiter);
        }
    }
}

void waiting_add(struct tree *tree, struct node *node, commit_told *told, void *context)
{
    struct commit_waiter *waiter = malloc(sizeof *waiter);
    if (!waiter) {
        struct failure why;
        told(context, failure_set(&why, CODE_NO_MEMORY, "waiting for the disk: no memory"), &why);
        return;
    }
    *waiter = (struct commit_waiter){.node = node, .told = told, .context = context};
    pthread_mutex_lock(&tree->lock);
    if (!tree->commit.waiters_first)
        tree->commit.waiters_end = &tree->commit.waiters_first;
    *tree->commit.waiters_end = waiter;
    tree->commit.waiters_end = &waiter->next;
    pthread_mutex_unlock(&tree->lock);
    waiting_lead(tree);
}

/* Waiting in a thread ---------------------------------------------------------------------------------------------- */

struct sleeper {
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool told;
    struct failure why;
};

static void wake(void *context, enum code code, const struct failure *why)
{
    struct sleeper *sleeper = context;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&sleeper->lock);
    sleeper->why = *why;
    sleeper->why.code = code;
    sleeper->told = true;
    pthread_cond_signal(&sleeper->woken);
}

enum code waiting_sync(struct tree *tree, struct node *node, struct failure *why)
{
    struct sleeper sleeper = {.told = false};
    pthread_mutex_init(&sleeper.lock, NULL);
    pthread_cond_init(&sleeper.woken, NULL);
    waiting_add(tree, node, wake, &sleeper);
    pthread_mutex_lock(&sleeper.lock);
    while (!sleeper.told)
        pthread_cond_wait(&sleeper.woken, &sleeper.lock);
    pthread_mutex_unlock(&sleeper.lock);
    pthread_cond_destroy(&sleeper.woken);
    pthread_mutex_destroy(&sleeper.lock);
    if (sleeper.why.code != CODE_OK && why)
        *why = sleeper.why;
    return sleeper.why.code;
}
