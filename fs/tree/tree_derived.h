/* Files that rules make (DERIVED, STREAM, CONTROL).  All WITHOUT the tree's lock, which they take as needed.
 *
 * An entry stands for one such file while somebody looks at it; its id is the same each time.
 */
#ifndef CYTOFS_TREE_DERIVED_H
#define CYTOFS_TREE_DERIVED_H

#include "tree_internal.h"

/* Contents as they were rendered; immutable, shared by readers. */
struct rendering {
    uint64_t references; /* guarded by the tree's lock */
    size_t size;
    char bytes[];
};

struct derived {
    uint64_t id;     /* with TREE_DERIVED_BIT */
    uint64_t folder; /* inode */
    char *name;
    const struct rule *rule;
    int64_t viewer; /* of a personal one: viewer_owner of whose it is; else, and for the store's opener, TREE_MOUNTER */
    struct derived *hash_next, *id_next, *previous, *next;

    uint64_t lookups;        /* references of clients */
    uint64_t unborn;         /* handles of those who are making it: it exists for them, empty, before its rule says so */
    uint64_t pins;           /* calls and open files that use the entry right now */
    struct rendering *shown; /* NULL: not rendered, or dropped to save memory */
    uint64_t version;        /* of the stamp that `shown` was made at */
    uint64_t stream_size;    /* of a stream: as its rule said last */
    int64_t modify_ns;
};

/* The file of that name in the folder, rendered and pinned.  CODE_NOT_FOUND where no rule makes one now. */
MUST_CHECK enum code derived_find(struct tree *tree, struct node_id folder, const char *name, struct derived **out,
                                  struct failure *why);

/* A control file that does not exist and may be made by writing to it (rule.creatable), pinned and unborn until
 * derived_end_birth.  CODE_NOT_FOUND where no rule has such files. */
MUST_CHECK enum code derived_make(struct tree *tree, struct node_id folder, const char *name, struct derived **out,
                                  struct failure *why);
void derived_end_birth(struct tree *tree, struct derived *entry);

/* The entry of an id, pinned, rendered anew if it may have changed. */
MUST_CHECK enum code derived_get(struct tree *tree, struct node_id id, struct derived **out, struct failure *why);
void derived_unpin(struct tree *tree, struct derived *entry);

/* Of an entry pinned by the caller. */
struct node_attributes derived_describe(struct tree *tree, const struct derived *entry);
MUST_CHECK enum code derived_path(struct tree *tree, const struct derived *entry, struct buffer *path, struct failure *why);

/* Where the entry of an id lies, and what it is called; room for TREE_NAME_MAX + 1.  CODE_NOT_FOUND. */
MUST_CHECK enum code derived_folder(struct tree *tree, struct node_id id, uint64_t *folder, char *name, struct failure *why);

/* The contents now; give back with derived_release.  NULL for a stream. */
struct rendering *derived_acquire(struct tree *tree, struct derived *entry);
void derived_release(struct tree *tree, struct rendering *rendering);

/* Client references. */
void derived_remember(struct tree *tree, struct node_id id);
void derived_forget(struct tree *tree, struct node_id id, uint64_t count);

/* Reports the names that rules make in the folder.  Names may come twice. */
void derived_list(struct tree *tree, const char *folder_path, rule_emit *emit, void *context);

void derived_free_all(struct tree *tree);

#endif
