/* What is kept of clients: see server_saved.h.  Every length is held against what is left before it is believed. */
#include "server_saved.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "scope.h"
#include "server_client.h"

#define MAGIC             "cyserve1"
#define MAGIC_BYTES       8
#define HEAD_BYTES        (MAGIC_BYTES + 4)
#define CLIENT_HEAD_BYTES (WIRE_SESSION_BYTES + 8)

static void write_client(struct client *client, struct buffer *out)
{
    SCOPE_BUFFER own = {.max = out->max};
    uint8_t head[CLIENT_HEAD_BYTES];
    client_save(client, &own);
    out->failed = out->failed || own.failed;
    memcpy(head, client->peer.session, WIRE_SESSION_BYTES);
    bytes_store64(head + WIRE_SESSION_BYTES, own.length);
    buffer_append(out, head, sizeof head);
    buffer_append(out, buffer_text(&own), own.length);
}

enum code server_saved_write(struct client *clients, struct wire_server *wire, struct buffer *out, struct failure *why)
{
    uint8_t head[HEAD_BYTES];
    uint32_t count = 0;
    for (const struct client *client = clients; client; client = client->next)
        count += !client->ended;
    memcpy(head, MAGIC, MAGIC_BYTES);
    bytes_store32(head + MAGIC_BYTES, count);
    buffer_append(out, head, sizeof head);
    for (struct client *client = clients; client; client = client->next)
        if (!client->ended)
            write_client(client, out);
    enum code code = buffer_check(out, "the clients' state", why);
    return code == CODE_OK ? wire_server_save(wire, out, why) : code;
}

static enum code damaged(struct failure *why)
{
    return failure_set(why, CODE_CORRUPT, "the clients' saved state is damaged");
}

static enum code read_clients(const uint8_t *at, size_t left, struct server_saved *out, struct failure *why)
{
    for (size_t i = 0; i < out->client_count; i++) {
        if (left < CLIENT_HEAD_BYTES)
            return damaged(why);
        uint64_t length = bytes_load64(at + WIRE_SESSION_BYTES);
        if (length > left - CLIENT_HEAD_BYTES)
            return damaged(why);
        out->clients[i] = (struct server_saved_client){at, at + CLIENT_HEAD_BYTES, length};
        at += CLIENT_HEAD_BYTES + length;
        left -= CLIENT_HEAD_BYTES + length;
    }
    out->links = at;
    out->link_bytes = left;
    return CODE_OK;
}

enum code server_saved_read(const void *bytes, size_t count, struct server_saved *out, struct failure *why)
{
    const uint8_t *at = bytes;
    *out = (struct server_saved){0};
    if (count < HEAD_BYTES || memcmp(at, MAGIC, MAGIC_BYTES) != 0)
        return failure_set(why, CODE_NEWER_FORMAT, "the clients' saved state is not of this version");
    out->client_count = bytes_load32(at + MAGIC_BYTES);
    if (out->client_count > WIRE_LINKS_MAX)
        return damaged(why);
    out->clients = calloc(out->client_count + 1, sizeof *out->clients);
    if (!out->clients)
        return failure_set(why, CODE_NO_MEMORY, "the clients' saved state: no memory");
    enum code code = read_clients(at + HEAD_BYTES, count - HEAD_BYTES, out, why);
    if (code != CODE_OK)
        server_saved_free(out);
    return code;
}

void server_saved_free(struct server_saved *saved)
{
    free(saved->clients);
    *saved = (struct server_saved){0};
}

const struct server_saved_client *server_saved_find(const struct server_saved *saved,
                                                    const uint8_t session[WIRE_SESSION_BYTES])
{
    for (size_t i = 0; i < saved->client_count; i++)
        if (memcmp(saved->clients[i].session, session, WIRE_SESSION_BYTES) == 0)
            return &saved->clients[i];
    return NULL;
}
