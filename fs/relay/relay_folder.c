/* Folders: see relay_folder.h.
 *
 * Below datasets/ and home/ a folder is listed whole, with attributes, as soon as anything in it is asked for: OPENDIR,
 * READDIRPLUS as often as it takes (1 MiB each), RELEASEDIR.  Once all of it is known, and as long as every change is told
 * to us, names in it are answered here, those that are not there too, and so is every listing.  Where it changed meanwhile,
 * or holds something that the server makes as it is read, it is not `complete`: what was learnt of single names is good all
 * the same.
 *
 * Whoever reads a folder may well go on into those in it, as find(1) does, and would wait for each of them: so they are
 * listed ahead, many at a time, in the order of the listing; but not what lies below them until somebody reads them.
 *
 * An open folder is a view: its names as they were when it was read from the start, so that entries made or removed
 * meanwhile neither repeat nor hide others.  Offsets are the server's (session_folders.c): 1 behind ".", 2 behind "..", 2 +
 * n behind the n-th. */
#include "relay_folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "relay_ahead.h"
#include "relay_durable.h"
#include "relay_fresh.h"
#include "relay_name.h"
#include "relay_state.h"
#include "timing.h"

#define DOTS            2
#define NAME_BYTES_MAX  1024
#define LISTING_BYTES   (1u << 20)
#define ENTRIES_MAX     200000                                  /* of one folder */
#define ENTRY_BYTES_MAX (FUSE_NAME_OFFSET_DIRENTPLUS + 256 + 8) /* of one entry: its name has up to 255 bytes */
#define AGAIN_AFTER_MS  500
#define TOUCHED_MAX     2000
#define LISTINGS_MAX    48   /* folders that are listed ahead at the same time */
#define WALKED_MAX      8192 /* entries of a folder whose folders are listed ahead */

struct relay_view {
    uint32_t count;
    struct view_name {
        uint64_t id;
        uint32_t type, length;
        const char *name; /* in `names` */
    } * entries;
    char *names;
};

void relay_folder_drop_view(struct relay_view *view)
{
    if (!view)
        return;
    free(view->entries);
    free(view->names);
    free(view);
}

/* Listing ahead ----------------------------------------------------------------------------------------------------- */

struct relay_listing {
    struct relay_node *folder;
    uint64_t stamp; /* when it began */
    uint64_t server, offset;
    uint32_t count;
    bool mixed; /* not everything in it is stored, or there is too much */
    struct touched {
        struct touched *next;
        char name[];
    } * touched; /* names that we changed ourselves meanwhile */
    uint32_t touched_count;
    struct relay_queue waiting;
};

void relay_folder_touch(struct relay_node *folder, const char *name)
{
    struct relay_listing *listing = folder ? folder->listing : NULL;
    if (!listing)
        return;
    size_t length = strlen(name);
    struct touched *touched = malloc(sizeof *touched + length + 1);
    if (!touched)
        abort();
    memcpy(touched->name, name, length + 1);
    touched->next = listing->touched;
    listing->touched = touched;
    if (++listing->touched_count > TOUCHED_MAX)
        listing->mixed = true;
}

void relay_folder_doubt(struct relay_node *folder)
{
    folder->complete = false;
    if (folder->listing)
        folder->listing->mixed = true;
}

void relay_folder_confirm(const struct relay_node *folder, struct relay_entry *entry)
{
    if (folder->listing)
        entry->listed = folder->listing->stamp;
}

static bool is_touched(const struct relay_listing *listing, const char *name)
{
    const struct touched *touched = listing->touched;
    while (touched && strcmp(touched->name, name) != 0)
        touched = touched->next;
    return touched != NULL;
}

/* Lists the folders in one that is being walked through, as many at a time as may be; called again as each is done. */
static void list_inner(struct relay *relay, struct relay_output *out, struct relay_node *folder)
{
    if (!folder->walked || !folder->complete || folder->entry_count > WALKED_MAX)
        return;
    for (struct relay_entry *entry = folder->first; entry && relay->listings < LISTINGS_MAX; entry = entry->behind)
        if (S_ISDIR(entry->child->attr.mode) && !entry->child->fresh)
            relay_folder_list_ahead(relay, out, entry->child);
}

static void end_listing(struct relay *relay, struct relay_output *out, struct relay_listing *listing, bool whole)
{
    struct relay_node *folder = listing->folder;
    folder->listing = NULL;
    folder->busy--;
    relay->listings--;
    folder->complete = whole && !listing->mixed && relay_node_left_alone_since(relay, folder->id, listing->stamp);
    if (!folder->complete)
        folder->unlistable_ms = timing_monotonic_ms() + AGAIN_AFTER_MS;
    for (struct relay_request *request = listing->waiting.first; request; request = request->next)
        request->tried = true;
    relay_wake(relay, &listing->waiting, out);
    if (folder->complete)
        relay_ahead_pump(relay, out, folder);
    if (folder->names)
        list_inner(relay, out, folder->names->folder);
    while (listing->touched) {
        struct touched *next = listing->touched->next;
        free(listing->touched);
        listing->touched = next;
    }
    free(listing);
}

