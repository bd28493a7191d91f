/* The kernel's side of the FUSE protocol: see fuse_client.h.
 *
 * Messages are those of <linux/fuse.h>, protocol 7.31.  Answers may come in any order, and notices between them (unique 0);
 * what comes while another is awaited is kept in a list. */
#include "fuse_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "scope.h"
#include "session.h"
#include "timing.h"

#define ANSWER_TIMEOUT_MS 20000
#define LIST_BYTES        4096 /* as the kernel's first READDIR */

struct kept_message {
    struct kept_message *next;
    size_t bytes;
    char content[];
};

/* Messages -------------------------------------------------------------------------------------------------------- */

uint64_t fuse_client_send(struct fuse_client *client, const struct fuse_client_request *request)
{
    struct fuse_in_header header = {
        .len = (uint32_t)(sizeof header + request->fixed_bytes + request->first_bytes + request->second_bytes),
        .opcode = request->opcode,
        .unique = client->last_unique += 2, /* the kernel's numbers are even, too */
        .nodeid = request->node,
        .uid = getuid(),
        .gid = getgid(),
        .pid = (uint32_t)getpid(),
    };
    struct iovec parts[] = {
        {&header, sizeof header},
        {(void *)request->fixed, request->fixed_bytes},
        {(void *)request->first, request->first_bytes},
        {(void *)request->second, request->second_bytes},
    };
    if (writev(client->socket, parts, 4) != (ssize_t)header.len)
        abort(); /* the session under test is in this very process */
    return header.unique;
}

static bool receive(struct fuse_client *client, int timeout_ms)
{
    struct pollfd wait = {.fd = client->socket, .events = POLLIN};
    if (poll(&wait, 1, timeout_ms) <= 0)
        return false;
    ssize_t got = recv(client->socket, client->message, FUSE_CLIENT_MESSAGE_MAX, 0);
    if (got < (ssize_t)sizeof(struct fuse_out_header))
        return false;
    client->message_bytes = (size_t)got;
    return true;
}

static void keep(struct fuse_client *client)
{
    struct kept_message *kept = malloc(sizeof *kept + client->message_bytes);
    if (!kept)
        abort();
    kept->next = NULL;
    kept->bytes = client->message_bytes;
    memcpy(kept->content, client->message, client->message_bytes);
    struct kept_message **end = &client->kept;
    while (*end)
        end = &(*end)->next;
    *end = kept;
}

static bool take_kept(struct fuse_client *client, uint64_t unique)
{
    for (struct kept_message **link = &client->kept; *link; link = &(*link)->next) {
        struct kept_message *kept = *link;
        struct fuse_out_header header;
        memcpy(&header, kept->content, sizeof header);
        if (header.unique != unique)
            continue;
        memcpy(client->message, kept->content, kept->bytes);
        client->message_bytes = kept->bytes;
        *link = kept->next;
        free(kept);
        return true;
    }
    return false;
}

/* Makes the message with this number the current one. */
static bool find_message(struct fuse_client *client, uint64_t unique, int timeout_ms, struct fuse_out_header *header)
{
    int64_t deadline = timing_monotonic_ms() + timeout_ms;
    bool found = take_kept(client, unique);
    while (!found) {
        int64_t left = deadline - timing_monotonic_ms();
        if (!receive(client, left > 0 ? (int)left : 0))
            return false;
        memcpy(header, client->message, sizeof *header);
        found = header->unique == unique;
        if (!found)
            keep(client);
    }
    memcpy(header, client->message, sizeof *header);
    return true;
}

int fuse_client_await(struct fuse_client *client, uint64_t unique, int timeout_ms, const void **body, size_t *bytes)
{
    struct fuse_out_header header;
    if (!find_message(client, unique, timeout_ms, &header))
        return FUSE_CLIENT_NO_ANSWER;
    if (body)
        *body = client->message + sizeof header;
    if (bytes)
        *bytes = client->message_bytes - sizeof header;
    return -header.error;
}

int fuse_client_call(struct fuse_client *client, const struct fuse_client_request *request, void *out, size_t max,
                     size_t *got)
{
    const void *body = NULL;
    size_t bytes = 0;
    int error = fuse_client_await(client, fuse_client_send(client, request), ANSWER_TIMEOUT_MS, &body, &bytes);
    if (error == 0 && out)
        memcpy(out, body, bytes < max ? bytes : max);
    if (got)
        *got = bytes;
    return error;
}

