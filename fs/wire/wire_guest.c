/* Connections to a server: see wire_guest.h.
 *
 *   accepted --TLS--> greeted --HELLO--> has a link
 *                             --ASK, without a certificate--> answered, closing
 */
#include "wire_guest.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "logging.h"
#include "scope.h"
#include "timing.h"
#include "wire_served.h"

#define GREETING_MS 10000 /* from accept to HELLO */

void wire_guest_dismiss(struct wire_guest *guest)
{
    if (guest->link) {
        wire_end_cut(&guest->link->link);
        guest->link->cut_ms = timing_monotonic_ms();
    }
    wire_connection_destroy(guest->connection);
    wire_channel_close(guest->channel);
    *guest = (struct wire_guest){0};
}

bool wire_guest_is_free(const struct wire_guest *guest)
{
    return !guest->channel && !guest->connection && !guest->link;
}

static struct wire_connection *connection_of(const struct wire_guest *guest)
{
    return guest->link ? guest->link->link.connection : guest->connection;
}

int wire_guest_fd(const struct wire_guest *guest)
{
    return wire_channel_fd(guest->channel ? guest->channel : connection_of(guest)->channel);
}

/* Says why and closes, once that is sent. */
void wire_guest_refuse(struct wire_guest *guest, const struct failure *why)
{
    struct wire_connection *connection = connection_of(guest);
    uint8_t frame[WIRE_FRAME_HEAD_BYTES + 4 + WIRE_TEXT_MAX];
    struct failure ignored;
    logging_info("%s (%s): refused: %s", guest->peer.address,
                 guest->peer.holder.name[0] ? guest->peer.holder.name : "nobody yet", why->text);
    if (connection->copied == 0)
        wire_connection_put(connection, frame, wire_frame_write_refusal(why->code, why->text, frame));
    if (wire_connection_flush(connection, &ignored) != CODE_OK)
        connection->gone = connection->filled;
    guest->closing = true;
}

static struct wire_guest *find_free(struct wire_server *server)
{
    size_t greeting = 0;
    struct wire_guest *found = NULL;
    for (size_t i = 0; i < WIRE_GUESTS_MAX; i++) {
        struct wire_guest *guest = &server->guests[i];
        if (wire_guest_is_free(guest))
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

void wire_guest_welcome(struct wire_server *server, int listener, bool local)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    int fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct wire_guest *guest = find_free(server);
    struct failure why;
    if (!guest) {
        logging_warning("a connection is refused: %d others are being greeted", WIRE_HANDSHAKES_MAX);
        close(fd);
        return;
    }
    *guest = (struct wire_guest){.begun_ms = timing_monotonic_ms(), .want = WIRE_READ};
    describe_peer(fd, (struct sockaddr *)&address, size, &guest->peer);
    if (wire_channel_open(local ? NULL : server->tls, fd, true, &guest->channel, &why) != CODE_OK)
        logging_warning("%s: %s", guest->peer.address, why.text);
}

/* The guest that has the link now, if any: its connection is older, and certainly dead. */
void wire_guest_detach(struct wire_server *server, const struct wire_served *link)
{
    for (size_t i = 0; i < WIRE_GUESTS_MAX; i++)
        if (server->guests[i].link == link)
            wire_guest_dismiss(&server->guests[i]);
}

static enum code attach(struct wire_guest *guest, struct wire_served *link, const struct wire_greeting *hello, bool resumed,
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

static enum code take_hello(struct wire_server *server, struct wire_guest *guest, const struct wire_frame *frame,
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
    struct wire_served *link = wire_served_find(server, hello.session, &guest->peer);
    if (link)
        wire_guest_detach(server, link);
    if (link && !wire_served_reaches(link, hello.received)) { /* its owner has lost his memory of it, and gives it up */
        wire_served_finish(link, NULL);
        link = NULL;
    }
    bool resumed = link != NULL;
    if (!link)
        code = wire_served_make(server, &guest->peer, &link, why);
    if (code == CODE_OK)
        code = attach(guest, link, &hello, resumed, why);
    if (code != CODE_OK)
        return code;
    link->link.events.state(link->link.context, WIRE_CONNECTED, NULL);
    return CODE_BUSY; /* what follows is the link's */
}

static enum code take_question(struct wire_server *server, struct wire_guest *guest, const struct wire_frame *frame,
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
    struct wire_guest *guest;
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

static enum code greet(struct wire_guest *guest, struct failure *why)
{
    enum code code = wire_channel_greet(guest->channel, &guest->want, why);
    if (code != CODE_OK)
        return code == CODE_AGAIN ? CODE_OK : code;
    guest->peer.holder = *wire_channel_holder(guest->channel);
    struct wire_channel *channel = guest->channel;
    guest->channel = NULL;
    return wire_connection_make(channel, &guest->connection, why);
}

void wire_guest_serve(struct wire_server *server, struct wire_guest *guest)
{
    struct failure why;
    enum code code = CODE_OK;
    if (guest->channel)
        code = greet(guest, &why);
    if (code != CODE_OK) {
        logging_info("%s: %s", guest->peer.address, why.text);
        wire_guest_dismiss(guest);
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
        wire_guest_dismiss(guest);
    else if (code != CODE_OK)
        wire_guest_refuse(guest, &why);
    else if (wire_connection_flush(connection, &why) != CODE_OK)
        wire_guest_dismiss(guest);
}

bool wire_guest_is_gone(const struct wire_guest *guest)
{
    int64_t now = timing_monotonic_ms();
    const struct wire_connection *connection = guest->link ? NULL : guest->connection;
    if (guest->closing && connection_of(guest)->gone == connection_of(guest)->filled)
        return true;
    return (!guest->link || guest->closing) && (connection || guest->channel || guest->closing) &&
           now - guest->begun_ms > GREETING_MS;
}

short wire_guest_events(const struct wire_guest *guest, int64_t *deadline_ms)
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
