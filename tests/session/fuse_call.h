/* One function per operation of the FUSE protocol: one request (a listing takes more), its answer awaited.  Each returns 0
 * or the positive errno that the session answered. */
#ifndef CYTOFS_FUSE_CALL_H
#define CYTOFS_FUSE_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/fuse.h>

#include "buffer.h"

struct fuse_client;

/* Names */
int fuse_call_lookup(struct fuse_client *client, uint64_t folder, const char *name, struct fuse_entry_out *out);
int fuse_call_getattr(struct fuse_client *client, uint64_t node, struct fuse_attr *out);
int fuse_call_setattr(struct fuse_client *client, uint64_t node, const struct fuse_setattr_in *change,
                      struct fuse_attr *out);
int fuse_call_mkdir(struct fuse_client *client, uint64_t folder, const char *name, struct fuse_entry_out *out);
int fuse_call_remove(struct fuse_client *client, uint64_t folder, const char *name, bool is_folder);
int fuse_call_rename(struct fuse_client *client, uint64_t from, const char *from_name, uint64_t to, const char *to_name,
                     uint32_t flags);
int fuse_call_symlink(struct fuse_client *client, const char *target, uint64_t folder, const char *name,
                      struct fuse_entry_out *out);
int fuse_call_readlink(struct fuse_client *client, uint64_t node, struct buffer *target);
int fuse_call_link(struct fuse_client *client, uint64_t node, uint64_t folder, const char *name, struct fuse_entry_out *out);
void fuse_call_forget(struct fuse_client *client, uint64_t node, uint64_t count);

/* Files */
int fuse_call_create(struct fuse_client *client, uint64_t folder, const char *name, uint32_t flags,
                     struct fuse_entry_out *entry, struct fuse_open_out *out);
int fuse_call_open(struct fuse_client *client, uint64_t node, uint32_t flags, struct fuse_open_out *out);
int fuse_call_read(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t offset, void *bytes, uint32_t count,
                   size_t *got);
uint64_t fuse_call_send_read(struct fuse_client *client, uint64_t node, uint64_t handle, uint32_t count, uint32_t flags);
int fuse_call_write(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t offset, const void *bytes,
                    uint32_t count);
int fuse_call_fallocate(struct fuse_client *client, uint64_t node, const struct fuse_fallocate_in *range);
int fuse_call_lseek(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t offset, uint32_t whence,
                    uint64_t *found);
int fuse_call_copy(struct fuse_client *client, uint64_t node, const struct fuse_copy_file_range_in *range, uint32_t *copied);
int fuse_call_flush(struct fuse_client *client, uint64_t node, uint64_t handle);
int fuse_call_fsync(struct fuse_client *client, uint64_t node, uint64_t handle);
int fuse_call_release(struct fuse_client *client, uint64_t node, uint64_t handle);
int fuse_call_poll(struct fuse_client *client, uint64_t node, uint64_t handle, uint64_t key, uint32_t *events);
void fuse_call_interrupt(struct fuse_client *client, uint64_t unique);

/* Folders: the names, without "." and "..", each followed by a line break, in the order received. */
int fuse_call_list(struct fuse_client *client, uint64_t folder, bool with_attributes, struct buffer *names);

/* Extended attributes */
int fuse_call_setxattr(struct fuse_client *client, uint64_t node, const char *name, const char *value, uint32_t flags);
int fuse_call_getxattr(struct fuse_client *client, uint64_t node, const char *name, struct buffer *value);
int fuse_call_listxattr(struct fuse_client *client, uint64_t node, struct buffer *names);
int fuse_call_removexattr(struct fuse_client *client, uint64_t node, const char *name);

#endif
