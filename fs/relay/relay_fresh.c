/* New small files: see relay_fresh.h.
 *
 *   (CREATE) open --closed by all, a moment passes--> sent --made--> an ordinary node
 *                 --open for a second; or something else needs it: rename, fsync, locks, too large--> sent
 *
 * Only below datasets/ and home/, where no rule of the lab acts on the closing of a file, and only in folders that are known
 * whole, so that the name is known not to be there.  The inode number is one that the server has reserved for us, so nothing
 * about the file changes when it is made.
 *
 * O_CREAT | O_EXCL waits until the server has made the name, empty (claimed); from then on the file is fresh like others,
 * and its contents go for that very file or not at all.  O_CREAT | O_TRUNC: should another make the name meanwhile, our
 * contents replace his, whole, as they would on a disk. O_CREAT alone (touch, SQLite) may take away nothing that another has
 * written, so the server makes it.
 *
 * Times: the folder's are ours until something else changes it, since they must not change once more when the file arrives;
 * a file's are the server's from when it is made, which who asks for them after it was closed waits for.
 *
 * The member's quota: nothing is made here that the server could refuse for it.  What files hold has room in what the server
 * has set aside (relay->room), which is given back when nobody makes files any more; a file that grows beyond it is sent,
 * and what is written further is written to the server like to any file, whose close tells.
 *
 * Everything that concerns a fresh file but cannot be answered from it is parked on node->waiting, after it was sent.  One
 * that cannot be made is lost: its name is taken back, and who uses it gets EIO; the log says why.
 *
 * Invariants: 1. what all fresh files hold has been taken from relay->room, or is owed.  2. a fresh node has exactly one
 * name, and its folder cannot leave the table; 3. pending_bytes counts the bytes of all. */
#include "relay_fresh.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "extra.h"
#include "logging.h"
#include "relay_folder.h"
#include "relay_interrupt.h"
#include "relay_push.h"
#include "relay_state.h"
#include "timing.h"

#define FRESH_MAX     1024 /* at once */
#define RESERVE_LOW   1024
#define ROOM_BYTES    (64u << 20) /* that are asked for at once */
#define ROOM_IDLE_MS  2000        /* after the last file was made what is set aside is given back */
#define ROOM_ASK_MS   1000        /* more often nobody asks: near the end of a quota there is ever less to get */
#define SEND_AFTER_MS 4           /* of being closed: chmod(2) and utimes(2) that follow go with it */
#define OPEN_MS       1000 /* so long it may be open before others see it and it is written to the server like any file */
#define NEVER_HERE    (O_APPEND | O_DIRECT | O_SYNC | O_DSYNC | O_TMPFILE)
#define BLOCK_BYTES   512

struct relay_fresh {
    struct relay_fresh *next; /* of those that were not sent */
    struct relay_node *node, *folder;
    uint64_t id; /* under which it is made: the node's, unless the server forgot us */
    uint8_t *bytes;
    size_t room;
    bool claimed; /* the server has made it, empty */
    bool sent;
    int64_t due_ms;
    char name[];
};

/* Numbers ----------------------------------------------------------------------------------------------------------- */

static void on_reserved(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                        struct relay_output *out)
{
    (void)call;
    struct extra_reserve_out answer;
    relay->reserving = false;
    if (reply->error || reply->bytes < sizeof answer) {
        relay->no_puts = true; /* for good: the server does not do it for this member */
        return;
    }
    memcpy(&answer, reply->body, sizeof answer);
    uint64_t paid = answer.bytes < relay->room_owed ? answer.bytes : relay->room_owed;
    relay->room_owed -= paid;
    relay->room += answer.bytes - paid;
    relay->room_used_ms = timing_monotonic_ms();
    pthread_cond_signal(&relay->tick);
    if (answer.count) {
        relay->reserved_first = answer.first;
        relay->reserved_end = answer.first + answer.count;
    }
    if (relay->renumber) {
        relay->renumber = false;
        relay_fresh_renew(relay, out);
    }
}

