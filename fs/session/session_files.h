/* Operations on open files: create, open, read, write, flush, fsync, release, allocate, poll. */
#ifndef CYTOFS_SESSION_FILES_H
#define CYTOFS_SESSION_FILES_H

struct fuse_lowlevel_ops;

void session_files_fill(struct fuse_lowlevel_ops *operations);

#endif