int fuse_client_await_notice(struct fuse_client *client, int timeout_ms, int *code, const void **body)
{
    struct fuse_out_header header;
    if (!find_message(client, 0, timeout_ms, &header))
        return FUSE_CLIENT_NO_ANSWER;
    *code = header.error;
    *body = client->message + sizeof header;
    return 0;
}

/* A request whose whole body is `fixed` and one name. */
static int call_named(struct fuse_client *client, uint32_t opcode, uint64_t node, const void *fixed,
                      size_t fixed_bytes, const char *name, struct fuse_entry_out *out)
{
    const struct fuse_client_request request = {
        .opcode = opcode,
        .node = node,
        .fixed = fixed,
        .fixed_bytes = fixed_bytes,
        .first = name,
        .first_bytes = strlen(name) + 1,
    };
    struct fuse_entry_out ignored;
    return fuse_client_call(client, &request, out ? out : &ignored, sizeof *out, NULL);
}

static int call_fixed(struct fuse_client *client, uint32_t opcode, uint64_t node, const void *fixed,
                      size_t fixed_bytes, void *out, size_t out_bytes)
{
    const struct fuse_client_request request = {
        .opcode = opcode, .node = node, .fixed = fixed, .fixed_bytes = fixed_bytes};
    return fuse_client_call(client, &request, out, out_bytes, NULL);
}

/* Life ------------------------------------------------------------------------------------------------------------ */

static bool greet(struct fuse_client *client)
{
    const struct fuse_init_in greeting = {
        .major = FUSE_KERNEL_VERSION,
        .minor = 31,
        .max_readahead = 128 * 1024,
        .flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS |
                 FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES,
    };
    return call_fixed(client, FUSE_INIT, 0, &greeting, sizeof greeting, &client->greeting,
                      sizeof client->greeting) == 0;
}

