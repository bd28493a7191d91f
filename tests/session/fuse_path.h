/* What a program does with a path from the root, as the requests that a kernel would make of it. */
#ifndef CYTOFS_FUSE_PATH_H
#define CYTOFS_FUSE_PATH_H

struct buffer;
struct fuse_client;
struct fuse_entry_out;

/* The node of a path. */
int fuse_path_resolve(struct fuse_client *client, const char *path, struct fuse_entry_out *out);

/* The file is made or truncated, written, flushed and released; the errno is the first of any step, so a refusing FLUSH
 * shows. */
int fuse_path_put(struct fuse_client *client, const char *path, const char *text);

/* The file is opened, read to its end (appended to *text), and released. */
int fuse_path_get(struct fuse_client *client, const char *path, struct buffer *text);

#endif
