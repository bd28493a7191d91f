/* The tree by path, for code in the file server itself (rules, the scheduler, import): the few things that it does, each
 * one call.  Paths are relative to the root, without a leading '/'; symbolic links are followed in the last component
 * only by tree_path_read and tree_path_attributes, and a member's only to what that member may read (tree_maker.h):
 * else CODE_DENIED.  Derived files can be read like any other.
 */
#ifndef CYTOFS_TREE_PATH_H
#define CYTOFS_TREE_PATH_H

#include "tree.h"

MUST_CHECK enum code tree_path_attributes(struct tree *tree, const char *path, struct node_attributes *out,
                                          struct failure *why);
/* Who made what lies there, itself (node_attributes.owner). */
MUST_CHECK enum code tree_path_maker(struct tree *tree, const char *path, int64_t *owner, struct failure *why);

/* Whether a symbolic link may be followed by a program that runs for many members: it leads to something in the lab that who
 * made it may read.  Else CODE_DENIED. */
MUST_CHECK enum code tree_check_link(struct tree *tree, struct node_id link, struct failure *why);

bool tree_path_exists(struct tree *tree, const char *path);

/* Appends the file's contents to *out; more than max bytes is CODE_TOO_LARGE.  Reading triggers no rules: it is not the
 * opening and releasing that `released` speaks of. */
MUST_CHECK enum code tree_path_read(struct tree *tree, const char *path, size_t max, struct buffer *out,
                                    struct failure *why);

/* The last up to `count` bytes of the file, to *out. */
MUST_CHECK enum code tree_path_read_tail(struct tree *tree, const char *path, size_t count, struct buffer *out,
                                         struct failure *why);

/* Makes the file with these contents, or replaces it atomically.  Does not trigger rules. */
MUST_CHECK enum code tree_path_write(struct tree *tree, const char *path, uint32_t mode, const void *bytes, size_t count,
                                     struct failure *why);

/* Appends, making the file (0644) where it is missing.  Does not trigger rules. */
MUST_CHECK enum code tree_path_append(struct tree *tree, const char *path, const void *bytes, size_t count,
                                      struct failure *why);

/* mkdir -p. */
MUST_CHECK enum code tree_path_make_folders(struct tree *tree, const char *path, struct failure *why);

/* Makes the symbolic link, or replaces what is there atomically. */
MUST_CHECK enum code tree_path_link(struct tree *tree, const char *path, const char *target, struct failure *why);
MUST_CHECK enum code tree_path_read_link(struct tree *tree, const char *path, struct buffer *target, struct failure *why);

/* Unlinks a file, link, or an empty folder.  Does not trigger rules.  A missing path is fine. */
MUST_CHECK enum code tree_path_remove(struct tree *tree, const char *path, struct failure *why);

/* Calls `each` for every stored entry of the folder in name order; a false return stops. */
typedef bool tree_path_visit(void *context, const char *name, const struct node_attributes *attributes);
MUST_CHECK enum code tree_path_list(struct tree *tree, const char *folder, tree_path_visit *each, void *context,
                                    struct failure *why);

/* Counts up whenever a stored node at or below path changes (contents, names, attributes); *modify_ns is when that last
 * was, and survives a remount.  A missing path gives 0, 0. */
void tree_path_stamp(struct tree *tree, const char *path, uint64_t *version, int64_t *modify_ns);

/* tree_snapshot of the folder at path. */
MUST_CHECK enum code tree_path_snapshot(struct tree *tree, const char *path, bool reuse, char label[TREE_NAME_MAX + 1],
                                        struct failure *why);

/* What lab/last-error shows: the newest failures of whoever asks (viewer.h), each with the path it was about.  Thread-safe.
 */
void tree_note_failure(struct tree *tree, const char *path, const struct failure *why);
void tree_recent_failures(struct tree *tree, struct buffer *out);

/* A number that is another when tree_recent_failures shows another text, and when that came to be. */
void tree_failures_stamp(struct tree *tree, uint64_t *version, int64_t *modify_ns);

/* The path of a node from the root (one of them, where it has several), to *out. */
MUST_CHECK enum code tree_node_path(struct tree *tree, struct node_id node, struct buffer *out, struct failure *why);

#endif
