/* Observers: see tree_observe.h and tree_tell.h.
 *
 * Events of an operation (tree_operation.h) wait in tree->telling until it is kept, since an operation that fails leaves no
 * trace; there is one at a time, so one such list suffices.  An operation that changes more names than the list holds counts
 * as a change of everything.  Where nobody observes, or only whoever does it, nothing is noted at all.
 */
#include "tree_observe.h"

#include <string.h>

#include "tree_entry.h"
#include "tree_tell.h"

static _Thread_local const struct tree_observer *acting;

const struct tree_observer *tree_observe_as(const struct tree_observer *observer)
{
    const struct tree_observer *before = acting;
    acting = observer;
    return before;
}

void tree_observe(struct tree *tree, struct tree_observer *observer)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    observer->next = tree->observers;
    tree->observers = observer;
}

void tree_observe_end(struct tree *tree, struct tree_observer *observer)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    for (struct tree_observer **link = &tree->observers; *link; link = &(*link)->next)
        if (*link == observer) {
            *link = observer->next;
            return;
        }
}

/* Whether anybody wants to hear of what this thread does. */
static bool is_observed(const struct tree *tree)
{
    return tree->observers && (tree->observers != acting || tree->observers->next);
}

static void tell(const struct tree *tree, const struct tree_event *event)
{
    for (struct tree_observer *observer = tree->observers; observer; observer = observer->next)
        if (observer != acting || event->kind == EVENT_EVERYTHING)
            observer->told(observer->context, event);
}

static void tell_or_wait(struct tree *tree, const struct tree_event *event)
{
    if (!tree->undo.active) {
        tell(tree, event);
        return;
    }
    if (tree->telling.count == TREE_EVENTS_MAX) {
        tree->telling.lost = true;
        return;
    }
    struct waiting_event *waiting = &tree->telling.events[tree->telling.count++];
    waiting->event = *event;
    if (event->name) {
        strncpy(waiting->name, event->name, sizeof waiting->name - 1);
        waiting->event.name = waiting->name;
    }
}

void tell_attributes(struct tree *tree, const struct node *node)
{
    if (is_observed(tree))
        tell_or_wait(tree, &(struct tree_event){.kind = EVENT_ATTRIBUTES, .node = {node->row.inode}});
}

void tell_contents(struct tree *tree, const struct node *node, uint64_t from)
{
    if (is_observed(tree))
        tell_or_wait(tree, &(struct tree_event){.kind = EVENT_CONTENTS, .node = {node->row.inode}, .from = from});
}

void tell_name(struct tree *tree, const struct node *folder, const char *name)
{
    if (is_observed(tree) && !entry_is_hidden(folder, name))
        tell_or_wait(tree, &(struct tree_event){.kind = EVENT_NAME, .node = {folder->row.inode}, .name = name});
}

void tell_removed(struct tree *tree, const struct node *folder, const char *name, const struct node *child)
{
    if (is_observed(tree) && !entry_is_hidden(folder, name))
        tell_or_wait(tree,
                     &(struct tree_event){
                         .kind = EVENT_REMOVED, .node = {folder->row.inode}, .child = {child->row.inode}, .name = name});
}

void tell_everything(struct tree *tree)
{
    tell(tree, &(struct tree_event){.kind = EVENT_EVERYTHING});
}

void tree_tell_everything(struct tree *tree)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    tell_everything(tree);
}

void tell_operation_end(struct tree *tree, bool kept)
{
    for (size_t i = 0; kept && i < tree->telling.count; i++)
        tell(tree, &tree->telling.events[i].event);
    if (kept && tree->telling.lost)
        tell_everything(tree);
    tree->telling.count = 0;
    tree->telling.lost = false;
}

/* Whether names that match the pattern's last component lie in the folder. */
static bool lies_in(const char *pattern, const char *folder)
{
    char above[TREE_PATH_MAX + 1];
    const char *last = strrchr(pattern, '/');
    size_t length = last ? (size_t)(last - pattern) : 0;
    if (length >= sizeof above)
        return false;
    memcpy(above, pattern, length);
    above[length] = 0;
    return length == 0 ? *folder == 0 : rule_matches(above, folder);
}

bool tree_makes_names(struct tree *tree, struct node_id folder)
{
    if (tree_is_derived(folder))
        return true;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node;
    const char *path;
    if (node_get(tree, folder.value, &node, NULL) != CODE_OK || node->row.kind != CATALOG_INODE_FOLDER ||
        node->row.flags & CATALOG_INODE_SNAPSHOTS) /* has names that are not listed (tree_alias.h) */
        return true;
    if (node_folder_path(tree, node, &path, NULL) != CODE_OK)
        return tree->rule_count > 0;
    for (size_t i = 0; i < tree->rule_count; i++)
        if (tree->rules[i].kind != RULE_WATCH && lies_in(tree->rules[i].pattern, path))
            return true;
    return false;
}
