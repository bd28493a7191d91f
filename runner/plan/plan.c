/* Who runs what next.
 *
 * Start from what is free on each node after the runs that nodes hold.  Then, again and again, take the
 * waiting run whose turn it is (see next_waiting) and give it to the node with the most room for it.  A run
 * that fits on some node, but not now, reserves the node that is nearest to having room: nothing behind it
 * may take that node, so that a stream of small runs never starves a large one.  A run that fits on no node
 * waits without being in anybody's way, and so does one whose member has all that his quota allows.
 *
 * Invariants
 *  1. The sum of what runs with PLAN_HELD and PLAN_GO need on a node is at most the node's size, unless held
 *     ones alone exceed it already (a node that came back smaller).
 *  2. No run gets PLAN_GO by which its member's runs would have more than his quota.
 *  3. Equal input gives equal output; the order of equals is the order of submission, and of nodes.
 *  4. Time: runs x (members + nodes).
 *
 * Pure; any thread.
 */
#include "plan.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "scope.h"

/* What is left of a node. */
struct room {
    int cpus, gpus;
    uint64_t memory_bytes; /* UINT64_MAX where the node's is not known */
    int reserved_by;       /* index of the run that waits for this node; -1: none */
    int runs;              /* held and planned */
    int last_run;          /* index of one of them; -1: none */
};

/* What a run takes on a given node. */
struct need {
    int cpus, gpus;
    uint64_t memory_bytes;
};

struct member {
    const char *name;
    int running;
    int gpus, cpus; /* that they have */
    size_t next;    /* index of this member's next waiting run; SIZE_MAX: none left */
};

struct planning {
    const struct plan_node *nodes;
    size_t node_count;
    const struct plan_run *runs;
    size_t run_count;
    struct plan_decision *decisions;
    struct room *rooms;     /* (node_count) */
    struct member *members; /* (member_count), at most one a run */
    size_t member_count;
    size_t *member_of; /* (run_count) */
};

static struct need need_on(const struct plan_run *run, const struct plan_node *node)
{
    int gpus = run->gpus >= 0 ? run->gpus : node->gpus > 0 ? 1 : 0;
    return (struct need){run->cpus > 0 ? run->cpus : node->cpus, gpus, run->memory_bytes};
}

static bool fits(const struct need *need, const struct room *room)
{
    return need->cpus <= room->cpus && need->gpus <= room->gpus && need->memory_bytes <= room->memory_bytes;
}

static struct room whole(const struct plan_node *node)
{
    uint64_t memory = node->memory_bytes ? node->memory_bytes : UINT64_MAX;
    return (struct room){node->cpus, node->gpus, memory, -1, 0, -1};
}

static void take(struct planning *planning, size_t run, size_t node)
{
    struct room *room = &planning->rooms[node];
    struct need need = need_on(&planning->runs[run], &planning->nodes[node]);
    room->cpus -= need.cpus;
    room->gpus -= need.gpus;
    if (room->memory_bytes != UINT64_MAX)
        room->memory_bytes -= need.memory_bytes < room->memory_bytes ? need.memory_bytes : room->memory_bytes;
    room->runs++;
    room->last_run = (int)run;
    struct member *member = &planning->members[planning->member_of[run]];
    member->running++;
    member->gpus += need.gpus;
    member->cpus += need.cpus;
}

/* Whether the quota leaves that much beside what the member's runs have. */
static bool is_within(const struct plan_quota *quota, const struct need *need, int gpus, int cpus)
{
    return !quota || ((quota->gpus < 0 || need->gpus == 0 || need->gpus <= quota->gpus - gpus) &&
                      (quota->cpus < 0 || need->cpus <= quota->cpus - cpus));
}

static bool is_allowed(const struct planning *planning, size_t run, const struct need *need)
{
    const struct member *member = &planning->members[planning->member_of[run]];
    return is_within(planning->runs[run].quota, need, member->gpus, member->cpus);
}

static size_t find_member(struct planning *planning, const char *name)
{
    for (size_t i = 0; i < planning->member_count; i++)
        if (!strcmp(planning->members[i].name, name))
            return i;
    planning->members[planning->member_count] = (struct member){name, 0, 0, 0, SIZE_MAX};
    return planning->member_count++;
}

/* The member's first waiting run at or behind `from`. */
static size_t find_waiting(const struct planning *planning, size_t member, size_t from)
{
    for (size_t i = from; i < planning->run_count; i++)
        if (planning->runs[i].node < 0 && planning->member_of[i] == member)
            return i;
    return SIZE_MAX;
}

/* Whose turn it is: the member with the fewest runs on nodes, among them the earliest submission.  SIZE_MAX:
 * nobody's. */
