/* Listings: the names of a folder at the moment when it was opened, in bytewise order; attributes are those of the moment
 * when an entry is asked for.  Stored names first come from the catalog, then those that rules make; a name that both have
 * is the stored one.
 */
#include "tree_authentic.h"
#include "tree_folder.h"

#include <stdlib.h>
#include <string.h>

#include "catalog_name.h"
#include "tree_derived.h"
#include "tree_entry.h"
#include "tree_names.h"
#include "tree_seal.h"
#include "tree_space.h"

#define ENTRIES_MAX ((size_t)16 << 20)

struct entry {
    char *name;
    uint64_t inode; /* 0: a rule makes it */
};

struct tree_folder {
    struct tree *tree;
    struct node_id id;
    struct entry *entries;
    size_t count, capacity;
    bool failed; /* memory ran out */
};

static bool add(struct tree_folder *folder, const char *name, uint64_t inode)
{
    if (folder->count == folder->capacity) {
        size_t capacity = folder->capacity ? folder->capacity * 2 : 32;
        struct entry *entries = capacity <= ENTRIES_MAX ? realloc(folder->entries, capacity * sizeof *entries) : NULL;
        if (!entries) {
            folder->failed = true;
            return false;
        }
        folder->entries = entries;
        folder->capacity = capacity;
    }
    char *copy = strdup(name);
    if (!copy) {
        folder->failed = true;
        return false;
    }
    folder->entries[folder->count++] = (struct entry){copy, inode};
    return true;
}

struct stored_listing {
    struct tree_folder *folder;
    const struct node *node;
    enum code code;
    struct failure *why;
};

static bool add_stored(void *context, const struct catalog_name *row, uint64_t inode)
{
    struct stored_listing *listing = context;
    char name[TREE_NAME_MAX + 1];
    listing->code = seal_open_name(listing->folder->tree, listing->node, row->bytes, row->count, name, listing->why);
    if (listing->code != CODE_OK)
        return false;
    return entry_is_hidden(listing->node, name) || add(listing->folder, name, inode);
}

static void add_derived(void *context, const char *name)
{
    struct tree_folder *folder = context;
    size_t length = strlen(name);
    if (length > 0 && length <= TREE_NAME_MAX && !strchr(name, '/'))
        add(folder, name, 0);
}

/* By name; of equal names the stored one comes first. */
static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : (a->inode == 0) - (b->inode == 0);
}

/* Derived ones first, by name: `rm -r` removes in the order of the listing, and a derived file is gone with the last of the
 * files that it is made from. */
static int compare_derived_first(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = (a->inode != 0) - (b->inode != 0);
    return order ? order : strcmp(a->name, b->name);
}

static void sort_out(struct tree_folder *folder)
{
    if (folder->count == 0)
        return;
    qsort(folder->entries, folder->count, sizeof *folder->entries, compare);
    size_t kept = 1;
    for (size_t i = 1; i < folder->count; i++) {
        if (strcmp(folder->entries[i].name, folder->entries[kept - 1].name) == 0)
            free(folder->entries[i].name);
        else
            folder->entries[kept++] = folder->entries[i];
    }
    folder->count = kept;
    qsort(folder->entries, folder->count, sizeof *folder->entries, compare_derived_first);
}

/* *path is for the rules, if there are any that see the folder (*ruled). */
static enum code list_stored(struct tree *tree, struct node_id id, struct tree_folder *folder, struct buffer *path,
                             bool *ruled, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *node;
    enum code code = names_folder(tree, id, &node, why);
    struct stored_listing listing = {folder, node, CODE_OK, why};
    struct space *space;
    if (code == CODE_OK)
        code = space_find(tree, node->row.space, &space, why); /* before the catalog's mutex is held by the listing */
    if (code == CODE_OK)
        code = authentic_check(tree, node, why);
    if (code == CODE_OK)
        code = catalog_name_list(tree->catalog, node->row.inode, add_stored, &listing, why);
    if (code == CODE_OK)
        code = listing.code;
    *ruled = tree->rule_count > 0;
    if (code == CODE_OK && *ruled)
        code = node_path(tree, node, path, why);
    if (code != CODE_NAME_TOO_LONG)
        return code;
    *ruled = false;
    return CODE_OK;
}

static enum code open_listing(struct tree *tree, struct node_id id, bool with_derived, struct tree_folder **out,
                              struct failure *why)
{
    struct tree_folder *folder = calloc(1, sizeof *folder);
    if (!folder)
        return failure_set(why, CODE_NO_MEMORY, "listing a folder: no memory");
    folder->tree = tree;
    folder->id = id;
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    bool ruled;
    enum code code = list_stored(tree, id, folder, &path, &ruled, why);
    if (code == CODE_OK && with_derived && ruled)
        derived_list(tree, buffer_text(&path), add_derived, folder);
    if (code == CODE_OK && folder->failed)
        code = failure_set(why, CODE_NO_MEMORY, "listing a folder: no memory for %zu names", folder->count);
    if (code != CODE_OK) {
        tree_close_folder(folder);
        return code;
    }
    sort_out(folder);
    *out = folder;
    return CODE_OK;
}

enum code tree_open_folder(struct tree *tree, struct node_id id, struct tree_folder **out, struct failure *why)
{
    return open_listing(tree, id, true, out, why);
}

enum code folder_open_stored(struct tree *tree, struct node_id id, struct tree_folder **out, struct failure *why)
{
    return open_listing(tree, id, false, out, why);
}

static bool describe(struct tree_folder *folder, const struct entry *entry, struct node_attributes *attributes)
{
    if (entry->inode)
        return tree_attributes(folder->tree, (struct node_id){entry->inode}, attributes, NULL) == CODE_OK;
    struct derived *derived;
    if (derived_find(folder->tree, folder->id, entry->name, &derived, NULL) != CODE_OK)
        return false;
    *attributes = derived_describe(folder->tree, derived);
    derived_unpin(folder->tree, derived);
    return true;
}

bool tree_folder_entry(struct tree_folder *folder, uint64_t cursor, const char **name, struct node_attributes *attributes)
{
    if (cursor >= folder->count)
        return false;
    struct entry *entry = &folder->entries[cursor];
    *name = entry->name;
    /* Gone since the folder was opened: still listed, as the kind of thing that is most often listed. */
    if (attributes && !describe(folder, entry, attributes))
        *attributes = (struct node_attributes){.id = {entry->inode}, .kind = NODE_FILE, .derived = !entry->inode};
    return true;
}

bool folder_stored_attributes(struct tree_folder *folder, uint64_t cursor, struct node_attributes *attributes)
{
    const struct entry *entry = &folder->entries[cursor];
    return entry->inode && tree_attributes(folder->tree, (struct node_id){entry->inode}, attributes, NULL) == CODE_OK;
}

void tree_close_folder(struct tree_folder *folder)
{
    if (!folder)
        return;
    for (size_t i = 0; i < folder->count; i++)
        free(folder->entries[i].name);
    free(folder->entries);
    free(folder);
}
