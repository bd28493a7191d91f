/* Operations on extended attributes. */
#ifndef CYTOFS_SESSION_XATTRS_H
#define CYTOFS_SESSION_XATTRS_H

struct fuse_lowlevel_ops;

void session_xattrs_fill(struct fuse_lowlevel_ops *operations);

#endif