static size_t next_waiting(struct planning *planning)
{
    struct member *chosen = NULL;
    for (size_t i = 0; i < planning->member_count; i++) {
        struct member *member = &planning->members[i];
        if (member->next == SIZE_MAX)
            continue;
        if (!chosen || member->running < chosen->running ||
            (member->running == chosen->running && member->next < chosen->next))
            chosen = member;
    }
    if (!chosen)
        return SIZE_MAX;
    size_t run = chosen->next;
    chosen->next = find_waiting(planning, (size_t)(chosen - planning->members), run + 1);
    return run;
}

/* The free node that suits best: with a GPU where the run would like one, then the one with the most free
 * cpus. */
static int find_free_node(const struct planning *planning, size_t index)
{
    const struct plan_run *run = &planning->runs[index];
    int best = -1;
    for (size_t i = 0; i < planning->node_count; i++) {
        const struct room *room = &planning->rooms[i];
        struct need need = need_on(run, &planning->nodes[i]);
        if (room->reserved_by >= 0 || !fits(&need, room) || !is_allowed(planning, index, &need))
            continue;
        if (best < 0) {
            best = (int)i;
            continue;
        }
        bool has_gpu = run->gpus < 0 && need.gpus > 0;
        bool best_has_gpu = run->gpus < 0 && planning->nodes[best].gpus > 0;
        if (has_gpu != best_has_gpu ? has_gpu : room->cpus > planning->rooms[best].cpus)
            best = (int)i;
    }
    return best;
}

/* The node to wait for: one that is large enough, with the fewest runs in the way; of those that the quota allows now, or
 * whatever it says.  -1: none is large enough. */
static int find_busy_node(const struct planning *planning, size_t index, bool allowed)
{
    const struct plan_run *run = &planning->runs[index];
    int best = -1;
    for (size_t i = 0; i < planning->node_count; i++) {
        struct room empty = whole(&planning->nodes[i]);
        struct need need = need_on(run, &planning->nodes[i]);
        if (!fits(&need, &empty) || (allowed && !is_allowed(planning, index, &need)))
            continue;
        const struct room *room = &planning->rooms[i];
        bool reserved = room->reserved_by >= 0;
        bool best_reserved = best >= 0 && planning->rooms[best].reserved_by >= 0;
        if (best < 0 || (reserved != best_reserved ? best_reserved : room->runs < planning->rooms[best].runs))
            best = (int)i;
    }
    return best;
}

/* What no node has enough of. */
static enum plan_reason find_shortage(const struct planning *planning, const struct plan_run *run)
{
    bool gpus = false, cpus = false;
    if (planning->node_count == 0)
        return PLAN_NO_NODE;
    for (size_t i = 0; i < planning->node_count; i++) {
        struct need need = need_on(run, &planning->nodes[i]);
        bool enough_gpus = need.gpus <= planning->nodes[i].gpus;
        gpus |= enough_gpus;
        cpus |= enough_gpus && need.cpus <= planning->nodes[i].cpus;
    }
    return !gpus ? PLAN_NO_GPU : !cpus ? PLAN_NO_CPU : PLAN_NO_MEMORY;
}

static void decide(struct planning *planning, size_t index)
{
    const struct plan_run *run = &planning->runs[index];
    int node = find_free_node(planning, index);
    if (node >= 0) {
        take(planning, index, (size_t)node);
        planning->decisions[index] = (struct plan_decision){.reason = PLAN_GO, .node = node, .blocker = -1};
        return;
    }
    node = find_busy_node(planning, index, true);
    if (node < 0) {
        const struct member *member = &planning->members[planning->member_of[index]];
        node = find_busy_node(planning, index, false);
        enum plan_reason reason = node < 0 ? find_shortage(planning, run) : PLAN_QUOTA;
        planning->decisions[index] = (struct plan_decision){
            .reason = reason, .node = node, .blocker = -1, .gpus = member->gpus, .cpus = member->cpus};
        return;
    }
    struct room *room = &planning->rooms[node];
    int blocker = room->last_run >= 0 ? room->last_run : room->reserved_by;
    planning->decisions[index] = (struct plan_decision){.reason = PLAN_BUSY, .node = node, .blocker = blocker};
    if (room->reserved_by < 0)
        room->reserved_by = (int)index;
}

static void run_planning(struct planning *planning)
{
    for (size_t i = 0; i < planning->node_count; i++)
        planning->rooms[i] = whole(&planning->nodes[i]);
    for (size_t i = 0; i < planning->run_count; i++) {
        const struct plan_run *run = &planning->runs[i];
        planning->member_of[i] = find_member(planning, run->member);
        struct member *member = &planning->members[planning->member_of[i]];
        if (run->node < 0) {
            if (member->next == SIZE_MAX)
                member->next = i;
            continue;
        }
        take(planning, i, (size_t)run->node);
        planning->decisions[i] = (struct plan_decision){.reason = PLAN_HELD, .node = run->node, .blocker = -1};
    }
    for (size_t run = next_waiting(planning); run != SIZE_MAX; run = next_waiting(planning))
        decide(planning, run);
}

