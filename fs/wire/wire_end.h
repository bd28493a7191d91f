/* Inside fs/wire: what a link is, and what its thread does with a connection of it. */
#ifndef CYTOFS_WIRE_END_H
#define CYTOFS_WIRE_END_H

#include <pthread.h>

#include "wire_connection.h"

struct wire_link {
    struct wire_events events;
    void *context;
    void (*wake)(struct wire_link *link);    /* makes the thread look at the link; any thread */
    void (*destroy)(struct wire_link *link); /* see wire_link_destroy */

    pthread_mutex_t lock; /* guards the fields below; nothing is called under it but `wake` */
    struct wire_ledger ledger;
    bool paused;
    bool closing; /* wire_link_close was called */
    bool ended;   /* nothing more is taken */
    bool woken;   /* the thread was told and has not looked yet */

    /* The thread's own. */
    uint8_t session[WIRE_SESSION_BYTES];
    struct wire_connection *connection; /* NULL while it is lost */
    bool said_bye, heard_bye;
    int64_t bye_ms; /* when it was said */
};

void wire_end_init(struct wire_link *link, const struct wire_events *events, void *context);
void wire_end_clear(struct wire_link *link);

/* Sends and takes what can be without waiting.  CODE_NO_DATA: the other side has closed, after BYE where heard_bye or
 * said_bye; CODE_DENIED and CODE_NEWER_FORMAT: the server refuses; other codes: the connection is gone. */
MUST_CHECK enum code wire_end_pump(struct wire_link *link, struct failure *why);

/* What to poll(2) for, and until when (monotonic ms). */
short wire_end_wait(struct wire_link *link, int64_t *deadline_ms);

/* Takes over a connection on which the greetings were exchanged; the other side has `received` messages of ours.  renewed:
 * the numbering starts anew, what was kept is dropped. */
MUST_CHECK enum code wire_end_attach(struct wire_link *link, struct wire_connection *connection, uint64_t received,
                                     bool renewed, struct failure *why);

/* Closes the connection. */
void wire_end_cut(struct wire_link *link);

/* No more messages; says so. */
void wire_end_finish(struct wire_link *link, const struct failure *why);

#endif