bool fuse_client_start(struct fuse_client *client, struct tree *tree, int threads)
{
    int pair[2];
    *client = (struct fuse_client){.socket = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    client->socket = pair[0];
    client->message = malloc(FUSE_CLIENT_MESSAGE_MAX);
    const struct session_options options = {.socket = pair[1], .threads = threads};
    struct failure why;
    if (!client->message || session_start(tree, &options, &client->session, &why) != CODE_OK)
        return false;
    return greet(client);
}

void fuse_client_stop(struct fuse_client *client)
{
    close(client->socket);
    if (client->session) {
        session_wait(client->session);
        session_destroy(client->session);
    }
    while (client->kept) {
        struct kept_message *next = client->kept->next;
        free(client->kept);
        client->kept = next;
    }
    free(client->message);
}

/* Names ----------------------------------------------------------------------------------------------------------- */

int fuse_client_lookup(struct fuse_client *client, uint64_t folder, const char *name, struct fuse_entry_out *out)
{
    return call_named(client, FUSE_LOOKUP, folder, NULL, 0, name, out);
}

int fuse_client_getattr(struct fuse_client *client, uint64_t node, struct fuse_attr *out)
{
    const struct fuse_getattr_in in = {0};
    struct fuse_attr_out answer;
    int error = call_fixed(client, FUSE_GETATTR, node, &in, sizeof in, &answer, sizeof answer);
    if (error == 0)
        *out = answer.attr;
    return error;
}

int fuse_client_setattr(struct fuse_client *client, uint64_t node, const struct fuse_setattr_in *change,
                        struct fuse_attr *out)
{
    struct fuse_attr_out answer;
    int error = call_fixed(client, FUSE_SETATTR, node, change, sizeof *change, &answer, sizeof answer);
    if (error == 0 && out)
        *out = answer.attr;
    return error;
}

int fuse_client_mkdir(struct fuse_client *client, uint64_t folder, const char *name, struct fuse_entry_out *out)
{
    const struct fuse_mkdir_in in = {.mode = 0755};
    return call_named(client, FUSE_MKDIR, folder, &in, sizeof in, name, out);
}

int fuse_client_remove(struct fuse_client *client, uint64_t folder, const char *name, bool is_folder)
{
    return call_named(client, is_folder ? FUSE_RMDIR : FUSE_UNLINK, folder, NULL, 0, name, NULL);
}

int fuse_client_rename(struct fuse_client *client, uint64_t from, const char *from_name, uint64_t to,
                       const char *to_name, uint32_t flags)
{
    const struct fuse_rename2_in in = {.newdir = to, .flags = flags};
    const struct fuse_client_request request = {
        .opcode = FUSE_RENAME2,
        .node = from,
        .fixed = &in,
        .fixed_bytes = sizeof in,
        .first = from_name,
        .first_bytes = strlen(from_name) + 1,
        .second = to_name,
        .second_bytes = strlen(to_name) + 1,
    };
    return fuse_client_call(client, &request, NULL, 0, NULL);
}

int fuse_client_symlink(struct fuse_client *client, const char *target, uint64_t folder, const char *name,
                        struct fuse_entry_out *out)
{
    const struct fuse_client_request request = {
        .opcode = FUSE_SYMLINK,
        .node = folder,
        .first = name,
        .first_bytes = strlen(name) + 1,
        .second = target,
        .second_bytes = strlen(target) + 1,
    };
    return fuse_client_call(client, &request, out, sizeof *out, NULL);
}

int fuse_client_readlink(struct fuse_client *client, uint64_t node, struct buffer *target)
{
    const struct fuse_client_request request = {.opcode = FUSE_READLINK, .node = node};
    const void *body;
    size_t bytes;
    int error = fuse_client_await(client, fuse_client_send(client, &request), ANSWER_TIMEOUT_MS, &body, &bytes);
    if (error == 0)
        buffer_append(target, body, bytes);
    return error;
}

int fuse_client_link(struct fuse_client *client, uint64_t node, uint64_t folder, const char *name,
                     struct fuse_entry_out *out)
{
    const struct fuse_link_in in = {.oldnodeid = node};
    return call_named(client, FUSE_LINK, folder, &in, sizeof in, name, out);
}

void fuse_client_forget(struct fuse_client *client, uint64_t node, uint64_t count)
{
    const struct fuse_forget_in in = {.nlookup = count};
    const struct fuse_client_request request = {
        .opcode = FUSE_FORGET, .node = node, .fixed = &in, .fixed_bytes = sizeof in};
    fuse_client_send(client, &request);
}

/* Files ----------------------------------------------------------------------------------------------------------- */

int fuse_client_create(struct fuse_client *client, uint64_t folder, const char *name, uint32_t flags,
                       struct fuse_entry_out *entry, struct fuse_open_out *out)
{
    const struct fuse_create_in in = {.flags = flags, .mode = 0100644};
    const struct fuse_client_request request = {
        .opcode = FUSE_CREATE,
        .node = folder,
        .fixed = &in,
        .fixed_bytes = sizeof in,
        .first = name,
        .first_bytes = strlen(name) + 1,
    };
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } answer;
    int error = fuse_client_call(client, &request, &answer, sizeof answer, NULL);
    if (error == 0) {
        *entry = answer.entry;
        *out = answer.open;
    }
    return error;
}

int fuse_client_open(struct fuse_client *client, uint64_t node, uint32_t flags, struct fuse_open_out *out)
{
    const struct fuse_open_in in = {.flags = flags};
    return call_fixed(client, FUSE_OPEN, node, &in, sizeof in, out, sizeof *out);
}

uint64_t fuse_client_send_read(struct fuse_client *client, uint64_t node, uint64_t handle, uint32_t count,
                               uint32_t flags)
{
    const struct fuse_read_in in = {.fh = handle, .size = count, .flags = flags};
    const struct fuse_client_request request = {
        .opcode = FUSE_READ, .node = node, .fixed = &in, .fixed_bytes = sizeof in};
    return fuse_client_send(client, &request);
}

int fuse_client_read(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t offset, void *bytes,
                     uint32_t count, size_t *got)
{
    const struct fuse_read_in in = {.fh = handle, .offset = offset, .size = count};
    const struct fuse_client_request request = {
        .opcode = FUSE_READ, .node = node, .fixed = &in, .fixed_bytes = sizeof in};
    return fuse_client_call(client, &request, bytes, count, got);
}

int fuse_client_write(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t offset, const void *bytes,
                      uint32_t count)
{
    const struct fuse_write_in in = {.fh = handle, .offset = offset, .size = count};
    const struct fuse_client_request request = {
        .opcode = FUSE_WRITE,
        .node = node,
        .fixed = &in,
        .fixed_bytes = sizeof in,
        .first = bytes,
        .first_bytes = count,
    };
    struct fuse_write_out answer = {0};
    int error = fuse_client_call(client, &request, &answer, sizeof answer, NULL);
    return error == 0 && answer.size != count ? EIO : error;
}

