/* A fed session as bytes: see session_saved.h.
 *
 *     "cysessn2"
 *     greeting   length (4), the INIT request
 *     nodes      count (8); each: id (8), lookups (4), mark (4); of a derived one (bit 63) also folder (8), length (2) and
 * bytes of its name handles    the first generation of new keys (4), count (8); each: key (8), node (8), kind (1), listing
 * begun or end told (1), flags (4) locks      count (8); each: node (8), kind (1), mode (1), first (8), last (8), owner (8),
 * handle (8), process (4) held       bytes of the member's quota for files to be put (8); "cysessn1" had none reserved   the
 * numbers for files to be put (session_reserved.c), to the end
 *
 * All numbers little-endian.  Derived nodes are found by their places: they exist again from the moment when they are looked
 * up.  Listings and derived files are shown anew, as of now.  What the client's pages hold is only known of stored nodes,
 * whose versions go on; other marks are made to differ from all that come.
 *
 * Everything that is read is bounded by the bytes that are there; ids and keys are believed no more than those that a client
 * sends. */
#include "session_saved.h"

#include <string.h>

#include "bytes.h"
#include "lock_table.h"
#include "logging.h"
#include "message_check.h"
#include "scope.h"
#include "session_state.h"
#include "tree_parting.h"
#include "tree_quota.h"
#include "viewer.h"

#define MAGIC         "cysessn2"
#define MAGIC_BEFORE  "cysessn1"
#define MAGIC_BYTES   8
#define DERIVED_BIT   (UINT64_C(1) << 63)
#define MARK_OUTDATED UINT32_MAX
#define NODE_BYTES    16
#define HANDLE_BYTES  22
#define LOCK_BYTES    46

/* Saving ------------------------------------------------------------------------------------------------------------------
 */

/* A count that is known when what it counts was put. */
struct counted {
    struct buffer *out;
    size_t at;
    uint64_t count;
};

static struct counted begin_counting(struct buffer *out)
{
    struct counted counted = {.out = out, .at = out->length};
    buffer_append64(out, 0);
    return counted;
}

static void end_counting(const struct counted *counted)
{
    if (!counted->out->failed)
        bytes_store64(counted->out->data + counted->at, counted->count);
}

static void save_node(struct session *session, const struct session_node_entry *entry, struct counted *counted)
{
    struct failure why;
    struct node_id folder = {0};
    char name[TREE_NAME_MAX + 1] = "";
    bool derived = entry->id & DERIVED_BIT;
    if (derived && tree_derived_place(session->tree, (struct node_id){entry->id}, &folder, name, &why) != CODE_OK)
        return;
    counted->count++;
    buffer_append64(counted->out, entry->id);
    buffer_append32(counted->out, entry->lookups);
    buffer_append32(counted->out, derived && entry->mark ? MARK_OUTDATED : entry->mark);
    if (!derived)
        return;
    buffer_append64(counted->out, folder.value);
    buffer_append16(counted->out, (uint16_t)strlen(name));
    buffer_append_text(counted->out, name);
}

static void save_nodes(struct session *session, struct buffer *out)
{
    struct session_nodes *nodes = &session->nodes;
    struct counted counted = begin_counting(out);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&nodes->lock);
    for (size_t i = 0; i < nodes->slot_count; i++)
        if (nodes->slots[i].id)
            save_node(session, &nodes->slots[i], &counted);
    end_counting(&counted);
}

static void save_handle(const struct session_handle *handle, struct buffer *out)
{
    bool folder = handle->kind == HANDLE_FOLDER;
    buffer_append64(out, handle->key);
    buffer_append64(out, handle->node.value);
    const uint8_t bytes[2] = {(uint8_t)handle->kind, folder ? handle->listing_begun : handle->stream.told_end};
    buffer_append(out, bytes, sizeof bytes);
    buffer_append32(out, folder ? 0 : tree_file_flags(handle->file));
}

static void save_handles(struct session *session, struct buffer *out)
{
    struct session_handles *handles = &session->handles;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&handles->lock);
    uint32_t generation = handles->first_generation;
    for (uint32_t i = 0; i < handles->slot_count; i++)
        if (handles->slots[i].generation > generation)
            generation = handles->slots[i].generation;
    buffer_append32(out, generation + 1);
    struct counted counted = begin_counting(out);
    for (uint32_t i = 0; i < handles->slot_count; i++)
        if (handles->slots[i].handle) {
            counted.count++;
            save_handle(handles->slots[i].handle, out);
        }
    end_counting(&counted);
}

static void save_lock(void *context, const struct lock_request *held)
{
    struct counted *counted = context;
    struct buffer *out = counted->out;
    counted->count++;
    buffer_append64(out, held->node);
    const uint8_t bytes[2] = {(uint8_t)held->kind, (uint8_t)held->mode};
    buffer_append(out, bytes, sizeof bytes);
    buffer_append64(out, held->first);
    buffer_append64(out, held->last);
    buffer_append64(out, held->owner.number);
    buffer_append64(out, held->handle);
    buffer_append32(out, held->process);
}

