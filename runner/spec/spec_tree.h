/* A YAML text as a small tree in which every key and value knows its place.  The only door to libfyaml.
 *
 * What a spec may not hold at all is found here: broken syntax, anchors, aliases, tags, a second document,
 * keys given twice, too many values, too deep a nesting.
 */
#ifndef CYTOFS_SPEC_TREE_H
#define CYTOFS_SPEC_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "spec.h"

#define SPEC_TREE_NODES_MAX 2000
#define SPEC_TREE_DEPTH_MAX 16

enum spec_node_kind { SPEC_NODE_TEXT, SPEC_NODE_MAP, SPEC_NODE_LIST };

struct spec_node {
    enum spec_node_kind kind;
    bool plain;       /* a text without quotes and not in a block: may be a number, a size ... */
    bool refused;     /* a finding about it exists already: look no further */
    int line, column; /* of the value, 1-based, in characters */
    const char *text; /* SPEC_NODE_TEXT: never NULL, "" where nothing was written */
    const char *key;  /* in a map: its key; else NULL */
    int key_line, key_column;
    struct spec_node *first, *last; /* SPEC_NODE_MAP, SPEC_NODE_LIST: what it holds, in order */
    struct spec_node *next;
};

struct spec_tree;

/* Reads the text and adds what is wrong with it to *findings.  *out is NULL only with CODE_NO_MEMORY; after a
 * finding that stops the reading, spec_tree_complete is false and the tree holds what came before. */
MUST_CHECK enum code spec_tree_read(const char *text, size_t count, struct spec_tree **out, struct spec_findings *findings,
                                    struct failure *why);
void spec_tree_destroy(struct spec_tree *tree);

/* NULL where the text holds no value. */
const struct spec_node *spec_tree_root(const struct spec_tree *tree);
bool spec_tree_complete(const struct spec_tree *tree);

/* The entry of a map with this key, or NULL. */
const struct spec_node *spec_tree_entry(const struct spec_node *map, const char *key);

#endif
