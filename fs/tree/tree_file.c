/* Open files.
 *
 * A handle is on a stored node, or on a derived entry:
 *   stored    reads and writes go to the node's contents; the handle counts in node->handles (and writers)
 *   derived   shows the rendering of the moment when it was opened
 *   control   the same, and each write is a command
 *   stream    reads what the rule gives; has a position of its own in the rule's hands
 *
 * FLUSH answers, RELEASE acts: node->changed is set by whatever changes contents, checked by the flush of any writing
 * handle, and taken back when the last of them is released: then the rules are told that the file has settled.
 */
#include "tree_file.h"

#include <stdlib.h>
#include <string.h>

#include "timing.h"
#include "tree_commit.h"
#include "tree_contents.h"
#include "tree_derived.h"
#include "tree_entry.h"
#include "tree_names.h"
#include "tree_operation.h"
#include "tree_recent.h"
#include "tree_storing.h"
#include "tree_tell.h"
#include "tree_usage.h"
#include "tree_waiting.h"
#include "tree_watch.h"

void file_note_change(struct tree *tree, struct node *node, uint64_t from)
{
    int64_t now_ns = timing_wall_ns();
    node->row.modify_ns = node->row.change_ns = now_ns;
    node->row.version++;
    node->changed = true;
    node->changed_in = commit_round_of_changes(tree);
    usage_settle(tree, node);
    node_stamp_untold(tree, node, now_ns);
    tell_contents(tree, node, from);
    commit_hint(tree);
}

static enum code check_has_contents(const struct node *node, struct failure *why)
{
    switch (node->row.kind) {
    case CATALOG_INODE_FILE:
        return CODE_OK;
    case CATALOG_INODE_FOLDER:
        return failure_set(why, CODE_IS_DIRECTORY, "this is a folder");
    case CATALOG_INODE_LINK:
        return failure_set(why, CODE_INVALID, "this is a symbolic link");
    default:
        return failure_set(why, CODE_INVALID, "this is a pipe, a socket or a device: it has no contents here");
    }
}

enum code file_check_writable(struct tree *tree, const struct node *node, struct failure *why)
{
    enum code code = check_has_contents(node, why);
    if (code != CODE_OK)
        return code;
    if (node->row.flags & CATALOG_INODE_FROZEN)
        return failure_set(why, CODE_READ_ONLY, "a snapshot never changes");
    return operation_allowed(tree, why);
}

enum code file_resize(struct tree *tree, struct node *node, uint64_t size, struct failure *why)
{
    enum code code = usage_admit(tree, node, size, 0, why);
    if (code == CODE_OK)
        code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    node_change(tree, node);
    uint64_t from = node->row.size < size ? node->row.size : size;
    code = operation_end(tree, contents_resize(tree, node, size, why), why);
    if (code == CODE_OK) {
        contents_finish_resize(tree, node);
        file_note_change(tree, node, from);
    }
    return code;
}

/* The path of a node, for rules; empty where it has no name.  With the lock. */
static void path_for_rules(struct tree *tree, struct node *node, struct buffer *path)
{
    buffer_clear(path);
    if (tree->rule_count && node->row.links && node_path(tree, node, path, NULL) != CODE_OK)
        buffer_clear(path);
}

/* Opening ---------------------------------------------------------------------------------------------------------- */

static enum code open_derived(struct tree *tree, struct derived *entry, unsigned flags, struct tree_file **out,
                              struct failure *why)
{
    const struct rule *rule = entry->rule;
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    enum code code = derived_path(tree, entry, &path, why);
    if (code == CODE_OK && flags & OPEN_WRITE && rule->kind != RULE_CONTROL)
        code =
            failure_set(why, CODE_NOT_PERMITTED, "%s is made by the lab from other files and cannot be written", path.data);
    struct tree_file *file = code == CODE_OK ? calloc(1, sizeof *file) : NULL;
    if (code == CODE_OK && !file)
        code = failure_set(why, CODE_NO_MEMORY, "opening %s: no memory", path.data);
    if (code == CODE_OK && rule->kind == RULE_STREAM)
        code = rule->open(rule->context, path.data, &file->stream, why);
    if (code != CODE_OK) {
        free(file);
        derived_unpin(tree, entry);
        return code;
    }
    file->tree = tree;
    file->flags = flags;
    file->entry = entry;
    file->rendering = derived_acquire(tree, entry);
    *out = file;
    return CODE_OK;
}

