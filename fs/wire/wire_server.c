/* The server's end of links: see wire_server.h.
 *
 *   accepted --TLS--> greeted --HELLO--> has a link --cut--> gone; the link waits for its owner, keep_ms at most
 *                             --ASK, without a certificate--> answered, closing
 *
 * One thread polls all sockets and does all of it.  Others only append to ledgers, ask for members to be expelled, and give links up: that
 * is what `lock` guards, with the list of links.  It is never held while an event is called.
 *
 * Invariants: 1. a guest (a connection) has at most one link, a link at most one guest; 2. a link is freed by the thread, after it has ended and
 * its owner has given it up, or by wire_server_destroy. */
#include "wire_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "bytes.h"
#include "entropy.h"
#include "logging.h"
#include "scope.h"
#include "timing.h"
#include "wire_end.h"
#include "wire_listen.h"

#define GUESTS_MAX      (WIRE_LINKS_MAX + WIRE_HANDSHAKES_MAX)
#define GREETING_MS     10000   /* from accept to HELLO */
#define KEEP_DEFAULT_MS 3600000
#define LISTENERS       2       /* network, UNIX socket */
#define POLLED_FIXED    (LISTENERS + 1)
#define SAVED_MAGIC     "cylinks1"
#define SAVED_HEAD      8
#define SAVED_LINK_HEAD (WIRE_SESSION_BYTES + 8 + MEMBER_NAME_MAX + 1 + MEMBER_KEY_FINGERPRINT_BYTES)

struct served_link {
    struct wire_link link; /* first: a link is its served_link */
    struct wire_server *server;
    struct wire_peer peer;
    struct served_link *next;
    int64_t cut_ms;   /* since when it has no guest */
    bool expelled;    /* under the server's lock */
    bool given_up;    /* under the server's lock */
    bool finished;    /* WIRE_ENDED was told */
};

/* A connection. */
struct guest {
    struct wire_channel *channel;       /* while it greets; then the connection has it */
    struct wire_connection *connection; /* until a link has it */
    struct served_link *link;
    struct wire_peer peer;
    enum wire_want want;
    int64_t begun_ms;
    bool closing; /* goes when its output is gone */
};

struct wire_server {
    struct wire_server_events events;
    void *context;
    struct wire_context *tls;
    int listeners[LISTENERS]; /* -1: not */
    char *socket_path;
    int wake, keep_ms;
    uint16_t port;
    pthread_t thread;
    bool runs; /* there is a thread */

    pthread_mutex_t lock;
    struct served_link *links;
    size_t link_count;
    bool stopping;

    struct guest guests[GUESTS_MAX]; /* the thread's; an entry without channel, connection and link is free */
};

static struct served_link *served(struct wire_link *link)
{
    return (struct served_link *)link;
}

static void wake_server(struct wire_server *server)
{
    eventfd_write(server->wake, 1);
}

static void wake_link(struct wire_link *link)
{
    wake_server(served(link)->server);
}

static void give_up_link(struct wire_link *link)
{
    struct wire_server *server = served(link)->server;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    served(link)->given_up = true;
    wake_server(server);
}

/* Guests ------------------------------------------------------------------------------------------------------------- */

static void dismiss(struct guest *guest)
{
    if (guest->link) {
        wire_end_cut(&guest->link->link);
        guest->link->cut_ms = timing_monotonic_ms();
    }
    wire_connection_destroy(guest->connection);
    wire_channel_close(guest->channel);
    *guest = (struct guest){0};
}

static bool is_free(const struct guest *guest)
{
    return !guest->channel && !guest->connection && !guest->link;
}

static struct wire_connection *connection_of(const struct guest *guest)
{
    return guest->link ? guest->link->link.connection : guest->connection;
}

static int guest_fd(const struct guest *guest)
{
    return wire_channel_fd(guest->channel ? guest->channel : connection_of(guest)->channel);
}