void relay_fresh_reserve(struct relay *relay, struct relay_output *out)
{
    int64_t now_ms = timing_monotonic_ms();
    bool numbers = relay->reserved_end - relay->reserved_first < RESERVE_LOW;
    bool room = relay->room < ROOM_BYTES / 2 && (!relay->room_asked_ms || now_ms - relay->room_asked_ms >= ROOM_ASK_MS);
    if (relay->reserving || relay->no_puts || relay->options.plain || (!numbers && !room))
        return;
    relay->reserving = true;
    if (room)
        relay->room_asked_ms = now_ms;
    const struct extra_reserve_in body = {.count = numbers ? EXTRA_RESERVE_MAX : 0,
                                          .bytes = room ? ROOM_BYTES + (uint32_t)relay->room_owed : 0};
    relay_call_begin(relay, out,
                     &(struct relay_call_message){
                         .opcode = EXTRA_RESERVE, .node = FUSE_ROOT_ID, .fixed = &body, .fixed_bytes = sizeof body},
                     on_reserved, NULL);
}

static void on_given_back(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                          struct relay_output *out)
{
    (void)call;
    (void)reply;
    (void)out;
    relay->reserving = false;
}

/* When it may be given back; INT64_MAX: there is nothing.  While files are on their way the server needs it. */
static int64_t room_due(const struct relay *relay)
{
    return relay->room && !relay->fresh_count && !relay->reserving && !relay->renewing ? relay->room_used_ms + ROOM_IDLE_MS
                                                                                       : INT64_MAX;
}

/* Nothing else is asked for meanwhile, since the server may carry out the two in any order. */
static void give_room_back(struct relay *relay, struct relay_output *out)
{
    const struct extra_reserve_in nothing = {.count = 0};
    relay->reserving = true;
    relay->room = 0;
    relay->room_asked_ms = 0;
    relay_call_begin(relay, out,
                     &(struct relay_call_message){
                         .opcode = EXTRA_RESERVE, .node = FUSE_ROOT_ID, .fixed = &nothing, .fixed_bytes = sizeof nothing},
                     on_given_back, NULL);
}

static void join_queue(struct relay *relay, struct relay_fresh *fresh)
{
    fresh->due_ms = timing_monotonic_ms() + OPEN_MS;
    *(relay->fresh_last ? &relay->fresh_last->next : &relay->fresh_first) = fresh;
    relay->fresh_last = fresh;
    pthread_cond_signal(&relay->tick);
}

static void leave_queue(struct relay *relay, struct relay_fresh *fresh)
{
    struct relay_fresh **link = &relay->fresh_first, *before = NULL;
    while (*link != fresh) {
        before = *link;
        link = &before->next;
    }
    *link = fresh->next;
    if (relay->fresh_last == fresh)
        relay->fresh_last = before;
    fresh->next = NULL;
}

/* Making ------------------------------------------------------------------------------------------------------------ */

static void set_now(uint64_t *seconds, uint32_t *nanoseconds)
{
    int64_t now = timing_wall_ns();
    *seconds = (uint64_t)(now / 1000000000);
    *nanoseconds = (uint32_t)(now % 1000000000);
}

static void fill_node(struct relay *relay, struct relay_node *node, struct relay_node *folder, uint32_t mode)
{
    node->attr = (struct fuse_attr){.ino = node->id,
                                    .mode = S_IFREG | (mode & 07777),
                                    .nlink = 1,
                                    .uid = relay->owner,
                                    .gid = relay->group,
                                    .blksize = 4096};
    set_now(&node->attr.mtime, &node->attr.mtimensec);
    node->attr.atime = node->attr.ctime = node->attr.mtime;
    node->attr.atimensec = node->attr.ctimensec = node->attr.mtimensec;
    folder->attr.mtime = folder->attr.ctime = node->attr.mtime;
    folder->attr.mtimensec = folder->attr.ctimensec = node->attr.mtimensec;
}

