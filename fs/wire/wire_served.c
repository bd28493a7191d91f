/* The links of a server: see wire_served.h.  Saved, one link is
 *
 *     session (16) | uid (8) | the holder's name | fingerprint of the member's key | its ledger (wire_ledger.h)
 *
 * behind the magic; PROTOCOL.md has it byte by byte. */
#include "wire_served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "bytes.h"
#include "entropy.h"
#include "logging.h"
#include "scope.h"
#include "timing.h"

#define SAVED_MAGIC     "cylinks1"
#define SAVED_HEAD      8
#define SAVED_LINK_HEAD (WIRE_SESSION_BYTES + 8 + MEMBER_NAME_MAX + 1 + MEMBER_KEY_FINGERPRINT_BYTES)

struct wire_served *wire_served_of(struct wire_link *link)
{
    return (struct wire_served *)link;
}

static void wake_link(struct wire_link *link)
{
    eventfd_write(wire_served_of(link)->server->wake, 1);
}

static void give_up_link(struct wire_link *link)
{
    struct wire_server *server = wire_served_of(link)->server;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    wire_served_of(link)->given_up = true;
    eventfd_write(server->wake, 1);
}

static bool is_of(const struct wire_served *link, const struct wire_peer *peer)
{
    return strcmp(link->peer.holder.name, peer->holder.name) == 0 &&
           strcmp(link->peer.holder.member_fingerprint, peer->holder.member_fingerprint) == 0 && link->peer.uid == peer->uid;
}

struct wire_served *wire_served_find(struct wire_server *server, const uint8_t session[WIRE_SESSION_BYTES],
                                     const struct wire_peer *peer)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    for (struct wire_served *link = server->links; link; link = link->next)
        if (!link->finished && memcmp(link->link.session, session, WIRE_SESSION_BYTES) == 0 && is_of(link, peer))
            return link;
    return NULL;
}

static struct wire_served *enter(struct wire_server *server, const struct wire_peer *peer)
{
    static const struct wire_events none = {0};
    struct wire_served *link = calloc(1, sizeof *link);
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

void wire_served_free(struct wire_served *link)
{
    wire_end_clear(&link->link);
    free(link);
}

void wire_served_remove(struct wire_server *server, struct wire_served *gone)
{
    pthread_mutex_lock(&server->lock);
    struct wire_served **at = &server->links;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
    server->link_count--;
    pthread_mutex_unlock(&server->lock);
    wire_served_free(gone);
}

/* Takes the link to its owner; where that fails there is none. */
static enum code begin(struct wire_server *server, struct wire_served *link, struct failure *why)
{
    void *context = NULL;
    enum code code = server->events.begin(server->context, &link->link, &link->peer, &context, why);
    if (code != CODE_OK) {
        wire_served_remove(server, link);
        return code;
    }
    link->link.context = context;
    link->link.events = server->events.link;
    return CODE_OK;
}

void wire_served_finish(struct wire_served *link, const struct failure *why)
{
    if (link->finished)
        return;
    link->finished = true;
    wire_end_finish(&link->link, why);
}

/* The peer's link that was cut longest ago; NULL: all have connections. */
static struct wire_served *find_left_behind(struct wire_server *server, const struct wire_peer *peer, int *count)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&server->lock);
    struct wire_served *found = NULL;
    *count = 0;
    for (struct wire_served *link = server->links; link; link = link->next) {
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
    struct wire_served *left = find_left_behind(server, peer, &count);
    if (count >= WIRE_LINKS_MEMBER_MAX && !left)
        return failure_set(why, CODE_AGAIN, "you are connected %d times already: unmount somewhere, or try later", count);
    if (count >= WIRE_LINKS_MEMBER_MAX) {
        struct failure replaced;
        failure_set(&replaced, CODE_IO, "a newer connection of the same member needed its place");
        wire_served_finish(left, &replaced);
    }
    if (server->link_count >= WIRE_LINKS_MAX)
        return failure_set(why, CODE_AGAIN, "%d clients are connected already: try later", WIRE_LINKS_MAX);
    return CODE_OK;
}

enum code wire_served_make(struct wire_server *server, struct wire_peer *peer, struct wire_served **out, struct failure *why)
{
    enum code code = make_place(server, peer, why);
    if (code == CODE_OK)
        code = entropy_fill(peer->session, WIRE_SESSION_BYTES, why);
    if (code != CODE_OK)
        return code;
    struct wire_served *link = enter(server, peer);
    if (!link)
        return failure_set(why, CODE_NO_MEMORY, "no memory for another client");
    *out = link;
    return begin(server, link, why);
}

bool wire_served_reaches(struct wire_served *link, uint64_t received)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&link->link.lock);
    return wire_ledger_reaches(&link->link.ledger, received);
}

/* Saved --------------------------------------------------------------------------------------------------------------- */

static void put_link(struct wire_served *link, struct buffer *out)
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

void wire_served_save(const struct wire_server *server, struct buffer *out)
{
    buffer_append(out, SAVED_MAGIC, SAVED_HEAD);
    for (struct wire_served *link = server->links; link; link = link->next)
        if (!link->finished && !link->expelled)
            put_link(link, out);
}

static enum code take_link(struct wire_server *server, const uint8_t *at, size_t count, size_t *taken, struct failure *why)
{
    struct wire_peer peer = {0};
    if (count < SAVED_LINK_HEAD || server->link_count >= WIRE_LINKS_MAX)
        return failure_set(why, CODE_CORRUPT, "the saved links are damaged");
    memcpy(peer.session, at, WIRE_SESSION_BYTES);
    peer.uid = (uid_t)bytes_load64(at + WIRE_SESSION_BYTES);
    memcpy(peer.holder.name, at + WIRE_SESSION_BYTES + 8, MEMBER_NAME_MAX);
    memcpy(peer.holder.member_fingerprint, at + WIRE_SESSION_BYTES + 8 + MEMBER_NAME_MAX + 1,
           MEMBER_KEY_FINGERPRINT_BYTES - 1);
    snprintf(peer.address, sizeof peer.address, "away");
    struct wire_served *link = enter(server, &peer);
    if (!link)
        return failure_set(why, CODE_NO_MEMORY, "the saved links: no memory");
    size_t ledger = 0;
    enum code code = wire_ledger_restore(&link->link.ledger, at + SAVED_LINK_HEAD, count - SAVED_LINK_HEAD, &ledger, why);
    if (code != CODE_OK) {
        wire_served_remove(server, link);
        return code;
    }
    *taken = SAVED_LINK_HEAD + ledger;
    code = begin(server, link, why);
    if (code != CODE_OK) { /* this client begins anew */
        logging_info("%s: %s", peer.holder.name, why->text);
    }
    return CODE_OK;
}

enum code wire_served_restore(struct wire_server *server, const uint8_t *bytes, size_t count, struct failure *why)
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
