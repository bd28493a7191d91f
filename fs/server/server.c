/* The clients of a lab: see server.h.
 *
 *   link's thread: message -> the client's queue, the client joins the line
 *   worker:        takes the client at the head of the line, its oldest message that waits for none before it
 * (server_order.h); the client joins the line's end, if it has more; carries it out
 *
 * So each client in the line gets one message done before any gets its second.  A client may keep all workers but a few
 * busy, and waits outside of the line while it has too many answers unread (WIRE_WINDOW_MAX).  What waits by nature (locks,
 * streams, fsync) is parked by the session and keeps no worker.
 *
 * A client lives from `begin` until its link has ended and nobody is busy for it; then a worker takes it down.
 *
 *   serving --server_part--> parting: nothing moves over the wire, workers finish the message at hand, all is saved
 *           --server_stop--> stopping: workers finish what has come
 *
 * Clients of before are put together while `restoring`: nothing is carried out before all of them have their locks again.
 *
 * Threads: the wire's one, which only queues; the workers.  One lock guards lines and queues; nothing slow is done under it.
 */
#include "server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "logging.h"
#include "scope.h"
#include "server_client.h"
#include "server_saved.h"
#include "tree_audit.h"
#include "when.h"

#define WORKERS_MIN      8
#define WORKERS_BY_CORES 16
#define WORKERS_MAX      64
#define WORKERS_FOR_REST 2 /* that one client cannot have */

struct server {
    struct tree *tree;
    struct server_door door;
    struct wire_server *wire;
    pthread_t workers[WORKERS_MAX];
    int worker_count, started;
    atomic_ullong sessions; /* numbers given out */

    pthread_mutex_t lock;
    pthread_cond_t work; /* the line has somebody, or `stopping` */
    struct client *clients;
    struct client *line_first, *line_last;
    bool stopping, parting;
    const struct server_saved *restoring; /* clients of before are being put together from this; NULL: no longer */
};

/* The line, with the lock -------------------------------------------------------------------------------------------- */

static bool may_have_worker(const struct client *client)
{
    const struct server *server = client->server;
    int running = client_running(client);
    if (server->restoring || server->parting)
        return false;
    if (client->ended)
        return running == 0; /* to be taken down */
    return client->queue.first && running < server->worker_count - WORKERS_FOR_REST &&
           wire_link_backlog(client->link) <= CLIENT_BACKLOG_MAX;
}

static void join_line(struct client *client)
{
    struct server *server = client->server;
    if (client->ready || !may_have_worker(client))
        return;
    client->ready = true;
    client->next_ready = NULL;
    if (server->line_last)
        server->line_last->next_ready = client;
    else
        server->line_first = client;
    server->line_last = client;
    pthread_cond_signal(&server->work);
}

static struct client *leave_line(struct server *server)
{
    struct client *client = server->line_first;
    server->line_first = client->next_ready;
    if (!server->line_first)
        server->line_last = NULL;
    client->ready = false;
    return client;
}

/* Workers --------------------------------------------------------------------------------------------------------------- */

/* Reads on from the client, or stops, by what waits. */
static void set_pause(struct client *client)
{
    bool full = client->queued_bytes > (client->paused ? CLIENT_QUEUE_MAX / 2 : CLIENT_QUEUE_MAX);
    if (full == client->paused)
        return;
    client->paused = full;
    wire_link_pause(client->link, full);
}

/* With the lock. */
static bool has_member(const struct server *server, const char *member)
{
    const struct client *client = server->clients;
    while (client && strcmp(client->viewer.name, member) != 0)
        client = client->next;
    return client;
}

/* For the audit log. */
static void tell(struct server *server, const struct client *client, const char *what)
{
    viewer_enter(&client->viewer);
    tree_audit(server->tree, AUDIT_SESSION, client->peer.address, what);
    viewer_leave();
}

static void take_down(struct server *server, struct client *client)
{
    char name[MEMBER_NAME_MAX + 1];
    strcpy(name, client->viewer.name);
    if (!server->parting)
        logging_info("%s at %s has left", name, client->peer.address);
    tell(server, client, server->parting ? "the server stops" : "has left");
    client_destroy(client);
    pthread_mutex_lock(&server->lock);
    bool last = !has_member(server, name);
    pthread_mutex_unlock(&server->lock);
    if (last && !server->parting)
        server->door.gone(server->door.context, name);
}

static void unlist(struct server *server, const struct client *client)
{
    struct client **at = &server->clients;
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
}

/* With the lock, which is given up meanwhile. */
static void work_for(struct server *server, struct client *client)
{
    if (client->ended) {
        unlist(server, client);
        pthread_mutex_unlock(&server->lock);
        take_down(server, client);
        pthread_mutex_lock(&server->lock);
        return;
    }
    struct client_message *message = client_begin(client);
    if (!message)
        return; /* it joins the line when one of those that it waits for is done */
    int slot = message->slot;
    set_pause(client);
    join_line(client);
    pthread_mutex_unlock(&server->lock);
    client_process(client, message);
    pthread_mutex_lock(&server->lock);
    client_end(client, slot);
    join_line(client);
}

