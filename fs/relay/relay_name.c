/* Names and attributes: see relay_name.h.
 *
 * What changes something moves the stamps of all nodes concerned twice: when it is sent, so that an answer under way is not
 * kept, and when it is answered, so that one which was asked for in between is not kept either. */
#include "relay_name.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "relay_folder.h"
#include "relay_fresh.h"
#include "relay_state.h"

int relay_name_check(const char *name, const struct relay_node *folder)
{
    return !name ? EINVAL : strlen(name) > NAME_MAX ? ENAMETOOLONG : !folder ? ESTALE : 0;
}

static struct fuse_in_header *header_of(const struct relay_call *call)
{
    return (struct fuse_in_header *)call->message->data;
}

static const uint8_t *body_of(const struct relay_call *call)
{
    return call->message->data + sizeof(struct fuse_in_header);
}

bool relay_name_settles(struct relay *relay, struct relay_output *out, struct relay_node *node,
                        struct relay_request *request)
{
    if (!node || (!node->fresh && !node->writing))
        return false;
    if (node->fresh)
        relay_fresh_send(relay, out, node);
    relay_park(relay, &node->waiting, request);
    return true;
}

void relay_name_tell(struct relay *relay, struct relay_node *node, struct fuse_entry_out *entry, bool kept)
{
    node->kernel_lookups++;
    if (relay->options.plain)
        return;
    entry->entry_valid = kept && node->stored ? RELAY_LONG_S : 0;
    entry->attr_valid = node->known ? RELAY_LONG_S : 0;
    entry->entry_valid_nsec = entry->attr_valid_nsec = 0;
}

/* The name leads to the node from now on, unless the folder changed since it was asked. */
static bool keep_name(struct relay *relay, uint64_t folder_id, const char *name, struct relay_node *node, uint64_t stamp)
{
    struct relay_node *folder = relay_node_find(relay, folder_id);
    if (!folder || !node->stored || relay->options.plain || !relay_node_unchanged_since(relay, folder_id, stamp))
        return false;
    relay_folder_confirm(folder, relay_entry_set(relay, folder, name, node));
    return true;
}

/* LOOKUP ------------------------------------------------------------------------------------------------------------ */

static void on_looked_up(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                         struct relay_output *out)
{
    const char *name = (const char *)body_of(call);
    struct fuse_entry_out entry = {0};
    if (!reply->error && reply->bytes >= sizeof entry)
        memcpy(&entry, reply->body, sizeof entry);
    if (!entry.nodeid) { /* an error, or an answer that there is no such name */
        const struct relay_reply none = {.error = reply->error ? reply->error : ENOENT};
        struct relay_node *folder = relay_node_find(relay, header_of(call)->nodeid);
        struct relay_entry *old = folder && none.error == ENOENT ? relay_entry_find(relay, folder, name) : NULL;
        if (old && !old->child->fresh && relay_node_unchanged_since(relay, folder->id, call->stamp))
            relay_entry_remove(relay, old);
        relay_call_pass(relay, call, &none, out);
        return;
    }
    struct relay_node *node = relay_node_learn(relay, &entry, call->stamp);
    bool kept = keep_name(relay, header_of(call)->nodeid, name, node, call->stamp);
    if (!call->kernel_unique)
        return;
    relay_name_tell(relay, node, &entry, kept);
    relay_answer(relay, out, call->kernel_unique, 0, &entry, sizeof entry);
}

void relay_name_lookup(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const char *name = relay_request_name(request, 0);
    struct relay_node *folder = relay_node_find(relay, relay_request_header(request)->nodeid);
    int error = relay_name_check(name, folder);
    if (error) {
        relay_finish(relay, out, request, error, NULL, 0);
        return;
    }
    struct relay_entry *entry = relay_entry_find(relay, folder, name);
    if (entry && (entry->child->known || entry->child->fresh)) {
        struct fuse_entry_out answer;
        entry->child->kernel_lookups++;
        relay_node_fill_entry(relay, entry->child, &answer);
        relay->counters.answered_here++;
        relay_finish(relay, out, request, 0, &answer, sizeof answer);
        return;
    }
    if (!entry && folder->complete && strcmp(name, ".snap") != 0) {
        relay->counters.answered_here++;
        relay_finish(relay, out, request, ENOENT, NULL, 0);
        return;
    }
    relay_folder_list_ahead(relay, out, folder);
    relay_call_forward(relay, out, request, on_looked_up);
}