/* Says why and closes, once that is sent. */
static void refuse(struct guest *guest, const struct failure *why)
{
    struct wire_connection *connection = connection_of(guest);
    uint8_t frame[WIRE_FRAME_HEAD_BYTES + 4 + WIRE_TEXT_MAX];
    struct failure ignored;
    logging_info("%s (%s): refused: %s", guest->peer.address, guest->peer.holder.name[0] ? guest->peer.holder.name : "nobody yet",
                 why->text);
    if (connection->copied == 0)
        wire_connection_put(connection, frame, wire_frame_write_refusal(why->code, why->text, frame));
    if (wire_connection_flush(connection, &ignored) != CODE_OK)
        connection->gone = connection->filled;
    guest->closing = true;
}

static struct guest *find_free(struct wire_server *server)
{
    size_t greeting = 0;
    struct guest *found = NULL;
    for (size_t i = 0; i < GUESTS_MAX; i++) {
        struct guest *guest = &server->guests[i];
        if (is_free(guest))
            found = found ? found : guest;
        else if (!guest->link)
            greeting++;
    }
    return greeting < WIRE_HANDSHAKES_MAX ? found : NULL;
}

static void describe_network(const struct sockaddr *address, socklen_t size, char *text, size_t count)
{
    char host[NI_MAXHOST], service[NI_MAXSERV];
    if (getnameinfo(address, size, host, sizeof host, service, sizeof service, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(text, count, "somewhere");
    else
        snprintf(text, count, "%.45s:%.5s", host, service);
}

static void describe_peer(int fd, const struct sockaddr *address, socklen_t size, struct wire_peer *peer)
{
    peer->uid = (uid_t)-1;
    if (address->sa_family != AF_UNIX) {
        int at_once = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
        describe_network(address, size, peer->address, sizeof peer->address);
        return;
    }
    struct ucred credentials = {.uid = (uid_t)-1};
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0)
        peer->uid = credentials.uid;
    snprintf(peer->address, sizeof peer->address, "uid %u", peer->uid);
}

static void welcome_guest(struct wire_server *server, int listener, bool local)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    int fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct guest *guest = find_free(server);
    struct failure why;
    if (!guest) {
        logging_warning("a connection is refused: %d others are being greeted", WIRE_HANDSHAKES_MAX);
        close(fd);
        return;
    }
    *guest = (struct guest){.begun_ms = timing_monotonic_ms(), .want = WIRE_READ};
    describe_peer(fd, (struct sockaddr *)&address, size, &guest->peer);
    if (wire_channel_open(local ? NULL : server->tls, fd, true, &guest->channel, &why) != CODE_OK)
        logging_warning("%s: %s", guest->peer.address, why.text);
}

/* Links ------------------------------------------------------------------------------------------------------------- */

static bool is_of(const struct served_link *link, const struct wire_peer *peer)
{
    return strcmp(link->peer.holder.name, peer->holder.name) == 0 &&
           strcmp(link->peer.holder.member_fingerprint, peer->holder.member_fingerprint) == 0 && link->peer.uid == peer->uid;
}

static struct served_link *find_link(struct wire_server *server, const uint8_t session[WIRE_SESSION_BYTES],
                                     const struct wire_peer *peer)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    for (struct served_link *link = server->links; link; link = link->next)
        if (!link->finished && memcmp(link->link.session, session, WIRE_SESSION_BYTES) == 0 && is_of(link, peer))
            return link;
    return NULL;
}

static struct served_link *enter_link(struct wire_server *server, const struct wire_peer *peer)
{
    static const struct wire_events none = {0};
    struct served_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    wire_end_init(&link->link, &none, NULL);
    link->link.wake = wake_link;
    link->link.destroy = give_up_link;
    link->server = server;
    link->peer = *peer;
    link->cut_ms = timing_monotonic_ms();
    memcpy(link->link.session, peer->session, WIRE_SESSION_BYTES);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    link->next = server->links;
    server->links = link;
    server->link_count++;
    return link;
}

static void free_link(struct served_link *link)
{
    wire_end_clear(&link->link);
    free(link);
}