static void *run_worker(void *argument)
{
    struct server *server = argument;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    for (;;) {
        while (!server->line_first && !server->stopping)
            pthread_cond_wait(&server->work, &server->lock);
        if (!server->line_first || server->parting)
            return NULL;
        struct client *client = leave_line(server);
        if (may_have_worker(client))
            work_for(server, client);
    }
}

/* The wire's events ----------------------------------------------------------------------------------------------------- */

static enum code on_admit(void *context, const struct wire_peer *peer, struct failure *why)
{
    struct server *server = context;
    struct viewer ignored = {0};
    return server->door.admit(server->door.context, peer, &ignored, why);
}

/* A client of before takes up what it had; nothing for a new one. */
static enum code restore_client(struct server *server, struct client *client, struct failure *why)
{
    pthread_mutex_lock(&server->lock);
    const struct server_saved *restoring = server->restoring;
    pthread_mutex_unlock(&server->lock);
    if (!restoring)
        return CODE_OK;
    const struct server_saved_client *saved = server_saved_find(restoring, client->peer.session);
    atomic_store(&client->away, true);
    return saved ? client_restore(client, saved->bytes, saved->count, why)
                 : failure_set(why, CODE_CORRUPT, "a link of before has no client");
}

static enum code on_begin(void *context, struct wire_link *link, const struct wire_peer *peer, void **link_context,
                          struct failure *why)
{
    struct server *server = context;
    struct viewer viewer = {.session = atomic_fetch_add(&server->sessions, 1) + 1};
    enum code code = server->door.admit(server->door.context, peer, &viewer, why);
    struct client *client = code == CODE_OK ? client_create(server, server->tree, link, peer, &viewer, why) : NULL;
    if (!client)
        return code == CODE_OK ? why->code : code;
    code = restore_client(server, client, why);
    if (code != CODE_OK) {
        client_destroy(client);
        return code;
    }
    logging_info("%s at %s is here", viewer.name, peer->address);
    tell(server, client, "is here");
    *link_context = client;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    client->next = server->clients;
    server->clients = client;
    return CODE_OK;
}

static void on_message(void *context, const void *bytes, size_t length)
{
    struct client *client = context;
    struct server *server = client->server;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    if (client->ended)
        return;
    if (!client_push(client, bytes, length)) {
        logging_warning("%s at %s: no memory for a message; the client is dropped", client->viewer.name,
                        client->peer.address);
        wire_link_close(client->link);
        return;
    }
    set_pause(client);
    join_line(client);
}

static void on_room(void *context)
{
    struct client *client = context;
    client_tell_what_was_left_out(client);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&client->server->lock);
    join_line(client);
}

static void on_state(void *context, enum wire_state state, const struct failure *why)
{
    struct client *client = context;
    if (state == WIRE_LOST)
        logging_info("%s at %s: the connection was lost: %s", client->viewer.name, client->peer.address, why->text);
    atomic_store(&client->away, state != WIRE_CONNECTED && state != WIRE_RENEWED);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&client->server->lock);
    if (state == WIRE_ENDED && client->server->restoring) { /* the wire could not be opened: the links are gone */
        client_mute(client);
        client->link = NULL;
    }
    client->ended = client->ended || state == WIRE_ENDED;
    join_line(client);
}

static enum code on_ask(void *context, const void *question, size_t count, const char *address, struct buffer *answer,
                        struct failure *why)
{
    struct server *server = context;
    return server->door.answer(server->door.context, question, count, address, answer, why);
}

/* Life ------------------------------------------------------------------------------------------------------------------ */

static void stop_workers(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    pthread_cond_broadcast(&server->work);
    pthread_mutex_unlock(&server->lock);
    for (int i = 0; i < server->started; i++)
        pthread_join(server->workers[i], NULL);
    server->started = 0;
}

static enum code start_workers(struct server *server, int wanted, struct failure *why)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int by_cores = cores < WORKERS_MIN ? WORKERS_MIN : cores > WORKERS_BY_CORES ? WORKERS_BY_CORES : (int)cores;
    server->worker_count = wanted > 0 ? wanted : by_cores;
    if (server->worker_count <= WORKERS_FOR_REST)
        server->worker_count = WORKERS_FOR_REST + 1;
    if (server->worker_count > WORKERS_MAX)
        server->worker_count = WORKERS_MAX;
    for (; server->started < server->worker_count; server->started++)
        if (pthread_create(&server->workers[server->started], NULL, run_worker, server) != 0)
            return failure_set(why, CODE_NO_MEMORY, "starting a thread that answers clients");
    return CODE_OK;
}

static void end_clients(struct server *server)
{
    while (server->clients) {
        struct client *client = server->clients;
        server->clients = client->next;
        take_down(server, client);
    }
}