/* A handle on a node, without looking at rules or flags other than for counting.  With the lock. */
static struct tree_file *make_handle(struct tree *tree, struct node *node, unsigned flags)
{
    struct tree_file *file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->tree = tree;
    file->flags = flags & ~(unsigned)OPEN_CHANGED;
    file->node = node;
    node->changed = node->changed || ((flags & OPEN_WRITE) && (flags & OPEN_CHANGED));
    node->writers += flags & OPEN_WRITE ? 1 : 0;
    node->opened += flags & OPEN_UNSEEN ? 0 : 1;
    node_hold(tree, node);
    return file;
}

/* With the lock. */
static enum code open_node(struct tree *tree, struct node *node, unsigned flags, struct tree_file **out, struct failure *why)
{
    enum code code = flags & OPEN_WRITE ? file_check_writable(tree, node, why) : check_has_contents(node, why);
    if (code != CODE_OK)
        return code;
    struct tree_file *file = make_handle(tree, node, flags);
    if (!file)
        return failure_set(why, CODE_NO_MEMORY, "opening a file: no memory");
    if (flags & OPEN_WRITE) {
        SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
        path_for_rules(tree, node, &path);
        file->append_only = path.length && watch_append_only(tree, path.data);
    }
    *out = file;
    return CODE_OK;
}

/* Drops a handle that was never given out. */
static void unmake_handle(struct tree *tree, struct tree_file *file)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    file->node->writers -= file->flags & OPEN_WRITE ? 1 : 0;
    file->node->opened -= file->flags & OPEN_UNSEEN ? 0 : 1;
    node_let_go(tree, file->node);
    free(file);
}

static enum code open_stored(struct tree *tree, uint64_t inode, unsigned flags, struct tree_file **out, struct failure *why)
{
    pthread_mutex_lock(&tree->lock);
    struct node *node;
    struct tree_file *file = NULL;
    enum code code = node_get(tree, inode, &node, why);
    if (code == CODE_OK && node->row.links == 0 && !(flags & OPEN_NAMELESS))
        code = failure_set(why, CODE_NOT_FOUND, "this file was removed"); /* who remembers it came by an old name */
    if (code == CODE_OK)
        code = open_node(tree, node, flags, &file, why);
    if (code == CODE_OK && flags & OPEN_TRUNCATE && flags & OPEN_WRITE) {
        if (file->append_only)
            code = failure_set(why, CODE_NOT_PERMITTED, "this file can only be appended to");
        else if (node->row.size)
            code = file_resize(tree, node, 0, why);
        else
            file_note_change(tree, node, 0);
        if (code == CODE_OK && flags & OPEN_DROPS_SET_ID)
            node_drop_set_id(node);
    }
    pthread_mutex_unlock(&tree->lock);
    if (code == CODE_OK)
        *out = file;
    else if (file)
        unmake_handle(tree, file);
    return code;
}

enum code tree_open_file(struct tree *tree, struct node_id id, unsigned flags, struct tree_file **out, struct failure *why)
{
    if (!tree_is_derived(id))
        return open_stored(tree, id.value, flags, out, why);
    struct derived *entry;
    enum code code = derived_get(tree, id, &entry, why);
    return code == CODE_OK ? open_derived(tree, entry, flags, out, why) : code;
}

