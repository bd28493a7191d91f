/* Passing on what happens: see tree_audit.h. */
#include "tree_audit.h"

#include "tree_derived.h"
#include "tree_internal.h"
#include "tree_path.h"

void tree_audit_set(struct tree *tree, tree_audit_sink *sink, void *context)
{
    tree->audit_context = context;
    tree->audit_sink = sink;
}

bool tree_audit_listens(const struct tree *tree)
{
    return tree->audit_sink != NULL;
}

void tree_audit(struct tree *tree, enum audit_verb verb, const char *path, const char *detail)
{
    if (tree->audit_sink)
        tree->audit_sink(tree->audit_context, verb, path, detail);
}

/* A derived file is named without being made. */
static enum code path_of(struct tree *tree, struct node_id node, struct buffer *out)
{
    char name[TREE_NAME_MAX + 1];
    uint64_t folder;
    if (!tree_is_derived(node))
        return tree_node_path(tree, node, out, NULL);
    enum code code = derived_folder(tree, node, &folder, name, NULL);
    if (code == CODE_OK)
        code = tree_node_path(tree, (struct node_id){folder}, out, NULL);
    buffer_printf(out, "%s%s", out->length ? "/" : "", code == CODE_OK ? name : "");
    return code;
}

void tree_audit_node(struct tree *tree, enum audit_verb verb, struct node_id node, const char *name, const char *detail)
{
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    if (!tree->audit_sink)
        return;
    if (path_of(tree, node, &path) != CODE_OK) {
        buffer_clear(&path);
        buffer_printf(&path, "node %llu", (unsigned long long)node.value); /* it has lost its name */
    }
    if (name)
        buffer_printf(&path, "%s%s", path.length ? "/" : "", name);
    tree->audit_sink(tree->audit_context, verb, buffer_text(&path), detail);
}
