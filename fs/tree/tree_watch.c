/* Calling the WATCH rules: see tree_watch.h.  The first rule that refuses decides; the others are not asked.
 *
 * What a rule does is the server's doing: observers hear of it also where the client that gave rise to it is theirs. */
#include "tree_watch.h"

#include "tree_node.h"

static const struct rule *next_match(const struct tree *tree, const char *path, size_t *position)
{
    while (*position < tree->rule_count) {
        const struct rule *rule = &tree->rules[(*position)++];
        if (rule->kind == RULE_WATCH && rule_matches(rule->pattern, path))
            return rule;
    }
    return NULL;
}

bool watch_follows(const struct tree *tree, const char *path)
{
    size_t position = 0;
    return next_match(tree, path, &position) != NULL;
}

bool watch_append_only(const struct tree *tree, const char *path)
{
    const struct rule *rule;
    for (size_t position = 0; (rule = next_match(tree, path, &position));)
        if (rule->append_only)
            return true;
    return false;
}

enum code watch_admit(const struct tree *tree, const char *path, const char *target, struct failure *why)
{
    const struct rule *rule;
    for (size_t position = 0; (rule = next_match(tree, path, &position));) {
        const struct tree_observer *caller = tree_observe_as(NULL);
        enum code code = rule->admit ? rule->admit(rule->context, path, target, why) : CODE_OK;
        tree_observe_as(caller);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

enum code watch_check(const struct tree *tree, const char *path, struct failure *why)
{
    const struct rule *rule;
    for (size_t position = 0; (rule = next_match(tree, path, &position));) {
        const struct tree_observer *caller = tree_observe_as(NULL);
        enum code code = rule->check ? rule->check(rule->context, path, why) : CODE_OK;
        tree_observe_as(caller);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

void watch_settled(const struct tree *tree, const char *path)
{
    const struct tree_observer *caller = tree_observe_as(NULL);
    const struct rule *rule;
    for (size_t position = 0; (rule = next_match(tree, path, &position));)
        if (rule->settled)
            rule->settled(rule->context, path);
    tree_observe_as(caller);
}

void watch_removed(const struct tree *tree, const char *path)
{
    const struct tree_observer *caller = tree_observe_as(NULL);
    const struct rule *rule;
    for (size_t position = 0; (rule = next_match(tree, path, &position));)
        if (rule->removed)
            rule->removed(rule->context, path);
    tree_observe_as(caller);
}

void watch_released(const struct tree *tree, const char *path)
{
    const struct tree_observer *caller = tree_observe_as(NULL);
    const struct rule *rule;
    for (size_t position = 0; (rule = next_match(tree, path, &position));)
        if (rule->released)
            rule->released(rule->context, path);
    tree_observe_as(caller);
}

bool watch_path_in(struct tree *tree, struct node_id folder, const char *name, struct buffer *path)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node;
    const char *above;
    buffer_clear(path);
    if (tree_is_derived(folder) || node_get(tree, folder.value, &node, NULL) != CODE_OK ||
        node->row.kind != CATALOG_INODE_FOLDER || node_folder_path(tree, node, &above, NULL) != CODE_OK)
        return false;
    buffer_printf(path, "%s%s%s", above, *above ? "/" : "", name);
    return !path->failed;
}
