/* Quotas as files: lab/quotas/<member>, and lab/quotas/everyone for whoever has none of his own.
 *
 *   read     by the member himself, and by admins: what he may use, and of storage what he does
 *   written  by admins: words like "storage=100G jobs=4 gpus=1 cpus=none" (fs/tree/quota.h)
 */
#ifndef CYTOFS_PEOPLE_QUOTA_H
#define CYTOFS_PEOPLE_QUOTA_H

#include "buffer.h"
#include "failure.h"

struct tree;

/* Before the tree is served. */
MUST_CHECK enum code people_quota_add(struct tree *tree, struct failure *why);

/* What the file says, and what writing into it does.  CODE_NOT_FOUND where there is no such member. */
MUST_CHECK enum code people_quota_describe(struct tree *tree, const char *name, struct buffer *out, struct failure *why);
MUST_CHECK enum code people_quota_command(struct tree *tree, const char *name, const char *text, size_t count,
                                          struct failure *why);

#endif
