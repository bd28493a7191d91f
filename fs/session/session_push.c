/* Notifications of what others changed: see session_push.h.
 *
 *     any thread, with the tree's lock --note--> waiting --taken whole--> the push thread --filtered--> the client
 *
 * The thread takes all that waits, sends it without any lock, and then pauses for PAUSE_MS, so a stream of changes is at
 * most 200 batches a second, and a single change is sent at once.  session_push_flush does the same for who cannot wait; one
 * of them at a time.  Which nodes the client knows is looked up when sending, not when noting: that table's lock is taken
 * outside of the tree's.
 *
 * A client that was answered before a change and hears of the change before it has read that answer must not keep the
 * answer; that is its own to see to (it knows what it has asked and when it heard).
 */
#include "session_push.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "extra.h"
#include "logging.h"
#include "scope.h"
#include "session_rights.h"
#include "session_state.h"
#include "thread.h"

#define BUCKETS   4096
#define PAUSE_MS  5
#define NO_OFFSET UINT64_MAX

struct push_entry {
    uint64_t node;  /* of a name: the folder */
    uint64_t from;  /* contents changed from here on; NO_OFFSET: attributes alone */
    uint64_t child; /* of a name that went: what it meant; else 0 */
    char *name;     /* NULL: the node itself */
    uint32_t next;  /* of the same bucket, plus 1 */
};

/* What waits ------------------------------------------------------------------------------------------------------- */

static size_t bucket_of(uint64_t node, const char *name)
{
    uint64_t hash = node * UINT64_C(0x9E3779B97F4A7C15);
    for (; name && *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001B3);
    return (size_t)(hash >> 32) & (BUCKETS - 1);
}

static struct push_entry *find(const struct push_table *table, uint64_t node, const char *name)
{
    if (!table->buckets)
        return NULL;
    for (uint32_t at = table->buckets[bucket_of(node, name)]; at; at = table->entries[at - 1].next) {
        struct push_entry *entry = &table->entries[at - 1];
        if (entry->node == node && (name ? entry->name && strcmp(entry->name, name) == 0 : !entry->name))
            return entry;
    }
    return NULL;
}

static bool make_room(struct push_table *table)
{
    if (!table->buckets && !(table->buckets = calloc(BUCKETS, sizeof *table->buckets)))
        return false;
    if (table->count < table->capacity)
        return true;
    size_t capacity = table->capacity ? table->capacity * 2 : 64;
    struct push_entry *entries = capacity <= PUSH_WAITING_MAX ? realloc(table->entries, capacity * sizeof *entries) : NULL;
    if (!entries)
        return false;
    table->entries = entries;
    table->capacity = capacity;
    return true;
}

static struct push_entry *add(struct push_table *table, uint64_t node, const char *name)
{
    char *copy = name ? strdup(name) : NULL;
    if ((name && !copy) || !make_room(table)) {
        free(copy);
        return NULL;
    }
    uint32_t *bucket = &table->buckets[bucket_of(node, name)];
    struct push_entry *entry = &table->entries[table->count++];
    *entry = (struct push_entry){.node = node, .from = NO_OFFSET, .name = copy, .next = *bucket};
    *bucket = (uint32_t)table->count;
    return entry;
}

static void free_table(struct push_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->entries[i].name);
    free(table->entries);
    free(table->buckets);
    *table = (struct push_table){.count = 0};
}

static bool is_empty(const struct session_push *push)
{
    return push->waiting.count == 0 && !push->waiting.everything;
}

/* With the lock; false where there is no room. */
static bool note(struct push_table *table, const struct tree_event *event)
{
    struct push_entry *entry = find(table, event->node.value, event->name);
    if (!entry)
        entry = add(table, event->node.value, event->name);
    if (!entry)
        return false;
    if (event->kind == EVENT_CONTENTS && event->from < entry->from)
        entry->from = event->from;
    entry->child = event->kind == EVENT_REMOVED ? event->child.value : 0;
    return true;
}

static void on_told(void *context, const struct tree_event *event)
{
    struct session_push *push = context;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&push->lock);
    bool idle = is_empty(push);
    if (push->waiting.everything)
        return;
    if (event->kind == EVENT_EVERYTHING || !note(&push->waiting, event)) {
        free_table(&push->waiting);
        push->waiting.everything = true;
    }
    if (idle)
        pthread_cond_broadcast(&push->changed);
}

