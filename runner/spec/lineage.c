/* Reading lineage.yaml: see lineage.h.  One table says which entry goes where; everything in it must be there but for the
 * snapshot, which not every training has, and the views, which older ones do not tell. */
#include "lineage.h"

#include <stdio.h>
#include <string.h>

#include "spec_tree.h"
#include "spec_value.h"

#define LINEAGE_VERSION 1

enum kind { TEXT, OPTIONAL_TEXT, INTEGER, OPTIONAL_INTEGER, NUMBER };

static const struct {
    const char *section; /* NULL: at the top */
    const char *key;
    enum kind kind;
    size_t offset;
} entries[] = {
    {NULL, "model_sha256", TEXT, offsetof(struct lineage, model_sha256)},
    {NULL, "code_version", TEXT, offsetof(struct lineage, code_version)},
    {"dataset", "path", TEXT, offsetof(struct lineage, dataset)},
    {"dataset", "snapshot", OPTIONAL_TEXT, offsetof(struct lineage, snapshot)},
    {"dataset", "digest", TEXT, offsetof(struct lineage, dataset_digest)},
    {"training", "network", TEXT, offsetof(struct lineage, network)},
    {"training", "rays", INTEGER, offsetof(struct lineage, rays)},
    {"training", "views", OPTIONAL_INTEGER, offsetof(struct lineage, views)},
    {"training", "steps", INTEGER, offsetof(struct lineage, steps)},
    {"training", "batch", INTEGER, offsetof(struct lineage, batch)},
    {"training", "image_size", INTEGER, offsetof(struct lineage, image_size)},
    {"training", "scale", NUMBER, offsetof(struct lineage, scale)},
    {"training", "lr", NUMBER, offsetof(struct lineage, lr)},
    {"training", "weight_decay", NUMBER, offsetof(struct lineage, weight_decay)},
    {"training", "seed", INTEGER, offsetof(struct lineage, seed)},
    {"training", "validations", INTEGER, offsetof(struct lineage, validations)},
    {"training", "patience", INTEGER, offsetof(struct lineage, patience)},
    {"training", "precision", TEXT, offsetof(struct lineage, precision)},
    {"training", "device", TEXT, offsetof(struct lineage, device)},
    {"training", "device_description", TEXT, offsetof(struct lineage, device_description)},
    {"training", "threads", INTEGER, offsetof(struct lineage, threads)},
};

static bool take_text(const char *text, char *out)
{
    return snprintf(out, LINEAGE_TEXT_MAX, "%s", text) < LINEAGE_TEXT_MAX;
}

static enum code take_entry(const struct spec_node *root, size_t index, const char *name, struct lineage *out,
                            struct failure *why)
{
    const char *section = entries[index].section, *key = entries[index].key;
    const struct spec_node *map = section ? spec_tree_entry(root, section) : root;
    const struct spec_node *node = map && map->kind == SPEC_NODE_MAP ? spec_tree_entry(map, key) : NULL;
    void *to = (char *)out + entries[index].offset;
    bool good = node && node->kind == SPEC_NODE_TEXT;
    if (!node && (entries[index].kind == OPTIONAL_TEXT || entries[index].kind == OPTIONAL_INTEGER))
        return CODE_OK;
    if (good && (entries[index].kind == INTEGER || entries[index].kind == OPTIONAL_INTEGER))
        good = spec_value_integer(node->text, to);
    else if (good && entries[index].kind == NUMBER)
        good = spec_value_number(node->text, to);
    else if (good)
        good = (node->text[0] || entries[index].kind == OPTIONAL_TEXT) && take_text(node->text, to);
    if (good)
        return CODE_OK;
    return failure_set(why, CODE_INVALID, "%s: %s%s%s is %s: the training cannot be repeated from it", name,
                       section ? section : "", section ? "." : "", key, node ? "not understood" : "missing");
}

static enum code take_all(const struct spec_node *root, const char *name, struct lineage *out, struct failure *why)
{
    const struct spec_node *version = root && root->kind == SPEC_NODE_MAP ? spec_tree_entry(root, "lineage") : NULL;
    int64_t number;
    if (!version || version->kind != SPEC_NODE_TEXT || !spec_value_integer(version->text, &number))
        return failure_set(why, CODE_INVALID, "%s: is no lineage of a model", name);
    if (number > LINEAGE_VERSION)
        return failure_set(why, CODE_NEWER_FORMAT, "%s: was written by a newer version of cytofs: update", name);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        enum code code = take_entry(root, i, name, out, why);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

enum code lineage_parse(const char *text, size_t count, const char *name, struct lineage *out, struct failure *why)
{
    static _Thread_local struct spec_findings findings; /* large */
    struct spec_tree *tree;
    memset(out, 0, sizeof *out);
    out->views = 1;
    memset(&findings, 0, sizeof findings);
    enum code code = spec_tree_read(text, count, &tree, &findings, why);
    if (code != CODE_OK)
        return code;
    if (!spec_tree_complete(tree))
        code = failure_set(why, CODE_INVALID, "%s: is not YAML as the trainer writes it", name);
    else
        code = take_all(spec_tree_root(tree), name, out, why);
    spec_tree_destroy(tree);
    return code;
}