/* Attributes -------------------------------------------------------------------------------------------------------- */

static void on_attributes(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                          struct relay_output *out)
{
    struct fuse_attr_out answer;
    bool changes = header_of(call)->opcode == FUSE_SETATTR;
    struct relay_node *node = relay_node_find(relay, header_of(call)->nodeid);
    if (reply->error || reply->bytes < sizeof answer || !node) {
        if (changes && node)
            relay_node_changed(relay, node);
        relay_call_pass(relay, call, reply, out);
        return;
    }
    memcpy(&answer, reply->body, sizeof answer);
    bool stored = answer.attr_valid || answer.attr_valid_nsec;
    relay_node_take_attributes(relay, node, &answer.attr, stored, call->stamp);
    if (changes && !relay_node_unchanged_since(relay, node->id, call->stamp))
        relay_node_changed(relay, node); /* two changes at once: nobody knows which answer is the later one */
    if (!relay->options.plain) {
        answer.attr_valid = node->known ? RELAY_LONG_S : 0;
        answer.attr_valid_nsec = 0;
    }
    if (call->kernel_unique)
        relay_answer(relay, out, call->kernel_unique, 0, &answer, sizeof answer);
}

void relay_name_getattr(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct relay_node *node = relay_node_get(relay, relay_request_header(request)->nodeid);
    if (node->lost) {
        relay_finish(relay, out, request, EIO, NULL, 0);
        return;
    }
    if (node->writing || relay_fresh_times_wait(relay, out, node)) {
        relay_park(relay, &node->waiting, request);
        return;
    }
    if (node->known || node->fresh) {
        struct fuse_attr_out answer;
        relay_node_fill_attr(relay, node, &answer);
        relay->counters.answered_here++;
        relay_finish(relay, out, request, 0, &answer, sizeof answer);
        return;
    }
    if (relay_request_body_bytes(request) >= sizeof(struct fuse_getattr_in))
        *(struct fuse_getattr_in *)relay_request_body(request) = (struct fuse_getattr_in){0}; /* the node says enough */
    relay_call_forward(relay, out, request, on_attributes);
}

/* Everything is shown as belonging to whoever mounted; at the server it belongs to whoever serves.  0, or an errno. */
static int take_owner(const struct relay *relay, struct fuse_setattr_in *change)
{
    if ((change->valid & FATTR_UID && change->uid != relay->owner) ||
        (change->valid & FATTR_GID && change->gid != relay->group))
        return EPERM;
    change->valid &= ~(uint32_t)FATTR_FH;
    change->uid = relay->server_owner;
    change->gid = relay->server_group;
    change->fh = 0;
    return 0;
}

void relay_name_setattr(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct fuse_setattr_in *change = relay_request_body(request);
    struct relay_node *node = relay_node_get(relay, relay_request_header(request)->nodeid);
    int error = relay_request_body_bytes(request) < sizeof *change ? EINVAL : node->lost ? EIO : take_owner(relay, change);
    if (error) {
        relay_finish(relay, out, request, error, NULL, 0);
        return;
    }
    if (node->fresh && relay_fresh_change(relay, out, node, change)) {
        struct fuse_attr_out answer;
        relay_node_fill_attr(relay, node, &answer);
        relay->counters.answered_here++;
        relay_finish(relay, out, request, 0, &answer, sizeof answer);
        return;
    }
    if (relay_name_settles(relay, out, node, request))
        return;
    relay_node_changed(relay, node);
    relay_call_forward(relay, out, request, on_attributes);
}

/* Making ------------------------------------------------------------------------------------------------------------ */

