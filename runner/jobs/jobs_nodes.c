/* Nodes.  A node is present as long as it keeps lab/nodes/<node> open; the file describes it.
 *
 * The file is rewritten in place every few seconds and never closed, so nobody tells us of a change: whoever
 * needs the nodes calls jobs_nodes_refresh, which looks at the folder's stamp.  When the last handle is
 * released, for whatever reason (exit, kill -9, lost connection), the node is gone: its file is removed and
 * its runs are lost, which queues them again.
 */
#include "jobs_nodes.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "jobs_run.h"
#include "logging.h"
#include "plan.h"
#include "rule.h"
#include "scope.h"
#include "text_table.h"

#define NODES_FOLDER        "lab/nodes"
#define NODE_FILE_BYTES_MAX 4096
#define NODE_FORMAT_VERSION 1
#define NODE_CPUS_MAX       65536

/* Reading -------------------------------------------------------------------------------------- */

static int bounded(const json_t *object, const char *key, int max)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value < 0 ? 0 : value > max ? max : (int)value;
}

static void copy_member(const json_t *object, const char *key, char out[JOB_NODE_TEXT_MAX])
{
    const char *text = json_string_value(json_object_get(object, key));
    snprintf(out, JOB_NODE_TEXT_MAX, "%s", text ? text : "");
}

/* False where the text is no description that we know. */
static bool parse_node(const char *name, const struct buffer *text, struct job_node *out)
{
    json_t *object = json_loadb(buffer_text(text), text->length, 0, NULL);
    bool known = json_is_object(object) && json_integer_value(json_object_get(object, "version")) == NODE_FORMAT_VERSION;
    if (known) {
        *out = (struct job_node){.cpus = bounded(object, "cpus", NODE_CPUS_MAX),
                                 .gpus = bounded(object, "gpus", NODE_CPUS_MAX),
                                 .load = json_number_value(json_object_get(object, "load"))};
        json_int_t memory = json_integer_value(json_object_get(object, "memory_bytes"));
        out->memory_bytes = memory > 0 ? (uint64_t)memory : 0;
        snprintf(out->name, sizeof out->name, "%s", name);
        copy_member(object, "host", out->host);
        copy_member(object, "devices", out->devices);
    }
    json_decref(object);
    return known && out->cpus > 0;
}

struct node_list {
    struct tree *tree;
    struct job_node *nodes; /* (PLAN_NODES_MAX) */
    size_t count;
};

static bool read_node(void *context, const char *name, const struct node_attributes *attributes)
{
    struct node_list *list = context;
    char path[JOBS_PATH_MAX];
    SCOPE_BUFFER text = {0};
    if (attributes->kind == NODE_FILE && jobs_run_path(NODES_FOLDER, name, path) &&
        tree_path_read(list->tree, path, NODE_FILE_BYTES_MAX, &text, NULL) == CODE_OK &&
        parse_node(name, &text, &list->nodes[list->count]))
        list->count++;
    return list->count < PLAN_NODES_MAX;
}

void jobs_nodes_refresh(struct jobs *jobs)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&jobs->nodes_lock);
    uint64_t version;
    int64_t modify_ns;
    tree_path_stamp(jobs->tree, NODES_FOLDER, &version, &modify_ns);
    if (jobs->nodes_read && version == jobs->nodes_version)
        return;
    SCOPE_FREE struct job_node *nodes = calloc(PLAN_NODES_MAX, sizeof *nodes);
    struct node_list list = {jobs->tree, nodes, 0};
    if (!nodes || tree_path_list(jobs->tree, NODES_FOLDER, read_node, &list, NULL) != CODE_OK)
        return;
    job_table_set_nodes(jobs->table, nodes, list.count);
    jobs->nodes_read = true;
    jobs->nodes_version = version;
}

int64_t jobs_nodes_changed_ns(struct jobs *jobs)
{
    uint64_t version;
    int64_t modify_ns;
    tree_path_stamp(jobs->tree, NODES_FOLDER, &version, &modify_ns);
    return modify_ns;
}

/* Losing --------------------------------------------------------------------------------------- */