static void close_server_folder(struct relay *relay, struct relay_output *out, const struct relay_listing *listing)
{
    const struct fuse_release_in body = {.fh = listing->server};
    relay_call_begin(relay, out,
                     &(struct relay_call_message){
                         .opcode = FUSE_RELEASEDIR, .node = listing->folder->id, .fixed = &body, .fixed_bytes = sizeof body},
                     NULL, NULL);
}

static void learn_entry(struct relay *relay, struct relay_listing *listing, const struct fuse_direntplus *from)
{
    struct relay_node *folder = listing->folder;
    char name[NAME_BYTES_MAX + 1];
    struct fuse_entry_out entry = from->entry_out;
    if (from->dirent.namelen > NAME_BYTES_MAX)
        return;
    memcpy(name, from->dirent.name, from->dirent.namelen);
    name[from->dirent.namelen] = 0;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    if (!entry.nodeid) {
        listing->mixed = true;
        return;
    }
    struct relay_node *node = relay_node_learn(relay, &entry, listing->stamp);
    if (is_touched(listing, name))
        return;
    if (!node->stored || !relay_node_left_alone_since(relay, folder->id, listing->stamp)) {
        listing->mixed = true;
        return;
    }
    struct relay_entry *known = relay_entry_find(relay, folder, name);
    if (known && known->child != node && known->listed == listing->stamp) {
        listing->mixed = true; /* a lookup said otherwise meanwhile: which is newer is not known */
        return;
    }
    if (known && known->child != node)
        relay_entry_remove(relay, known), known = NULL;
    if (!known)
        known = relay_entry_set(relay, folder, name, node);
    known->listed = listing->stamp;
}

/* What was known before and is not listed is not there. */
static void prune(struct relay *relay, const struct relay_listing *listing)
{
    struct relay_entry *behind;
    for (struct relay_entry *entry = listing->folder->first; entry; entry = behind) {
        behind = entry->behind;
        if (entry->listed != listing->stamp && !entry->child->fresh && !is_touched(listing, entry->name))
            relay_entry_remove(relay, entry);
    }
}

static void read_on(struct relay *relay, struct relay_output *out, struct relay_listing *listing);

static void on_listed(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                      struct relay_output *out)
{
    struct relay_listing *listing = call->subject;
    uint64_t begun = listing->offset;
    for (size_t at = 0; !reply->error && at + FUSE_NAME_OFFSET_DIRENTPLUS <= reply->bytes;) {
        const struct fuse_direntplus *entry = (const struct fuse_direntplus *)(reply->body + at);
        size_t bytes = FUSE_DIRENTPLUS_SIZE(entry);
        if (bytes > reply->bytes - at)
            break;
        learn_entry(relay, listing, entry);
        listing->offset = entry->dirent.off;
        listing->count++;
        at += bytes;
    }
    if (listing->count > ENTRIES_MAX)
        listing->mixed = true;
    /* The server fills its answers: where another entry would have had room, there is none. */
    bool filled = reply->bytes + ENTRY_BYTES_MAX > LISTING_BYTES;
    if (!reply->error && filled && listing->offset != begun && !listing->mixed) {
        read_on(relay, out, listing);
        return;
    }
    if (!reply->error && !listing->mixed && relay_node_left_alone_since(relay, listing->folder->id, listing->stamp))
        prune(relay, listing);
    close_server_folder(relay, out, listing);
    end_listing(relay, out, listing, !reply->error);
}

static void read_on(struct relay *relay, struct relay_output *out, struct relay_listing *listing)
{
    const struct fuse_read_in body = {.fh = listing->server, .offset = listing->offset, .size = LISTING_BYTES};
    relay_call_begin(
        relay, out,
        &(struct relay_call_message){
            .opcode = FUSE_READDIRPLUS, .node = listing->folder->id, .fixed = &body, .fixed_bytes = sizeof body},
        on_listed, listing);
}

static void on_listing_opened(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                              struct relay_output *out)
{
    struct relay_listing *listing = call->subject;
    struct fuse_open_out answer;
    if (reply->error || reply->bytes < sizeof answer) {
        end_listing(relay, out, listing, false);
        return;
    }
    memcpy(&answer, reply->body, sizeof answer);
    listing->server = answer.fh;
    read_on(relay, out, listing);
}