static void remove_link(struct wire_server *server, struct served_link *gone)
{
    pthread_mutex_lock(&server->lock);
    struct served_link **at = &server->links;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
    server->link_count--;
    pthread_mutex_unlock(&server->lock);
    free_link(gone);
}

/* Takes the link to its owner; where that fails there is none. */
static enum code begin_link(struct wire_server *server, struct served_link *link, struct failure *why)
{
    void *context = NULL;
    enum code code = server->events.begin(server->context, &link->link, &link->peer, &context, why);
    if (code != CODE_OK) {
        remove_link(server, link);
        return code;
    }
    link->link.context = context;
    link->link.events = server->events.link;
    return CODE_OK;
}

static void finish_link(struct served_link *link, const struct failure *why)
{
    if (link->finished)
        return;
    link->finished = true;
    wire_end_finish(&link->link, why);
}

/* The peer's link that was cut longest ago; NULL: all have connections. */
static struct served_link *find_left_behind(struct wire_server *server, const struct wire_peer *peer, int *count)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    struct served_link *found = NULL;
    *count = 0;
    for (struct served_link *link = server->links; link; link = link->next) {
        if (link->finished || !is_of(link, peer))
            continue;
        ++*count;
        if (!link->link.connection && (!found || link->cut_ms < found->cut_ms))
            found = link;
    }
    return found;
}

/* So that no member takes all the places, whether he means to or his program dies again and again. */
static enum code make_place(struct wire_server *server, const struct wire_peer *peer, struct failure *why)
{
    int count;
    struct served_link *left = find_left_behind(server, peer, &count);
    if (count >= WIRE_LINKS_MEMBER_MAX && !left)
        return failure_set(why, CODE_AGAIN, "you are connected %d times already: unmount somewhere, or try later", count);
    if (count >= WIRE_LINKS_MEMBER_MAX) {
        struct failure replaced;
        failure_set(&replaced, CODE_IO, "a newer connection of the same member needed its place");
        finish_link(left, &replaced);
    }
    if (server->link_count >= WIRE_LINKS_MAX)
        return failure_set(why, CODE_AGAIN, "%d clients are connected already: try later", WIRE_LINKS_MAX);
    return CODE_OK;
}

static enum code make_link(struct wire_server *server, struct guest *guest, struct served_link **out, struct failure *why)
{
    enum code code = make_place(server, &guest->peer, why);
    if (code == CODE_OK)
        code = entropy_fill(guest->peer.session, WIRE_SESSION_BYTES, why);
    if (code != CODE_OK)
        return code;
    struct served_link *link = enter_link(server, &guest->peer);
    if (!link)
        return failure_set(why, CODE_NO_MEMORY, "no memory for another client");
    *out = link;
    return begin_link(server, link, why);
}

/* The guest that has the link now, if any: its connection is older, and certainly dead. */
static void detach(struct wire_server *server, const struct served_link *link)
{
    for (size_t i = 0; i < GUESTS_MAX; i++)
        if (server->guests[i].link == link)
            dismiss(&server->guests[i]);
}

static enum code attach(struct guest *guest, struct served_link *link, const struct wire_greeting *hello, bool resumed,
                        struct failure *why)
{
    struct wire_greeting greeting = {.resumed = resumed, .received = link->link.ledger.received};
    uint8_t frame[WIRE_FRAME_HEAD_BYTES + WIRE_HELLO_BYTES];
    memcpy(greeting.session, link->link.session, WIRE_SESSION_BYTES);
    enum code code = wire_end_attach(&link->link, guest->connection, hello->received, !resumed, why);
    if (code != CODE_OK)
        return code;
    wire_frame_write_greeting(&greeting, WIRE_WELCOME, frame);
    wire_connection_put(guest->connection, frame, sizeof frame);
    guest->connection = NULL;
    guest->link = link;
    pthread_mutex_lock(&link->link.lock);
    memcpy(&link->peer.address, guest->peer.address, sizeof link->peer.address);
    pthread_mutex_unlock(&link->link.lock);
    return CODE_OK;
}