/* What CREATE asked for is there; `unique` waits for it. */
static void begin(struct relay *relay, struct relay_output *out, struct relay_node *folder, struct relay_node *node,
                  const struct fuse_create_in *asked, uint64_t unique)
{
    const char *name = (const char *)(asked + 1);
    size_t length = strlen(name);
    struct relay_fresh *fresh = calloc(1, sizeof *fresh + length + 1);
    if (!fresh)
        abort();
    memcpy(fresh->name, name, length);
    fill_node(relay, node, folder, asked->mode);
    fresh->node = node;
    fresh->id = node->id;
    fresh->folder = folder;
    fresh->claimed = asked->flags & O_EXCL;
    node->fresh = fresh;
    node->stored = true;
    folder->busy++;
    folder->fresh_children++;
    relay->fresh_count++;
    join_queue(relay, fresh);
    relay_entry_set(relay, folder, name, node);
    node->kernel_lookups++;
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } answer = {.open.fh = relay_handle_make(relay, node, asked->flags, false)->key};
    relay_node_fill_entry(relay, node, &answer.entry);
    relay->counters.answered_here++;
    relay_answer(relay, out, unique, 0, &answer, sizeof answer);
}

/* Exclusive ------------------------------------------------------------------------------------------------------------ */

static void on_claimed(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                       struct relay_output *out)
{
    struct relay_request *request = call->subject;
    const struct fuse_create_in *asked = relay_request_body(request);
    const struct fuse_in_header *header = (const struct fuse_in_header *)call->message->data;
    struct relay_node *folder = relay_node_find(relay, header->nodeid);
    struct fuse_entry_out entry = {0};
    folder->busy--;
    relay_node_changed_id(relay, folder->id);
    if (!reply->error && reply->bytes >= sizeof entry)
        memcpy(&entry, reply->body, sizeof entry);
    struct relay_node *node = entry.nodeid ? relay_node_learn(relay, &entry, call->stamp) : NULL;
    if (node && call->kernel_unique) {
        begin(relay, out, folder, node, asked, call->kernel_unique);
    } else {
        relay_folder_doubt(folder); /* somebody has it; or it is there, and nobody waits for it any more */
        if (call->kernel_unique)
            relay_answer(relay, out, call->kernel_unique, reply->error ? reply->error : EIO, NULL, 0);
    }
    relay_request_free(request);
}

/* Who makes a name that must not be there hears from the server that he is the only one.  What he writes into it then goes
 * as one message, like that of others. */
static void claim(struct relay *relay, struct relay_output *out, struct relay_node *folder, struct relay_request *request)
{
    const struct fuse_create_in *asked = relay_request_body(request);
    const char *name = (const char *)(asked + 1);
    struct extra_put_in body = {.node = relay->reserved_first++,
                                .mode = asked->mode & 07777,
                                .flags = EXTRA_PUT_EXCLUSIVE,
                                .name_length = (uint32_t)strlen(name) + 1};
    body.modify_ns = body.access_ns = timing_wall_ns();
    folder->busy++;
    struct relay_call *call = relay_call_begin(relay, out,
                                               &(struct relay_call_message){.opcode = EXTRA_PUT,
                                                                            .node = folder->id,
                                                                            .fixed = &body,
                                                                            .fixed_bytes = sizeof body,
                                                                            .first = name,
                                                                            .first_bytes = body.name_length},
                                               on_claimed, request);
    call->kernel_unique = relay_request_header(request)->unique;
    call->came_ms = request->came_ms;
    call->interrupted = request->interrupted;
    relay_interrupt_tell(relay, out, call);
}

