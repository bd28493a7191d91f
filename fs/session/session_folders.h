/* Operations on open folders: list, with or without attributes. */
#ifndef CYTOFS_SESSION_FOLDERS_H
#define CYTOFS_SESSION_FOLDERS_H

#include "failure.h"

struct fuse_file_info;
struct fuse_lowlevel_ops;
struct node_id;
struct session;

void session_folders_fill(struct fuse_lowlevel_ops *operations);

/* Opens a folder; info->fh and what the client may cache are filled in. */
MUST_CHECK enum code session_folders_open(struct session *session, struct node_id node, struct fuse_file_info *info,
                                          struct failure *why);

#endif