/* Sending ---------------------------------------------------------------------------------------------------------- */

/* What cannot be sent to a client that is gone, or that does not know the node after all, is nothing to worry about. */
static void send_entry(struct session *session, const struct push_entry *entry)
{
    if (!session_nodes_knows(&session->nodes, session_node(entry->node)) ||
        !session_rights_may_hear(session, session_node(entry->node)))
        return;
    size_t length = entry->name ? strlen(entry->name) : 0;
    if (!entry->name)
        fuse_lowlevel_notify_inval_inode(session->fuse, entry->node, entry->from == NO_OFFSET ? -1 : (off_t)entry->from, 0);
    else if (entry->child && session_nodes_knows(&session->nodes, session_node(entry->child)))
        fuse_lowlevel_notify_delete(session->fuse, entry->node, entry->child, entry->name, length);
    else
        fuse_lowlevel_notify_inval_entry(session->fuse, entry->node, entry->name, length);
}

static void send_everything(struct session *session)
{
    const struct session_peer *peer = &session->channel.peer;
    const struct fuse_out_header header = {.len = sizeof header, .error = EXTRA_NOTIFY_EVERYTHING};
    const struct iovec part = {(void *)&header, sizeof header};
    peer->send(peer->context, &part, 1);
}

static void send_table(struct session *session, const struct push_table *table)
{
    if (table->everything)
        send_everything(session);
    for (size_t i = 0; i < table->count; i++)
        send_entry(session, &table->entries[i]);
}

/* Takes all that waits, and sends it without the lock.  With the lock, before and after; nobody else may be sending. */
static void send_all(struct session_push *push)
{
    struct push_table taken = push->waiting;
    push->waiting = (struct push_table){.count = 0};
    push->sending = true;
    pthread_mutex_unlock(&push->lock);
    send_table(push->session, &taken);
    free_table(&taken);
    pthread_mutex_lock(&push->lock);
    push->sending = false;
    pthread_cond_broadcast(&push->changed);
}

void session_push_flush(struct session_push *push)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&push->lock);
    while (push->sending)
        pthread_cond_wait(&push->changed, &push->lock);
    if (!is_empty(push))
        send_all(push);
}

/* With the lock. */
static void pause_a_little(struct session_push *push)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += PAUSE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!push->stop && pthread_cond_timedwait(&push->changed, &push->lock, &until) == 0)
        ;
}

static void *run(void *context)
{
    struct session_push *push = context;
    pthread_mutex_lock(&push->lock);
    while (!push->stop) {
        if (push->sending || is_empty(push)) {
            pthread_cond_wait(&push->changed, &push->lock);
            continue;
        }
        send_all(push);
        pause_a_little(push);
    }
    pthread_mutex_unlock(&push->lock);
    return NULL;
}

/* Life ------------------------------------------------------------------------------------------------------------- */

void session_push_init(struct session_push *push, struct session *session)
{
    *push = (struct session_push){.session = session};
    pthread_mutex_init(&push->lock, NULL);
    pthread_cond_init(&push->changed, NULL);
}

enum code session_push_start(struct session_push *push, struct failure *why)
{
    enum code code = thread_start(&push->thread, run, push, "a thread that tells of changes", why);
    if (code != CODE_OK)
        return code;
    push->running = true;
    struct tree_observer *observer = &push->session->observer;
    observer->told = on_told;
    observer->context = push;
    tree_observe(push->session->tree, observer);
    return CODE_OK;
}

void session_push_stop(struct session_push *push)
{
    if (!push->running)
        return;
    tree_observe_end(push->session->tree, &push->session->observer);
    pthread_mutex_lock(&push->lock);
    push->stop = true;
    pthread_cond_broadcast(&push->changed);
    pthread_mutex_unlock(&push->lock);
    pthread_join(push->thread, NULL);
    push->running = false;
}

void session_push_destroy(struct session_push *push)
{
    session_push_stop(push);
    free_table(&push->waiting);
    pthread_mutex_destroy(&push->lock);
    pthread_cond_destroy(&push->changed);
}