/* Opens the wire, with the links of before where there are any. */
static enum code start_wire(struct server *server, const struct server_options *options, const struct server_saved *saved,
                            struct failure *why)
{
    static const struct wire_server_events events = {
        .admit = on_admit,
        .begin = on_begin,
        .link = {.message = on_message, .state = on_state, .room = on_room},
        .ask = on_ask,
    };
    const struct wire_server_options wire = {.address = options->address,
                                             .port = options->port,
                                             .socket_path = options->socket_path,
                                             .socket_mode = options->socket_mode,
                                             .credentials = options->credentials,
                                             .saved = saved ? saved->links : NULL,
                                             .saved_count = saved ? saved->link_bytes : 0};
    server->restoring = saved;
    return wire_server_start(&wire, &events, server, &server->wire, why);
}

/* What of them could be taken up goes on; and then the line may move. */
static void end_restoring(struct server *server)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    server->restoring = NULL;
    for (struct client *client = server->clients; client; client = client->next) {
        set_pause(client);
        join_line(client);
    }
}

static enum code start_with_saved(struct server *server, const struct server_options *options, struct failure *why)
{
    struct server_saved saved;
    enum code code = server_saved_read(options->saved, options->saved_count, &saved, why);
    if (code != CODE_OK)
        return code;
    code = start_wire(server, options, &saved, why);
    if (code != CODE_OK)
        end_clients(server);
    end_restoring(server);
    server_saved_free(&saved);
    return code;
}

/* A state that makes no sense is as good as none. */
static enum code start_wire_or_renew(struct server *server, const struct server_options *options, struct failure *why)
{
    if (options->saved) {
        enum code code = start_with_saved(server, options, why);
        if (code != CODE_CORRUPT && code != CODE_NEWER_FORMAT)
            return code;
        logging_warning("the clients of before begin anew: %s", why->text);
    }
    return start_wire(server, options, NULL, why);
}

enum code server_start(struct tree *tree, const struct server_options *options, struct server **out, struct failure *why)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return failure_set(why, CODE_NO_MEMORY, "serving: no memory");
    server->tree = tree;
    server->door = options->door;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->work, NULL);
    enum code code = start_workers(server, options->workers, why);
    if (code == CODE_OK)
        code = start_wire_or_renew(server, options, why);
    if (code == CODE_OK)
        *out = server;
    else
        server_stop(server);
    return code;
}

uint16_t server_port(const struct server *server)
{
    return wire_server_port(server->wire);
}

void server_expel(struct server *server, const char *member)
{
    wire_server_expel(server->wire, member);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    for (struct client *client = server->clients; client; client = client->next)
        if (client->peer.uid != (uid_t)-1 && strcmp(client->viewer.name, member) == 0)
            wire_server_expel_link(client->link); /* the wire knows users by their numbers alone */
}

void server_set_role(struct server *server, const char *member, enum member_role role)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    for (struct client *client = server->clients; client; client = client->next)
        if (strcmp(client->viewer.name, member) == 0)
            __atomic_store_n(&client->viewer.role, role, __ATOMIC_RELAXED);
}

enum code server_part(struct server *server, struct buffer *saved, struct failure *why)
{
    wire_server_freeze(server->wire);
    pthread_mutex_lock(&server->lock);
    server->parting = true;
    pthread_mutex_unlock(&server->lock);
    stop_workers(server);
    for (struct client *client = server->clients; client; client = client->next)
        client_mute(client);
    return server_saved_write(server->clients, server->wire, saved, why);
}

void server_stop(struct server *server)
{
    if (!server)
        return;
    if (server->wire)
        wire_server_freeze(server->wire); /* no more events; the workers finish what has come */
    stop_workers(server);
    end_clients(server);
    wire_server_destroy(server->wire);
    pthread_cond_destroy(&server->work);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

/* Looking at it -----------------------------------------------------------------------------------------------------------
 */

static void describe(struct client *client, struct buffer *out)
{
    char since[WHEN_TEXT_BYTES], address[WIRE_ADDRESS_BYTES];
    when_print(client->since_ms, since);
    wire_server_address(client->link, address);
    pthread_mutex_lock(&client->lock);
    size_t open = client->open.count;
    pthread_mutex_unlock(&client->lock);
    buffer_printf(
        out, "%s  %s  %s  since %s  %llu requests, %zu wait (%zu bytes), %zu open  %llu bytes in, %llu out, %zu unread\n",
        client->viewer.name, address, atomic_load(&client->away) ? "away" : "here", since,
        (unsigned long long)atomic_load(&client->requests), client->queue.count, client->queued_bytes, open,
        (unsigned long long)atomic_load(&client->bytes_in), (unsigned long long)atomic_load(&client->bytes_out),
        wire_link_backlog(client->link));
}

void server_describe(struct server *server, const char *member, struct buffer *out)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    for (struct client *client = server->clients; client; client = client->next)
        if (!client->ended && (!member || strcmp(client->viewer.name, member) == 0))
            describe(client, out);
}

bool server_has(struct server *server, const char *member)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    return has_member(server, member);
}
