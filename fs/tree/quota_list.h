/* The quotas of a lab's members as text (FORMAT.md).  Pure. */
#ifndef CYTOFS_QUOTA_LIST_H
#define CYTOFS_QUOTA_LIST_H

#include "member_card.h"
#include "quota.h"

#define QUOTA_LIST_MAX 512

struct quota_list {
    struct quota_entry {
        char name[MEMBER_NAME_MAX + 1]; /* of a member, or QUOTA_EVERYONE */
        struct quota quota;
    } entries[QUOTA_LIST_MAX];
    size_t count;
};

/* CODE_CORRUPT; CODE_NEWER_FORMAT. */
MUST_CHECK enum code quota_list_parse(const char *text, size_t count, struct quota_list *out, struct failure *why);
void quota_list_print(const struct quota_list *list, struct buffer *out);

/* What is said of that name alone; quota_unset where nothing is. */
struct quota quota_list_get(const struct quota_list *list, const char *name);

/* Says it; one that says nothing is taken out.  CODE_TOO_LARGE where there are QUOTA_LIST_MAX others. */
MUST_CHECK enum code quota_list_put(struct quota_list *list, const char *name, const struct quota *quota,
                                    struct failure *why);

#endif