static bool reaches(struct served_link *link, uint64_t received)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->link.lock);
    return wire_ledger_reaches(&link->link.ledger, received);
}

static enum code take_hello(struct wire_server *server, struct guest *guest, const struct wire_frame *frame,
                            struct failure *why)
{
    struct wire_greeting hello;
    enum code code = wire_frame_read_greeting(frame, &hello, why);
    if (code == CODE_OK && guest->peer.uid == (uid_t)-1 && !guest->peer.holder.name[0])
        code = failure_set(why, CODE_DENIED, "no certificate: first join the lab (cytofs join)");
    if (code == CODE_OK)
        code = server->events.admit(server->context, &guest->peer, why);
    if (code != CODE_OK)
        return code;
    struct served_link *link = find_link(server, hello.session, &guest->peer);
    if (link)
        detach(server, link);
    if (link && !reaches(link, hello.received)) { /* its owner has lost his memory of it, and gives it up */
        finish_link(link, NULL);
        link = NULL;
    }
    bool resumed = link != NULL;
    if (!link)
        code = make_link(server, guest, &link, why);
    if (code == CODE_OK)
        code = attach(guest, link, &hello, resumed, why);
    if (code != CODE_OK)
        return code;
    link->link.events.state(link->link.context, WIRE_CONNECTED, NULL);
    return CODE_BUSY; /* what follows is the link's */
}

static enum code take_question(struct wire_server *server, struct guest *guest, const struct wire_frame *frame,
                               struct failure *why)
{
    SCOPE_BUFFER answer = {.max = WIRE_ASK_MAX};
    uint8_t head[WIRE_FRAME_HEAD_BYTES];
    if (guest->peer.holder.name[0] || guest->peer.uid != (uid_t)-1)
        return failure_set(why, CODE_DENIED, "you have a certificate of this lab: there is nothing to ask");
    enum code code = server->events.ask(server->context, frame->bytes, frame->length, guest->peer.address, &answer, why);
    if (code == CODE_OK)
        code = buffer_check(&answer, "the answer", why);
    if (code != CODE_OK)
        return code;
    wire_frame_put_head(head, WIRE_ANSWER, answer.length);
    wire_connection_put(guest->connection, head, sizeof head);
    wire_connection_put(guest->connection, buffer_text(&answer), answer.length);
    guest->closing = true;
    return CODE_BUSY;
}

struct visit {
    struct wire_server *server;
    struct guest *guest;
};

static enum code take_first_frame(void *context, const struct wire_frame *frame, struct failure *why)
{
    struct visit *visit = context;
    if (frame->kind == WIRE_HELLO)
        return take_hello(visit->server, visit->guest, frame, why);
    if (frame->kind == WIRE_ASK)
        return take_question(visit->server, visit->guest, frame, why);
    return failure_set(why, CODE_DENIED, "a connection begins with HELLO");
}

/* The thread ---------------------------------------------------------------------------------------------------------- */

static enum code greet(struct guest *guest, struct failure *why)
{
    enum code code = wire_channel_greet(guest->channel, &guest->want, why);
    if (code != CODE_OK)
        return code == CODE_AGAIN ? CODE_OK : code;
    guest->peer.holder = *wire_channel_holder(guest->channel);
    struct wire_channel *channel = guest->channel;
    guest->channel = NULL;
    return wire_connection_make(channel, &guest->connection, why);
}

static void serve_new(struct wire_server *server, struct guest *guest)
{
    struct failure why;
    enum code code = CODE_OK;
    if (guest->channel)
        code = greet(guest, &why);
    if (code != CODE_OK) {
        logging_info("%s: %s", guest->peer.address, why.text);
        dismiss(guest);
        return;
    }
    if (!guest->connection)
        return;
    struct visit visit = {server, guest};
    struct wire_connection *connection = guest->connection;
    if (!guest->closing)
        code = wire_connection_receive(connection, take_first_frame, &visit, &why);
    if (guest->link)
        return; /* pumped below */
    if (code == CODE_NO_DATA || code == CODE_IO)
        dismiss(guest);
    else if (code != CODE_OK)
        refuse(guest, &why);
    else if (wire_connection_flush(connection, &why) != CODE_OK)
        dismiss(guest);
}

