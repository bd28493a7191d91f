/* One end of a link between a workstation and the server: an ordered stream of messages in both directions, each delivered
 * exactly once, however often the connection below is cut.
 *
 * Each side numbers what it sends and keeps it until the other has acknowledged it.  After a cut the workstation connects
 * anew (with growing pauses, for ever), both tell how many messages they have received, and what is missing is sent again.
 * A link ends when somebody closes it, when the server refuses the certificate, or when it was cut for longer than the
 * server keeps it.
 *
 *   connecting --WELCOME--> connected --cut--> lost --WELCOME, known--> connected
 *                                                   --WELCOME, not known (the server forgot)--> renewed: numbering starts
 * anew
 *                                                   --REFUSED | close--> ended
 *
 * Formats: PROTOCOL.md.  A link has one thread of its own at the workstation; at the server, one thread moves the bytes of
 * all links. It calls `events`; these may not block on the network, nor wait for an answer.
 */
#ifndef CYTOFS_WIRE_LINK_H
#define CYTOFS_WIRE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "buffer.h"
#include "certificate.h"
#include "failure.h"

#define WIRE_PORT          7331
#define WIRE_MESSAGE_MAX   ((1u << 20) + (64u << 10)) /* bytes in one message */
#define WIRE_SESSION_BYTES 16
#define WIRE_WINDOW_MAX    (64u << 20) /* bytes that one side keeps unacknowledged, beyond that wire_link_send refuses */
#define WIRE_SILENCE_MS                                                                                                     \
    6000 /* nothing heard for so long: the connection is dead; TCP itself would wait longer with each loss; a side that     \
            idles says something each third of it */

struct wire_link;

enum wire_state {
    WIRE_CONNECTED, /* for the first time, or again with nothing lost */
    WIRE_LOST,      /* cut; it is being connected again.  Messages may still be given to it */
    WIRE_RENEWED, /* the server does not know the link any more: what was not acknowledged is dropped, whether it was carried
                     out is unknown */
    WIRE_ENDED    /* for ever; `why` says why.  The last event */
};

struct wire_events {
    /* One whole message; the bytes are the link's. */
    void (*message)(void *context, const void *bytes, size_t length);
    void (*state)(void *context, enum wire_state state, const struct failure *why); /* why: of LOST and ENDED; else NULL */
    /* The backlog, which was above half of the window, is below it again.  NULL: not asked for. */
    void (*room)(void *context);
};

/* What one needs to speak: all PEM. */
struct wire_credentials {
    struct buffer key, certificate, lab_certificate;
};

struct wire_connect_options {
    const char *host; /* a name or an address; or the path of a UNIX socket, beginning with '/', where TLS is not spoken and
                         the peer's uid says who it is */
    uint16_t port;    /* 0: WIRE_PORT */
    const struct wire_credentials *credentials; /* copied; NULL for a UNIX socket */
    const uint8_t *former; /* WIRE_SESSION_BYTES: a link that ended with the process that had it, which the server need keep
                              no longer; NULL: none */
    int give_up_ms;        /* how long the first connection may take; later ones are tried for ever.  0: 10 s */
};

/* Connects, and returns once the server has said WELCOME.  CODE_DENIED with the server's words where it refuses.  The first
 * events may come before it returns.  The program ignores SIGPIPE. */
MUST_CHECK enum code wire_connect(const struct wire_connect_options *options, const struct wire_events *events,
                                  void *context, struct wire_link **out, struct failure *why);

/* Queues a message of up to WIRE_MESSAGE_MAX bytes in `count` parts; copies it.  From any thread, also from within an event.
 * CODE_AGAIN beyond the window (wire_link_backlog tells how full it is); CODE_IO where the link has ended. */
MUST_CHECK enum code wire_link_send(struct wire_link *link, const struct iovec *parts, int count, struct failure *why);

/* What names it to the server, now; it changes with WIRE_RENEWED. */
void wire_link_session(struct wire_link *link, uint8_t session[WIRE_SESSION_BYTES]);

/* Bytes that were sent or wait to be, and are not acknowledged. */
size_t wire_link_backlog(struct wire_link *link);

/* Stops (and goes on) taking messages from the connection, so that whoever sends has to wait.  Any thread. */
void wire_link_pause(struct wire_link *link, bool paused);

/* Tells the other side that this was all, after what is queued; then WIRE_ENDED comes with why NULL. */
void wire_link_close(struct wire_link *link);

/* Gives it up: closes it if need be and, once no event of it is under way, frees it.  At the workstation it waits for the
 * link's thread, so not from within an event; at the server it may be called anywhere after WIRE_ENDED. */
void wire_link_destroy(struct wire_link *link);

/* Asks the server one question before there is a link: that of somebody who joins and has no certificate yet.  The server's
 * certificate chain must lead to one with this fingerprint.  Up to 16 KiB each way.  CODE_DENIED with the server's words. */
MUST_CHECK enum code wire_ask(const char *host, uint16_t port, const uint8_t lab_fingerprint[CERTIFICATE_FINGERPRINT_BYTES],
                              const void *question, size_t count, struct buffer *answer, struct failure *why);

#endif
