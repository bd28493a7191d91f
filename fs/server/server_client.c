/* One client: see server_client.h.
 *
 *   pushed --> queue --begin--> running and open --answered, finished--> freed
 *                                      |
 *                                      +--finished, not answered--> parked and open --answered--> freed
 *
 * A request stays among the open ones until its answer has left, so that those which wait for something (locks, streams,
 * fsync) can be saved and asked again when the server was started anew.
 *
 * Answers come from any thread.  Each is one message of the link, which keeps it until the client has acknowledged it; a
 * client whose window is full although nothing is done for it any more cannot be helped, and its link ends.  Notices are
 * left out before that: then the client is told once that everything may have changed. */
#include "server_client.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>

#include "extra.h"
#include "logging.h"
#include "scope.h"
#include "session_gate.h"
#include "timing.h"

#define OFFENCES_MAX 100
#define LOOK_AHEAD   64  /* messages of the queue that are looked at for one that may be carried out */
#define MESSAGE_COST 160 /* bytes that keeping one costs */

/* Lists -------------------------------------------------------------------------------------------------------------------
 */

static void append(struct client_messages *list, struct client_message *message)
{
    message->previous = list->last;
    message->next = NULL;
    *(list->last ? &list->last->next : &list->first) = message;
    list->last = message;
    list->count++;
}

static void take_out(struct client_messages *list, struct client_message *message)
{
    *(message->previous ? &message->previous->next : &list->first) = message->next;
    *(message->next ? &message->next->previous : &list->last) = message->previous;
    list->count--;
}

static void free_all(struct client_messages *list)
{
    for (struct client_message *message = list->first, *next; message; message = next) {
        next = message->next;
        free(message);
    }
}

/* Answers -----------------------------------------------------------------------------------------------------------------
 */

/* With the lock. */
static void send_parts(struct client *client, const struct iovec *parts, int count)
{
    struct failure why;
    enum code code = wire_link_send(client->link, parts, count, &why);
    if (code == CODE_OK) {
        atomic_fetch_add(&client->bytes_out, ((const struct fuse_out_header *)parts[0].iov_base)->len);
        return;
    }
    if (code == CODE_IO)
        return;
    logging_warning("%s at %s: an answer cannot be sent: %s; the client is dropped", client->viewer.name,
                    client->peer.address, why.text);
    wire_link_close(client->link);
}

static void forget_poll(struct client *client, uint64_t key)
{
    for (size_t i = 0; i < client->poll_count; i++)
        if (client->polls[i] == key)
            client->polls[i--] = client->polls[--client->poll_count];
}

/* With the lock. */
static void send_notice(struct client *client, const struct iovec *parts, int count)
{
    const struct fuse_out_header *header = parts[0].iov_base;
    if (header->error == FUSE_NOTIFY_POLL && count > 1)
        forget_poll(client, ((const struct fuse_notify_poll_wakeup_out *)parts[1].iov_base)->kh);
    if (wire_link_backlog(client->link) > CLIENT_NOTICES_MAX)
        client->untold = true;
    else
        send_parts(client, parts, count);
}

/* The request is open no more; returns it where nobody else will free it.  With the lock. */
static struct client_message *close_request(struct client *client, uint64_t unique)
{
    struct client_message *message = client->open.first;
    while (message && message->unique != unique)
        message = message->next;
    if (!message)
        return NULL;
    take_out(&client->open, message);
    message->answered = true;
    return message->parked ? message : NULL;
}

static void send_answer(void *context, const struct iovec *parts, int count)
{
    struct client *client = context;
    const struct fuse_out_header *header = parts[0].iov_base;
    struct client_message *parked = NULL;
    pthread_mutex_lock(&client->lock);
    if (!client->mute && header->unique == 0)
        send_notice(client, parts, count);
    else if (!client->mute) {
        parked = close_request(client, header->unique);
        send_parts(client, parts, count);
    }
    pthread_mutex_unlock(&client->lock);
    free(parked);
}

void client_tell_what_was_left_out(struct client *client)
{
    struct fuse_out_header notice = {.len = sizeof notice, .error = EXTRA_NOTIFY_EVERYTHING};
    const struct iovec part = {&notice, sizeof notice};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&client->lock);
    if (client->untold && !client->mute)
        send_parts(client, &part, 1);
    client->untold = false;
}

void client_mute(struct client *client)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&client->lock);
    client->mute = true;
}

/* Life --------------------------------------------------------------------------------------------------------------------
 */

struct client *client_create(struct server *server, struct tree *tree, struct wire_link *link, const struct wire_peer *peer,
                             const struct viewer *viewer, struct failure *why)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client) {
        failure_set(why, CODE_NO_MEMORY, "another client: no memory");
        return NULL;
    }
    *client = (struct client){
        .server = server, .link = link, .peer = *peer, .viewer = *viewer, .since_ms = timing_wall_ns() / 1000000};
    pthread_mutex_init(&client->lock, NULL);
    const struct session_peer sent = {.send = send_answer, .context = client, .viewer = &client->viewer};
    const struct session_options options = {.peer = &sent};
    if (session_start(tree, &options, &client->session, why) == CODE_OK)
        return client;
    pthread_mutex_destroy(&client->lock);
    free(client);
    return NULL;
}