static void serve_link(struct guest *guest)
{
    struct served_link *link = guest->link;
    struct failure why;
    enum code code = wire_end_pump(&link->link, &why);
    if (code == CODE_OK)
        return;
    dismiss(guest);
    if (link->link.said_bye || link->link.heard_bye)
        finish_link(link, NULL);
    else
        link->link.events.state(link->link.context, WIRE_LOST, &why);
}

static bool is_gone(const struct guest *guest)
{
    int64_t now = timing_monotonic_ms();
    const struct wire_connection *connection = guest->link ? NULL : guest->connection;
    if (guest->closing && connection_of(guest)->gone == connection_of(guest)->filled)
        return true;
    return (!guest->link || guest->closing) && (connection || guest->channel || guest->closing) &&
           now - guest->begun_ms > GREETING_MS;
}

/* Links that were given up, expelled, or cut too long ago. */
static void tend_links(struct wire_server *server)
{
    struct failure why;
    int64_t now = timing_monotonic_ms();
    struct served_link *next;
    pthread_mutex_lock(&server->lock);
    struct served_link *link = server->links;
    pthread_mutex_unlock(&server->lock);
    for (; link; link = next) {
        pthread_mutex_lock(&server->lock);
        bool expelled = link->expelled, given_up = link->given_up;
        next = link->next; /* only this thread removes any */
        pthread_mutex_unlock(&server->lock);
        if (expelled && !link->finished) {
            failure_set(&why, CODE_DENIED, "you are no longer a member of this lab");
            for (size_t i = 0; i < GUESTS_MAX; i++)
                if (server->guests[i].link == link)
                    refuse(&server->guests[i], &why);
            detach(server, link);
            finish_link(link, &why);
        } else if (!link->finished && !link->link.connection && now - link->cut_ms > server->keep_ms) {
            failure_set(&why, CODE_IO, "the client did not come back for %d s", server->keep_ms / 1000);
            finish_link(link, &why);
        } else if (given_up && !link->finished) {
            detach(server, link);
            link->finished = true;
        }
        if (given_up && link->finished)
            remove_link(server, link);
    }
}

static short guest_events(const struct guest *guest, int64_t *deadline_ms)
{
    *deadline_ms = guest->begun_ms + GREETING_MS;
    if (guest->channel)
        return guest->want == WIRE_WRITE ? POLLOUT : POLLIN;
    if (guest->link && !guest->closing)
        return wire_end_wait(&guest->link->link, deadline_ms);
    if (connection_of(guest)->unread && !guest->closing)
        *deadline_ms = 0;
    return wire_connection_events(connection_of(guest), false);
}

/* Waits for anything to do; answers which listeners have somebody. */
static void wait_for_work(struct wire_server *server, bool came[LISTENERS])
{
    struct pollfd polled[POLLED_FIXED + GUESTS_MAX];
    nfds_t count = POLLED_FIXED;
    int64_t now = timing_monotonic_ms(), soonest = now + 1000; /* links are tended each second */
    for (int i = 0; i < LISTENERS; i++)
        polled[i] = (struct pollfd){.fd = server->listeners[i], .events = POLLIN};
    polled[LISTENERS] = (struct pollfd){.fd = server->wake, .events = POLLIN};
    for (size_t i = 0; i < GUESTS_MAX; i++) {
        const struct guest *guest = &server->guests[i];
        if (is_free(guest))
            continue;
        int64_t deadline_ms;
        polled[count++] = (struct pollfd){.fd = guest_fd(guest), .events = guest_events(guest, &deadline_ms)};
        if (deadline_ms < soonest)
            soonest = deadline_ms;
    }
    eventfd_t ignored;
    int ready = poll(polled, count, soonest > now ? (int)(soonest - now) + 1 : 0);
    for (int i = 0; i < LISTENERS; i++)
        came[i] = ready > 0 && polled[i].revents & POLLIN;
    if (ready > 0 && polled[LISTENERS].revents)
        eventfd_read(server->wake, &ignored);
}

