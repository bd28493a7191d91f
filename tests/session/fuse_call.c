/* The operations of the FUSE protocol, 7.31: see fuse_call.h. */
#include "fuse_call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "fuse_client.h"
#include "scope.h"

#define LIST_BYTES 4096 /* as the kernel's first READDIR */

/* A request whose whole body is `fixed` and one name. */
static int call_named(struct fuse_client *client, uint32_t opcode, uint64_t node, const void *fixed, size_t fixed_bytes,
                      const char *name, struct fuse_entry_out *out)
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

static int call_fixed(struct fuse_client *client, uint32_t opcode, uint64_t node, const void *fixed, size_t fixed_bytes,
                      void *out, size_t out_bytes)
{
    const struct fuse_client_request request = {.opcode = opcode, .node = node, .fixed = fixed, .fixed_bytes = fixed_bytes};
    return fuse_client_call(client, &request, out, out_bytes, NULL);
}

/* Names ----------------------------------------------------------------------------------------------------------- */

int fuse_call_lookup(struct fuse_client *client, uint64_t folder, const char *name, struct fuse_entry_out *out)
{
    int error = call_named(client, FUSE_LOOKUP, folder, NULL, 0, name, out);
    return !error && out->nodeid == 0 ? ENOENT : error; /* no such name, which may be kept */
}

int fuse_call_getattr(struct fuse_client *client, uint64_t node, struct fuse_attr *out)
{
    const struct fuse_getattr_in in = {0};
    struct fuse_attr_out answer;
    int error = call_fixed(client, FUSE_GETATTR, node, &in, sizeof in, &answer, sizeof answer);
    if (error == 0)
        *out = answer.attr;
    return error;
}

int fuse_call_setattr(struct fuse_client *client, uint64_t node, const struct fuse_setattr_in *change, struct fuse_attr *out)
{
    struct fuse_attr_out answer;
    int error = call_fixed(client, FUSE_SETATTR, node, change, sizeof *change, &answer, sizeof answer);
    if (error == 0 && out)
        *out = answer.attr;
    return error;
}

int fuse_call_mkdir(struct fuse_client *client, uint64_t folder, const char *name, struct fuse_entry_out *out)
{
    const struct fuse_mkdir_in in = {.mode = 0755};
    return call_named(client, FUSE_MKDIR, folder, &in, sizeof in, name, out);
}

int fuse_call_remove(struct fuse_client *client, uint64_t folder, const char *name, bool is_folder)
{
    return call_named(client, is_folder ? FUSE_RMDIR : FUSE_UNLINK, folder, NULL, 0, name, NULL);
}

int fuse_call_rename(struct fuse_client *client, uint64_t from, const char *from_name, uint64_t to, const char *to_name,
                     uint32_t flags)
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