void relay_folder_list_ahead(struct relay *relay, struct relay_output *out, struct relay_node *folder)
{
    if (folder->listing || folder->complete || timing_monotonic_ms() < folder->unlistable_ms ||
        !relay_node_is_plain(relay, folder))
        return;
    struct relay_listing *listing = calloc(1, sizeof *listing);
    if (!listing)
        abort();
    listing->folder = folder;
    listing->stamp = ++relay->stamp;
    folder->listing = listing;
    folder->busy++;
    relay->listings++;
    const struct fuse_open_in body = {0};
    relay_call_begin(
        relay, out,
        &(struct relay_call_message){.opcode = FUSE_OPENDIR, .node = folder->id, .fixed = &body, .fixed_bytes = sizeof body},
        on_listing_opened, listing);
}

/* Open folders ------------------------------------------------------------------------------------------------------ */

static void on_opened(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                      struct relay_output *out)
{
    struct fuse_open_out answer;
    struct relay_node *node = relay_node_find(relay, ((struct fuse_in_header *)call->message->data)->nodeid);
    if (reply->error || reply->bytes < sizeof answer || !node) {
        relay_call_pass(relay, call, reply, out);
        return;
    }
    memcpy(&answer, reply->body, sizeof answer);
    struct relay_handle *handle = relay_handle_make(relay, node, 0, true);
    handle->server = answer.fh;
    handle->state = HANDLE_SERVER;
    answer.fh = handle->key;
    if (call->kernel_unique)
        relay_answer(relay, out, call->kernel_unique, 0, &answer, sizeof answer);
    else
        relay_handle_release(relay, out, handle);
}

void relay_folder_open(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct relay_node *node = relay_node_get(relay, relay_request_header(request)->nodeid);
    if (!relay_node_is_plain(relay, node)) {
        relay_call_forward(relay, out, request, on_opened);
        return;
    }
    relay_folder_list_ahead(relay, out, node);
    const struct fuse_open_out answer = {.fh = relay_handle_make(relay, node, 0, true)->key};
    relay->counters.answered_here++;
    relay_finish(relay, out, request, 0, &answer, sizeof answer);
}

static struct relay_view *make_view(const struct relay_node *folder)
{
    size_t bytes = 1;
    for (const struct relay_entry *entry = folder->first; entry; entry = entry->behind)
        bytes += entry->length;
    struct relay_view *view = calloc(1, sizeof *view);
    if (!view || !(view->entries = calloc(folder->entry_count + 1, sizeof *view->entries)) || !(view->names = malloc(bytes)))
        abort();
    char *at = view->names;
    for (const struct relay_entry *entry = folder->first; entry; entry = entry->behind) {
        view->entries[view->count++] =
            (struct view_name){entry->child->id, entry->child->attr.mode >> 12 & 15, entry->length, at};
        memcpy(at, entry->name, entry->length);
        at += entry->length;
    }
    return view;
}

static struct view_name name_at(const struct relay_handle *handle, uint64_t offset)
{
    if (offset >= DOTS)
        return handle->view->entries[offset - DOTS];
    return (struct view_name){handle->node->id, 4 /* a folder */, (uint32_t)offset + 1, ".."};
}

static size_t add_entry(uint8_t *at, size_t room, const struct view_name *name, uint64_t offset)
{
    struct fuse_dirent entry = {.ino = name->id, .off = offset + 1, .namelen = name->length, .type = name->type};
    size_t need = FUSE_DIRENT_SIZE(&entry);
    if (need > room)
        return 0;
    memset(at, 0, need);
    memcpy(at, &entry, FUSE_NAME_OFFSET);
    memcpy(at + FUSE_NAME_OFFSET, name->name, name->length);
    return need;
}

/* Beyond the name, what the kernel may keep of the node; nothing of one that left meanwhile. */
static size_t add_entry_plus(struct relay *relay, const struct relay_node *folder, uint8_t *at, size_t room,
                             const struct view_name *name, uint64_t offset)
{
    struct fuse_entry_out entry = {0};
    size_t need = add_entry(at + sizeof entry, room > sizeof entry ? room - sizeof entry : 0, name, offset);
    if (!need)
        return 0;
    struct relay_node *node = offset >= DOTS ? relay_node_find(relay, name->id) : NULL;
    bool placed = false;
    for (const struct relay_entry *known = node ? node->names : NULL; known && !placed; known = known->other)
        placed =
            known->folder == folder && known->length == name->length && memcmp(known->name, name->name, name->length) == 0;
    if (placed && (node->known || node->fresh)) {
        relay_node_fill_entry(relay, node, &entry);
        node->kernel_lookups++;
    }
    memcpy(at, &entry, sizeof entry);
    return need + sizeof entry;
}

