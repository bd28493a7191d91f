/* The files below one folder of a run, as keys: "val/ap50" for metrics/val/ap50. */
#ifndef CYTOFS_KEY_LIST_H
#define CYTOFS_KEY_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

struct tree;

struct key_list {
    char **keys; /* sorted bytewise; owned */
    size_t count, capacity;
    bool cut; /* more than was asked for, or deeper */
};

/* Lists files below `folder` (a path from the root), up to keys_max keys of up to depth_max components.  A folder that is
 * missing has none.  Names beginning with '.' are passed over: they are being put together. */
MUST_CHECK enum code key_list_read(struct tree *tree, const char *folder, size_t keys_max, int depth_max,
                                   struct key_list *out, struct failure *why);
void key_list_free(struct key_list *list);

#endif
