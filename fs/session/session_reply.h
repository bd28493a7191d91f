/* Answers to the client: attributes as FUSE wants them, failures as errno with their text noted for lab/last-error. */
#ifndef CYTOFS_SESSION_REPLY_H
#define CYTOFS_SESSION_REPLY_H

#include <stdbool.h>

#include "failure.h"
#include "tree.h"

struct fuse_attr;
struct fuse_entry_param;
struct fuse_req;
struct session;
struct stat;

/* How long, in seconds, the kernel may use what it was told of a stored node before it asks again.  The same tree may be
 * changed through other mounts and by the server, so this is the bound on what a reader sees too late. */
#define SESSION_STORED_TIMEOUT_S 1.0

void session_reply_fill_stat(const struct session *session, const struct node_attributes *attributes, struct stat *out);
void session_reply_fill_attr(const struct session *session, const struct node_attributes *attributes, struct fuse_attr *out);
void session_reply_fill_entry(const struct session *session, const struct node_attributes *attributes,
                              struct fuse_entry_param *out);

/* Makes the client ask for the attributes before it reads: else a file that was changed through another mount would, for as
 * long as attributes are kept, still end where it ended before and show cached pages.  Takes no page lock, so it cannot wait
 * for a reader. */
void session_reply_forget_attributes(struct session *session, struct node_id node);

/* Notes a text that a person should be able to find, under the path of the node (and, unless NULL, the name in it). */
void session_reply_note(struct tree *tree, enum code code, const struct failure *why, struct node_id node, const char *name);

/* Answers with the code's errno.  A text that a person should be able to find is noted under the path of the node (and,
 * unless NULL, the name in it). */
void session_reply_failure(struct fuse_req *request, enum code code, const struct failure *why, struct node_id node,
                           const char *name);

/* Answers success or, as above, failure. */
void session_reply_done(struct fuse_req *request, enum code code, const struct failure *why, struct node_id node,
                        const char *name);

void session_reply_attributes(struct fuse_req *request, const struct node_attributes *attributes);

/* Answers with a node that the client may refer to from now on. */
void session_reply_entry(struct fuse_req *request, const struct node_attributes *attributes);

/* Answers that there is no such name, which the client may believe until it hears of one. */
void session_reply_missing(struct fuse_req *request);

/* Answers a READ-like request for a value of unknown size: size 0 asks for the length alone. */
void session_reply_sized(struct fuse_req *request, const struct buffer *value, size_t size);

#endif
