/* Spaces by name: see tree_space_name.h. */
#include "tree_space_name.h"

#include <stdio.h>
#include <string.h>

#include "catalog_name.h"
#include "tree_entry.h"
#include "tree_node.h"
#include "tree_seal.h"
#include "tree_space.h"

#define HOME_PREFIX "home-"

static enum code find_in(struct tree *tree, uint64_t folder, const char *name, struct node **root, struct failure *why)
{
    struct node *above;
    enum code code = node_get(tree, folder, &above, why);
    if (code == CODE_OK)
        code = entry_find(tree, above, name, root, why);
    if (code == CODE_OK && !((*root)->row.flags & CATALOG_INODE_SPACE_ROOT))
        code = CODE_NOT_FOUND;
    return code == CODE_INVALID ? CODE_NOT_FOUND : code;
}

enum code space_name_find(struct tree *tree, const char *name, struct node **root, char path[SPACE_NAME_PATH_BYTES],
                          struct failure *why)
{
    static const struct {
        const char *prefix, *folder;
        uint64_t inode;
    } places[] = {{"datasets/", "datasets", INODE_DATASETS},
                  {"home/", "home", INODE_HOME},
                  {"", "datasets", INODE_DATASETS},
                  {HOME_PREFIX, "home", INODE_HOME}};
    enum code code = CODE_NOT_FOUND;
    for (size_t i = 0; code == CODE_NOT_FOUND && i < sizeof places / sizeof *places; i++) {
        size_t length = strlen(places[i].prefix);
        if (strncmp(name, places[i].prefix, length) != 0)
            continue;
        snprintf(path, SPACE_NAME_PATH_BYTES, "%s/%s", places[i].folder, name + length);
        code = find_in(tree, places[i].inode, name + length, root, why);
    }
    bool lab = strcmp(name, "lab") == 0, models = strcmp(name, "models") == 0;
    if (code == CODE_NOT_FOUND && (lab || models)) {
        strcpy(path, name);
        code = node_get(tree, lab ? INODE_ROOT : INODE_MODELS, root, why);
    }
    return code == CODE_NOT_FOUND ? failure_set(why, code, "there is no space \"%s\" (see: ls lab/spaces)", name) : code;
}

struct names {
    struct tree *tree;
    const struct node *folder;
    const char *prefix;
    struct buffer *text; /* names, each ended by a NUL */
};

static bool take_name(void *context, const struct catalog_name *row, uint64_t inode)
{
    struct names *names = context;
    char name[TREE_NAME_MAX + 1];
    (void)inode;
    if (seal_open_name(names->tree, names->folder, row->bytes, row->count, name, NULL) == CODE_OK)
        buffer_printf(names->text, "%s%s%c", names->prefix, name, 0);
    return true;
}

/* Appends the names of the spaces that have a folder in this one. */
static void take_names(struct tree *tree, uint64_t folder, const char *prefix, struct names *names)
{
    struct node *node;
    struct space *lab;
    if (node_get(tree, folder, &node, NULL) != CODE_OK || space_find(tree, SPACE_LAB, &lab, NULL) != CODE_OK)
        return;
    names->folder = node;
    names->prefix = prefix;
    (void)!catalog_name_list(tree->catalog, folder, take_name, names, NULL);
}

void space_name_list(struct tree *tree, struct buffer *out)
{
    struct names names = {.tree = tree, .text = out};
    take_names(tree, INODE_DATASETS, "", &names);
    take_names(tree, INODE_HOME, HOME_PREFIX, &names);
}
