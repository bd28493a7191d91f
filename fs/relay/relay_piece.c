/* Pieces of contents: see relay_piece.h.
 *
 *   (nothing) --wanted--> being loaded from disk --not there--> being fetched --answered--> here --memory is full,
 * changed--> (nothing)
 *
 * A piece belongs to one version of the file (relay_node_version), and is used only while the node is known to have it.  A
 * file that changed while a piece of it was fetched is hot for a moment: its reads go to the server, so that a reader of
 * something which is written all the time gets on.
 *
 * Invariants: 1. a piece that is on its way keeps its node in the table (node->busy); 2. pieces.bytes counts those that are
 * here, fetching_bytes those on their way. */
#include "relay_piece.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "extra.h"
#include "relay_ahead.h"
#include "relay_disk.h"
#include "relay_file.h"
#include "relay_state.h"
#include "timing.h"

#define AHEAD_MAX (64u << 20) /* bytes on their way at once, beyond which only what is read now is fetched */
#define HOT_MS    1500

static struct relay_piece **bucket_of(struct relay *relay, const struct relay_node *node, uint64_t index)
{
    uint64_t mixed = (node->id * UINT64_C(0x9E3779B97F4A7C15) + index) * UINT64_C(0xBF58476D1CE4E5B9);
    return &relay->pieces.buckets[(mixed >> 32) % RELAY_PIECE_BUCKETS];
}

static struct relay_piece *find(struct relay *relay, const struct relay_node *node, uint64_t index)
{
    struct relay_piece *piece = *bucket_of(relay, node, index);
    while (piece && (piece->node != node || piece->index != index))
        piece = piece->next;
    return piece;
}

/* By use, only pieces that are here. */
static void leave_order(struct relay_pieces *pieces, struct relay_piece *piece)
{
    *(piece->before ? &piece->before->behind : &pieces->oldest) = piece->behind;
    *(piece->behind ? &piece->behind->before : &pieces->newest) = piece->before;
}

static void join_order(struct relay_pieces *pieces, struct relay_piece *piece)
{
    piece->behind = NULL;
    piece->before = pieces->newest;
    *(pieces->newest ? &pieces->newest->behind : &pieces->oldest) = piece;
    pieces->newest = piece;
}

static uint32_t expected_bytes(const struct relay_node *node, uint64_t index)
{
    uint64_t from = index * RELAY_PIECE_BYTES;
    if (!node->known || from + RELAY_PIECE_BYTES <= node->attr.size)
        return RELAY_PIECE_BYTES;
    return from < node->attr.size ? (uint32_t)(node->attr.size - from) : 0;
}

static void take_out(struct relay *relay, struct relay_piece *piece)
{
    struct relay_piece **link = bucket_of(relay, piece->node, piece->index);
    while (*link != piece)
        link = &(*link)->next;
    *link = piece->next;
    for (link = &piece->node->pieces; *link != piece;)
        link = &(*link)->sibling;
    *link = piece->sibling;
    if (piece->bytes) {
        leave_order(&relay->pieces, piece);
        relay->pieces.bytes -= piece->bytes->count;
        relay_bytes_drop(piece->bytes);
    }
    free(piece);
}

/* A piece that did not arrive: those who wait look again, or get the error. */
static void fail(struct relay *relay, struct relay_output *out, struct relay_piece *piece, int error)
{
    if (error)
        relay_wake_with_error(relay, &piece->waiting, out, error);
    else
        relay_wake(relay, &piece->waiting, out);
    relay->pieces.fetching_bytes -= piece->count;
    piece->node->busy--;
    take_out(relay, piece);
}

static void arrive(struct relay *relay, struct relay_output *out, struct relay_piece *piece, struct relay_bytes *bytes,
                   uint32_t from, uint32_t count)
{
    struct relay_pieces *pieces = &relay->pieces;
    pieces->fetching_bytes -= piece->count;
    piece->node->busy--;
    piece->bytes = bytes;
    piece->from = from;
    piece->count = count;
    piece->version = relay_node_version(piece->node);
    pieces->bytes += bytes->count;
    join_order(pieces, piece);
    relay_wake(relay, &piece->waiting, out);
    while (pieces->bytes > relay->options.limits.memory && pieces->oldest != piece)
        take_out(relay, pieces->oldest);
}