int fuse_client_flush(struct fuse_client *client, uint64_t node, uint64_t handle)
{
    const struct fuse_flush_in in = {.fh = handle};
    return call_fixed(client, FUSE_FLUSH, node, &in, sizeof in, NULL, 0);
}

int fuse_client_fsync(struct fuse_client *client, uint64_t node, uint64_t handle)
{
    const struct fuse_fsync_in in = {.fh = handle};
    return call_fixed(client, FUSE_FSYNC, node, &in, sizeof in, NULL, 0);
}

int fuse_client_release(struct fuse_client *client, uint64_t node, uint64_t handle)
{
    const struct fuse_release_in in = {.fh = handle};
    return call_fixed(client, FUSE_RELEASE, node, &in, sizeof in, NULL, 0);
}

int fuse_client_poll(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t key, uint32_t *events)
{
    const struct fuse_poll_in in = {
        .fh = handle, .kh = key, .flags = FUSE_POLL_SCHEDULE_NOTIFY, .events = POLLIN};
    struct fuse_poll_out answer = {0};
    int error = call_fixed(client, FUSE_POLL, node, &in, sizeof in, &answer, sizeof answer);
    *events = answer.revents;
    return error;
}

void fuse_client_interrupt(struct fuse_client *client, uint64_t unique)
{
    const struct fuse_interrupt_in in = {.unique = unique};
    const struct fuse_client_request request = {.opcode = FUSE_INTERRUPT, .fixed = &in, .fixed_bytes = sizeof in};
    fuse_client_send(client, &request);
}

/* Folders --------------------------------------------------------------------------------------------------------- */

/* Adds the names of one answer; *offset becomes where the next request begins. */
static void add_names(const char *bytes, size_t count, bool with_attributes, struct buffer *names, uint64_t *offset)
{
    size_t before = with_attributes ? sizeof(struct fuse_entry_out) : 0;
    while (count >= before + FUSE_NAME_OFFSET) {
        struct fuse_dirent entry;
        memcpy(&entry, bytes + before, FUSE_NAME_OFFSET);
        const char *name = bytes + before + FUSE_NAME_OFFSET;
        if (!(entry.namelen == 1 && name[0] == '.') && !(entry.namelen == 2 && memcmp(name, "..", 2) == 0)) {
            buffer_append(names, name, entry.namelen);
            buffer_append_text(names, "\n");
        }
        *offset = entry.off;
        size_t size = before + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen);
        bytes += size;
        count -= size;
    }
}

static int list_open(struct fuse_client *client, uint64_t folder, uint64_t handle, bool with_attributes,
                     struct buffer *names)
{
    SCOPE_FREE char *bytes = malloc(LIST_BYTES);
    uint64_t offset = 0;
    size_t got;
    do {
        const struct fuse_read_in in = {.fh = handle, .offset = offset, .size = LIST_BYTES};
        const struct fuse_client_request request = {
            .opcode = with_attributes ? FUSE_READDIRPLUS : FUSE_READDIR,
            .node = folder,
            .fixed = &in,
            .fixed_bytes = sizeof in,
        };
        int error = fuse_client_call(client, &request, bytes, LIST_BYTES, &got);
        if (error)
            return error;
        add_names(bytes, got, with_attributes, names, &offset);
    } while (got > 0);
    return 0;
}

int fuse_client_list(struct fuse_client *client, uint64_t folder, bool with_attributes, struct buffer *names)
{
    const struct fuse_open_in in = {0};
    struct fuse_open_out open;
    int error = call_fixed(client, FUSE_OPENDIR, folder, &in, sizeof in, &open, sizeof open);
    if (error)
        return error;
    error = list_open(client, folder, open.fh, with_attributes, names);
    const struct fuse_release_in release = {.fh = open.fh};
    int release_error = call_fixed(client, FUSE_RELEASEDIR, folder, &release, sizeof release, NULL, 0);
    return error ? error : release_error;
}

/* Extended attributes --------------------------------------------------------------------------------------------- */

int fuse_client_setxattr(struct fuse_client *client, uint64_t node, const char *name, const char *value,
                         uint32_t flags)
{
    const struct fuse_setxattr_in in = {.size = (uint32_t)strlen(value), .flags = flags};
    const struct fuse_client_request request = {
        .opcode = FUSE_SETXATTR,
        .node = node,
        .fixed = &in,
        .fixed_bytes = FUSE_COMPAT_SETXATTR_IN_SIZE,
        .first = name,
        .first_bytes = strlen(name) + 1,
        .second = value,
        .second_bytes = strlen(value),
    };
    return fuse_client_call(client, &request, NULL, 0, NULL);
}

