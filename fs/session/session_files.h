/* Operations on open files: create, open, read, write, flush, fsync, release, allocate, poll. */
#ifndef CYTOFS_SESSION_FILES_H
#define CYTOFS_SESSION_FILES_H

#include <sys/types.h>

#include "failure.h"

struct fuse_file_info;
struct fuse_lowlevel_ops;
struct node_id;
struct session;

void session_files_fill(struct fuse_lowlevel_ops *operations);

/* Opens a file as open(2) with info->flags would, also one without a name; info->fh and what the client may cache are filled
 * in. */
MUST_CHECK enum code session_files_reopen(struct session *session, struct node_id node, uid_t caller,
                                          struct fuse_file_info *info, struct failure *why);

#endif
