/* The server's end of links: see wire_server.h.
 *
 *   accepted --TLS--> greeted --HELLO--> has a link --cut--> gone; the link waits for its owner, keep_ms at most
 *                             --ASK, without a certificate--> answered, closing
 *
 * One thread polls all sockets and does all of it.  Others only append to ledgers, ask for members to be expelled, and give
 * links up: that is what `lock` guards, with the list of links.  It is never held while an event is called.
 *
 * Invariants: 1. a guest (a connection) has at most one link, a link at most one guest; 2. a link is freed by the thread,
 * after it has ended and its owner has given it up, or by wire_server_destroy. */
#include "wire_server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "scope.h"
#include "timing.h"
#include "wire_guest.h"
#include "wire_listen.h"
#include "wire_served.h"

#define KEEP_DEFAULT_MS 3600000
#define POLLED_FIXED    (WIRE_LISTENERS + 1)

/* The thread ---------------------------------------------------------------------------------------------------------- */

static void serve_link(struct wire_guest *guest)
{
    struct wire_served *link = guest->link;
    struct failure why;
    enum code code = wire_end_pump(&link->link, &why);
    if (code == CODE_OK)
        return;
    wire_guest_dismiss(guest);
    if (link->link.said_bye || link->link.heard_bye)
        wire_served_finish(link, NULL);
    else
        link->link.events.state(link->link.context, WIRE_LOST, &why);
}

/* Links that were given up, expelled, or cut too long ago. */
static void tend_links(struct wire_server *server)
{
    struct failure why;
    int64_t now = timing_monotonic_ms();
    struct wire_served *next;
    pthread_mutex_lock(&server->lock);
    struct wire_served *link = server->links;
    pthread_mutex_unlock(&server->lock);
    for (; link; link = next) {
        pthread_mutex_lock(&server->lock);
        bool expelled = link->expelled, given_up = link->given_up;
        next = link->next; /* only this thread removes any */
        pthread_mutex_unlock(&server->lock);
        if (expelled && !link->finished) {
            failure_set(&why, CODE_DENIED, "you are no longer a member of this lab");
            for (size_t i = 0; i < WIRE_GUESTS_MAX; i++)
                if (server->guests[i].link == link)
                    wire_guest_refuse(&server->guests[i], &why);
            wire_guest_detach(server, link);
            wire_served_finish(link, &why);
        } else if (!link->finished && !link->link.connection && now - link->cut_ms > server->keep_ms) {
            failure_set(&why, CODE_IO, "the client did not come back for %d s", server->keep_ms / 1000);
            wire_served_finish(link, &why);
        } else if (given_up && !link->finished) {
            wire_guest_detach(server, link);
            link->finished = true;
        }
        if (given_up && link->finished)
            wire_served_remove(server, link);
    }
}

/* Waits for anything to do; answers which listeners have somebody. */
static void wait_for_work(struct wire_server *server, bool came[WIRE_LISTENERS])
{
    struct pollfd polled[POLLED_FIXED + WIRE_GUESTS_MAX];
    nfds_t count = POLLED_FIXED;
    int64_t now = timing_monotonic_ms(), soonest = now + 1000; /* links are tended each second */
    for (int i = 0; i < WIRE_LISTENERS; i++)
        polled[i] = (struct pollfd){.fd = server->listeners[i], .events = POLLIN};
    polled[WIRE_LISTENERS] = (struct pollfd){.fd = server->wake, .events = POLLIN};
    for (size_t i = 0; i < WIRE_GUESTS_MAX; i++) {
        const struct wire_guest *guest = &server->guests[i];
        if (wire_guest_is_free(guest))
            continue;
        int64_t deadline_ms;
        polled[count++] = (struct pollfd){.fd = wire_guest_fd(guest), .events = wire_guest_events(guest, &deadline_ms)};
        if (deadline_ms < soonest)
            soonest = deadline_ms;
    }
    eventfd_t ignored;
    int ready = poll(polled, count, soonest > now ? (int)(soonest - now) + 1 : 0);
    for (int i = 0; i < WIRE_LISTENERS; i++)
        came[i] = ready > 0 && polled[i].revents & POLLIN;
    if (ready > 0 && polled[WIRE_LISTENERS].revents)
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
        bool came[WIRE_LISTENERS];
        wait_for_work(server, came);
        for (int i = 0; i < WIRE_LISTENERS; i++)
            if (came[i])
                wire_guest_welcome(server, server->listeners[i], i == 1);
        for (size_t i = 0; i < WIRE_GUESTS_MAX; i++) {
            struct wire_guest *guest = &server->guests[i];
            if (!wire_guest_is_free(guest) && !guest->link)
                wire_guest_serve(server, guest);
            if (guest->link && !guest->closing)
                serve_link(guest);
            if (!wire_guest_is_free(guest) && wire_guest_is_gone(guest))
                wire_guest_dismiss(guest);
        }
        tend_links(server);
    }
    for (size_t i = 0; i < WIRE_GUESTS_MAX; i++)
        wire_guest_dismiss(&server->guests[i]);
    return NULL;
}

/* There is no server after all. */
static void finish_links(struct wire_server *server, const struct failure *why)
{
    for (struct wire_served *link = server->links; link; link = link->next)
        wire_served_finish(link, why);
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
        code = wire_served_restore(server, options->saved, options->saved_count, why);
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
    memcpy(address, wire_served_of(link)->peer.address, WIRE_ADDRESS_BYTES);
}

enum code wire_server_save(struct wire_server *server, struct buffer *out, struct failure *why)
{
    wire_served_save(server, out);
    return buffer_check(out, "the links", why);
}

void wire_server_freeze(struct wire_server *server)
{
    if (!server->runs)
        return;
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    eventfd_write(server->wake, 1);
    pthread_mutex_unlock(&server->lock);
    pthread_join(server->thread, NULL);
    server->runs = false;
}

void wire_server_expel(struct wire_server *server, const char *member_name)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    for (struct wire_served *link = server->links; link; link = link->next)
        if (strcmp(link->peer.holder.name, member_name) == 0)
            link->expelled = true;
    eventfd_write(server->wake, 1);
}

void wire_server_expel_link(struct wire_link *link)
{
    struct wire_server *server = wire_served_of(link)->server;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    wire_served_of(link)->expelled = true;
    eventfd_write(server->wake, 1);
}

void wire_server_destroy(struct wire_server *server)
{
    if (!server)
        return;
    wire_server_freeze(server);
    while (server->links) {
        struct wire_served *link = server->links;
        server->links = link->next;
        wire_served_free(link);
    }
    for (int i = 0; i < WIRE_LISTENERS; i++)
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
