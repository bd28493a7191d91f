/* Records: see tree_record.h. */
#include "tree_record.h"

#include "secret.h"
#include "tree_commit.h"
#include "tree_operation.h"
#include "tree_path.h"
#include "tree_xattr.h"

enum code record_get(struct tree *tree, const struct record_place *place, struct buffer *out, struct failure *why)
{
    struct node_attributes folder;
    enum code code = tree_path_attributes(tree, place->folder, &folder, why);
    if (code != CODE_OK)
        return code;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return xattr_read(tree, folder.id, place->name, out, why);
}

static enum code put(struct tree *tree, struct node_id folder, const char *name, const struct buffer *value,
                     struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    enum code code = operation_begin(tree, why);
    return code == CODE_OK ? operation_end(tree, xattr_write(tree, folder, name, value, why), why) : code;
}

enum code record_put(struct tree *tree, const struct record_place *place, const void *bytes, size_t count,
                     struct failure *why)
{
    SCOPE_BUFFER value = {.max = RECORD_BYTES_MAX};
    struct node_attributes folder;
    buffer_append(&value, bytes, count);
    enum code code = buffer_check(&value, "a record of the lab", why);
    if (code == CODE_OK)
        code = tree_path_attributes(tree, place->folder, &folder, why);
    if (code == CODE_OK)
        code = put(tree, folder.id, place->name, &value, why);
    if (value.data)
        secret_wipe(value.data, value.length);
    return code == CODE_OK ? commit_wait(tree, why) : code;
}