/* Opens what has the name already; CODE_NOT_FOUND where nothing has. */
static enum code open_existing(struct tree *tree, struct node_id folder, const char *name, unsigned flags,
                               struct node_attributes *attributes, struct tree_file **out, struct failure *why)
{
    enum code code = tree_lookup(tree, folder, name, attributes, why);
    if (code != CODE_OK)
        return code;
    if (flags & OPEN_EXCLUSIVE)
        return failure_set(why, CODE_EXISTS, "there is a \"%s\" already", name);
    code = tree_open_file(tree, attributes->id, flags, out, why);
    if (code != CODE_OK)
        return code == CODE_NOT_FOUND ? failure_set(why, CODE_AGAIN, "\"%s\" was removed meanwhile", name) : code;
    code = tree_attributes(tree, attributes->id, attributes, why);
    if (code != CODE_OK)
        tree_release(*out);
    return code;
}

static enum code create_stored(struct tree *tree, struct node_id folder, const char *name, const struct names_new *what,
                               unsigned flags, struct node_attributes *attributes, struct tree_file **out,
                               struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *parent, *node = NULL;
    enum code code = commit_make_room_for_name(tree, why);
    if (code == CODE_OK)
        code = operation_begin(tree, why);
    if (code != CODE_OK)
        return code;
    code = names_folder(tree, folder, &parent, why);
    if (code == CODE_OK)
        code = names_make(tree, parent, name, what, &node, why);
    code = operation_end(tree, code, why);
    if (code != CODE_OK)
        return code;
    node_stamp(tree, node, timing_wall_ns());
    node->changed = true;
    commit_hint(tree);
    *attributes = node_describe(node);
    return open_node(tree, node, flags, out, why);
}

/* Begins a control file that the first write will make; CODE_NOT_FOUND where there are no such files. */
static enum code create_derived(struct tree *tree, struct node_id folder, const char *name, unsigned flags,
                                struct node_attributes *attributes, struct tree_file **out, struct failure *why)
{
    struct derived *entry;
    enum code code = derived_make(tree, folder, name, &entry, why);
    if (code != CODE_OK)
        return code;
    *attributes = derived_describe(tree, entry);
    code = open_derived(tree, entry, flags, out, why);
    if (code == CODE_OK)
        (*out)->making = true;
    else
        derived_end_birth(tree, entry);
    return code;
}

static enum code create(struct tree *tree, struct node_id folder, const char *name, const struct names_new *what,
                        unsigned flags, struct node_attributes *attributes, struct tree_file **out, struct failure *why)
{
    for (int attempt = 0; attempt < 3; attempt++) {
        enum code code = open_existing(tree, folder, name, flags, attributes, out, why);
        if (code == CODE_AGAIN)
            continue;
        if (code != CODE_NOT_FOUND)
            return code;
        code = create_derived(tree, folder, name, flags, attributes, out, why);
        if (code != CODE_NOT_FOUND)
            return code;
        SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
        if (tree->rule_count && watch_path_in(tree, folder, name, &path)) {
            code = watch_admit(tree, path.data, NULL, why);
            if (code != CODE_OK)
                return code;
        }
        code = create_stored(tree, folder, name, what, flags, attributes, out, why);
        if (code != CODE_EXISTS || flags & OPEN_EXCLUSIVE)
            return code;
        /* Somebody else made it between the two: open that one. */
    }
    return failure_set(why, CODE_AGAIN, "\"%s\" is made and removed all the time", name);
}

enum code tree_make_file(struct tree *tree, struct node_id folder, const char *name, const struct tree_new *what,
                         unsigned flags, struct node_attributes *attributes, struct tree_file **out, struct failure *why)
{
    struct names_new translated = names_translate(what);
    return create(tree, folder, name, &translated, flags, attributes, out, why);
}

enum code tree_create_file(struct tree *tree, struct node_id folder, const char *name, uint32_t mode, unsigned flags,
                           struct node_attributes *attributes, struct tree_file **out, struct failure *why)
{
    struct names_new what = {.kind = CATALOG_INODE_FILE, .mode = mode};
    return create(tree, folder, name, &what, flags, attributes, out, why);
}

/* Reading and writing ---------------------------------------------------------------------------------------------- */