static void save_locks(struct session *session, struct buffer *out)
{
    struct counted counted = begin_counting(out);
    lock_table_visit_client(tree_locks(session->tree), session, save_lock, &counted);
    end_counting(&counted);
}

void session_save(struct session *session, struct buffer *out)
{
    buffer_append(out, MAGIC, MAGIC_BYTES);
    buffer_append32(out, (uint32_t)session->greeting_bytes);
    buffer_append(out, session->greeting, session->greeting_bytes);
    save_nodes(session, out);
    save_handles(session, out);
    save_locks(session, out);
    buffer_append64(out, RESERVED_BYTES_MAX - session_reserved_room(&session->reserved));
    session_reserved_save(&session->reserved, out);
}

/* Taking up ---------------------------------------------------------------------------------------------------------------
 */

struct reader {
    const uint8_t *at;
    size_t left;
    bool short_of; /* something was wanted that is not there: what was read since is zeros */
};

/* `count` bytes, or NULL. */
static const uint8_t *take(struct reader *reader, size_t count)
{
    if (reader->short_of || count > reader->left) {
        reader->short_of = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += count;
    reader->left -= count;
    return at;
}

static uint8_t take8(struct reader *reader)
{
    const uint8_t *at = take(reader, 1);
    return at ? *at : 0;
}

static uint32_t take32(struct reader *reader)
{
    const uint8_t *at = take(reader, 4);
    return at ? bytes_load32(at) : 0;
}

static uint64_t take64(struct reader *reader)
{
    const uint8_t *at = take(reader, 8);
    return at ? bytes_load64(at) : 0;
}

static enum code damaged(struct failure *why)
{
    return failure_set(why, CODE_CORRUPT, "a client's saved state is damaged");
}

/* Things of at least `least` bytes each: more of them than fit cannot be. */
static uint64_t take_count(struct reader *reader, size_t least)
{
    uint64_t count = take64(reader);
    if (count > reader->left / least)
        reader->short_of = true;
    return reader->short_of ? 0 : count;
}

static enum code restore_greeting(struct session *session, struct reader *reader, struct failure *why)
{
    uint32_t count = take32(reader);
    const uint8_t *message = take(reader, count);
    uint64_t aligned[SESSION_GREETING_MAX / 8];
    if (!message || count > SESSION_GREETING_MAX)
        return damaged(why);
    if (count == 0)
        return CODE_OK;
    struct message known;
    size_t length = count;
    memcpy(aligned, message, count);
    enum code code = message_check(aligned, &length, false, &known, why);
    if (code != CODE_OK)
        return code == CODE_UNSUPPORTED ? damaged(why) : failure_wrap(why, CODE_CORRUPT, "a client's saved state");
    atomic_store(&session->channel.silent, true);
    session_process(session, aligned, length);
    atomic_store(&session->channel.silent, false);
    return CODE_OK;
}

/* False where it is something else by now, or nothing. */
static bool find_derived(struct session *session, uint64_t id, uint64_t folder, const char *name)
{
    struct failure why;
    struct node_attributes found;
    return tree_lookup(session->tree, (struct node_id){folder}, name, &found, &why) == CODE_OK && found.id.value == id;
}

static enum code restore_node(struct session *session, struct reader *reader, struct failure *why)
{
    uint64_t id = take64(reader);
    uint32_t lookups = take32(reader), mark = take32(reader);
    bool there = id && lookups;
    if (id & DERIVED_BIT) {
        char name[TREE_NAME_MAX + 1] = "";
        uint64_t folder = take64(reader);
        const uint8_t *length = take(reader, 2);
        size_t count = length ? bytes_load16(length) : 0;
        const uint8_t *bytes = take(reader, count);
        if (!bytes || count > TREE_NAME_MAX || count == 0 || memchr(bytes, 0, count) || memchr(bytes, '/', count))
            return damaged(why);
        memcpy(name, bytes, count);
        there = there && find_derived(session, id, folder, name);
    }
    if (there && !session_nodes_restore(&session->nodes, (struct node_id){id}, lookups, mark))
        return failure_set(why, CODE_NO_MEMORY, "a client's saved state: no memory");
    return CODE_OK;
}

static enum code reopen(struct session *session, struct session_handle *handle, unsigned flags, struct failure *why)
{
    if (handle->kind == HANDLE_FOLDER)
        return tree_open_folder(session->tree, handle->node, &handle->folder, why);
    enum code code = tree_open_file(session->tree, handle->node, flags | OPEN_NAMELESS, &handle->file, why);
    struct node_attributes attributes = {0};
    if (code == CODE_OK)
        code = tree_attributes(session->tree, handle->node, &attributes, why);
    if (code == CODE_OK && attributes.stream != (handle->kind == HANDLE_STREAM))
        code = failure_set(why, CODE_INVALID, "it is another kind of file now");
    if (code != CODE_OK)
        tree_release(handle->file);
    return code;
}

static enum code restore_handle(struct session *session, struct reader *reader, struct failure *why)
{
    const unsigned known = OPEN_READ | OPEN_WRITE | OPEN_APPEND | OPEN_CHANGED | OPEN_DROPS_SET_ID;
    uint64_t key = take64(reader);
    struct session_handle handle = {.session = session, .node = {take64(reader)}};
    uint8_t kind = take8(reader), told = take8(reader);
    unsigned flags = take32(reader) & known;
    if (reader->short_of || kind > HANDLE_FOLDER)
        return damaged(why);
    handle.kind = (enum session_handle_kind)kind;
    handle.writes = flags & OPEN_WRITE;
    handle.listing_begun = told;
    handle.stream.told_end = told;
    struct failure gone;
    enum code code = reopen(session, &handle, flags, &gone);
    if (code == CODE_OK) {
        code = session_handles_add_at(&session->handles, &handle, key, &gone);
        if (code != CODE_OK && handle.file)
            tree_release(handle.file);
        if (code != CODE_OK)
            tree_close_folder(handle.folder);
    }
    if (code == CODE_OK && handle.file)
        session_nodes_count_open(&session->nodes, handle.node);
    if (code != CODE_OK)
        logging_info("an open file of before, node %llu, is gone: %s", (unsigned long long)handle.node.value, gone.text);
    return code == CODE_NO_MEMORY ? failure_set(why, code, "a client's saved state: no memory") : CODE_OK;
}

static enum code restore_lock(struct session *session, struct reader *reader, struct failure *why)
{
    struct lock_request lock = {.node = take64(reader)};
    uint8_t kind = take8(reader), mode = take8(reader);
    lock.first = take64(reader);
    lock.last = take64(reader);
    lock.owner = (struct lock_owner){.client = session, .number = take64(reader)};
    lock.handle = take64(reader);
    lock.process = take32(reader);
    if (reader->short_of || kind > LOCK_OF_FILE || mode > LOCK_MODE_EXCLUSIVE || lock.first > lock.last)
        return damaged(why);
    lock.kind = (enum lock_kind)kind;
    lock.mode = (enum lock_mode)mode;
    struct session_handle *handle = session_handles_get(&session->handles, lock.handle, false);
    if (!handle)
        return CODE_OK; /* nothing would ever end it */
    struct failure lost;
    if (handle->node.value == lock.node && lock_table_set(tree_locks(session->tree), &lock, NULL, &lost) != CODE_OK)
        logging_warning("a lock of before on node %llu is lost: %s", (unsigned long long)lock.node, lost.text);
    session_handles_put(handle);
    return CODE_OK;
}

typedef enum code restore_one(struct session *session, struct reader *reader, struct failure *why);

static enum code restore_each(struct session *session, struct reader *reader, size_t least, restore_one *one,
                              struct failure *why)
{
    uint64_t count = take_count(reader, least);
    for (uint64_t i = 0; i < count; i++) {
        enum code code = one(session, reader, why);
        if (code != CODE_OK)
            return code;
    }
    return reader->short_of ? damaged(why) : CODE_OK;
}

/* What was set aside stays so, whatever the quota says by now: files may be on their way. */
static enum code restore_held(struct session *session, struct reader *reader, struct failure *why)
{
    uint64_t bytes = take64(reader);
    if (reader->short_of || bytes > RESERVED_BYTES_MAX)
        return damaged(why);
    tree_quota_take_back(session->tree, session->channel.peer.viewer, bytes);
    session_reserved_add_bytes(&session->reserved, bytes);
    return CODE_OK;
}

static enum code restore(struct session *session, struct reader *reader, bool has_held, struct failure *why)
{
    enum code code = restore_each(session, reader, NODE_BYTES, restore_node, why);
    if (code == CODE_OK) {
        session_handles_begin_at(&session->handles, take32(reader));
        code = restore_each(session, reader, HANDLE_BYTES, restore_handle, why);
    }
    if (code == CODE_OK)
        code = restore_each(session, reader, LOCK_BYTES, restore_lock, why);
    if (code == CODE_OK && has_held)
        code = restore_held(session, reader, why);
    return code == CODE_OK ? session_reserved_restore(&session->reserved, reader->at, reader->left, why) : code;
}

enum code session_restore(struct session *session, const void *bytes, size_t count, struct failure *why)
{
    struct reader reader = {bytes, count, false};
    const uint8_t *magic = take(&reader, MAGIC_BYTES);
    bool is_newest = magic && memcmp(magic, MAGIC, MAGIC_BYTES) == 0;
    if (!is_newest && (!magic || memcmp(magic, MAGIC_BEFORE, MAGIC_BYTES) != 0))
        return failure_set(why, CODE_NEWER_FORMAT, "a client's saved state is not of this version");
    enum code code = restore_greeting(session, &reader, why);
    if (code != CODE_OK)
        return code;
    viewer_enter(session->channel.peer.viewer);
    code = restore(session, &reader, is_newest, why);
    viewer_leave();
    return code;
}