static bool is_stopping(struct wire_server *server)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    return server->stopping;
}

static void *run(void *argument)
{
    struct wire_server *server = argument;
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, NULL);
    while (!is_stopping(server)) {
        bool came[LISTENERS];
        wait_for_work(server, came);
        for (int i = 0; i < LISTENERS; i++)
            if (came[i])
                welcome_guest(server, server->listeners[i], i == 1);
        for (size_t i = 0; i < GUESTS_MAX; i++) {
            struct guest *guest = &server->guests[i];
            if (!is_free(guest) && !guest->link)
                serve_new(server, guest);
            if (guest->link && !guest->closing)
                serve_link(guest);
            if (!is_free(guest) && is_gone(guest))
                dismiss(guest);
        }
        tend_links(server);
    }
    for (size_t i = 0; i < GUESTS_MAX; i++)
        dismiss(&server->guests[i]);
    return NULL;
}

/* Saved links --------------------------------------------------------------------------------------------------------- */

static void put_link(struct served_link *link, struct buffer *out)
{
    uint8_t head[SAVED_LINK_HEAD] = {0};
    memcpy(head, link->link.session, WIRE_SESSION_BYTES);
    bytes_store64(head + WIRE_SESSION_BYTES, link->peer.uid);
    memcpy(head + WIRE_SESSION_BYTES + 8, link->peer.holder.name, strlen(link->peer.holder.name));
    memcpy(head + WIRE_SESSION_BYTES + 8 + MEMBER_NAME_MAX + 1, link->peer.holder.member_fingerprint,
           strlen(link->peer.holder.member_fingerprint));
    buffer_append(out, head, sizeof head);
    wire_ledger_save(&link->link.ledger, out);
}

enum code wire_server_save(struct wire_server *server, struct buffer *out, struct failure *why)
{
    buffer_append(out, SAVED_MAGIC, SAVED_HEAD);
    for (struct served_link *link = server->links; link; link = link->next)
        if (!link->finished && !link->expelled)
            put_link(link, out);
    return buffer_check(out, "the links", why);
}

static enum code take_link(struct wire_server *server, const uint8_t *at, size_t count, size_t *taken, struct failure *why)
{
    struct wire_peer peer = {0};
    if (count < SAVED_LINK_HEAD || server->link_count >= WIRE_LINKS_MAX)
        return failure_set(why, CODE_CORRUPT, "the saved links are damaged");
    memcpy(peer.session, at, WIRE_SESSION_BYTES);
    peer.uid = (uid_t)bytes_load64(at + WIRE_SESSION_BYTES);
    memcpy(peer.holder.name, at + WIRE_SESSION_BYTES + 8, MEMBER_NAME_MAX);
    memcpy(peer.holder.member_fingerprint, at + WIRE_SESSION_BYTES + 8 + MEMBER_NAME_MAX + 1, MEMBER_KEY_FINGERPRINT_BYTES - 1);
    snprintf(peer.address, sizeof peer.address, "away");
    struct served_link *link = enter_link(server, &peer);
    if (!link)
        return failure_set(why, CODE_NO_MEMORY, "the saved links: no memory");
    size_t ledger = 0;
    enum code code = wire_ledger_restore(&link->link.ledger, at + SAVED_LINK_HEAD, count - SAVED_LINK_HEAD, &ledger, why);
    if (code != CODE_OK) {
        remove_link(server, link);
        return code;
    }
    *taken = SAVED_LINK_HEAD + ledger;
    code = begin_link(server, link, why);
    if (code != CODE_OK) { /* this client begins anew */
        logging_info("%s: %s", peer.holder.name, why->text);
    }
    return CODE_OK;
}

