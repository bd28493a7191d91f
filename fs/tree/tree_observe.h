/* Who is told what changed in the tree: sessions, so that their clients drop what they have cached of it.
 *
 * An observer is told of every change that lasts, in the order in which the changes happened, before the operation that made
 * them returns: contents and attributes of stored nodes, names in folders.  Not of derived files, whose attributes and
 * contents nobody may keep, nor of names that rules make (tree_makes_names).  Who did it is left out: what a thread does
 * counts as its observer's (tree_observe_as) but for what rules do on the occasion, of which that client knows nothing.
 */
#ifndef CYTOFS_TREE_OBSERVE_H
#define CYTOFS_TREE_OBSERVE_H

#include "tree.h"

enum tree_event_kind {
    EVENT_ATTRIBUTES, /* of a node */
    EVENT_CONTENTS,   /* of a node, and attributes */
    EVENT_NAME,       /* a name in a folder means something else than before; also the folder's attributes */
    EVENT_REMOVED,    /* a name in a folder is gone; also the folder's attributes */
    EVENT_EVERYTHING  /* whatever anybody knows: who may see what has changed */
};

struct tree_event {
    enum tree_event_kind kind;
    struct node_id node;  /* NAME, REMOVED: the folder; EVERYTHING: none */
    uint64_t from;        /* CONTENTS: bytes before this are as they were */
    struct node_id child; /* REMOVED: what had the name */
    const char *name;     /* NAME, REMOVED; valid during the call */
};

struct tree_observer {
    /* Called with the tree's lock, from any thread: may take a lock of its own to note the event down, and do nothing else.
     */
    void (*told)(void *context, const struct tree_event *event);
    void *context;
    struct tree_observer *next; /* the tree's */
};

/* From now on; until now.  The observer is the caller's; nothing is told any more when tree_observe_end returns. */
void tree_observe(struct tree *tree, struct tree_observer *observer);
void tree_observe_end(struct tree *tree, struct tree_observer *observer);

/* What this thread does from now on is this observer's doing; NULL: nobody's.  Whose it was before. */
const struct tree_observer *tree_observe_as(const struct tree_observer *observer);

/* For who has changed what members may see. */
void tree_tell_everything(struct tree *tree);

/* Whether rules make names in this folder, of which no observer hears: then neither its listing nor that a name is missing
 * may be kept.  True for what is no folder. */
bool tree_makes_names(struct tree *tree, struct node_id folder);

#endif