enum code plan_make(const struct plan_node *nodes, size_t node_count, const struct plan_run *runs, size_t run_count,
                    struct plan_decision *decisions, struct failure *why)
{
    if (node_count > PLAN_NODES_MAX || run_count > PLAN_RUNS_MAX)
        return failure_set(why, CODE_TOO_LARGE, "planning: %zu nodes and %zu runs; at most %d and %d are planned for",
                           node_count, run_count, PLAN_NODES_MAX, PLAN_RUNS_MAX);
    SCOPE_FREE struct room *rooms = calloc(node_count + 1, sizeof *rooms);
    SCOPE_FREE struct member *members = calloc(run_count + 1, sizeof *members);
    SCOPE_FREE size_t *member_of = calloc(run_count + 1, sizeof *member_of);
    if (!rooms || !members || !member_of)
        return failure_set(why, CODE_NO_MEMORY, "planning: not enough memory");
    struct planning planning = {.nodes = nodes,
                                .node_count = node_count,
                                .runs = runs,
                                .run_count = run_count,
                                .decisions = decisions,
                                .rooms = rooms,
                                .members = members,
                                .member_of = member_of};
    run_planning(&planning);
    return CODE_OK;
}

static void explain_busy(const struct plan_node *node, const struct plan_run *runs, const struct plan_decision *decisions,
                         const struct plan_run *run, int blocker, struct buffer *out)
{
    struct need need = need_on(run, node);
    buffer_append_text(out, "waits for ");
    if (need.cpus >= node->cpus)
        buffer_append_text(out, "a free node");
    else if (need.gpus > 0)
        buffer_printf(out, "%d free GPU%s and %d free CPU%s", need.gpus, need.gpus == 1 ? "" : "s", need.cpus,
                      need.cpus == 1 ? "" : "s");
    else
        buffer_printf(out, "%d free CPU%s", need.cpus, need.cpus == 1 ? "" : "s");
    if (run->memory_bytes)
        buffer_printf(out, " with %.1f GiB of memory", (double)run->memory_bytes / 0x1p30);
    if (blocker < 0)
        return;
    enum plan_reason reason = decisions[blocker].reason;
    const char *verb = reason == PLAN_HELD ? "runs" : reason == PLAN_GO ? "starts" : "is kept for";
    buffer_printf(out, ": %s %s %s", node->name, verb, runs[blocker].path);
}

static void say_number(int number, const char *what, struct buffer *out)
{
    buffer_printf(out, "%d %s%s", number, what, number == 1 ? "" : "s");
}

/* What the quota of one kind says: the run alone needs more than it allows, or the others have the rest. */
static void explain_kind(const char *member, int need, int most, int have, const char *what, struct buffer *out)
{
    if (need > most) {
        buffer_append_text(out, "needs ");
        say_number(need, what, out);
        buffer_printf(out, ": %s may have %d at once (lab/quotas/%s)", member, most, member);
    } else {
        buffer_append_text(out, "waits for ");
        say_number(need, what, out);
        buffer_printf(out, " of %s's quota: %d of %d are in use", member, have, most);
    }
}

static void explain_quota(const struct plan_node *node, const struct plan_run *run, const struct plan_decision *decision,
                          struct buffer *out)
{
    const struct need need = need_on(run, node);
    const struct plan_quota gpus_alone = {.gpus = run->quota->gpus, .cpus = -1};
    if (!is_within(&gpus_alone, &need, decision->gpus, 0))
        explain_kind(run->member, need.gpus, run->quota->gpus, decision->gpus, "GPU", out);
    else
        explain_kind(run->member, need.cpus, run->quota->cpus, decision->cpus, "CPU", out);
}

void plan_explain(const struct plan_node *nodes, const struct plan_run *runs, const struct plan_decision *decisions,
                  size_t index, struct buffer *out)
{
    const struct plan_run *run = &runs[index];
    const struct plan_decision *decision = &decisions[index];
    switch (decision->reason) {
    case PLAN_HELD:
        break;
    case PLAN_GO:
        buffer_printf(out, "starts on %s in a moment", nodes[decision->node].name);
        break;
    case PLAN_NO_NODE:
        buffer_append_text(out, "waits for a node: none is present");
        break;
    case PLAN_NO_GPU:
        buffer_printf(out, "needs %d GPU%s: no node has %s", run->gpus, run->gpus == 1 ? "" : "s",
                      run->gpus == 1 ? "one" : "as many");
        break;
    case PLAN_NO_CPU:
        buffer_printf(out, "needs %d CPU%s: no node has as many", run->cpus, run->cpus == 1 ? "" : "s");
        break;
    case PLAN_NO_MEMORY:
        buffer_printf(out, "needs %.1f GiB of memory: no node has as much", (double)run->memory_bytes / 0x1p30);
        break;
    case PLAN_QUOTA:
        explain_quota(&nodes[decision->node], run, decision, out);
        break;
    case PLAN_BUSY:
        explain_busy(&nodes[decision->node], runs, decisions, run, decision->blocker, out);
        break;
    }
}
