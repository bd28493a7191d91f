/* Runs and nodes in memory: see job_table.h.
 *
 * Invariants
 *  1. runs[] is in order of submission and holds no run that is over.
 *  2. A run's summary is the fold of the first events_bytes bytes of its events file.
 *  3. plan_* describe runs[] and nodes[] where plan_good; every change makes it false.  A run whose node is
 *     not present is not part of the plan (plan_index -1): it takes nothing from anybody.
 *  4. changed_ns only grows.
 *
 * One lock over everything; nothing here calls the tree.  `changed` takes the lock of the streams
 * (jobs_events.c), which ranks behind this one.
 */
#include "job_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "scope.h"
#include "timing.h"

struct slot {
    struct job_run run;
    char granted_to[JOB_NODE_NAME_MAX + 1]; /* "": to nobody */
    int64_t granted_ms;                     /* monotonic */
    int plan_index;
    struct plan_quota quota; /* the member's */
};

struct job_table {
    pthread_mutex_t lock;
    job_table_changed *changed;
    void *context;
    struct slot **runs;
    size_t run_count;
    struct job_node *nodes;
    size_t node_count;
    int64_t changed_ns;

    bool plan_good;
    struct plan_node *plan_nodes;         /* (PLAN_NODES_MAX) */
    struct plan_run *plan_runs;           /* (PLAN_RUNS_MAX) */
    struct plan_decision *plan_decisions; /* (PLAN_RUNS_MAX) */
    size_t *plan_slots;                   /* (PLAN_RUNS_MAX): index in runs[] of each of plan_runs[] */
};

struct job_table *job_table_create(job_table_changed *changed, void *context)
{
    struct job_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    pthread_mutex_init(&table->lock, NULL);
    table->changed = changed;
    table->context = context;
    table->runs = calloc(PLAN_RUNS_MAX, sizeof *table->runs);
    table->nodes = calloc(PLAN_NODES_MAX, sizeof *table->nodes);
    table->plan_nodes = calloc(PLAN_NODES_MAX, sizeof *table->plan_nodes);
    table->plan_runs = calloc(PLAN_RUNS_MAX, sizeof *table->plan_runs);
    table->plan_decisions = calloc(PLAN_RUNS_MAX, sizeof *table->plan_decisions);
    table->plan_slots = calloc(PLAN_RUNS_MAX, sizeof *table->plan_slots);
    table->changed_ns = timing_wall_ns();
    if (table->runs && table->nodes && table->plan_nodes && table->plan_runs && table->plan_decisions && table->plan_slots)
        return table;
    job_table_destroy(table);
    return NULL;
}

void job_table_destroy(struct job_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->run_count; i++)
        free(table->runs[i]);
    free(table->runs);
    free(table->nodes);
    free(table->plan_nodes);
    free(table->plan_runs);
    free(table->plan_decisions);
    free(table->plan_slots);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

/* With the lock held. */
static void note_change(struct job_table *table)
{
    int64_t now = timing_wall_ns();
    table->changed_ns = now > table->changed_ns ? now : table->changed_ns + 1;
    table->plan_good = false;
}

static size_t find_run(const struct job_table *table, const char *path)
{
    size_t at = 0;
    while (at < table->run_count && strcmp(table->runs[at]->run.path, path) != 0)
        at++;
    return at;
}

static int find_node(const struct job_table *table, const char *name)
{
    for (size_t i = 0; i < table->node_count; i++)
        if (!strcmp(table->nodes[i].name, name))
            return (int)i;
    return -1;
}

/* Planning, with the lock held ----------------------------------------------------------------- */

static bool has_live_grant(const struct slot *slot)
{
    return slot->granted_to[0] && timing_monotonic_ms() - slot->granted_ms < RUN_GRANT_MS;
}

/* The node that has the run, by its events or by a grant; NULL for none. */
static const char *holder_of(const struct slot *slot)
{
    if (run_state_is_held(slot->run.summary.state))
        return slot->run.summary.node;
    return has_live_grant(slot) ? slot->granted_to : NULL;
}

static void drop_old_grants(struct job_table *table)
{
    for (size_t i = 0; i < table->run_count; i++)
        if (table->runs[i]->granted_to[0] && !has_live_grant(table->runs[i])) {
            table->runs[i]->granted_to[0] = 0;
            table->plan_good = false;
        }
}

static void plan(struct job_table *table)
{
    drop_old_grants(table);
    if (table->plan_good)
        return;
    size_t count = 0;
    for (size_t i = 0; i < table->node_count; i++) {
        const struct job_node *node = &table->nodes[i];
        table->plan_nodes[i] = (struct plan_node){node->name, node->cpus, node->gpus, node->memory_bytes};
    }
    for (size_t i = 0; i < table->run_count; i++) {
        struct slot *slot = table->runs[i];
        const char *holder = holder_of(slot);
        int node = holder ? find_node(table, holder) : -1;
        slot->plan_index = holder && node < 0 ? -1 : (int)count;
        if (slot->plan_index < 0)
            continue;
        table->plan_slots[count] = i;
        table->plan_runs[count++] =
            (struct plan_run){slot->run.path,       slot->run.summary.member,     slot->run.needs.gpus,
                              slot->run.needs.cpus, slot->run.needs.memory_bytes, node,
                              &slot->quota};
    }
    enum code code = plan_make(table->plan_nodes, table->node_count, table->plan_runs, count, table->plan_decisions, NULL);
    if (code != CODE_OK) /* without memory nothing starts now; the next look plans again */
        for (size_t i = 0; i < count; i++)
            table->plan_decisions[i] = (struct plan_decision){.reason = PLAN_NO_NODE, .node = -1, .blocker = -1};
    table->plan_good = code == CODE_OK;
}

