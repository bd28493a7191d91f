/* Operations on open folders: list, with or without attributes. */
#ifndef CYTOFS_SESSION_FOLDERS_H
#define CYTOFS_SESSION_FOLDERS_H

struct fuse_lowlevel_ops;

void session_folders_fill(struct fuse_lowlevel_ops *operations);

#endif