void relay_piece_drop_all(struct relay *relay, struct relay_node *node)
{
    struct relay_piece *next;
    for (struct relay_piece *piece = node->pieces; piece; piece = next) {
        next = piece->sibling;
        if (piece->bytes)
            take_out(relay, piece);
    }
}

/* Fetching ---------------------------------------------------------------------------------------------------------- */

static void pump(struct relay *relay, struct relay_output *out)
{
    struct relay_node *folder = relay->scattered ? relay_node_find(relay, relay->scattered) : NULL;
    if (folder && relay->pieces.fetching_bytes < AHEAD_MAX / 2)
        relay_ahead_pump(relay, out, folder);
    if (!folder || !folder->scattered)
        relay->scattered = 0;
}

static void on_fetched(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                       struct relay_output *out)
{
    struct extra_fetch_out head;
    struct relay_piece *piece = call->subject;
    struct relay_node *node = piece->node;
    if (reply->error == ENOSYS) { /* a server that does not do that: through handles, then */
        relay->no_fetches = true;
        fail(relay, out, piece, 0);
        return;
    }
    if (reply->error || reply->bytes < sizeof head) {
        fail(relay, out, piece, reply->error ? reply->error : EIO);
        return;
    }
    memcpy(&head, reply->body, sizeof head);
    if (head.size > reply->bytes - sizeof head) {
        fail(relay, out, piece, EIO);
        return;
    }
    relay_node_take_attributes(relay, node, &head.attr, true, call->stamp);
    if (!node->known) {
        node->hot_ms = timing_monotonic_ms() + HOT_MS;
        fail(relay, out, piece, 0);
        return;
    }
    const uint32_t expected = expected_bytes(node, piece->index);
    if (head.size <
        expected) { /* it has grown since we asked, which nobody has told us yet; or the server does not keep its word */
        fail(relay, out, piece, piece->count < expected ? 0 : EIO);
        return;
    }
    const uint32_t from = sizeof(struct fuse_out_header) + sizeof head;
    relay->counters.contents_fetched += head.size;
    const struct relay_disk_key key = {node->id, piece->index, relay_node_version(node)};
    if (relay->options.disk)
        relay_disk_keep(relay->options.disk, &key, reply->whole, from, head.size);
    arrive(relay, out, piece, relay_bytes_share(reply->whole), from, head.size);
    pump(relay, out);
}

static void fetch(struct relay *relay, struct relay_output *out, struct relay_piece *piece)
{
    const struct extra_fetch_in body = {.offset = piece->index * RELAY_PIECE_BYTES, .size = piece->count};
    relay_call_begin(relay, out,
                     &(struct relay_call_message){
                         .opcode = EXTRA_FETCH, .node = piece->node->id, .fixed = &body, .fixed_bytes = sizeof body},
                     on_fetched, piece);
}

/* From a thread of the disk's. */
static void on_loaded(void *context, void *subject, struct relay_bytes *bytes)
{
    struct relay *relay = context;
    struct relay_piece *piece = subject;
    struct relay_output out = {0};
    pthread_mutex_lock(&relay->lock);
    struct relay_node *node = piece->node;
    bool usable = bytes && node->known && relay_node_version(node) == piece->version &&
                  bytes->count == expected_bytes(node, piece->index);
    if (usable) {
        relay->counters.contents_from_disk += bytes->count;
        arrive(relay, &out, piece, bytes, 0, (uint32_t)bytes->count);
        pump(relay, &out);
    } else {
        relay_bytes_drop(bytes);
        fetch(relay, &out, piece);
    }
    pthread_mutex_unlock(&relay->lock);
    relay_output_flush(relay, &out);
}

static struct relay_piece *begin(struct relay *relay, struct relay_output *out, struct relay_node *node, uint64_t index)
{
    struct relay_piece *piece = calloc(1, sizeof *piece);
    if (!piece)
        abort();
    piece->node = node;
    piece->index = index;
    piece->count = expected_bytes(node, index);
    piece->version = node->known ? relay_node_version(node) : 0;
    struct relay_piece **bucket = bucket_of(relay, node, index);
    piece->next = *bucket;
    *bucket = piece;
    piece->sibling = node->pieces;
    node->pieces = piece;
    node->busy++;
    relay->pieces.fetching_bytes += piece->count;
    const struct relay_disk_key key = {node->id, index, piece->version};
    if (!relay->options.disk || !piece->version || !relay_disk_load(relay->options.disk, &key, on_loaded, relay, piece))
        fetch(relay, out, piece);
    return piece;
}