/* Why the run waits; nothing where it does not. */
static void explain(struct job_table *table, const struct slot *slot, struct buffer *out)
{
    if (slot->run.summary.state != RUN_QUEUED)
        return;
    plan(table);
    if (slot->plan_index >= 0)
        plan_explain(table->plan_nodes, table->plan_runs, table->plan_decisions, (size_t)slot->plan_index, out);
}

static void tell(struct job_table *table, const struct slot *slot, job_table_changed *told, void *context)
{
    SCOPE_BUFFER text = {0};
    explain(table, slot, &text);
    if (!text.length)
        buffer_append_text(&text, slot->run.summary.reason);
    told(context, &slot->run, buffer_text(&text));
}

static void tell_change(struct job_table *table, const struct slot *slot)
{
    tell(table, slot, table->changed, table->context);
}

/* Runs ----------------------------------------------------------------------------------------- */

/* Takes the run at this place out and frees it. */
static void remove_at(struct job_table *table, size_t at)
{
    free(table->runs[at]);
    memmove(&table->runs[at], &table->runs[at + 1], (table->run_count - at - 1) * sizeof(struct slot *));
    table->run_count--;
    note_change(table);
}

enum code job_table_add(struct job_table *table, const char *path, const struct job_needs *needs, const char *events,
                        size_t count, struct failure *why)
{
    struct slot *slot = calloc(1, sizeof *slot);
    if (!slot)
        return failure_set(why, CODE_NO_MEMORY, "%s: not enough memory", path);
    snprintf(slot->run.path, sizeof slot->run.path, "%s", path);
    slot->run.needs = *needs;
    slot->quota = (struct plan_quota){-1, -1};
    slot->run.events_bytes = count;
    run_summary_fold(events, count, &slot->run.summary);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    bool waits = !run_state_is_over(slot->run.summary.state) && slot->run.summary.state != RUN_NONE;
    if (!waits || table->run_count == PLAN_RUNS_MAX || find_run(table, path) < table->run_count) {
        free(slot);
        return waits && table->run_count == PLAN_RUNS_MAX
                   ? failure_set(why, CODE_TOO_LARGE, "%s: %d runs wait already", path, PLAN_RUNS_MAX)
                   : CODE_OK;
    }
    table->runs[table->run_count++] = slot;
    note_change(table);
    tell_change(table, slot);
    return CODE_OK;
}

void job_table_update(struct job_table *table, const char *path, const char *events, size_t count)
{
    struct run_summary summary;
    run_summary_fold(events, count, &summary);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    size_t at = find_run(table, path);
    if (at == table->run_count || count <= table->runs[at]->run.events_bytes)
        return;
    struct slot *slot = table->runs[at];
    struct run_summary before = slot->run.summary;
    slot->run.summary = summary;
    slot->run.events_bytes = count;
    if (before.state == summary.state && before.attempt == summary.attempt)
        return;
    if (summary.state != RUN_QUEUED || before.state != RUN_QUEUED)
        slot->granted_to[0] = 0;
    note_change(table);
    tell_change(table, slot);
    if (run_state_is_over(summary.state))
        remove_at(table, at);
}

void job_table_drop(struct job_table *table, const char *path, const char *reason)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    size_t at = find_run(table, path);
    if (at == table->run_count)
        return;
    struct slot *slot = table->runs[at];
    slot->run.summary.state = RUN_CANCELLED;
    snprintf(slot->run.summary.reason, sizeof slot->run.summary.reason, "%s", reason);
    tell_change(table, slot);
    remove_at(table, at);
}

void job_table_set_quota(struct job_table *table, const char *member, const struct plan_quota *quota)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    for (size_t i = 0; i < table->run_count; i++) {
        struct slot *slot = table->runs[i];
        if (strcmp(slot->run.summary.member, member) != 0 ||
            (slot->quota.gpus == quota->gpus && slot->quota.cpus == quota->cpus))
            continue;
        slot->quota = *quota;
        note_change(table);
    }
}

static bool has_member(const struct job_members *members, const char *name)
{
    for (size_t i = 0; i < members->count; i++)
        if (strcmp(members->names[i], name) == 0)
            return true;
    return false;
}

void job_table_members(struct job_table *table, struct job_members *out)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    out->count = 0;
    for (size_t i = 0; i < table->run_count && out->count < JOB_MEMBERS_MAX; i++) {
        const char *name = table->runs[i]->run.summary.member;
        if (!has_member(out, name))
            snprintf(out->names[out->count++], sizeof *out->names, "%s", name);
    }
}

