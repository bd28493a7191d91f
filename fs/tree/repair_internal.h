/* What the repair's own files share. */
#ifndef CYTOFS_REPAIR_INTERNAL_H
#define CYTOFS_REPAIR_INTERNAL_H

#include "catalog_name.h"
#include "repair.h"
#include "tree_node.h"

#define REPAIR_ROWS_AT_ONCE 256

/* An inode, while the repair goes on. */
struct repair_node {
    uint64_t inode, parent;  /* parent: a folder that names it; 0: none */
    uint32_t links, counted; /* as the row says, and as there are names */
    uint32_t flags;
    enum catalog_inode_kind kind;
    uint8_t mark; /* of the search for circles */
    bool touched; /* the row, or what hangs on it, has changed: it is to be proven anew */
};

struct repair {
    struct tree *tree;
    const struct repair_options *options;
    struct repair_summary *summary;
    struct buffer *report;
    uint64_t told;
    struct repair_node *nodes; /* ascending by inode */
    size_t count, capacity;
    uint64_t lost_found; /* the folder; 0: not looked for yet */
    struct failure *why;
};

/* One line of the report. */
void repair_tell(struct repair *repair, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct repair_node *repair_find(struct repair *repair, uint64_t inode);
MUST_CHECK enum code repair_enter(struct repair *repair, const struct catalog_inode *row);

/* The row of an inode as a node that is nowhere else, for opening and sealing what hangs on it. */
MUST_CHECK enum code repair_node_of(struct repair *repair, uint64_t inode, struct node *out);

/* A row, and the memory of it, changed. */
MUST_CHECK enum code repair_put(struct repair *repair, const struct catalog_inode *row);

/* The steps. */
MUST_CHECK enum code repair_names(struct repair *repair);    /* names, links, what hangs nowhere, circles */
MUST_CHECK enum code repair_contents(struct repair *repair); /* targets and chunks */

#endif
