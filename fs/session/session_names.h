/* Operations on names and attributes: lookup, attributes, make, remove, rename, links. */
#ifndef CYTOFS_SESSION_NAMES_H
#define CYTOFS_SESSION_NAMES_H

struct fuse_lowlevel_ops;

void session_names_fill(struct fuse_lowlevel_ops *operations);

#endif