static void show(struct relay *relay, struct relay_handle *handle, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_read_in *asked = relay_request_body(request);
    bool plus = relay_request_header(request)->opcode == FUSE_READDIRPLUS;
    size_t size = asked->size < LISTING_BYTES ? asked->size : LISTING_BYTES, used = 0;
    struct relay_bytes *bytes = relay_bytes_make(size);
    for (uint64_t offset = asked->offset; offset < (uint64_t)handle->view->count + DOTS; offset++) {
        const struct view_name name = name_at(handle, offset);
        size_t took = plus ? add_entry_plus(relay, handle->node, bytes->data + used, size - used, &name, offset)
                           : add_entry(bytes->data + used, size - used, &name, offset);
        if (!took)
            break;
        used += took;
    }
    relay->counters.answered_here++;
    relay_answer_bytes(out, relay_request_header(request)->unique, bytes, 0, used);
    relay_bytes_drop(bytes);
    relay_request_free(request);
}

/* The server's answer to READDIRPLUS: what it tells of is learnt, and passed on with our owner and our times. */
static void on_read(struct relay *relay, struct relay_call *call, const struct relay_reply *reply, struct relay_output *out)
{
    const struct fuse_in_header *header = (const struct fuse_in_header *)call->message->data;
    if (reply->error || header->opcode != FUSE_READDIRPLUS) {
        relay_call_pass(relay, call, reply, out);
        return;
    }
    struct relay_bytes *bytes = relay_bytes_make(reply->bytes);
    memcpy(bytes->data, reply->body, reply->bytes);
    for (size_t at = 0; at + FUSE_NAME_OFFSET_DIRENTPLUS <= reply->bytes;) {
        struct fuse_direntplus *entry = (struct fuse_direntplus *)(bytes->data + at);
        size_t size = FUSE_DIRENTPLUS_SIZE(entry);
        if (size > reply->bytes - at)
            break;
        at += size;
        if (!entry->entry_out.nodeid)
            continue;
        struct relay_node *node = relay_node_learn(relay, &entry->entry_out, call->stamp);
        if (call->kernel_unique)
            relay_name_tell(relay, node, &entry->entry_out, relay_node_unchanged_since(relay, header->nodeid, call->stamp));
    }
    if (call->kernel_unique)
        relay_answer_bytes(out, call->kernel_unique, bytes, 0, bytes->count);
    relay_bytes_drop(bytes);
}

static void read_from_server(struct relay *relay, struct relay_handle *handle, struct relay_request *request,
                             struct relay_output *out)
{
    if (!relay_handle_ensure(relay, out, handle, request))
        return;
    ((struct fuse_read_in *)relay_request_body(request))->fh = handle->server;
    struct relay_call *call = relay_call_forward(relay, out, request, on_read);
    call->handle = handle;
    handle->busy++;
}

void relay_folder_read(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_read_in *asked = relay_request_body(request);
    struct relay_handle *handle =
        relay_request_body_bytes(request) >= sizeof *asked ? relay_handle_find(relay, asked->fh) : NULL;
    if (!handle || !handle->folder) {
        relay_finish(relay, out, request, EBADF, NULL, 0);
        return;
    }
    struct relay_node *folder = handle->node;
    if (handle->state == HANDLE_LOCAL && asked->offset == 0 && folder->complete) {
        relay_folder_drop_view(handle->view);
        handle->view = make_view(folder);
        folder->walked = true;
        list_inner(relay, out, folder);
    } else if (handle->state == HANDLE_LOCAL && asked->offset == 0) {
        if (!request->tried)
            relay_folder_list_ahead(relay, out, folder);
        if (folder->listing && !request->tried) {
            relay_park(relay, &folder->listing->waiting, request);
            return;
        }
        relay_folder_drop_view(handle->view);
        handle->view = NULL;
    }
    if (handle->view)
        show(relay, handle, request, out);
    else
        read_from_server(relay, handle, request, out);
}

void relay_folder_release(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_release_in *body = relay_request_body(request);
    struct relay_handle *handle =
        relay_request_body_bytes(request) >= sizeof *body ? relay_handle_find(relay, body->fh) : NULL;
    if (handle)
        relay_handle_release(relay, out, handle);
    relay_finish(relay, out, request, 0, NULL, 0);
}

void relay_folder_sync(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_fsync_in *body = relay_request_body(request);
    struct relay_handle *handle =
        relay_request_body_bytes(request) >= sizeof *body ? relay_handle_find(relay, body->fh) : NULL;
    if (!handle) {
        relay_finish(relay, out, request, EBADF, NULL, 0);
        return;
    }
    for (struct relay_entry *entry = handle->node->first; entry; entry = entry->behind)
        if (relay_name_settles(relay, out, entry->child, request))
            return;
    if (relay_durable_tells(relay, handle->node, request, out) || !relay_handle_ensure(relay, out, handle, request))
        return;
    ((struct fuse_fsync_in *)relay_request_body(request))->fh = handle->server;
    struct relay_call *call = relay_call_forward(relay, out, request, NULL);
    call->handle = handle;
    handle->busy++;
}
