/* The lab's audit log: who read, wrote, made, removed, shared and deployed what, came and went, and was refused, over the
 * network; and who changed who belongs to the lab or reads what, from anywhere.  Append-only, sealed, each line bound to the
 * one before.
 *
 * A workstation keeps what it has read: a read is logged when contents leave the server, not each time they are looked at.
 */
#ifndef CYTOFS_AUDIT_H
#define CYTOFS_AUDIT_H

#include "audit_log.h"

struct audit;
struct mirror_set;
struct tree;

/* Opens (or begins) the log in the folder and has the tree tell it what happens, until audit_close, which comes before
 * tree_close.  The tree can be written to.  With `mirrors` (NULL: none) it is kept in the same folder of each current side,
 * too, as they come and go; `folder` is the leader's. */
MUST_CHECK enum code audit_open(struct tree *tree, const char *folder, struct mirror_set *mirrors, struct audit **out,
                                struct failure *why);
void audit_close(struct audit *audit);

/* Returns when all that has happened is in the log. */
void audit_flush(struct audit *audit);

/* A number that is another when the log is another. */
uint64_t audit_version(struct audit *audit);

/* Where it is read: a folder that it is written to now.  Valid until it is closed. */
const char *audit_folder(struct audit *audit);

/* The newest lines, up to `count` of them, oldest first. */
MUST_CHECK enum code audit_show(struct tree *tree, const char *folder, uint64_t count, struct buffer *out,
                                struct failure *why);

/* Looks at every line.  *lines: how many there are.  CODE_CORRUPT says what is wrong; CODE_NO_DATA: the lab has none. */
MUST_CHECK enum code audit_verify(struct tree *tree, const char *folder, uint64_t *lines, struct failure *why);

#endif
