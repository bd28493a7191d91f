/* One client: see server_client.h.
 *
 * What comes over the wire was written by another machine: it passes the gate before the session, which takes its messages for the
 * kernel's, sees it. */
#include "server_client.h"

#include <stdlib.h>
#include <string.h>

#include "logging.h"
#include "session_gate.h"

#define OFFENCES_MAX 100

/* Any thread.  A client whose window is full although nothing is done for it any more cannot be helped: its link ends. */
static void send_answer(void *context, const struct iovec *parts, int count)
{
    struct client *client = context;
    struct failure why;
    enum code code = wire_link_send(client->link, parts, count, &why);
    if (code == CODE_OK || code == CODE_IO)
        return;
    logging_warning("%s at %s: an answer cannot be sent: %s; the client is dropped", client->viewer.name, client->peer.address,
                    why.text);
    wire_link_close(client->link);
}

struct client *client_create(struct server *server, struct tree *tree, struct wire_link *link, const struct wire_peer *peer,
                             const struct viewer *viewer, struct failure *why)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client) {
        failure_set(why, CODE_NO_MEMORY, "another client: no memory");
        return NULL;
    }
    *client = (struct client){.server = server, .link = link, .peer = *peer, .viewer = *viewer};
    const struct session_peer sent = {.send = send_answer, .context = client, .viewer = &client->viewer};
    const struct session_options options = {.peer = &sent};
    if (session_start(tree, &options, &client->session, why) == CODE_OK)
        return client;
    free(client);
    return NULL;
}

void client_destroy(struct client *client)
{
    struct client_message *message;
    session_destroy(client->session);
    wire_link_destroy(client->link);
    while ((message = client_pop(client)))
        free(message);
    free(client);
}

bool client_push(struct client *client, const void *bytes, size_t length)
{
    struct client_message *message = malloc(sizeof *message + length);
    if (!message)
        return false;
    message->next = NULL;
    message->length = length;
    memcpy(message->bytes, bytes, length);
    if (client->last)
        client->last->next = message;
    else
        client->first = message;
    client->last = message;
    client->queued_bytes += length;
    return true;
}

struct client_message *client_pop(struct client *client)
{
    struct client_message *message = client->first;
    if (!message)
        return NULL;
    client->first = message->next;
    if (!client->first)
        client->last = NULL;
    client->queued_bytes -= message->length;
    return message;
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

void client_process(struct client *client, struct client_message *message)
{
    struct failure why;
    struct message known;
    enum code code = session_gate_admit(client->session, message->bytes, &message->length, client->greeted, &known, &why);
    if (code == CODE_INVALID)
        note_offence(client, &why);
    if (code != CODE_OK)
        return;
    session_process(client->session, message->bytes, message->length);
    if (known.opcode == FUSE_INIT)
        client->greeted = true;
}
