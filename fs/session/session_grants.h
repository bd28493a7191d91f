/* Pages that others made old: the client of a session that is not fed keeps pages of files, and drops them before it gets a
 * lock on a file that others have changed since it got the last one.
 *
 * To make it ask for the attributes, by which it finds that its pages are old, would not do: of two who read at once, one
 * may be shown the old pages while the other is still dropping them, and an answer that comes while the client is made to
 * ask once more is thrown away with what it said.
 */
#ifndef CYTOFS_SESSION_GRANTS_H
#define CYTOFS_SESSION_GRANTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "tree.h"

#define SESSION_GRANTS_BUCKETS 4096 /* a power of two */

struct fuse_req;
struct session;
struct waiting_grant;

struct session_grants {
    struct session *session;
    /* By others, of the files that fall into each: some pages may be dropped in vain. */
    atomic_uint changes[SESSION_GRANTS_BUCKETS];
    bool running;
    pthread_t thread;

    pthread_mutex_t lock; /* guards the fields below; nothing is taken or waited for under it */
    pthread_cond_t changed;
    struct waiting_grant *first, *last; /* locks that wait for their pages to be dropped */
    bool stop;
};

void session_grants_init(struct session_grants *grants, struct session *session);

/* From here on the changes of others are counted. */
MUST_CHECK enum code session_grants_start(struct session_grants *grants, struct failure *why);

/* Whether nobody else has changed the file since its pages were dropped last. */
bool session_grants_need_nothing(struct session_grants *grants, struct node_id node);

/* Has the file's pages dropped, and then answers that the lock is granted (session_locks_granted): by a thread of its own,
 * since whoever drops a page waits for who reads or writes it, and that one for a worker of ours. */
void session_grants_give(struct session_grants *grants, struct node_id node, struct fuse_req *request);

/* Grants what waits, and ends; the workers must still answer, or nobody be there any more who could read. */
void session_grants_stop(struct session_grants *grants);
void session_grants_destroy(struct session_grants *grants);

#endif