static enum code read_rendering(const struct rendering *rendering, uint64_t offset, void *bytes, size_t count, size_t *got)
{
    size_t left = offset < rendering->size ? rendering->size - (size_t)offset : 0;
    *got = left < count ? left : count;
    memcpy(bytes, rendering->bytes + (left ? offset : 0), *got);
    return CODE_OK;
}

enum code tree_read(struct tree_file *file, uint64_t offset, void *bytes, size_t count, size_t *got, struct failure *why)
{
    *got = 0;
    if (!(file->flags & OPEN_READ))
        return failure_set(why, CODE_DENIED, "the file was not opened for reading");
    if (file->stream) {
        enum code code = file->entry->rule->read(file->stream, bytes, count, got, why);
        if (code == CODE_OK && *got == 0)
            return failure_set(why, CODE_AGAIN, "there is nothing new yet");
        return code;
    }
    if (file->rendering)
        return read_rendering(file->rendering, offset, bytes, count, got);
    if (offset > (uint64_t)TREE_FILE_BYTES_MAX)
        return CODE_OK;
    return contents_read(file->tree, file->node, offset, bytes, count, got, why);
}

static enum code write_command(struct tree_file *file, const char *text, size_t count, struct failure *why)
{
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    enum code code = derived_path(file->tree, file->entry, &path, why);
    const struct rule *rule = file->entry->rule;
    const struct tree_observer *caller = tree_observe_as(NULL); /* what a command does is the server's doing */
    if (code == CODE_OK)
        code = rule->command(rule->context, path.data, text, count, why);
    tree_observe_as(caller);
    return code;
}

/* Takes the write into memory; what is left to do is then in *write.  With the lock. */
static enum code take_write(struct tree_file *file, const struct tree_writing *writing, struct contents_write *write,
                            struct failure *why)
{
    struct tree *tree = file->tree;
    struct node *node = file->node;
    enum code code = commit_make_room(tree, why);
    if (code == CODE_OK)
        code = file_check_writable(tree, node, why);
    if (code != CODE_OK || write->count == 0)
        return code;
    if ((file->flags & OPEN_APPEND) && !writing->placed)
        write->offset = node->row.size; /* wherever the end is */
    if (file->append_only && write->offset != node->row.size)
        return failure_set(why, CODE_NOT_PERMITTED, "this file can only be appended to");
    uint64_t size = node->row.size;
    uint64_t end = write->offset + write->count;
    if (!file->append_only || end > USAGE_BOOKS_BYTES)
        code = usage_admit(tree, node, end, 0, why);
    if (code == CODE_OK)
        code = contents_write(tree, node, write, why);
    if (code != CODE_OK)
        return code;
    uint64_t before = node->changed_in;
    uint32_t mode = node->row.mode;
    if (file->flags & OPEN_DROPS_SET_ID)
        node_drop_set_id(node);
    file_note_change(tree, node, write->offset < size ? write->offset : size);
    if (node->row.mode == mode)
        recent_note_write(tree, node, before, write);
    return CODE_OK;
}

enum code tree_write_answered(struct tree_file *file, const struct tree_writing *writing, struct failure *why)
{
    struct contents_write write = {
        .offset = writing->offset, .bytes = writing->bytes, .count = writing->count, .lends = true};
    enum code code = CODE_OK;
    bool completes = false; /* others have waited for this write before they have the disk sync */
    if (!(file->flags & OPEN_WRITE))
        return failure_set(why, CODE_DENIED, "the file was not opened for writing");
    if (file->entry) {
        code = write_command(file, writing->bytes, writing->count, why);
    } else {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&file->tree->lock);
        code = take_write(file, writing, &write, why);
        completes = waiting_is_due(file->tree);
    }
    if (code != CODE_OK)
        return code;
    struct tree *tree = file->tree; /* whoever is answered may close the file */
    if (writing->taken)
        writing->taken(writing->context);
    contents_settle(tree, &write);
    if (completes)
        waiting_lead(tree);
    return CODE_OK;
}

enum code tree_write(struct tree_file *file, uint64_t offset, const void *bytes, size_t count, struct failure *why)
{
    return tree_write_answered(file, &(struct tree_writing){.offset = offset, .bytes = bytes, .count = count}, why);
}