static size_t fixed_bytes_of(uint32_t opcode)
{
    switch (opcode) {
    case FUSE_MKDIR:
        return sizeof(struct fuse_mkdir_in);
    case FUSE_MKNOD:
        return sizeof(struct fuse_mknod_in);
    case FUSE_LINK:
        return sizeof(struct fuse_link_in);
    case FUSE_RENAME:
        return sizeof(struct fuse_rename_in);
    case FUSE_RENAME2:
        return sizeof(struct fuse_rename2_in);
    default:
        return 0;
    }
}

static void on_made(struct relay *relay, struct relay_call *call, const struct relay_reply *reply, struct relay_output *out)
{
    const struct fuse_in_header *header = header_of(call);
    const char *name = (const char *)body_of(call) + fixed_bytes_of(header->opcode);
    struct relay_node *folder = relay_node_find(relay, header->nodeid);
    struct fuse_entry_out entry;
    bool quiet = relay_node_left_alone_since(relay, header->nodeid, call->stamp);
    relay_node_changed_id(relay, header->nodeid);
    relay_folder_touch(folder, name);
    if (folder)
        folder->known = false;
    if (reply->error || reply->bytes < sizeof entry) {
        if (folder && reply->error == EEXIST)
            relay_folder_doubt(folder);
        relay_call_pass(relay, call, reply, out);
        return;
    }
    memcpy(&entry, reply->body, sizeof entry);
    struct relay_node *node = relay_node_learn(relay, &entry, call->stamp);
    bool kept = folder && quiet && node->stored && !relay->options.plain;
    if (kept)
        relay_entry_set(relay, folder, name, node);
    else if (folder)
        relay_folder_doubt(folder);
    if (header->opcode == FUSE_MKDIR && kept && relay_node_unchanged_since(relay, node->id, call->stamp))
        node->complete =
            !node->entry_count && relay_node_is_plain(relay, node); /* nothing can be in it yet that we are not told of */
    if (!call->kernel_unique)
        return;
    relay_name_tell(relay, node, &entry, kept);
    relay_answer(relay, out, call->kernel_unique, 0, &entry, sizeof entry);
}

void relay_name_make(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_in_header *header = relay_request_header(request);
    int error = relay_name_check(relay_request_name(request, fixed_bytes_of(header->opcode)),
                                 relay_node_find(relay, header->nodeid));
    if (error) {
        relay_finish(relay, out, request, error, NULL, 0);
        return;
    }
    if (header->opcode == FUSE_LINK) {
        const struct fuse_link_in *link = relay_request_body(request);
        struct relay_node *node = relay_node_find(relay, link->oldnodeid);
        if (relay_name_settles(relay, out, node, request))
            return;
        if (node)
            relay_node_changed(relay, node);
    }
    relay_node_changed_id(relay, header->nodeid);
    relay_call_forward(relay, out, request, on_made);
}

/* Removing and renaming --------------------------------------------------------------------------------------------- */

static void remove_known(struct relay *relay, struct relay_node *folder, const char *name)
{
    struct relay_entry *entry = folder ? relay_entry_find(relay, folder, name) : NULL;
    if (!entry)
        return;
    relay_node_changed(relay, entry->child);
    relay_entry_remove(relay, entry);
}

static void on_removed(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                       struct relay_output *out)
{
    struct relay_node *folder = relay_node_find(relay, header_of(call)->nodeid);
    if (folder) {
        relay_node_changed(relay, folder);
        relay_folder_touch(folder, (const char *)body_of(call));
        if (!reply->error || reply->error == ENOENT)
            remove_known(relay, folder, (const char *)body_of(call));
    }
    relay_call_pass(relay, call, reply, out);
}

/* What waits to be made in the folder is made first. */
static bool contents_settle(struct relay *relay, struct relay_output *out, struct relay_node *folder,
                            struct relay_request *request)
{
    for (struct relay_entry *entry = folder->first; entry; entry = entry->behind)
        if (relay_name_settles(relay, out, entry->child, request))
            return true;
    return false;
}

void relay_name_remove(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const char *name = relay_request_name(request, 0);
    struct relay_node *folder = relay_node_find(relay, relay_request_header(request)->nodeid);
    int error = relay_name_check(name, folder);
    if (error) {
        relay_finish(relay, out, request, error, NULL, 0);
        return;
    }
    struct relay_entry *entry = relay_entry_find(relay, folder, name);
    if (entry &&
        (relay_name_settles(relay, out, entry->child, request) || contents_settle(relay, out, entry->child, request)))
        return;
    if (entry)
        relay_node_changed(relay, entry->child);
    relay_node_changed(relay, folder);
    relay_call_forward(relay, out, request, on_removed);
}