size_t job_table_count(struct job_table *table, const char *member)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    size_t count = 0;
    for (size_t i = 0; i < table->run_count; i++)
        count += strcmp(table->runs[i]->run.summary.member, member) == 0;
    return count;
}

bool job_table_is_full(struct job_table *table)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    return table->run_count == PLAN_RUNS_MAX;
}

bool job_table_find(struct job_table *table, const char *path, struct job_run *out)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    size_t at = find_run(table, path);
    if (at == table->run_count)
        return false;
    *out = table->runs[at]->run;
    return true;
}

/* Nodes and claims ----------------------------------------------------------------------------- */

void job_table_set_nodes(struct job_table *table, const struct job_node *nodes, size_t count)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    if (count > PLAN_NODES_MAX)
        count = PLAN_NODES_MAX;
    if (count)
        memcpy(table->nodes, nodes, count * sizeof *nodes);
    table->node_count = count;
    note_change(table);
}

enum code job_table_grant(struct job_table *table, const char *path, const char *node, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    size_t at = find_run(table, path);
    if (at == table->run_count)
        return failure_set(why, CODE_NOT_FOUND, "%s: does not wait for a node", path);
    struct slot *slot = table->runs[at];
    if (holder_of(slot))
        return failure_set(why, CODE_EXISTS, "%s: %s has it", path, holder_of(slot));
    if (find_node(table, node) < 0)
        return failure_set(why, CODE_AGAIN, "%s: no node called \"%s\" is present (see jobs/nodes)", path, node);
    plan(table);
    const struct plan_decision *decision = &table->plan_decisions[slot->plan_index];
    if (decision->reason != PLAN_GO || strcmp(table->nodes[decision->node].name, node) != 0) {
        SCOPE_BUFFER text = {0};
        explain(table, slot, &text);
        return failure_set(why, CODE_AGAIN, "%s: %s", path, buffer_text(&text));
    }
    snprintf(slot->granted_to, sizeof slot->granted_to, "%s", node);
    slot->granted_ms = timing_monotonic_ms();
    note_change(table);
    return CODE_OK;
}

bool job_table_is_granted(struct job_table *table, const char *path, const char *node)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    size_t at = find_run(table, path);
    return at < table->run_count && has_live_grant(table->runs[at]) && !strcmp(table->runs[at]->granted_to, node);
}

/* Looking -------------------------------------------------------------------------------------- */

void job_table_visit(struct job_table *table, job_table_changed *each, void *context)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    for (size_t i = 0; i < table->run_count; i++)
        tell(table, table->runs[i], each, context);
}

int64_t job_table_changed_ns(struct job_table *table)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    return table->changed_ns;
}

void job_table_held(struct job_table *table, struct job_paths *out)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    *out = (struct job_paths){calloc(table->run_count + 1, sizeof *out->paths), 0};
    for (size_t i = 0; out->paths && i < table->run_count; i++)
        if (run_state_is_held(table->runs[i]->run.summary.state))
            memcpy(out->paths[out->count++], table->runs[i]->run.path, JOB_PATH_MAX);
}

/* The run that is in the way of this one, as an index of runs[]; -1 for none. */
static int find_blocker(const struct job_table *table, const struct slot *slot)
{
    if (slot->run.summary.state != RUN_QUEUED || slot->plan_index < 0)
        return -1;
    int blocker = table->plan_decisions[slot->plan_index].blocker;
    return blocker >= 0 ? (int)table->plan_slots[blocker] : -1;
}

enum code job_table_copy(struct job_table *table, struct job_picture *out, struct failure *why)
{
    *out = (struct job_picture){0};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&table->lock);
    out->runs = calloc(table->run_count + 1, sizeof *out->runs);
    out->nodes = calloc(table->node_count + 1, sizeof *out->nodes);
    out->explanations = calloc(table->run_count + 1, sizeof *out->explanations);
    out->blockers = calloc(table->run_count + 1, sizeof *out->blockers);
    bool whole = out->runs && out->nodes && out->explanations && out->blockers;
    for (size_t i = 0; whole && i < table->run_count; i++) {
        SCOPE_BUFFER text = {0};
        explain(table, table->runs[i], &text);
        out->runs[i] = table->runs[i]->run;
        out->explanations[i] = strdup(buffer_text(&text));
        out->blockers[i] = find_blocker(table, table->runs[i]);
        out->run_count = i + 1;
        whole = out->explanations[i] != NULL;
    }
    if (!whole) {
        job_picture_free(out);
        return failure_set(why, CODE_NO_MEMORY, "listing the runs: not enough memory");
    }
    memcpy(out->nodes, table->nodes, table->node_count * sizeof *out->nodes);
    out->node_count = table->node_count;
    return CODE_OK;
}

void job_picture_free(struct job_picture *picture)
{
    for (size_t i = 0; i < picture->run_count; i++)
        free(picture->explanations[i]);
    free(picture->runs);
    free(picture->nodes);
    free(picture->explanations);
    free(picture->blockers);
    *picture = (struct job_picture){0};
}