/* The piece as it is needed now: here, or on its way. */
static struct relay_piece *obtain(struct relay *relay, struct relay_output *out, struct relay_node *node, uint64_t index)
{
    struct relay_piece *piece = find(relay, node, index);
    if (piece && piece->bytes && (!node->known || piece->version != relay_node_version(node))) {
        take_out(relay, piece);
        piece = NULL;
    }
    return piece ? piece : begin(relay, out, node, index);
}

bool relay_piece_is_here(struct relay *relay, const struct relay_node *node, uint64_t index)
{
    const struct relay_piece *piece = find(relay, node, index);
    return piece && piece->bytes && node->known && piece->version == relay_node_version(node);
}

bool relay_piece_want(struct relay *relay, struct relay_output *out, struct relay_node *node, uint64_t index)
{
    if (relay->pieces.fetching_bytes >= AHEAD_MAX || relay->no_fetches || node->writing ||
        timing_monotonic_ms() < node->hot_ms)
        return false;
    obtain(relay, out, node, index);
    return true;
}

/* Reading ----------------------------------------------------------------------------------------------------------- */

static void touch(struct relay *relay, struct relay_piece *piece)
{
    if (relay->pieces.newest == piece)
        return;
    leave_order(&relay->pieces, piece);
    join_order(&relay->pieces, piece);
}

/* The bytes lie in one or two pieces, both here. */
static void serve(struct relay *relay, struct relay_output *out, struct relay_request *request, struct relay_piece *first,
                  struct relay_piece *second, uint64_t from, size_t count)
{
    size_t within = (size_t)(from % RELAY_PIECE_BYTES);
    if (within + count <= first->count)
        second = NULL;
    relay->counters.contents_from_memory += count;
    relay->counters.answered_here++;
    touch(relay, first);
    if (!second) {
        relay_answer_bytes(out, relay_request_header(request)->unique, first->bytes, first->from + within, count);
        relay_request_free(request);
        return;
    }
    touch(relay, second);
    size_t part = first->count - within;
    struct relay_bytes *both = relay_bytes_make(count);
    memcpy(both->data, first->bytes->data + first->from + within, part);
    memcpy(both->data + part, second->bytes->data + second->from, count - part);
    relay_answer_bytes(out, relay_request_header(request)->unique, both, 0, count);
    relay_bytes_drop(both);
    relay_request_free(request);
}

void relay_piece_read(struct relay *relay, struct relay_output *out, struct relay_handle *handle,
                      struct relay_request *request)
{
    const struct fuse_read_in *asked = relay_request_body(request);
    struct relay_node *node = handle->node;
    if (relay->no_fetches || timing_monotonic_ms() < node->hot_ms) {
        if (relay_handle_ensure(relay, out, handle, request))
            relay_file_forward(relay, out, request, handle);
        return;
    }
    uint64_t index = asked->offset / RELAY_PIECE_BYTES;
    if (!node->known) {
        relay_park(relay, &obtain(relay, out, node, index)->waiting, request);
        return;
    }
    if (asked->offset >= node->attr.size || asked->size == 0) {
        relay_finish(relay, out, request, 0, NULL, 0);
        return;
    }
    uint64_t end = asked->offset + asked->size < node->attr.size ? asked->offset + asked->size : node->attr.size;
    uint64_t last = (end - 1) / RELAY_PIECE_BYTES;
    if (last > index + 1) { /* no kernel asks for so much */
        last = index + 1;
        end = (last + 1) * RELAY_PIECE_BYTES;
    }
    struct relay_piece *first = obtain(relay, out, node, index);
    struct relay_piece *second = last > index ? obtain(relay, out, node, last) : NULL;
    if (node->attr.size > RELAY_PIECE_BYTES)
        relay_ahead_read(relay, out, handle, asked->offset, end);
    if (!first->bytes)
        relay_park(relay, &first->waiting, request);
    else if (second && !second->bytes)
        relay_park(relay, &second->waiting, request);
    else
        serve(relay, out, request, first, second, asked->offset, (size_t)(end - asked->offset));
}