struct renaming {
    struct relay_node *from, *to; /* NULL: not known to us */
    uint64_t from_id, to_id;
    const char *old_name, *new_name;
    uint32_t flags;
};

static void decode_rename(struct relay *relay, const uint8_t *message, struct renaming *out)
{
    const struct fuse_in_header *header = (const struct fuse_in_header *)message;
    const struct fuse_rename2_in *body = (const struct fuse_rename2_in *)(message + sizeof *header);
    out->from_id = header->nodeid;
    out->to_id = body->newdir;
    out->from = relay_node_find(relay, out->from_id);
    out->to = relay_node_find(relay, out->to_id);
    out->flags = header->opcode == FUSE_RENAME2 ? body->flags : 0;
    out->old_name = (const char *)body + fixed_bytes_of(header->opcode);
    out->new_name = out->old_name + strlen(out->old_name) + 1;
}

static void changed_by_rename(struct relay *relay, const struct renaming *renaming)
{
    struct relay_entry *old = renaming->from ? relay_entry_find(relay, renaming->from, renaming->old_name) : NULL;
    struct relay_entry *new = renaming->to ? relay_entry_find(relay, renaming->to, renaming->new_name) : NULL;
    relay_node_changed_id(relay, renaming->from_id);
    relay_node_changed_id(relay, renaming->to_id);
    if (renaming->from)
        renaming->from->known = false;
    if (renaming->to)
        renaming->to->known = false;
    if (old)
        relay_node_changed(relay, old->child);
    if (new)
        relay_node_changed(relay, new->child);
}

static void carry_out_rename(struct relay *relay, const struct renaming *renaming)
{
    struct relay_entry *old = renaming->from ? relay_entry_find(relay, renaming->from, renaming->old_name) : NULL;
    struct relay_entry *new = renaming->to ? relay_entry_find(relay, renaming->to, renaming->new_name) : NULL;
    struct relay_node *moved = old ? old->child : NULL, *replaced = new ? new->child : NULL;
    if (moved && moved == replaced)
        return; /* two names of one file: nothing happens */
    if (old && !(renaming->flags & 2 /* exchange */ && replaced))
        relay_entry_remove(relay, old);
    else if (old)
        relay_entry_set(relay, renaming->from, renaming->old_name, replaced);
    if (moved && renaming->to)
        relay_entry_set(relay, renaming->to, renaming->new_name, moved);
    else if (new)
        relay_entry_remove(relay, new);
    if (!moved && renaming->to)
        relay_folder_doubt(renaming->to);
    if (renaming->flags && !replaced && renaming->from)
        relay_folder_doubt(renaming->from);
}

static void on_renamed(struct relay *relay, struct relay_call *call, const struct relay_reply *reply,
                       struct relay_output *out)
{
    struct renaming renaming;
    decode_rename(relay, call->message->data, &renaming);
    changed_by_rename(relay, &renaming);
    relay_folder_touch(renaming.from, renaming.old_name);
    relay_folder_touch(renaming.to, renaming.new_name);
    if (!reply->error)
        carry_out_rename(relay, &renaming);
    relay_call_pass(relay, call, reply, out);
}

void relay_name_rename(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    size_t fixed = fixed_bytes_of(relay_request_header(request)->opcode);
    const char *name = relay_request_name(request, fixed);
    const struct relay_node *folder = relay_node_find(relay, relay_request_header(request)->nodeid);
    int error = relay_name_check(name, folder);
    if (!error)
        error = relay_name_check(relay_request_name(request, fixed + strlen(name) + 1), folder);
    if (error) {
        relay_finish(relay, out, request, error, NULL, 0);
        return;
    }
    struct renaming renaming;
    decode_rename(relay, request->bytes->data, &renaming);
    struct relay_entry *old = renaming.from ? relay_entry_find(relay, renaming.from, renaming.old_name) : NULL;
    struct relay_entry *new = renaming.to ? relay_entry_find(relay, renaming.to, renaming.new_name) : NULL;
    if ((old && relay_name_settles(relay, out, old->child, request)) ||
        (new && (relay_name_settles(relay, out, new->child, request) || contents_settle(relay, out, new->child, request))))
        return;
    changed_by_rename(relay, &renaming);
    relay_call_forward(relay, out, request, on_renamed);
}

