/* The repair: see repair.h.
 *
 *     open        tree_open_options.repair has put rows right that made no sense (catalog_repair.h), in a transaction that
 * is not committed vouch       rows that are not as they were written last are found; without `accept` that is the end names
 * names that lead nowhere go, links are counted, what hangs nowhere is put into lab/lost+found contents    symbolic links
 * without a target go; chunks beyond a file's end are cut; chunks whose bytes are gone are noted prove       what changed,
 * or was accepted, gets sums and proofs check       the whole store is checked once more; then everything is committed, or
 * nothing
 *
 * All of it works on rows, beside the tree's nodes: a damaged row must not be believed by accident.  The tree was opened for
 * reading, so no committer runs.  A transaction that is not committed is forgotten with the tree. */
#include "repair.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog_chunk.h"
#include "catalog_repair.h"
#include "check.h"
#include "chunk_store.h"
#include "repair_internal.h"
#include "tree_authentic.h"
#include "tree_piece.h"
#include "tree_space.h"
#include "tree_space_sum.h"

void repair_tell(struct repair *repair, const char *format, ...)
{
    if (repair->told++ >= CHECK_PROBLEMS_TOLD)
        return;
    char text[FAILURE_TEXT_MAX + 200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_printf(repair->report, "%s\n", text);
}

struct repair_node *repair_find(struct repair *repair, uint64_t inode)
{
    size_t low = 0, high = repair->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (repair->nodes[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return low < repair->count && repair->nodes[low].inode == inode ? &repair->nodes[low] : NULL;
}

enum code repair_enter(struct repair *repair, const struct catalog_inode *row)
{
    if (repair->count == repair->capacity) {
        size_t capacity = repair->capacity ? repair->capacity * 2 : 1024;
        struct repair_node *nodes = realloc(repair->nodes, capacity * sizeof *nodes);
        if (!nodes)
            return failure_set(repair->why, CODE_NO_MEMORY, "repairing: no memory for %zu files", capacity);
        repair->nodes = nodes;
        repair->capacity = capacity;
    }
    repair->nodes[repair->count++] =
        (struct repair_node){.inode = row->inode, .links = row->links, .flags = row->flags, .kind = row->kind};
    return CODE_OK;
}

enum code repair_node_of(struct repair *repair, uint64_t inode, struct node *out)
{
    *out = (struct node){.checked = true};
    return catalog_inode_get(repair->tree->catalog, inode, &out->row, repair->why);
}

enum code repair_put(struct repair *repair, const struct catalog_inode *row)
{
    struct repair_node *node = repair_find(repair, row->inode);
    enum code code = node ? CODE_OK : repair_enter(repair, row);
    if (code != CODE_OK)
        return code;
    node = repair_find(repair, row->inode);
    node->links = row->links;
    node->flags = row->flags;
    node->touched = true;
    return catalog_inode_put(repair->tree->catalog, row, repair->why);
}

/* Vouching ----------------------------------------------------------------------------------------------------------- */

/* What the row and all that hangs on it are held against is its proof.  Without the key nothing can be said. */
static enum code vouch(struct repair *repair, const struct catalog_inode *row)
{
    struct failure why;
    struct node node = {.row = *row};
    struct space *space;
    struct tree *tree = repair->tree;
    if (space_find(tree, row->space, &space, &why) == CODE_DENIED || tree->sums.unsealed)
        return CODE_OK;
    enum code code = authentic_check_row(tree, row, &why);
    if (code == CODE_OK)
        code = authentic_check(tree, &node, &why);
    if (code == CODE_OK)
        return CODE_OK;
    if (code != CODE_CORRUPT) {
        *repair->why = why;
        return code;
    }
    repair->summary->unproven++;
    repair_find(repair, row->inode)->touched = true;
    repair_tell(repair, "cannot be vouched for: %s", why.text);
    return CODE_OK;
}

static enum code load(struct repair *repair)
{
    SCOPE_FREE struct catalog_inode *rows = calloc(REPAIR_ROWS_AT_ONCE, sizeof *rows);
    if (!rows)
        return failure_set(repair->why, CODE_NO_MEMORY, "repairing: no memory");
    size_t count;
    uint64_t after = 0;
    do {
        enum code code = catalog_inode_walk(repair->tree->catalog, after, rows, REPAIR_ROWS_AT_ONCE, &count, repair->why);
        for (size_t i = 0; code == CODE_OK && i < count; i++) {
            after = rows[i].inode;
            code = repair_enter(repair, &rows[i]);
            if (code == CODE_OK && rows[i].links)
                code = vouch(repair, &rows[i]);
        }
        if (code != CODE_OK)
            return code;
    } while (count == REPAIR_ROWS_AT_ONCE);
    return CODE_OK;
}

/* Proving ------------------------------------------------------------------------------------------------------------ */

/* A row of a space that is not there takes that of the folder it lies in; what it held stays unreadable. */
static enum code find_space(struct repair *repair, struct catalog_inode *row)
{
    struct space *space;
    const struct repair_node *node = repair_find(repair, row->inode);
    struct catalog_inode parent;
    if (space_find(repair->tree, row->space, &space, NULL) != CODE_CORRUPT)
        return CODE_OK;
    row->space = SPACE_LAB;
    if (node->parent && catalog_inode_get(repair->tree->catalog, node->parent, &parent, NULL) == CODE_OK)
        row->space = parent.space;
    enum code code = space_find(repair->tree, row->space, &space, repair->why);
    row->generation = code == CODE_OK ? space->generation : 1;
    return code;
}

static enum code prove(struct repair *repair)
{
    for (size_t i = 0; i < repair->count; i++) {
        struct catalog_inode row;
        if (!repair->nodes[i].touched)
            continue;
        enum code code = catalog_inode_get(repair->tree->catalog, repair->nodes[i].inode, &row, repair->why);
        if (code == CODE_NOT_FOUND)
            continue; /* removed */
        if (code == CODE_OK)
            code = find_space(repair, &row);
        if (code == CODE_OK)
            code = authentic_prove(repair->tree, &row, repair->why);
        if (code == CODE_DENIED)
            code = CODE_OK; /* it is left to who has the key */
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

/* Numbers that were given out, counts of packs, and the sums of spaces follow from rows. */
static enum code count_anew(struct repair *repair)
{
    struct tree *tree = repair->tree;
    uint64_t changed;
    enum code code = catalog_set_number(tree->catalog, CATALOG_NEXT_INODE, tree->next_inode, repair->why);
    if (code == CODE_OK)
        code = catalog_repair_rows(tree->catalog, &changed, repair->why);
    if (code == CODE_OK)
        code = catalog_get_number(tree->catalog, CATALOG_LAST_STAMP, &tree->last_stamp, repair->why);
    if (code != CODE_OK || tree->sums.unsealed)
        return code;
    space_sum_free(tree);
    tree->sums.wrong = (struct failure){0};
    code = space_sum_open(tree, true, repair->why);
    if (code == CODE_OK)
        code = space_sum_seal(tree, repair->why);
    tree->sums.wrong = (struct failure){0};
    return code;
}

/* The whole ---------------------------------------------------------------------------------------------------------- */

static enum code repair_all(struct repair *repair)
{
    enum code code = repair_names(repair);
    if (code == CODE_OK)
        code = repair_contents(repair);
    if (code == CODE_OK)
        code = prove(repair);
    return code == CODE_OK ? count_anew(repair) : code;
}

static enum code count_problems(struct repair *repair, bool contents, uint64_t *problems)
{
    SCOPE_BUFFER report = {0};
    struct check_summary summary;
    const struct check_options options = {
        .contents = contents, .progress = repair->options->progress, .progress_context = repair->options->context};
    enum code code = check_run(repair->tree, &options, &report, &summary, repair->why);
    *problems = summary.problems;
    for (char *line = report.data; code == CODE_OK && line && *line; line = strchr(line, '\n') + 1)
        repair_tell(repair, "still: %.*s", (int)strcspn(line, "\n"), line);
    return code;
}

static enum code commit(struct repair *repair)
{
    bool lost;
    struct tree *tree = repair->tree;
    enum code code = chunk_store_sync(tree->chunks, repair->why);
    if (code == CODE_OK)
        code = catalog_commit(tree->catalog, &lost, repair->why);
    if (code == CODE_OK)
        code = catalog_sync(tree->catalog, repair->why);
    repair->summary->changed = code == CODE_OK;
    return code;
}

static bool anything_done(const struct repair_summary *summary)
{
    return summary->unproven || summary->rows || summary->names_removed || summary->links_counted || summary->attached ||
           summary->links_removed || summary->parts_cut || summary->parts_lost;
}

/* Rows are changed between the begin and the end of one operation of the catalog, which takes them back if this fails. */
static enum code run(struct repair *repair)
{
    struct tree *tree = repair->tree;
    {
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
        enum code code = load(repair);
        bool doubted = repair->summary->unproven || tree->sums.wrong.code != CODE_OK;
        if (code == CODE_OK && !repair->summary->unproven && doubted)
            repair_tell(repair, "cannot be vouched for: %s", tree->sums.wrong.text);
        repair->summary->unproven += doubted && !repair->summary->unproven;
        if (code != CODE_OK || (doubted && !repair->options->accept))
            return code;
        code = catalog_operation_begin(tree->catalog, repair->why);
        if (code != CODE_OK)
            return code;
        code = repair_all(repair);
        enum code kept = catalog_operation_end(tree->catalog, code == CODE_OK, repair->why);
        if (code != CODE_OK || kept != CODE_OK)
            return code != CODE_OK ? code : kept;
        piece_free_all(tree);
        node_forget_all(tree); /* whatever was looked at before is not what the rows say now */
    }
    enum code code = count_problems(repair, true, &repair->summary->problems_left);
    if (code != CODE_OK || repair->summary->problems_left || !anything_done(repair->summary))
        return code;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return commit(repair);
}

enum code repair_run(struct tree *tree, const struct repair_options *options, struct buffer *report,
                     struct repair_summary *out, struct failure *why)
{
    struct failure ignored;
    *out = (struct repair_summary){.rows = tree->rows_repaired};
    struct repair repair = {.tree = tree, .options = options, .summary = out, .report = report, .why = why ? why : &ignored};
    enum code code = run(&repair);
    free(repair.nodes);
    if (code == CODE_OK)
        code = buffer_check(report, "the report", why);
    return code == CODE_OK ? code : failure_wrap(why, code, "repairing: nothing was changed");
}
