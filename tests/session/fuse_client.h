/* The kernel's side of the FUSE protocol, as much of it as the tests need: it stands at the other end of a session's socket.
 *
 * Each call is one or a few requests; it returns 0 or the positive errno that the session answered.  Requests can also be
 * sent and their answers awaited apart, to see what happens in between.  One thread per client. */
#ifndef CYTOFS_FUSE_CLIENT_H
#define CYTOFS_FUSE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/fuse.h>

#include "buffer.h"

#define FUSE_CLIENT_MESSAGE_MAX (256 * 1024) /* bytes, header included */
#define FUSE_CLIENT_NO_ANSWER   (-1)         /* the timeout passed */

struct session;
struct tree;

struct fuse_client {
    struct session *session;
    int socket;
    uint64_t last_unique;
    struct fuse_init_out greeting; /* what INIT was answered with */
    char *message;                 /* the last one received */
    size_t message_bytes;
    struct kept_message *kept; /* received while waiting for another */
};

/* Starts a session of the tree on a new socketpair and greets it.  False where that fails. */
bool fuse_client_start(struct fuse_client *client, struct tree *tree, int threads);

/* Ends the session by closing the socket, as a kernel does. */
void fuse_client_stop(struct fuse_client *client);

/* One request: a fixed part and up to two more runs of bytes behind it (names with their NUL, data). */
struct fuse_client_request {
    uint32_t opcode;
    uint64_t node;
    const void *fixed;
    size_t fixed_bytes;
    const void *first;
    size_t first_bytes;
    const void *second;
    size_t second_bytes;
};

/* Returns the request's unique number. */
uint64_t fuse_client_send(struct fuse_client *client, const struct fuse_client_request *request);

/* The answer to it: its errno, or FUSE_CLIENT_NO_ANSWER.  What follows the header lies at *body until the next call. */
int fuse_client_await(struct fuse_client *client, uint64_t unique, int timeout_ms, const void **body, size_t *bytes);

/* Both, with a generous timeout; up to `max` bytes of the body are copied to `out`. */
int fuse_client_call(struct fuse_client *client, const struct fuse_client_request *request, void *out, size_t max,
                     size_t *got);

/* Waits for a message that no request asked for; 0 and its code and body, or FUSE_CLIENT_NO_ANSWER. */
int fuse_client_await_notice(struct fuse_client *client, int timeout_ms, int *code, const void **body);

/* Names */
int fuse_client_lookup(struct fuse_client *client, uint64_t folder, const char *name, struct fuse_entry_out *out);
int fuse_client_getattr(struct fuse_client *client, uint64_t node, struct fuse_attr *out);
int fuse_client_setattr(struct fuse_client *client, uint64_t node, const struct fuse_setattr_in *change,
                        struct fuse_attr *out);
int fuse_client_mkdir(struct fuse_client *client, uint64_t folder, const char *name, struct fuse_entry_out *out);
int fuse_client_remove(struct fuse_client *client, uint64_t folder, const char *name, bool is_folder);
int fuse_client_rename(struct fuse_client *client, uint64_t from, const char *from_name, uint64_t to,
                       const char *to_name, uint32_t flags);
int fuse_client_symlink(struct fuse_client *client, const char *target, uint64_t folder, const char *name,
                        struct fuse_entry_out *out);
int fuse_client_readlink(struct fuse_client *client, uint64_t node, struct buffer *target);
int fuse_client_link(struct fuse_client *client, uint64_t node, uint64_t folder, const char *name,
                     struct fuse_entry_out *out);
void fuse_client_forget(struct fuse_client *client, uint64_t node, uint64_t count);

/* Files */
int fuse_client_create(struct fuse_client *client, uint64_t folder, const char *name, uint32_t flags,
                       struct fuse_entry_out *entry, struct fuse_open_out *out);
int fuse_client_open(struct fuse_client *client, uint64_t node, uint32_t flags, struct fuse_open_out *out);
int fuse_client_read(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t offset, void *bytes,
                     uint32_t count, size_t *got);
uint64_t fuse_client_send_read(struct fuse_client *client, uint64_t node, uint64_t handle, uint32_t count,
                               uint32_t flags);
int fuse_client_write(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t offset, const void *bytes,
                      uint32_t count);
int fuse_client_flush(struct fuse_client *client, uint64_t node, uint64_t handle);
int fuse_client_fsync(struct fuse_client *client, uint64_t node, uint64_t handle);
int fuse_client_release(struct fuse_client *client, uint64_t node, uint64_t handle);
int fuse_client_poll(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t key, uint32_t *events);
void fuse_client_interrupt(struct fuse_client *client, uint64_t unique);

/* Folders: the names, without "." and "..", each followed by a line break, in the order received. */
int fuse_client_list(struct fuse_client *client, uint64_t folder, bool with_attributes, struct buffer *names);

/* Extended attributes */
int fuse_client_setxattr(struct fuse_client *client, uint64_t node, const char *name, const char *value,
                         uint32_t flags);
int fuse_client_getxattr(struct fuse_client *client, uint64_t node, const char *name, struct buffer *value);
int fuse_client_listxattr(struct fuse_client *client, uint64_t node, struct buffer *names);
int fuse_client_removexattr(struct fuse_client *client, uint64_t node, const char *name);

/* By path from the root, as a program would: the node of a path; a file made or truncated, written, flushed and
 * released (the errno is the first of any step, so a refusing FLUSH shows); a file opened, read to its end, released. */
int fuse_client_resolve(struct fuse_client *client, const char *path, struct fuse_entry_out *out);
int fuse_client_put(struct fuse_client *client, const char *path, const char *text);
int fuse_client_get(struct fuse_client *client, const char *path, struct buffer *text);

#endif