/* Extended attributes ----------------------------------------------------------------------------------------------- */

static void on_xattr(struct relay *relay, struct relay_call *call, const struct relay_reply *reply, struct relay_output *out)
{
    const struct fuse_in_header *header = header_of(call);
    struct relay_node *node = relay_node_find(relay, header->nodeid);
    if (node && (header->opcode == FUSE_SETXATTR || header->opcode == FUSE_REMOVEXATTR))
        relay_node_changed(relay, node);
    if (node && header->opcode == FUSE_LISTXATTR && !reply->error && node->known &&
        relay_node_unchanged_since(relay, node->id, call->stamp)) {
        struct fuse_getxattr_out size;
        const struct fuse_getxattr_in *asked = (const struct fuse_getxattr_in *)body_of(call);
        bool sized = asked->size == 0 && reply->bytes >= sizeof size;
        if (sized)
            memcpy(&size, reply->body, sizeof size);
        node->no_xattrs = sized ? size.size == 0 : reply->bytes == 0;
    }
    relay_call_pass(relay, call, reply, out);
}

/* Answers from what is known; false: the server has to be asked. */
static bool answer_xattr(struct relay *relay, struct relay_node *node, struct relay_request *request,
                         struct relay_output *out)
{
    const struct fuse_getxattr_in *asked = relay_request_body(request);
    bool lists = relay_request_header(request)->opcode == FUSE_LISTXATTR;
    const char *name = lists ? NULL : relay_request_name(request, sizeof *asked);
    bool none = node->fresh || (node->no_xattrs && node->known);
    const struct fuse_getxattr_out size = {0};
    if (name && strncmp(name, "system.", 7) == 0)
        relay_finish(relay, out, request, EOPNOTSUPP, NULL, 0);
    else if (none && lists)
        relay_finish(relay, out, request, 0, &size, asked->size == 0 ? sizeof size : 0);
    else if (none && name)
        relay_finish(relay, out, request, ENODATA, NULL, 0);
    else
        return false;
    relay->counters.answered_here++;
    return true;
}

void relay_name_xattr(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    struct relay_node *node = relay_node_get(relay, relay_request_header(request)->nodeid);
    uint32_t opcode = relay_request_header(request)->opcode;
    bool changes = opcode == FUSE_SETXATTR || opcode == FUSE_REMOVEXATTR;
    if (!relay->options.plain && !changes && relay_request_body_bytes(request) >= sizeof(struct fuse_getxattr_in) &&
        answer_xattr(relay, node, request, out))
        return;
    if (changes && relay_name_settles(relay, out, node, request))
        return;
    if (changes)
        relay_node_changed(relay, node);
    relay_call_forward(relay, out, request, on_xattr);
}

bool relay_name_describes(struct relay *relay, struct relay_request *request, struct relay_output *out)
{
    const struct fuse_in_header *header = relay_request_header(request);
    const struct fuse_getxattr_in *asked = relay_request_body(request);
    if (header->opcode != FUSE_GETXATTR || header->nodeid != FUSE_ROOT_ID ||
        relay_request_body_bytes(request) < sizeof *asked)
        return false;
    const char *name = relay_request_name(request, sizeof *asked);
    if (!name || strcmp(name, "user.cytofs.relay") != 0)
        return false;
    char text[1024];
    relay_describe(relay, text, sizeof text);
    const struct fuse_getxattr_out size = {.size = (uint32_t)strlen(text)};
    if (asked->size == 0)
        relay_finish(relay, out, request, 0, &size, sizeof size);
    else
        relay_finish(relay, out, request, asked->size < size.size ? ERANGE : 0, text, size.size);
    return true;
}