void client_destroy(struct client *client)
{
    client_mute(client); /* nobody is there to hear */
    session_destroy(client->session);
    if (client->link)
        wire_link_destroy(client->link);
    free_all(&client->queue);
    free_all(&client->open);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

/* Requests ----------------------------------------------------------------------------------------------------------------
 */

bool client_push(struct client *client, const void *bytes, size_t length)
{
    struct client_message *message = malloc(sizeof *message + length);
    if (!message)
        return false;
    *message = (struct client_message){.length = length};
    memcpy(message->bytes, bytes, length);
    message->order = request_order_of(message->bytes, length);
    append(&client->queue, message);
    client->queued_bytes += length + MESSAGE_COST;
    atomic_fetch_add(&client->bytes_in, length);
    return true;
}

static bool waits_for_running(const struct client *client, const struct client_message *message)
{
    for (int i = 0; i < CLIENT_RUNNING_MAX; i++)
        if (client->running_slots >> i & 1 && request_order_waits(&message->order, &client->running[i]))
            return true;
    return false;
}

static bool waits_for_earlier(const struct client *client, const struct client_message *message)
{
    for (const struct client_message *earlier = client->queue.first; earlier != message; earlier = earlier->next)
        if (request_order_waits(&message->order, &earlier->order))
            return true;
    return false;
}

struct client_message *client_begin(struct client *client)
{
    struct client_message *message = client->queue.first;
    if (client->running_slots == UINT64_MAX)
        return NULL;
    for (int looked = 0; message && looked < LOOK_AHEAD; looked++, message = message->next) {
        if (waits_for_running(client, message) || waits_for_earlier(client, message))
            continue;
        take_out(&client->queue, message);
        client->queued_bytes -= message->length + MESSAGE_COST;
        message->slot = __builtin_ctzll(~client->running_slots);
        client->running_slots |= UINT64_C(1) << message->slot;
        client->running[message->slot] = message->order;
        return message;
    }
    return NULL;
}

void client_end(struct client *client, int slot)
{
    client->running_slots &= ~(UINT64_C(1) << slot);
}

int client_running(const struct client *client)
{
    return __builtin_popcountll(client->running_slots);
}

static bool may_wait_long(uint32_t opcode)
{
    return opcode == FUSE_READ || opcode == FUSE_SETLKW || opcode == FUSE_FSYNC;
}

/* With the lock. */
static void note_poll(struct client *client, const struct fuse_poll_in *poll)
{
    forget_poll(client, poll->kh);
    if (poll->flags & FUSE_POLL_SCHEDULE_NOTIFY && client->poll_count < CLIENT_POLLS_MAX)
        client->polls[client->poll_count++] = poll->kh;
}

/* False where too many wait already. */
static bool open_request(struct client *client, struct client_message *message, const struct message *known)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&client->lock);
    if (client->open.count >= CLIENT_PARKED_MAX && may_wait_long(known->opcode))
        return false;
    message->unique = known->unique;
    if (known->unique)
        append(&client->open, message);
    if (known->opcode == FUSE_POLL)
        note_poll(client, known->body);
    return true;
}

/* The session has done with it. */
static void leave_request(struct client *client, struct client_message *message)
{
    pthread_mutex_lock(&client->lock);
    bool done = message->answered || !message->unique;
    message->parked = !done;
    pthread_mutex_unlock(&client->lock);
    if (done)
        free(message);
}

static void answer_error(struct client *client, uint64_t unique, int error)
{
    const struct fuse_out_header header = {.len = sizeof header, .error = -error, .unique = unique};
    const struct iovec part = {(void *)&header, sizeof header};
    if (unique)
        send_answer(client, &part, 1);
}

/* A client that goes on sending what no kernel sends is not one of ours. */
static void note_offence(struct client *client, const struct failure *why)
{
    int offences = atomic_fetch_add(&client->offences, 1) + 1;
    logging_warning("%s at %s sent %s", client->viewer.name, client->peer.address, why->text);
    if (offences == OFFENCES_MAX) {
        logging_warning("%s at %s is dropped", client->viewer.name, client->peer.address);
        wire_link_close(client->link);
    }
}

/* What may not be carried out is answered. */
static bool admit(struct client *client, struct client_message *message, struct message *known)
{
    struct failure why;
    enum code code = session_gate_admit(client->session, message->bytes, &message->length, client->greeted, known, &why);
    if (code == CODE_INVALID)
        note_offence(client, &why);
    if (code != CODE_OK)
        return false;
    bool opened = open_request(client, message, known);
    if (!opened)
        answer_error(client, known->unique, EAGAIN);
    return opened;
}

void client_process(struct client *client, struct client_message *message)
{
    struct message known;
    atomic_fetch_add(&client->requests, 1);
    if (!admit(client, message, &known)) {
        free(message);
        return;
    }
    session_process(client->session, message->bytes, message->length);
    if (known.opcode == FUSE_INIT)
        client->greeted = true;
    leave_request(client, message);
}