static int get_sized(struct fuse_client *client, uint32_t opcode, uint64_t node, const char *name,
                     struct buffer *value)
{
    const struct fuse_getxattr_in in = {.size = 65536};
    const struct fuse_client_request request = {
        .opcode = opcode,
        .node = node,
        .fixed = &in,
        .fixed_bytes = sizeof in,
        .first = name,
        .first_bytes = name ? strlen(name) + 1 : 0,
    };
    const void *body;
    size_t bytes;
    int error = fuse_client_await(client, fuse_client_send(client, &request), ANSWER_TIMEOUT_MS, &body, &bytes);
    if (error == 0)
        buffer_append(value, body, bytes);
    return error;
}

int fuse_client_getxattr(struct fuse_client *client, uint64_t node, const char *name, struct buffer *value)
{
    return get_sized(client, FUSE_GETXATTR, node, name, value);
}

int fuse_client_listxattr(struct fuse_client *client, uint64_t node, struct buffer *names)
{
    return get_sized(client, FUSE_LISTXATTR, node, NULL, names);
}

int fuse_client_removexattr(struct fuse_client *client, uint64_t node, const char *name)
{
    return call_named(client, FUSE_REMOVEXATTR, node, NULL, 0, name, NULL);
}

/* By path --------------------------------------------------------------------------------------------------------- */

/* The folder of a path, and the last name in it. */
static int resolve_folder(struct fuse_client *client, const char *path, uint64_t *folder, const char **name)
{
    *folder = FUSE_ROOT_ID;
    *name = path;
    for (const char *slash; (slash = strchr(*name, '/')); *name = slash + 1) {
        SCOPE_FREE char *component = strndup(*name, (size_t)(slash - *name));
        struct fuse_entry_out entry;
        int error = fuse_client_lookup(client, *folder, component, &entry);
        if (error)
            return error;
        *folder = entry.nodeid;
    }
    return 0;
}

int fuse_client_resolve(struct fuse_client *client, const char *path, struct fuse_entry_out *out)
{
    uint64_t folder;
    const char *name;
    int error = resolve_folder(client, path, &folder, &name);
    return error ? error : fuse_client_lookup(client, folder, name, out);
}

static int open_to_write(struct fuse_client *client, const char *path, uint64_t *node, struct fuse_open_out *open)
{
    uint64_t folder;
    const char *name;
    struct fuse_entry_out entry;
    int error = resolve_folder(client, path, &folder, &name);
    if (error)
        return error;
    error = fuse_client_lookup(client, folder, name, &entry);
    if (error == ENOENT)
        error = fuse_client_create(client, folder, name, O_WRONLY | O_CREAT, &entry, open);
    else if (error == 0)
        error = fuse_client_open(client, entry.nodeid, O_WRONLY | O_TRUNC, open);
    *node = entry.nodeid;
    return error;
}

int fuse_client_put(struct fuse_client *client, const char *path, const char *text)
{
    uint64_t node;
    struct fuse_open_out open;
    int error = open_to_write(client, path, &node, &open);
    if (error)
        return error;
    size_t bytes = strlen(text);
    if (bytes > 0)
        error = fuse_client_write(client, node, open.fh, 0, text, (uint32_t)bytes);
    int flush_error = fuse_client_flush(client, node, open.fh);
    int release_error = fuse_client_release(client, node, open.fh);
    return error ? error : flush_error ? flush_error : release_error;
}

int fuse_client_get(struct fuse_client *client, const char *path, struct buffer *text)
{
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    int error = fuse_client_resolve(client, path, &entry);
    if (error == 0)
        error = fuse_client_open(client, entry.nodeid, 0, &open);
    if (error)
        return error;
    SCOPE_FREE char *bytes = malloc(65536);
    size_t got = 0;
    do {
        error = fuse_client_read(client, entry.nodeid, open.fh, text->length, bytes, 65536, &got);
        if (error == 0)
            buffer_append(text, bytes, got);
    } while (error == 0 && got > 0);
    int release_error = fuse_client_release(client, entry.nodeid, open.fh);
    return error ? error : release_error;
}