bool relay_fresh_create(struct relay *relay, struct relay_output *out, struct relay_node *folder,
                        struct relay_request *request)
{
    const struct fuse_create_in *asked = relay_request_body(request);
    relay_fresh_reserve(relay, out);
    if (!(asked->flags & (O_TRUNC | O_EXCL)) || !folder->complete || !(folder->attr.mode & 0200) || relay->no_puts ||
        relay->reserved_first == relay->reserved_end || asked->flags & NEVER_HERE & ~(uint32_t)O_DIRECTORY ||
        asked->mode & 07000 || strcmp((const char *)(asked + 1), ".snap") == 0 || !relay_node_is_plain(relay, folder))
        return false;
    if (relay->fresh_count >= FRESH_MAX || relay->pending_bytes >= relay->options.limits.pending) {
        relay_fresh_send_due(relay, out, true);
        relay_park(relay, &relay->pending_waiting, request);
    } else if (asked->flags & O_EXCL) {
        claim(relay, out, folder, request);
    } else {
        begin(relay, out, folder, relay_node_get(relay, relay->reserved_first++), asked,
              relay_request_header(request)->unique);
        relay_request_free(request);
    }
    return true;
}

/* Using ------------------------------------------------------------------------------------------------------------- */

/* Bytes between the old end and the new one are zero.  False where it would be too large, or there is no room at the server.
 */