static enum code take_links(struct wire_server *server, const uint8_t *bytes, size_t count, struct failure *why)
{
    if (count < SAVED_HEAD || memcmp(bytes, SAVED_MAGIC, SAVED_HEAD) != 0)
        return failure_set(why, CODE_CORRUPT, "the saved links are not of this version");
    for (size_t at = SAVED_HEAD; at < count;) {
        size_t taken = 0;
        enum code code = take_link(server, bytes + at, count - at, &taken, why);
        if (code != CODE_OK)
            return code;
        at += taken;
    }
    return CODE_OK;
}

/* There is no server after all. */
static void finish_links(struct wire_server *server, const struct failure *why)
{
    for (struct served_link *link = server->links; link; link = link->next)
        finish_link(link, why);
}

/* Life --------------------------------------------------------------------------------------------------------------- */

enum code wire_server_start(const struct wire_server_options *options, const struct wire_server_events *events,
                            void *context, struct wire_server **out, struct failure *why)
{
    struct wire_server *server = calloc(1, sizeof *server);
    if (!server)
        return failure_set(why, CODE_NO_MEMORY, "listening: no memory");
    *server = (struct wire_server){.events = *events,
                                   .context = context,
                                   .listeners = {-1, -1},
                                   .keep_ms = options->keep_ms ? options->keep_ms : KEEP_DEFAULT_MS,
                                   .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    pthread_mutex_init(&server->lock, NULL);
    enum code code = server->wake < 0 ? failure_set_errno(why, errno, "listening") : CODE_OK;
    if (code == CODE_OK && options->address)
        code = wire_context_make(options->credentials, true, &server->tls, why);
    if (code == CODE_OK && options->address)
        code = wire_listen_network(options->address, options->port, &server->listeners[0], &server->port, why);
    if (code == CODE_OK && options->socket_path)
        code = wire_listen_socket(options->socket_path, options->socket_mode, &server->listeners[1], why);
    if (code == CODE_OK && options->socket_path)
        server->socket_path = strdup(options->socket_path);
    if (code == CODE_OK && options->saved)
        code = take_links(server, options->saved, options->saved_count, why);
    if (code == CODE_OK && pthread_create(&server->thread, NULL, run, server) != 0)
        code = failure_set(why, CODE_NO_MEMORY, "listening: no thread");
    server->runs = code == CODE_OK;
    if (code == CODE_OK)
        *out = server;
    else {
        finish_links(server, why);
        wire_server_destroy(server);
    }
    return code;
}

uint16_t wire_server_port(const struct wire_server *server)
{
    return server->port;
}

void wire_server_address(struct wire_link *link, char address[WIRE_ADDRESS_BYTES])
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->lock);
    memcpy(address, served(link)->peer.address, WIRE_ADDRESS_BYTES);
}

void wire_server_freeze(struct wire_server *server)
{
    if (!server->runs)
        return;
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    wake_server(server);
    pthread_mutex_unlock(&server->lock);
    pthread_join(server->thread, NULL);
    server->runs = false;
}

void wire_server_expel(struct wire_server *server, const char *member_name)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    for (struct served_link *link = server->links; link; link = link->next)
        if (strcmp(link->peer.holder.name, member_name) == 0)
            link->expelled = true;
    wake_server(server);
}

void wire_server_expel_link(struct wire_link *link)
{
    struct wire_server *server = served(link)->server;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    served(link)->expelled = true;
    wake_server(server);
}

void wire_server_destroy(struct wire_server *server)
{
    if (!server)
        return;
    wire_server_freeze(server);
    while (server->links) {
        struct served_link *link = server->links;
        server->links = link->next;
        free_link(link);
    }
    for (int i = 0; i < LISTENERS; i++)
        if (server->listeners[i] >= 0)
            close(server->listeners[i]);
    if (server->socket_path)
        unlink(server->socket_path);
    free(server->socket_path);
    if (server->wake >= 0)
        close(server->wake);
    wire_context_destroy(server->tls);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
