/* What a program does with a path: see fuse_path.h. */
#include "fuse_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "fuse_call.h"
#include "fuse_client.h"
#include "scope.h"

#define READ_BYTES 65536

/* The folder of a path, and the last name in it. */
static int resolve_folder(struct fuse_client *client, const char *path, uint64_t *folder, const char **name)
{
    *folder = FUSE_ROOT_ID;
    *name = path;
    for (const char *slash; (slash = strchr(*name, '/')); *name = slash + 1) {
        SCOPE_FREE char *component = strndup(*name, (size_t)(slash - *name));
        struct fuse_entry_out entry;
        int error = fuse_call_lookup(client, *folder, component, &entry);
        if (error)
            return error;
        *folder = entry.nodeid;
    }
    return 0;
}

int fuse_path_resolve(struct fuse_client *client, const char *path, struct fuse_entry_out *out)
{
    uint64_t folder;
    const char *name;
    int error = resolve_folder(client, path, &folder, &name);
    return error ? error : fuse_call_lookup(client, folder, name, out);
}

static int open_to_write(struct fuse_client *client, const char *path, uint64_t *node, struct fuse_open_out *open)
{
    uint64_t folder;
    const char *name;
    struct fuse_entry_out entry;
    int error = resolve_folder(client, path, &folder, &name);
    if (error)
        return error;
    error = fuse_call_lookup(client, folder, name, &entry);
    if (error == ENOENT)
        error = fuse_call_create(client, folder, name, O_WRONLY | O_CREAT | O_TRUNC, &entry, open);
    else if (error == 0)
        error = fuse_call_open(client, entry.nodeid, O_WRONLY | O_TRUNC, open);
    *node = entry.nodeid;
    return error;
}

int fuse_path_put(struct fuse_client *client, const char *path, const char *text)
{
    uint64_t node;
    struct fuse_open_out open;
    int error = open_to_write(client, path, &node, &open);
    if (error)
        return error;
    size_t bytes = strlen(text);
    if (bytes > 0)
        error = fuse_call_write(client, node, open.fh, 0, text, (uint32_t)bytes);
    int flush_error = fuse_call_flush(client, node, open.fh);
    int release_error = fuse_call_release(client, node, open.fh);
    return error ? error : flush_error ? flush_error : release_error;
}

int fuse_path_get(struct fuse_client *client, const char *path, struct buffer *text)
{
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    int error = fuse_path_resolve(client, path, &entry);
    if (error == 0)
        error = fuse_call_open(client, entry.nodeid, 0, &open);
    if (error)
        return error;
    SCOPE_FREE char *bytes = malloc(READ_BYTES);
    size_t got = 0;
    do {
        error = fuse_call_read(client, entry.nodeid, open.fh, text->length, bytes, READ_BYTES, &got);
        if (error == 0)
            buffer_append(text, bytes, got);
    } while (error == 0 && got > 0);
    int release_error = fuse_call_release(client, entry.nodeid, open.fh);
    return error ? error : release_error;
}