static bool resize(struct relay *relay, struct relay_fresh *fresh, uint64_t size)
{
    struct fuse_attr *attr = &fresh->node->attr;
    if (size > EXTRA_PUT_MAX || (size > attr->size && size - attr->size > relay->room))
        return false;
    if (size > fresh->room) {
        size_t room = fresh->room ? fresh->room : 4096;
        while (room < size)
            room *= 2;
        uint8_t *bytes = realloc(fresh->bytes, room);
        if (!bytes)
            abort();
        fresh->bytes = bytes;
        fresh->room = room;
    }
    if (size > attr->size)
        memset(fresh->bytes + attr->size, 0, (size_t)(size - attr->size));
    relay->pending_bytes = relay->pending_bytes - (size_t)attr->size + (size_t)size;
    relay->room = relay->room + attr->size - size;
    attr->size = size;
    attr->blocks = (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
    return true;
}

bool relay_fresh_write(struct relay *relay, struct relay_output *out, struct relay_handle *handle,
                       struct relay_request *request)
{
    const struct fuse_write_in *asked = relay_request_body(request);
    struct relay_fresh *fresh = handle->node->fresh;
    struct fuse_attr *attr = &handle->node->attr;
    uint64_t end = asked->offset + asked->size;
    if (fresh->sent || end > EXTRA_PUT_MAX || (end > attr->size && !resize(relay, fresh, end)))
        return false;
    if (asked->size)
        memcpy(fresh->bytes + asked->offset, asked + 1, asked->size);
    set_now(&attr->mtime, &attr->mtimensec);
    attr->ctime = attr->mtime;
    attr->ctimensec = attr->mtimensec;
    const struct fuse_write_out answer = {.size = asked->size};
    relay->counters.answered_here++;
    relay_finish(relay, out, request, 0, &answer, sizeof answer);
    return true;
}

void relay_fresh_read(struct relay *relay, struct relay_output *out, struct relay_node *node, struct relay_request *request)
{
    const struct fuse_read_in *asked = relay_request_body(request);
    uint64_t size = node->attr.size;
    uint64_t from = asked->offset < size ? asked->offset : size;
    uint64_t count = asked->size < size - from ? asked->size : size - from;
    relay->counters.answered_here++;
    relay_finish(relay, out, request, 0, count ? node->fresh->bytes + from : NULL, (size_t)count);
}

bool relay_fresh_change(struct relay *relay, struct relay_output *out, struct relay_node *node,
                        const struct fuse_setattr_in *change)
{
    (void)out;
    struct relay_fresh *fresh = node->fresh;
    struct fuse_attr *attr = &node->attr;
    if (fresh->sent || change->mode & 07000 || (fresh->claimed && change->valid & FATTR_MODE) ||
        (change->valid & FATTR_SIZE && !resize(relay, fresh, change->size)))
        return false;
    set_now(&attr->ctime, &attr->ctimensec);
    if (change->valid & FATTR_MODE)
        attr->mode = S_IFREG | (change->mode & 07777);
    if (change->valid & FATTR_SIZE || change->valid & FATTR_MTIME_NOW)
        set_now(&attr->mtime, &attr->mtimensec);
    if (change->valid & FATTR_MTIME && !(change->valid & FATTR_MTIME_NOW))
        attr->mtime = change->mtime, attr->mtimensec = change->mtimensec;
    if (change->valid & FATTR_ATIME_NOW)
        set_now(&attr->atime, &attr->atimensec);
    else if (change->valid & FATTR_ATIME) /* both are set where the kernel says now */
        attr->atime = change->atime, attr->atimensec = change->atimensec;
    return true;
}

/* Sending ----------------------------------------------------------------------------------------------------------- */

void relay_fresh_closed(struct relay *relay, struct relay_output *out, struct relay_node *node)
{
    (void)out;
    struct relay_fresh *fresh = node->fresh;
    if (fresh->sent || node->opens > 0)
        return;
    fresh->due_ms = timing_monotonic_ms() + SEND_AFTER_MS;
    pthread_cond_signal(&relay->tick);
}

/* It is an ordinary node now, or lost. */
static void end(struct relay *relay, struct relay_output *out, struct relay_fresh *fresh, int error)
{
    struct relay_node *node = fresh->node, *folder = fresh->folder;
    node->fresh = NULL;
    relay->pending_bytes -= (size_t)node->attr.size;
    relay->fresh_count--;
    relay->room_used_ms = timing_monotonic_ms();
    folder->busy--;
    relay_node_changed_id(relay, folder->id);
    relay_folder_touch(folder, fresh->name);
    folder->fresh_children--;
    if (error) {
        node->lost = true;
        struct relay_entry *entry = relay_entry_find(relay, folder, fresh->name);
        if (entry && entry->child == node)
            relay_entry_remove(relay, entry);
        relay_folder_doubt(folder);
        relay_push_name(relay, folder->id, fresh->name);
        relay_wake_with_error(relay, &node->waiting, out, error == EDQUOT || error == ENOSPC ? error : EIO);
    } else {
        relay_wake(relay, &node->waiting, out);
    }
    relay_wake(relay, &relay->pending_waiting, out);
    pthread_cond_broadcast(&relay->changed);
    free(fresh->bytes);
    free(fresh);
}

static void on_put(struct relay *relay, struct relay_call *call, const struct relay_reply *reply, struct relay_output *out)
{
    struct relay_fresh *fresh = call->subject;
    struct relay_node *node = fresh->node;
    struct fuse_entry_out entry;
    if (reply->error || reply->bytes < sizeof entry) {
        relay->room += node->attr.size; /* the server still has it set aside */
        relay_node_path_warn(node, reply->error ? reply->error : EIO);
        end(relay, out, fresh, reply->error ? reply->error : EIO);
        return;
    }
    memcpy(&entry, reply->body, sizeof entry);
    relay->counters.puts++;
    if (entry.nodeid != node->id) { /* another had made the name meanwhile: his file has our contents now */
        relay_node_learn(relay, &entry, call->stamp);
        end(relay, out, fresh, ESTALE);
        return;
    }
    end(relay, out, fresh, 0);
    relay_node_learn(relay, &entry, call->stamp);
    node->opened_version = node->known ? relay_node_version(node) : 0; /* the kernel's pages are what it wrote */
}

void relay_fresh_send(struct relay *relay, struct relay_output *out, struct relay_node *node)
{
    struct relay_fresh *fresh = node->fresh;
    if (fresh->sent)
        return;
    leave_queue(relay, fresh);
    fresh->sent = true;
    const struct fuse_attr *attr = &node->attr;
    const struct extra_put_in body = {
        .node = fresh->id,
        .mode = attr->mode & 07777,
        .flags = fresh->claimed ? EXTRA_PUT_MADE : 0,
        .modify_ns = (int64_t)attr->mtime * 1000000000 + attr->mtimensec,
        .access_ns = (int64_t)attr->atime * 1000000000 + attr->atimensec,
        .name_length = (uint32_t)strlen(fresh->name) + 1,
        .size = (uint32_t)attr->size,
    };
    relay_call_begin(relay, out,
                     &(struct relay_call_message){.opcode = EXTRA_PUT,
                                                  .node = fresh->folder->id,
                                                  .fixed = &body,
                                                  .fixed_bytes = sizeof body,
                                                  .first = fresh->name,
                                                  .first_bytes = body.name_length,
                                                  .second = fresh->bytes,
                                                  .second_bytes = body.size},
                     on_put, fresh);
}

bool relay_fresh_times_wait(struct relay *relay, struct relay_output *out, struct relay_node *node)
{
    if (!node->fresh || node->opens > 0)
        return false;
    relay_fresh_send(relay, out, node);
    return true;
}

void relay_fresh_send_due(struct relay *relay, struct relay_output *out, bool all)
{
    int64_t now_ms = timing_monotonic_ms();
    struct relay_fresh *next;
    for (struct relay_fresh *fresh = relay->fresh_first; fresh; fresh = next) {
        next = fresh->next;
        if (all || fresh->due_ms <= now_ms)
            relay_fresh_send(relay, out, fresh->node);
    }
    if (room_due(relay) <= now_ms)
        give_room_back(relay, out);
}

int64_t relay_fresh_due(const struct relay *relay)
{
    int64_t due_ms = room_due(relay);
    for (const struct relay_fresh *fresh = relay->fresh_first; fresh; fresh = fresh->next)
        due_ms = fresh->due_ms < due_ms ? fresh->due_ms : due_ms;
    return due_ms;
}

/* Renewal ----------------------------------------------------------------------------------------------------------- */

void relay_fresh_owe(struct relay *relay)
{
    relay->room = relay->room_owed = 0;
    relay->room_asked_ms = 0;
    for (size_t i = 0; i < RELAY_NODE_BUCKETS; i++)
        for (const struct relay_node *node = relay->nodes.buckets[i]; node; node = node->next)
            relay->room_owed += node->fresh ? node->attr.size : 0;
}

void relay_fresh_renew(struct relay *relay, struct relay_output *out)
{
    if (!relay->reserved_end || relay->reserved_first == relay->reserved_end) {
        relay->renumber = relay->fresh_count > 0;
        relay->reserving = false;
        relay->reserved_first = relay->reserved_end = 0;
        relay_fresh_reserve(relay, out);
        return;
    }
    for (size_t i = 0; i < RELAY_NODE_BUCKETS; i++)
        for (struct relay_node *node = relay->nodes.buckets[i]; node; node = node->next) {
            struct relay_fresh *fresh = node->fresh;
            if (!fresh || (!fresh->claimed && relay->reserved_first == relay->reserved_end))
                continue;
            if (!fresh->claimed)
                fresh->id = relay->reserved_first++;
            if (fresh->sent) {
                fresh->sent = false;
                join_queue(relay, fresh);
                relay_fresh_send(relay, out, node);
            }
        }
}

void relay_fresh_clear(struct relay *relay)
{
    for (size_t i = 0; i < RELAY_NODE_BUCKETS; i++)
        for (struct relay_node *node = relay->nodes.buckets[i]; node; node = node->next)
            if (node->fresh) {
                relay_node_path_warn(node, ENOTCONN);
                free(node->fresh->bytes);
                free(node->fresh);
                node->fresh = NULL;
            }
}