int fuse_call_symlink(struct fuse_client *client, const char *target, uint64_t folder, const char *name,
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

int fuse_call_readlink(struct fuse_client *client, uint64_t node, struct buffer *target)
{
    const struct fuse_client_request request = {.opcode = FUSE_READLINK, .node = node};
    const void *body;
    size_t bytes;
    int error = fuse_client_await(client, fuse_client_send(client, &request), FUSE_CLIENT_TIMEOUT_MS, &body, &bytes);
    if (error == 0)
        buffer_append(target, body, bytes);
    return error;
}

int fuse_call_link(struct fuse_client *client, uint64_t node, uint64_t folder, const char *name, struct fuse_entry_out *out)
{
    const struct fuse_link_in in = {.oldnodeid = node};
    return call_named(client, FUSE_LINK, folder, &in, sizeof in, name, out);
}

void fuse_call_forget(struct fuse_client *client, uint64_t node, uint64_t count)
{
    const struct fuse_forget_in in = {.nlookup = count};
    const struct fuse_client_request request = {.opcode = FUSE_FORGET, .node = node, .fixed = &in, .fixed_bytes = sizeof in};
    fuse_client_send(client, &request);
}

/* Files ----------------------------------------------------------------------------------------------------------- */

int fuse_call_create(struct fuse_client *client, uint64_t folder, const char *name, uint32_t flags,
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

int fuse_call_open(struct fuse_client *client, uint64_t node, uint32_t flags, struct fuse_open_out *out)
{
    const struct fuse_open_in in = {.flags = flags};
    return call_fixed(client, FUSE_OPEN, node, &in, sizeof in, out, sizeof *out);
}

uint64_t fuse_call_send_read(struct fuse_client *client, uint64_t node, uint64_t handle, uint32_t count, uint32_t flags)
{
    const struct fuse_read_in in = {.fh = handle, .size = count, .flags = flags};
    const struct fuse_client_request request = {.opcode = FUSE_READ, .node = node, .fixed = &in, .fixed_bytes = sizeof in};
    return fuse_client_send(client, &request);
}

int fuse_call_read(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t offset, void *bytes, uint32_t count,
                   size_t *got)
{
    const struct fuse_read_in in = {.fh = handle, .offset = offset, .size = count};
    const struct fuse_client_request request = {.opcode = FUSE_READ, .node = node, .fixed = &in, .fixed_bytes = sizeof in};
    return fuse_client_call(client, &request, bytes, count, got);
}

int fuse_call_write(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t offset, const void *bytes,
                    uint32_t count)
{
    /* O_APPEND is obeyed for files that were opened with it. */
    const struct fuse_write_in in = {.fh = handle, .offset = offset, .size = count, .flags = O_WRONLY | O_APPEND};
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

int fuse_call_fallocate(struct fuse_client *client, uint64_t node, const struct fuse_fallocate_in *range)
{
    return call_fixed(client, FUSE_FALLOCATE, node, range, sizeof *range, NULL, 0);
}

int fuse_call_lseek(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t offset, uint32_t whence,
                    uint64_t *found)
{
    const struct fuse_lseek_in in = {.fh = handle, .offset = offset, .whence = whence};
    struct fuse_lseek_out answer = {0};
    int error = call_fixed(client, FUSE_LSEEK, node, &in, sizeof in, &answer, sizeof answer);
    *found = answer.offset;
    return error;
}

int fuse_call_copy(struct fuse_client *client, uint64_t node, const struct fuse_copy_file_range_in *range, uint32_t *copied)
{
    struct fuse_write_out answer = {0};
    int error = call_fixed(client, FUSE_COPY_FILE_RANGE, node, range, sizeof *range, &answer, sizeof answer);
    *copied = answer.size;
    return error;
}

int fuse_call_flush(struct fuse_client *client, uint64_t node, uint64_t handle)
{
    const struct fuse_flush_in in = {.fh = handle};
    return call_fixed(client, FUSE_FLUSH, node, &in, sizeof in, NULL, 0);
}

int fuse_call_fsync(struct fuse_client *client, uint64_t node, uint64_t handle)
{
    const struct fuse_fsync_in in = {.fh = handle};
    return call_fixed(client, FUSE_FSYNC, node, &in, sizeof in, NULL, 0);
}

int fuse_call_release(struct fuse_client *client, uint64_t node, uint64_t handle)
{
    const struct fuse_release_in in = {.fh = handle};
    return call_fixed(client, FUSE_RELEASE, node, &in, sizeof in, NULL, 0);
}

int fuse_call_poll(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t key, uint32_t *events)
{
    const struct fuse_poll_in in = {.fh = handle, .kh = key, .flags = FUSE_POLL_SCHEDULE_NOTIFY, .events = POLLIN};
    struct fuse_poll_out answer = {0};
    int error = call_fixed(client, FUSE_POLL, node, &in, sizeof in, &answer, sizeof answer);
    *events = answer.revents;
    return error;
}

void fuse_call_interrupt(struct fuse_client *client, uint64_t unique)
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

int fuse_call_list(struct fuse_client *client, uint64_t folder, bool with_attributes, struct buffer *names)
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

int fuse_call_setxattr(struct fuse_client *client, uint64_t node, const char *name, const char *value, uint32_t flags)
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

static int get_sized(struct fuse_client *client, uint32_t opcode, uint64_t node, const char *name, struct buffer *value)
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
    int error = fuse_client_await(client, fuse_client_send(client, &request), FUSE_CLIENT_TIMEOUT_MS, &body, &bytes);
    if (error == 0)
        buffer_append(value, body, bytes);
    return error;
}

int fuse_call_getxattr(struct fuse_client *client, uint64_t node, const char *name, struct buffer *value)
{
    return get_sized(client, FUSE_GETXATTR, node, name, value);
}

int fuse_call_listxattr(struct fuse_client *client, uint64_t node, struct buffer *names)
{
    return get_sized(client, FUSE_LISTXATTR, node, NULL, names);
}

int fuse_call_removexattr(struct fuse_client *client, uint64_t node, const char *name)
{
    return call_named(client, FUSE_REMOVEXATTR, node, NULL, 0, name, NULL);
}