static void lose_runs(struct jobs *jobs, const char *node)
{
    struct job_picture picture;
    struct failure why;
    char reason[JOB_NODE_NAME_MAX + 32];
    snprintf(reason, sizeof reason, "its node %s went away", node);
    if (job_table_copy(jobs->table, &picture, &why) != CODE_OK) {
        logging_warning("the runs of %s could not be queued again: %s", node, why.text);
        return;
    }
    for (size_t i = 0; i < picture.run_count; i++) {
        const struct run_summary *summary = &picture.runs[i].summary;
        if (run_state_is_held(summary->state) && !strcmp(summary->node, node))
            jobs_run_lose(jobs, picture.runs[i].path, (struct run_event){.attempt = summary->attempt, .reason = reason});
    }
    job_picture_free(&picture);
}

static void lose_node(void *context, const char *path)
{
    struct jobs *jobs = context;
    struct failure why;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&jobs->acting);
    const char *node = strrchr(path, '/') + 1;
    logging_info("node %s went away", node);
    if (tree_path_remove(jobs->tree, path, &why) != CODE_OK)
        logging_warning("%s: cannot be removed: %s", path, why.text);
    jobs_nodes_refresh(jobs);
    lose_runs(jobs, node);
}

/* Showing -------------------------------------------------------------------------------------- */

static void list_runs_of(const struct job_picture *picture, const char *node, struct buffer *out)
{
    for (size_t i = 0; i < picture->run_count; i++)
        if (run_state_is_held(picture->runs[i].summary.state) && !strcmp(picture->runs[i].summary.node, node))
            buffer_printf(out, "%s%s", out->length ? ", " : "", picture->runs[i].path);
    if (!out->length)
        buffer_append_text(out, "nothing");
}

static void add_node_row(struct text_table *table, const struct job_picture *picture, const struct job_node *node)
{
    char cpus[16], memory[32], gpus[16], load[32];
    SCOPE_BUFFER runs = {0};
    list_runs_of(picture, node->name, &runs);
    bool busy = strcmp(buffer_text(&runs), "nothing") != 0;
    snprintf(cpus, sizeof cpus, "%d", node->cpus);
    snprintf(gpus, sizeof gpus, "%d", node->gpus);
    snprintf(memory, sizeof memory, "%.1f GiB", (double)node->memory_bytes / 0x1p30);
    snprintf(load, sizeof load, "%.2f", node->load);
    text_table_row(table, node->name, busy ? "busy" : "free", cpus, memory, gpus, load, *node->devices ? node->devices : "-",
                   buffer_text(&runs), NULL);
}

static enum code render_nodes(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct jobs *jobs = context;
    struct job_picture picture;
    jobs_nodes_refresh(jobs);
    enum code code = job_table_copy(jobs->table, &picture, why);
    if (code != CODE_OK)
        return code;
    SCOPE_TEXT_TABLE table = {0};
    text_table_row(&table, "NODE", "STATE", "CPUS", "MEMORY", "GPUS", "LOAD", "DEVICES", "RUNS", NULL);
    for (size_t i = 0; i < picture.node_count; i++)
        add_node_row(&table, &picture, &picture.nodes[i]);
    if (picture.node_count > 0)
        text_table_format(&table, out);
    else
        buffer_append_text(out, "No node is present: nothing can run.\n");
    job_picture_free(&picture);
    return buffer_check(out, path, why);
}

static void stamp_nodes(void *context, const char *path, uint64_t *version, int64_t *modify_ns)
{
    (void)path;
    struct jobs *jobs = context;
    int64_t nodes_ns = jobs_nodes_changed_ns(jobs), table_ns = job_table_changed_ns(jobs->table);
    *modify_ns = nodes_ns > table_ns ? nodes_ns : table_ns;
    *version = (uint64_t)*modify_ns;
}

enum code jobs_nodes_add_rules(struct jobs *jobs, struct failure *why)
{
    struct rule table = {
        .kind = RULE_DERIVED, .pattern = "jobs/nodes", .context = jobs, .render = render_nodes, .stamp = stamp_nodes};
    enum code code = rule_add(jobs->tree, &table, why);
    if (code != CODE_OK)
        return code;
    struct rule lease = {
        .kind = RULE_WATCH, .pattern = "lab/nodes/*", .context = jobs, .released = lose_node, .removed = lose_node};
    return rule_add(jobs->tree, &lease, why);
}