enum code tree_write_page(struct tree_file *file, uint64_t offset, const void *bytes, size_t count, struct failure *why)
{
    const struct tree_writing writing = {.offset = offset, .bytes = bytes, .count = count, .placed = true};
    return tree_write_answered(file, &writing, why);
}

/* Closing ---------------------------------------------------------------------------------------------------------- */

enum code tree_flush(struct tree_file *file, struct failure *why)
{
    if (!file->node || !(file->flags & OPEN_WRITE))
        return CODE_OK;
    struct tree *tree = file->tree;
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    pthread_mutex_lock(&tree->lock);
    bool changed = file->node->changed;
    /* The last attempt to make changes durable failed, so this file's may be among those that wait. */
    enum code code = changed ? tree->commit.last.code : CODE_OK;
    if (code != CODE_OK && why)
        *why = tree->commit.last;
    if (changed && code == CODE_OK)
        path_for_rules(tree, file->node, &path);
    pthread_mutex_unlock(&tree->lock);
    if (code != CODE_OK || !path.length || !watch_follows(tree, path.data))
        return code;
    code = watch_check(tree, path.data, why);
    return code == CODE_OK ? commit_wait(tree, why) : code; /* what was accepted survives a power cut */
}

enum code tree_fsync(struct tree_file *file, struct failure *why)
{
    return file->node && !file->tree->read_only ? waiting_sync(file->tree, file->node, why) : CODE_OK;
}

void tree_fsync_start(struct tree_file *file, tree_fsync_done *done, void *context)
{
    struct failure why = {.code = CODE_OK};
    if (file->node && !file->tree->read_only)
        waiting_add(file->tree, file->node, done, context);
    else
        done(context, CODE_OK, &why);
}

static void release_derived(struct tree_file *file)
{
    if (file->stream && file->entry->rule->close)
        file->entry->rule->close(file->stream);
    if (file->making)
        derived_end_birth(file->tree, file->entry);
    derived_release(file->tree, file->rendering);
    derived_unpin(file->tree, file->entry);
}

/* With the lock: counts the handle away.  What rules are to be told: *settled, *released, and the path. */
static void leave_node(struct tree *tree, struct tree_file *file, bool *settled, bool *released, struct buffer *path)
{
    struct node *node = file->node;
    bool writer = file->flags & OPEN_WRITE, seen = !(file->flags & OPEN_UNSEEN);
    node->writers -= writer ? 1 : 0;
    node->opened -= seen ? 1 : 0;
    *settled = writer && node->writers == 0 && node->changed && !tree->parting;
    *released = seen && node->opened == 0 && !tree->parting;
    if (*settled)
        node->changed = false;
    if (*settled || *released)
        path_for_rules(tree, node, path);
    node->handles--;
    names_lost_user(tree, node);
}

void tree_release(struct tree_file *file)
{
    if (!file)
        return;
    struct tree *tree = file->tree;
    if (file->entry) {
        release_derived(file);
        free(file);
        return;
    }
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    bool settled, released;
    pthread_mutex_lock(&tree->lock);
    if (file->flags & OPEN_WRITE && file->node->writers == 1 && file->node->row.links)
        storing_store_fresh(tree, file->node); /* its last chunk, beside the others */
    leave_node(tree, file, &settled, &released, &path);
    pthread_mutex_unlock(&tree->lock);
    free(file);
    if (settled && path.length)
        watch_settled(tree, path.data);
    if (released && path.length)
        watch_released(tree, path.data);
}

struct node_id tree_file_node(const struct tree_file *file)
{
    return (struct node_id){file->node ? file->node->row.inode : file->entry->id};
}

uint64_t tree_file_version(const struct tree_file *file)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&file->tree->lock);
    return file->node ? file->node->row.version : file->entry->version;
}

bool tree_file_watch(struct tree_file *file, void (*wake)(void *context), void *context)
{
    if (!file->stream || !file->entry->rule->watch)
        return true;
    return file->entry->rule->watch(file->stream, wake, context);
}
